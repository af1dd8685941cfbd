//! Maglev's table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer",
//! NSDI 2016, section 3.4), with weights.
//!
//! Each endpoint has its own permutation of the table and fills, in turn, the next entry of it that
//! is still free. Without one of them the others fill mostly the same entries as before.

use super::{Seat, hash};

/// Entries of the table: a prime, a hundred times as large as the endpoints of a usual cluster, so
/// that shares differ by about one percent.
pub(super) const SIZE: u64 = 65_537;

/// Invariant: `entries` holds [`SIZE`] places, or none if there are no seats.
#[derive(Debug)]
pub(super) struct Maglev {
    entries: Vec<u32>,
}

/// One endpoint that fills the table.
struct Filler {
    /// The next entry of its permutation.
    next: u64,
    skip: u64,
    weight: u64,
    /// Grows by `weight` each round; an entry costs the largest weight.
    credit: u64,
}

impl Maglev {
    pub(super) fn new(seats: &[Seat]) -> Self {
        const FREE: u32 = u32::MAX;
        // In the order of what they are known by: not every front lists them alike.
        let mut known: Vec<(u32, &Seat)> = (0..).zip(seats).collect();
        known.sort_by(|(_, one), (_, other)| one.id.cmp(&other.id));
        let mut fillers: Vec<(u32, Filler)> = known
            .into_iter()
            .map(|(place, seat)| (place, Filler::of(seat)))
            .collect();
        let Some(price) = fillers.iter().map(|(_, filler)| filler.weight).max() else {
            return Self {
                entries: Vec::new(),
            };
        };
        let mut entries = vec![FREE; usize::try_from(SIZE).unwrap_or_default()];
        let mut free = entries.len();
        while free > 0 {
            for (place, filler) in &mut fillers {
                filler.credit += filler.weight;
                if filler.credit < price || free == 0 {
                    continue;
                }
                filler.credit -= price;
                // The size is a prime, so the permutation comes by every entry.
                while let Some(entry) = usize::try_from(filler.step())
                    .ok()
                    .and_then(|index| entries.get_mut(index))
                {
                    if *entry == FREE {
                        *entry = *place;
                        free -= 1;
                        break;
                    }
                }
            }
        }
        Self { entries }
    }

    /// The place for this key, then the places of the entries that follow it.
    pub(super) fn from(&self, key: u64) -> impl Iterator<Item = usize> + '_ {
        let start = usize::try_from(key % SIZE).unwrap_or_default();
        let (before, from) = self.entries.split_at(start.min(self.entries.len()));
        from.iter().chain(before).map(|place| *place as usize)
    }
}

impl Filler {
    fn of(seat: &Seat) -> Self {
        Self {
            next: hash(seat.id.as_bytes()) % SIZE,
            skip: hash(format!("skip {}", seat.id).as_bytes()) % (SIZE - 1) + 1,
            weight: u64::from(seat.weight.max(1)),
            credit: 0,
        }
    }

    fn step(&mut self) -> u64 {
        let entry = self.next;
        self.next = (entry + self.skip) % SIZE;
        entry
    }
}
