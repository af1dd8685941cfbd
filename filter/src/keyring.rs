//! The keys of all providers in one worker: what is there, and what is to be fetched.
//!
//! No keys yet is a state of its own, and never a reason to refuse a configuration. A failed fetch
//! leaves the last good keys where they are, until they are too old to be believed.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::{Config, KeySource, Provider, RemoteKeys};
use crate::freshness::Freshness;
use crate::jitter::Jitter;
use crate::jwks::{KeySet, KeySetError, SIZE_LIMIT};
use crate::lease::{Board, Lease};
use crate::refresh::{News, Refresh};
use crate::time::UnixTime;
use crate::waiting::Wait;

/// The keys of all providers.
#[derive(Debug)]
pub struct Keyring(Vec<Slot>);

#[derive(Debug)]
struct Slot {
    provider: Rc<Provider>,
    remote: Option<Remote>,
}

/// Keys that are fetched.
#[derive(Debug)]
struct Remote {
    keys: Option<KeySet>,
    /// How many sets have come.
    sets: u64,
    refresh: Refresh,
    lease: Lease,
}

/// The two clocks of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Since a start of its own; never goes back.
    pub elapsed: Duration,
    /// The clock that all workers share.
    pub wall: UnixTime,
}

/// What a fetch brought.
#[derive(Debug, Clone, Copy)]
pub enum Fetched<'a> {
    /// A response with this status and body.
    Response {
        /// The status code, where it could be read.
        status: Option<u16>,
        /// How long it holds.
        freshness: Freshness,
        /// The body.
        body: &'a [u8],
    },
    /// A response whose body is longer than [`SIZE_LIMIT`].
    TooLarge,
    /// No response: the cluster is unknown or did not answer in time.
    Unreachable,
}

/// Why a fetch brought no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The document is no usable key set.
    #[error("the key set is refused: {0}")]
    KeySet(#[from] KeySetError),
    /// Not 200. A redirect is not followed: it would let the provider choose another address.
    #[error("the answer has status {status}, only 200 brings keys")]
    Status {
        /// The status; 0 when it could not be read.
        status: u16,
    },
    /// Longer than any key set.
    #[error("the answer is longer than {SIZE_LIMIT} bytes")]
    TooLarge,
    /// No answer.
    #[error("the cluster is unknown or gave no answer in time")]
    Unreachable,
}

impl Keyring {
    /// The keys that the configuration holds, and the schedule for all others. `seed` must differ
    /// between workers.
    #[must_use]
    pub fn new(config: &Config, seed: u64) -> Self {
        let mut seeds = Jitter::new(seed);
        let slot = |provider: &Rc<Provider>| Slot {
            provider: Rc::clone(provider),
            remote: match &provider.keys {
                KeySource::Inline(_) => None,
                KeySource::Remote(remote) => Some(Remote {
                    keys: None,
                    sets: 0,
                    refresh: Refresh::new(remote.schedule, Jitter::new(seeds.number())),
                    lease: Lease::new(remote, seeds.number()),
                }),
            },
        };
        Self(config.providers.iter().map(slot).collect())
    }

    /// The keys of this provider, and of no other; nothing while they are not there.
    #[must_use]
    pub fn keys(&self, provider: &Provider) -> Option<&KeySet> {
        let slot = self.0.iter().find(|slot| slot.is_of(provider))?;
        match &slot.provider.keys {
            KeySource::Inline(keys) => Some(keys),
            KeySource::Remote(_) => slot.remote.as_ref()?.keys.as_ref(),
        }
    }

    /// True when some provider's keys must be fetched at all.
    #[must_use]
    pub fn has_remote(&self) -> bool {
        self.remotes().next().is_some()
    }

    /// True while some provider has no keys.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.remotes().any(|remote| remote.keys.is_none())
    }

    fn remotes(&self) -> impl Iterator<Item = &Remote> {
        self.0.iter().filter_map(|slot| slot.remote.as_ref())
    }

    /// The fetches that must be started now, with the slot that [`Self::on_fetched`] wants back.
    #[must_use]
    pub fn due(&mut self, now: Moment, board: &dyn Board) -> Vec<(usize, RemoteKeys)> {
        let mut due = Vec::new();
        for (index, slot) in self.0.iter_mut().enumerate() {
            if let (KeySource::Remote(source), Some(remote)) =
                (&slot.provider.keys, &mut slot.remote)
                && let Some(cause) = remote.refresh.due(now.elapsed)
            {
                let length = source.schedule.timeout + LEASE_MARGIN;
                let turn = remote.lease.take(board, now.wall, length, cause);
                if remote.refresh.starts(now.elapsed, cause, turn) {
                    due.push((index, source.clone()));
                }
            }
        }
        due
    }

    /// Takes in what a fetch brought; gives the provider, for the log, and its keys.
    ///
    /// # Errors
    /// When there are no new keys. The old ones stay.
    pub fn on_fetched(
        &mut self,
        index: usize,
        now: Moment,
        board: &dyn Board,
        fetched: Fetched<'_>,
    ) -> Option<(Rc<Provider>, Result<&KeySet, FetchError>)> {
        let slot = self.0.get_mut(index)?;
        let remote = slot.remote.as_mut()?;
        let provider = Rc::clone(&slot.provider);
        let (result, quiet) = match parse(fetched) {
            Ok((keys, freshness)) => {
                let is_same = remote
                    .keys
                    .as_ref()
                    .is_some_and(|old| old.has_same_keys(&keys));
                let news = if is_same { News::None } else { News::Some };
                let quiet = remote.refresh.on_success(now.elapsed, freshness, news);
                remote.sets += 1;
                (Ok(&*remote.keys.insert(keys)), quiet)
            }
            Err(error) => {
                remote.refresh.on_failure(now.elapsed);
                (Err(error), None)
            }
        };
        remote.lease.give_back(board, now.wall, quiet);
        Some((provider, result))
    }

    /// Drops the keys that are too old to be believed; gives their providers, for the log.
    pub fn drop_stale(&mut self, now: Moment) -> Vec<Rc<Provider>> {
        let mut dropped = Vec::new();
        for slot in &mut self.0 {
            if let Some(remote) = &mut slot.remote
                && remote.refresh.lets_go(now.elapsed)
            {
                remote.keys = None;
                dropped.push(Rc::clone(&slot.provider));
            }
        }
        dropped
    }

    /// A request needs a key of `provider` that is not there. Says what it is to wait for, if the key
    /// may come in time.
    pub fn on_wanted(&mut self, provider: &Provider, now: Duration) -> Option<Wait> {
        let (index, slot) = self
            .0
            .iter_mut()
            .enumerate()
            .find(|(_, slot)| slot.is_of(provider))?;
        let remote = slot.remote.as_mut()?;
        remote.refresh.on_unknown_key();
        let wait = remote.refresh.schedule().wait;
        let deadline = now.saturating_add(wait);
        let is_worth_it = !wait.is_zero() && remote.refresh.is_expected_by(deadline);
        is_worth_it.then_some(Wait {
            slot: index,
            seen: remote.sets,
            deadline,
        })
    }

    /// Whether what a request waits for has come, or will not come in time.
    #[must_use]
    pub fn is_over(&self, wait: &Wait, now: Duration) -> bool {
        let remote = self.0.get(wait.slot).and_then(|slot| slot.remote.as_ref());
        now >= wait.deadline
            || remote.is_none_or(|remote| {
                remote.sets != wait.seen || !remote.refresh.is_expected_by(wait.deadline)
            })
    }
}

impl Slot {
    fn is_of(&self, provider: &Provider) -> bool {
        self.provider.name == provider.name
    }
}

fn parse(fetched: Fetched<'_>) -> Result<(KeySet, Freshness), FetchError> {
    match fetched {
        Fetched::Response {
            status: Some(200),
            freshness,
            body,
        } => Ok((KeySet::parse(body)?, freshness)),
        Fetched::Response { status, .. } => Err(FetchError::Status {
            status: status.unwrap_or(0),
        }),
        Fetched::TooLarge => Err(FetchError::TooLarge),
        Fetched::Unreachable => Err(FetchError::Unreachable),
    }
}

/// The gateway tells of a timeout a little after it.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
