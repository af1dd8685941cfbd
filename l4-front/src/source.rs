//! Limits for one source: open connections, and how fast it may open new ones.
//!
//! Shared by all workers of a listener. What strangers can make it remember is bounded: open
//! connections by the listener's limit, rates by a table of fixed size.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Locks, so that workers rarely wait for each other.
const SHARDS: usize = 64;

/// Sets of the rate table, and sources in one of them: 65,536 sources in about 3 MiB.
const SETS: usize = 4096;
const WAYS: usize = 16;

/// Counts the open connections of each source.
pub(crate) struct OpenPerSource {
    limit: AtomicU32,
    /// Keyed by chance, so that nobody can aim at one lock.
    hasher: RandomState,
    shards: Box<[Mutex<HashMap<IpAddr, u32>>]>,
}

impl OpenPerSource {
    pub(crate) fn new(limit: u32) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicU32::new(limit),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        })
    }

    /// Those that are open keep their places, also where there are fewer now.
    pub(crate) fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// A place for one more connection of `source`; `None` if it has all it may have.
    pub(crate) fn admit(self: &Arc<Self>, source: IpAddr) -> Option<OpenOfSource> {
        let mut shard = self.shard(source)?;
        let count = shard.entry(source).or_insert(0);
        if *count >= self.limit.load(Ordering::Relaxed) {
            return None;
        }
        *count += 1;
        Some(OpenOfSource {
            table: Arc::clone(self),
            source,
        })
    }

    fn shard(&self, source: IpAddr) -> Option<MutexGuard<'_, HashMap<IpAddr, u32>>> {
        let at = place(&self.hasher, source, self.shards.len());
        self.shards.get(at).map(lock)
    }
}

/// Counts one connection of a source while held.
#[must_use = "dropping the guard ends the count"]
pub(crate) struct OpenOfSource {
    table: Arc<OpenPerSource>,
    source: IpAddr,
}

impl Drop for OpenOfSource {
    fn drop(&mut self) {
        let Some(mut shard) = self.table.shard(self.source) else {
            return;
        };
        if let Entry::Occupied(mut entry) = shard.entry(self.source) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// How fast one source may open connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    /// How many at once after a pause; at least 1.
    pub(crate) burst: f64,
}

/// A token bucket for each source that came lately.
pub(crate) struct RatePerSource {
    rate: Rate,
    hasher: RandomState,
    sets: Box<[Mutex<Vec<Bucket>>]>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    source: IpAddr,
    tokens: f64,
    at: Instant,
}

impl RatePerSource {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            hasher: RandomState::new(),
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
        }
    }

    /// True if `source` may open a connection now.
    pub(crate) fn admit(&self, source: IpAddr, now: Instant) -> bool {
        let at = place(&self.hasher, source, self.sets.len());
        let Some(mut set) = self.sets.get(at).map(lock) else {
            return true;
        };
        let Rate { per_second, burst } = self.rate;
        let tokens = |bucket: &Bucket| {
            let since = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.tokens + since * per_second).min(burst)
        };
        let index = set.iter().position(|bucket| bucket.source == source);
        let have = index.and_then(|index| set.get(index)).map_or(burst, tokens);
        let admitted = have >= 1.0;
        let bucket = Bucket {
            source,
            tokens: if admitted { have - 1.0 } else { have },
            at: now,
        };
        match index {
            Some(index) => set[index] = bucket,
            None if set.len() < WAYS => set.push(bucket),
            // The one with the most tokens is the one that is missed least: a full bucket says no
            // more than none.
            None => {
                let fullest = set
                    .iter_mut()
                    .max_by(|one, other| tokens(one).total_cmp(&tokens(other)));
                if let Some(place) = fullest {
                    *place = bucket;
                }
            }
        }
        admitted
    }
}

fn place(hasher: &RandomState, source: IpAddr, places: usize) -> usize {
    let hash = hasher.hash_one(source);
    usize::try_from(hash % places as u64).unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it guards is whole after each statement: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn source(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    #[test]
    fn open_connections_are_counted_by_source_and_forgotten() {
        let open = OpenPerSource::new(2);
        let first = open.admit(source(1)).unwrap();
        let _second = open.admit(source(1)).unwrap();
        assert!(open.admit(source(1)).is_none());
        let other = open.admit(source(2)).unwrap();
        drop(first);
        drop(open.admit(source(1)).unwrap());
        drop(other);
        let remembered: usize = open.shards.iter().map(|shard| lock(shard).len()).sum();
        assert_eq!(remembered, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_allowed_and_then_a_rate() {
        let rate = RatePerSource::new(Rate {
            per_second: 2.0,
            burst: 3.0,
        });
        let start = Instant::now();
        let admitted = |at: Instant| (0..10).filter(|_| rate.admit(source(1), at)).count();
        assert_eq!(admitted(start), 3);
        assert_eq!(admitted(start + Duration::from_millis(400)), 0);
        assert_eq!(admitted(start + Duration::from_millis(500)), 1);
        assert_eq!(
            admitted(start + Duration::from_secs(100)),
            3,
            "never more than the burst"
        );
        assert!(rate.admit(source(2), start), "another source has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_does_not_grow_and_keeps_the_busy_ones() {
        let rate = RatePerSource::new(Rate {
            per_second: 0.001,
            burst: 5.0,
        });
        let now = Instant::now();
        while rate.admit(source(7), now) {}
        for number in 1000..1000 + 4 * 65_536 {
            rate.admit(source(number), now);
        }
        let remembered: usize = rate.sets.iter().map(|set| lock(set).len()).sum();
        assert!(remembered <= SETS * WAYS, "{remembered}");
        assert!(
            !rate.admit(source(7), now),
            "a flood of others frees nobody"
        );
    }
}
