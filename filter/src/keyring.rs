//! The keys of all providers in one worker: what is there, and what is to be fetched.
//!
//! No keys yet is a state of its own, and never a reason to refuse a configuration. A failed fetch
//! leaves the last good keys where they are, until they are too old to be believed.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::algorithm::{Curve, KeyKind};
use crate::config::{Config, KeySource, Provider, RemoteKeys};
use crate::freshness::Freshness;
use crate::jitter::Jitter;
use crate::jwks::{KeySet, KeySetError, SIZE_LIMIT};
use crate::lease::{Board, Lease};
use crate::pem::{self, PemError};
use crate::refresh::{News, Refresh};
use crate::shelf::Shelf;
use crate::time::UnixTime;
use crate::waiting::Wait;

pub mod state;

/// The keys of all providers.
#[derive(Debug)]
pub struct Keyring(Vec<Slot>);

#[derive(Debug)]
struct Slot {
    provider: Rc<Provider>,
    store: Store,
}

#[derive(Debug)]
enum Store {
    /// In the configuration.
    Inline,
    /// Keys that are fetched one by one.
    OneByOne(Box<Shelf>),
    /// Keys that are fetched as a set.
    Set(Box<Remote>),
}

/// A set of keys that is fetched.
#[derive(Debug)]
struct Remote {
    keys: Option<KeySet>,
    /// How many sets have come.
    sets: u64,
    refresh: Refresh,
    lease: Lease,
}

/// Which fetch an answer is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchId {
    slot: usize,
    /// Of the key, where keys are fetched one by one.
    number: u64,
}

/// A key that a request needs.
#[derive(Debug, Clone)]
pub struct WantedKey {
    /// Whose.
    pub provider: Rc<Provider>,
    /// Its name in the token.
    pub id: Option<String>,
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
    /// The document is not the one key that was asked for.
    #[error("the key is refused: {0}")]
    Pem(#[from] PemError),
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

impl FetchError {
    /// Whether the provider says that there is no such key, rather than failing to give it. An object
    /// store has 403 for what is not there; for a key that was there before, that may be a fault of its own.
    pub(crate) const fn says_absent(self, is_new: bool) -> bool {
        match self {
            Self::Status { status: 404 | 410 } => true,
            Self::Status { status: 403 } | Self::Pem(_) => is_new,
            Self::KeySet(_) | Self::Status { .. } | Self::TooLarge | Self::Unreachable => false,
        }
    }
}

impl Keyring {
    /// The keys that the configuration holds, and the schedule for all others. `seed` must differ
    /// between workers.
    #[must_use]
    pub fn new(config: &Config, seed: u64) -> Self {
        let mut seeds = Jitter::new(seed);
        let slot = |provider: &Rc<Provider>| Slot {
            provider: Rc::clone(provider),
            store: match &provider.keys {
                KeySource::Inline(_) => Store::Inline,
                KeySource::OneByOne(remote) => {
                    let jitter = Jitter::new(seeds.number());
                    let lease = Lease::new(remote, seeds.number());
                    Store::OneByOne(Box::new(Shelf::new(remote, lease, jitter)))
                }
                KeySource::Remote(remote) => Store::Set(Box::new(Remote {
                    keys: None,
                    sets: 0,
                    refresh: Refresh::new(remote.schedule, Jitter::new(seeds.number())),
                    lease: Lease::new(remote, seeds.number()),
                })),
            },
        };
        Self(config.providers.iter().map(slot).collect())
    }

    /// The keys of this provider, and of no other, among which that of the name `id` is, if there is one;
    /// nothing while they are not there.
    #[must_use]
    pub fn keys(&self, provider: &Provider, id: Option<&str>) -> Option<&KeySet> {
        let slot = self.0.iter().find(|slot| slot.is_of(provider))?;
        match (&slot.store, &slot.provider.keys) {
            (Store::OneByOne(shelf), _) => shelf.keys(id),
            (Store::Set(remote), _) => remote.keys.as_ref(),
            (Store::Inline, KeySource::Inline(keys)) => Some(keys),
            (Store::Inline, KeySource::OneByOne(_) | KeySource::Remote(_)) => None,
        }
    }

    /// True when some provider's keys must be fetched at all.
    #[must_use]
    pub fn has_remote(&self) -> bool {
        self.0
            .iter()
            .any(|slot| !matches!(slot.store, Store::Inline))
    }

    /// True while keys that are needed are not there.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.0.iter().any(|slot| match &slot.store {
            Store::Inline => false,
            Store::OneByOne(shelf) => shelf.is_waiting(),
            Store::Set(remote) => remote.keys.is_none(),
        })
    }

    /// The fetches that must be started now, with what [`Self::on_fetched`] wants back.
    #[must_use]
    pub fn due(&mut self, now: Moment, board: &dyn Board) -> Vec<(FetchId, RemoteKeys)> {
        let mut due = Vec::new();
        for (index, slot) in self.0.iter_mut().enumerate() {
            match (&slot.provider.keys, &mut slot.store) {
                (KeySource::Remote(source), Store::Set(remote)) => {
                    if let Some(cause) = remote.refresh.due(now.elapsed) {
                        let length = source.schedule.timeout + LEASE_MARGIN;
                        let turn = remote.lease.take(board, now.wall, length, cause);
                        if remote.refresh.starts(now.elapsed, cause, turn) {
                            due.push((FetchId::of_set(index), source.clone()));
                        }
                    }
                }
                (_, Store::OneByOne(shelf)) => {
                    due.extend(shelf.due(now, board).map(|(number, remote)| {
                        let slot = index;
                        (FetchId { slot, number }, remote)
                    }))
                }
                _ => {}
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
        id: FetchId,
        now: Moment,
        board: &dyn Board,
        fetched: Fetched<'_>,
    ) -> Option<(Rc<Provider>, Result<&KeySet, FetchError>)> {
        let slot = self.0.get_mut(id.slot)?;
        let provider = Rc::clone(&slot.provider);
        let remote = match &mut slot.store {
            Store::Inline => return None,
            Store::OneByOne(shelf) => {
                let read = |name: &str| parse_one(name, &provider, fetched);
                let result = shelf.on_answer(id.number, now, board, read)?;
                return Some((provider, result));
            }
            Store::Set(remote) => remote,
        };
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
            let is_dropped = match &mut slot.store {
                Store::Inline => false,
                Store::OneByOne(shelf) => shelf.drop_stale(now.elapsed),
                Store::Set(remote) => {
                    let is_over = remote.refresh.lets_go(now.elapsed);
                    if is_over {
                        remote.keys = None;
                    }
                    is_over
                }
            };
            if is_dropped {
                dropped.push(Rc::clone(&slot.provider));
            }
        }
        dropped
    }

    /// A request needs a key that is not there. Says what it is to wait for, if the key may come in time.
    pub fn on_wanted(&mut self, wanted: &WantedKey, now: Duration) -> Option<Wait> {
        let (index, slot) = self
            .0
            .iter_mut()
            .enumerate()
            .find(|(_, slot)| slot.is_of(&wanted.provider))?;
        let remote = match &mut slot.store {
            Store::Inline => return None,
            Store::OneByOne(shelf) => {
                let (mark, deadline) = shelf.on_wanted(wanted.id.as_deref(), now)?;
                return Some(Wait {
                    slot: index,
                    mark,
                    since: now,
                    deadline,
                });
            }
            Store::Set(remote) => remote,
        };
        remote.refresh.on_unknown_key();
        let wait = remote.refresh.schedule().wait;
        let deadline = now.saturating_add(wait);
        let is_worth_it = !wait.is_zero() && remote.refresh.is_expected_by(deadline);
        is_worth_it.then_some(Wait {
            slot: index,
            mark: remote.sets,
            since: now,
            deadline,
        })
    }

    /// Whether what a request waits for has come, or will not come in time.
    #[must_use]
    pub fn is_over(&self, wait: &Wait, now: Duration) -> bool {
        now >= wait.deadline
            || match self.0.get(wait.slot).map(|slot| &slot.store) {
                None | Some(Store::Inline) => true,
                Some(Store::OneByOne(shelf)) => shelf.is_over(wait.mark, wait.deadline),
                Some(Store::Set(remote)) => {
                    remote.sets != wait.mark || !remote.refresh.is_expected_by(wait.deadline)
                }
            }
    }
}

impl Slot {
    fn is_of(&self, provider: &Provider) -> bool {
        self.provider.name == provider.name
    }
}

impl FetchId {
    /// That of the key set of the provider at this place.
    #[must_use]
    pub const fn of_set(slot: usize) -> Self {
        Self { slot, number: 0 }
    }
}

fn parse(fetched: Fetched<'_>) -> Result<(KeySet, Freshness), FetchError> {
    let (body, freshness) = body(fetched)?;
    Ok((KeySet::parse(body)?, freshness))
}

/// A key that is fetched alone has no `alg`: its curve must be that of an algorithm of the provider's.
fn parse_one(
    name: &str,
    provider: &Provider,
    fetched: Fetched<'_>,
) -> Result<(KeySet, Freshness), FetchError> {
    let (body, freshness) = body(fetched)?;
    let curve = |kind| match kind {
        KeyKind::Ec(curve) => Some(curve),
        KeyKind::Ed25519 | KeyKind::Rsa => None,
    };
    let kinds = provider.algorithms.iter();
    let curves: Vec<Curve> = kinds
        .filter_map(|algorithm| curve(algorithm.key_kind()))
        .collect();
    let key = pem::parse(body, &curves)?;
    Ok((KeySet::of_one(name.into(), key), freshness))
}

fn body(fetched: Fetched<'_>) -> Result<(&[u8], Freshness), FetchError> {
    match fetched {
        Fetched::Response {
            status: Some(200),
            freshness,
            body,
        } => Ok((body, freshness)),
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
