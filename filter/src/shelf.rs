//! Keys that are fetched one by one, each under its `kid`, when the first token names it: so the load
//! balancers of AWS publish theirs.
//!
//! Anybody can send tokens that name keys which do not exist. So only a UUID becomes part of an address; one
//! key is fetched at a time; a budget bounds how many new names are asked for; the answer that there is no
//! such key is remembered for a while; and the names that are remembered are bounded too. A key that is
//! there never makes room for a name that is only asked for. What the gateway's workers share is one note
//! for each provider, whatever names come.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;

use crate::config::RemoteKeys;
use crate::freshness::Freshness;
use crate::jitter::Jitter;
use crate::jwks::KeySet;
use crate::keyring::{FetchError, Moment};
use crate::lease::{Board, Lease};
use crate::refresh::{self, News, Refresh};
use crate::uuid;

/// The keys of one provider in one worker.
#[derive(Debug)]
pub struct Shelf {
    remote: RemoteKeys,
    entries: Vec<Entry>,
    /// For names that are no key's.
    nothing: KeySet,
    /// The number of the entry that is being fetched.
    in_flight: Option<u64>,
    next_number: u64,
    budget: Budget,
    failures: u32,
    /// Before it, nothing is fetched: the provider fails.
    not_before: Duration,
    lease: Lease,
    jitter: Jitter,
}

/// A name that a token has used.
#[derive(Debug)]
struct Entry {
    number: u64,
    id: String,
    state: State,
    refresh: Refresh,
}

#[derive(Debug)]
enum State {
    /// Not answered yet.
    Wanted,
    /// There is such a key; `is_used` since it was last fetched.
    Known { keys: KeySet, is_used: Cell<bool> },
    /// There is none.
    Absent { until: Duration },
}

impl Shelf {
    /// Knows nothing and fetches nothing until somebody asks.
    #[must_use]
    pub fn new(remote: &RemoteKeys, lease: Lease, jitter: Jitter) -> Self {
        Self {
            remote: remote.clone(),
            entries: Vec::new(),
            nothing: KeySet::default(),
            in_flight: None,
            next_number: 0,
            budget: Budget::FULL,
            failures: 0,
            not_before: Duration::ZERO,
            lease,
            jitter,
        }
    }

    /// The key of this name, alone in a set: an empty one where it is known that there is none, or where
    /// the name could not be one. Nothing while it is not known.
    #[must_use]
    pub fn keys(&self, id: Option<&str>) -> Option<&KeySet> {
        let Some(id) = id.filter(|id| uuid::is_uuid(id)) else {
            return Some(&self.nothing);
        };
        match &self.entry(id)?.state {
            State::Wanted => None,
            State::Known { keys, is_used } => {
                is_used.set(true);
                Some(keys)
            }
            State::Absent { .. } => Some(&self.nothing),
        }
    }

    /// Whether a key is still to come.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.entries.iter().any(Entry::is_wanted)
    }

    /// Whether a key is used beyond its time.
    #[must_use]
    pub fn is_stale(&self, now: Duration) -> bool {
        let is_stale = |entry: &Entry| {
            matches!(entry.state, State::Known { .. }) && entry.refresh.is_stale(now)
        };
        self.entries.iter().any(is_stale)
    }

    /// A request needs the key of this name. Gives the number to wait for, and until when, if the key may
    /// come in time.
    pub fn on_wanted(&mut self, id: Option<&str>, now: Duration) -> Option<(u64, Duration)> {
        let id = id.filter(|id| uuid::is_uuid(id))?;
        let wait = self.remote.schedule.wait;
        let deadline = now.saturating_add(wait);
        if self.not_before > deadline {
            return None;
        }
        let number = match self.entry(id) {
            Some(entry) if entry.is_wanted() => entry.number,
            Some(_) => return None,
            None => self.begin(id, now)?,
        };
        (!wait.is_zero()).then_some((number, deadline))
    }

    /// Whether what a request waits for has come, or will not come in time.
    #[must_use]
    pub fn is_over(&self, number: u64, deadline: Duration) -> bool {
        let wanted = |entry: &Entry| entry.number == number && entry.is_wanted();
        self.not_before > deadline || !self.entries.iter().any(wanted)
    }

    /// The fetch that must be started now, with the number that [`Self::on_answer`] wants back.
    #[must_use]
    pub fn due(&mut self, now: Moment, board: &dyn Board) -> Option<(u64, RemoteKeys)> {
        self.forget(now.elapsed);
        if self.is_busy(now.elapsed) || now.elapsed < self.not_before {
            return None;
        }
        // Somebody may wait for a name that is new; a key that is there can wait itself.
        for is_new in [true, false] {
            for entry in &mut self.entries {
                let is_absent = matches!(entry.state, State::Absent { .. });
                if is_absent || entry.is_wanted() != is_new {
                    continue;
                }
                let Some(cause) = entry.refresh.due(now.elapsed) else {
                    continue;
                };
                let length = self.remote.schedule.timeout + LEASE_MARGIN;
                let turn = self.lease.take(board, now.wall, length, cause);
                if !entry.refresh.starts(now.elapsed, cause, turn) {
                    return None;
                }
                self.in_flight = Some(entry.number);
                let mut remote = self.remote.clone();
                remote.path.push_str(&entry.id);
                return Some((entry.number, remote));
            }
        }
        None
    }

    /// Takes in what a fetch brought: the key, which `read` makes of its name. Gives it back for the log.
    /// An answer to a question that was given up is not looked at: it would be of another name.
    ///
    /// # Errors
    /// When there is no key. One that was there before stays, unless the answer is that it is gone.
    pub fn on_answer(
        &mut self,
        number: u64,
        now: Moment,
        board: &dyn Board,
        read: impl FnOnce(&str) -> Result<(KeySet, Freshness), FetchError>,
    ) -> Option<Result<&KeySet, FetchError>> {
        if self.in_flight != Some(number) {
            return None;
        }
        self.lease.give_back(board, now.wall, None);
        let place = self.entries.iter().position(|entry| entry.number == number);
        let entry = place.and_then(|place| self.entries.get(place));
        let answer = match entry {
            Some(entry) => read(&entry.id),
            None => return None,
        };
        match answer {
            Ok((keys, freshness)) => {
                self.in_flight = None;
                self.failures = 0;
                let entry = self.entries.get_mut(place?)?;
                entry.refresh.on_success(now.elapsed, freshness, News::Some);
                entry.state = State::Known {
                    keys,
                    is_used: Cell::new(false),
                };
                match &entry.state {
                    State::Known { keys, .. } => Some(Ok(keys)),
                    State::Absent { .. } | State::Wanted => None,
                }
            }
            Err(error) => {
                self.on_error(error, now.elapsed);
                Some(Err(error))
            }
        }
    }

    /// Drops the keys that are too old to be believed. True when there were some.
    pub fn drop_stale(&mut self, now: Duration) -> bool {
        let before = self.entries.len();
        self.entries.retain_mut(|entry| {
            !matches!(entry.state, State::Known { .. }) || !entry.refresh.lets_go(now)
        });
        self.entries.len() != before
    }

    fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// A new name, if the budget allows it and there is room.
    fn begin(&mut self, id: &str, now: Duration) -> Option<u64> {
        if !self.has_room() || !self.budget.take(now) {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.entries.push(Entry {
            number,
            id: id.into(),
            state: State::Wanted,
            refresh: Refresh::new(self.remote.schedule, Jitter::new(self.jitter.number())),
        });
        Some(number)
    }

    /// Where names are many, the oldest that is no key's makes room. Keys are never as many unless the
    /// provider makes them so; then there is no room for more until those that nobody uses are forgotten.
    fn has_room(&mut self) -> bool {
        if self.entries.len() < NAMES_LIMIT {
            return true;
        }
        let is_absent = |entry: &Entry| matches!(entry.state, State::Absent { .. });
        match self.entries.iter().position(is_absent) {
            Some(place) => {
                self.entries.remove(place);
                true
            }
            None => false,
        }
    }

    /// Names whose time is over, and keys that are due to be fetched again and that nobody has used.
    fn forget(&mut self, now: Duration) {
        self.entries.retain_mut(|entry| match &entry.state {
            State::Wanted => true,
            State::Known { is_used, .. } => {
                is_used.get() || entry.refresh.is_fetching() || entry.refresh.due(now).is_none()
            }
            State::Absent { until } => now < *until,
        });
    }

    /// Whether a fetch is in flight. One whose answer is lost has failed.
    fn is_busy(&mut self, now: Duration) -> bool {
        let Some(number) = self.in_flight else {
            return false;
        };
        let entry = self.entries.iter_mut().find(|entry| entry.number == number);
        let is_fetching = entry.is_some_and(|entry| {
            let _none_while_fetching = entry.refresh.due(now);
            entry.refresh.is_fetching()
        });
        if !is_fetching {
            self.on_error(FetchError::Unreachable, now);
        }
        is_fetching
    }

    /// The fetch in flight brought no key.
    fn on_error(&mut self, error: FetchError, now: Duration) {
        let Some(number) = self.in_flight.take() else {
            return;
        };
        let Some(place) = self.entries.iter().position(|entry| entry.number == number) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(place) else {
            return;
        };
        if error.says_absent(entry.is_wanted()) {
            self.failures = 0;
            entry.state = State::Absent {
                until: now.saturating_add(ABSENT_FOR),
            };
            return;
        }
        entry.refresh.on_failure(now);
        if entry.is_wanted() {
            // Whoever still wants it asks again; the pause holds for all names.
            self.entries.remove(place);
        }
        let most = self.remote.schedule.refresh;
        self.not_before = now.saturating_add(refresh::pause(self.failures, most, &mut self.jitter));
        self.failures = self.failures.saturating_add(1);
    }
}

impl Entry {
    const fn is_wanted(&self) -> bool {
        matches!(self.state, State::Wanted)
    }
}

/// How many new names may be asked for: a token bucket.
#[derive(Debug)]
struct Budget {
    left: u32,
    /// Up to when it has been filled.
    filled: Duration,
}

impl Budget {
    const FULL: Self = Self {
        left: NAMES_AT_ONCE,
        filled: Duration::ZERO,
    };

    fn take(&mut self, now: Duration) -> bool {
        let seconds = now.saturating_sub(self.filled).as_secs();
        let gained = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.filled = self.filled.saturating_add(Duration::from_secs(seconds));
        self.left = self.left.saturating_add(gained).min(NAMES_AT_ONCE);
        let is_allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_allowed
    }
}

/// New names that may be asked for at once; then one each second.
pub const NAMES_AT_ONCE: u32 = 8;
/// Names that are remembered, those of keys and others. More than the budget lets in within [`ABSENT_FOR`].
pub const NAMES_LIMIT: usize = 64;
/// How long it is believed that there is no key of a name.
pub const ABSENT_FOR: Duration = Duration::from_secs(30);
/// The gateway tells of a timeout a little after it.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
