//! Which endpoint is next. Pure: it knows places, weights and counts, not addresses and no time.
//!
//! Every rule passes over a place that is not open, gives each place its share by weight, and
//! gives a place in slow start only the part of its share that it is ready for.

mod maglev;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::maglev::Maglev;

/// A rule by which endpoints are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// In turns.
    RoundRobin,
    /// The one with the fewest connections for its weight.
    LeastConnections,
    /// The one with fewer connections for its weight, of two drawn at random.
    PowerOfTwo,
    /// By a hash of the connection: the same key goes to the same endpoint as long as it is there.
    Maglev,
}

/// One of the endpoints that a balancer picks among. Its place is its index.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    /// What the endpoint is known by, the same in every front: its address.
    pub(crate) id: String,
    /// At least 1.
    pub(crate) weight: u16,
}

/// What a balancer asks about the endpoints at the moment of a pick.
pub(crate) trait Pool {
    /// False: this place cannot take this connection.
    fn is_open(&self, place: usize) -> bool;
    /// Connections that it has now.
    fn connections(&self, place: usize) -> usize;
    /// How much of its share it is ready for, of [`FULL`]; at least 1.
    fn ramp(&self, place: usize) -> u32;
}

/// The [`Pool::ramp`] of an endpoint that is not in slow start.
pub(crate) const FULL: u32 = 1000;

/// Picks places. Shared by all workers without a lock.
#[derive(Debug)]
pub(crate) struct Balancer {
    rule: Rule,
    weights: Vec<u16>,
    /// Counts picks: whose turn it is, and where chance comes from. Outlives the balancer, so that
    /// a change of the endpoints does not give the first of them an extra turn.
    draws: Arc<AtomicU64>,
}

/// In `turns` each place stands once per unit of its weight.
#[derive(Debug)]
enum Rule {
    RoundRobin { turns: Vec<usize> },
    LeastConnections,
    PowerOfTwo { turns: Vec<usize> },
    Maglev(Maglev),
}

impl Balancer {
    pub(crate) fn new(policy: Policy, seats: &[Seat], draws: Arc<AtomicU64>) -> Self {
        let weights: Vec<u16> = seats.iter().map(|seat| seat.weight.max(1)).collect();
        let rule = match policy {
            Policy::RoundRobin => Rule::RoundRobin {
                turns: interleave(&weights),
            },
            Policy::LeastConnections => Rule::LeastConnections,
            Policy::PowerOfTwo => Rule::PowerOfTwo {
                turns: interleave(&weights),
            },
            Policy::Maglev => Rule::Maglev(Maglev::new(seats)),
        };
        Self {
            rule,
            weights,
            draws,
        }
    }

    /// A place that is open; `None` only if none is. `key` is the connection's hash.
    pub(crate) fn pick(&self, pool: &impl Pool, key: u64) -> Option<usize> {
        let picked = match &self.rule {
            Rule::LeastConnections => None,
            Rule::RoundRobin { turns } => self.next_turn(turns, pool),
            Rule::PowerOfTwo { turns } => self.better_of_two(turns, pool),
            Rule::Maglev(table) => {
                let ready = |place| mix(key) % u64::from(FULL) < u64::from(pool.ramp(place));
                table
                    .from(key)
                    .take(self.looks())
                    .find(|place| pool.is_open(*place) && ready(*place))
            }
        };
        picked.or_else(|| self.least(pool))
    }

    /// A place that cannot be had is left out of the turns, so that its share goes to all others
    /// and not to the next one alone.
    fn next_turn(&self, turns: &[usize], pool: &impl Pool) -> Option<usize> {
        (0..self.looks()).find_map(|_| {
            let draw = self.draw();
            let place = at(turns, draw)?;
            let ready = mix(draw) % u64::from(FULL) < u64::from(pool.ramp(place));
            (pool.is_open(place) && ready).then_some(place)
        })
    }

    fn better_of_two(&self, turns: &[usize], pool: &impl Pool) -> Option<usize> {
        let mut drawn = (0..self.looks())
            .filter_map(|_| at(turns, mix(self.draw())))
            .filter(|place| pool.is_open(*place));
        let first = drawn.next()?;
        match drawn.find(|place| *place != first) {
            Some(second) if self.is_less_loaded(second, first, pool) => Some(second),
            Some(_) | None => Some(first),
        }
    }

    /// Looks at all places, from another one each time so that equals take turns.
    fn least(&self, pool: &impl Pool) -> Option<usize> {
        let places = self.weights.len();
        let start = usize::try_from(self.draw() % u64::try_from(places.max(1)).ok()?).ok()?;
        (start..places)
            .chain(0..start)
            .filter(|place| pool.is_open(*place))
            .reduce(|best, place| {
                if self.is_less_loaded(place, best, pool) {
                    place
                } else {
                    best
                }
            })
    }

    /// With one connection more, `one` would have fewer for its weight than `other`.
    fn is_less_loaded(&self, one: usize, other: usize, pool: &impl Pool) -> bool {
        let load = |place: usize| u128::from(pool.connections(place) as u64) + 1;
        let share = |place: usize| {
            let weight = self.weights.get(place).copied().unwrap_or(1);
            u128::from(weight) * u128::from(pool.ramp(place))
        };
        load(one) * share(other) < load(other) * share(one)
    }

    /// How often chance is asked before all places are looked at.
    fn looks(&self) -> usize {
        self.weights.len() * 4
    }

    fn draw(&self) -> u64 {
        self.draws.fetch_add(1, Ordering::Relaxed)
    }
}

/// What stands in `list` at `draw`, round and round.
fn at(list: &[usize], draw: u64) -> Option<usize> {
    let length = u64::try_from(list.len())
        .ok()
        .filter(|length| *length > 0)?;
    list.get(usize::try_from(draw % length).ok()?).copied()
}

/// Spreads the turns: weights 3 and 1 give `a a b a` and not `a a a b`. The k-th of w turns comes
/// at (2k + 1) / 2w of the round.
fn interleave(weights: &[u16]) -> Vec<usize> {
    let unit = weights.iter().copied().fold(0, greatest_common_divisor);
    let mut turns: Vec<(u64, usize)> = weights
        .iter()
        .enumerate()
        .flat_map(|(place, weight)| {
            let weight = u64::from(weight / unit.max(1));
            (0..weight).map(move |turn| (((2 * turn + 1) << 32) / (2 * weight), place))
        })
        .collect();
    turns.sort_unstable();
    turns.into_iter().map(|(_time, place)| place).collect()
}

fn greatest_common_divisor(a: u16, b: u16) -> u16 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// The hash of a connection's key: FNV-1a, mixed. The same in every process and version, so that
/// several fronts send one key to one endpoint.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

/// The finaliser of SplitMix64: each bit of the result depends on each bit of `value`.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests;
