//! The keys of all providers in one worker: what is there, and what is to be fetched.
//!
//! No keys yet is a state of its own, and never a reason to refuse a configuration. A failed fetch
//! leaves the last good keys where they are.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::{Config, KeySource, Provider, RemoteKeys};
use crate::jwks::{KeySet, KeySetError, SIZE_LIMIT};
use crate::refresh::Refresh;

/// The keys of all providers.
#[derive(Debug, Default)]
pub struct Keyring(Vec<Slot>);

#[derive(Debug)]
struct Slot {
    provider: Rc<Provider>,
    fetched: Option<KeySet>,
    refresh: Option<Refresh>,
}

/// What a fetch brought.
#[derive(Debug, Clone, Copy)]
pub enum Fetched<'a> {
    /// A response with this status and body.
    Response {
        /// The status code, where it could be read.
        status: Option<u16>,
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
    /// The keys that the configuration holds, and the schedule for all others.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let slot = |provider: &Rc<Provider>| Slot {
            provider: Rc::clone(provider),
            fetched: None,
            refresh: match &provider.keys {
                KeySource::Inline(_) => None,
                // Twice the time that the gateway gives the fetch: an answer cannot come later.
                KeySource::Remote(remote) => {
                    Some(Refresh::new(remote.interval, remote.timeout * 2))
                }
            },
        };
        Self(config.providers.iter().map(slot).collect())
    }

    /// The keys of this provider, and of no other; nothing while they are not there.
    #[must_use]
    pub fn keys(&self, provider: &Provider) -> Option<&KeySet> {
        let slot = self
            .0
            .iter()
            .find(|slot| slot.provider.name == provider.name)?;
        match &slot.provider.keys {
            KeySource::Inline(keys) => Some(keys),
            KeySource::Remote(_) => slot.fetched.as_ref(),
        }
    }

    /// True when some provider's keys must be fetched at all.
    #[must_use]
    pub fn has_remote(&self) -> bool {
        self.0.iter().any(|slot| slot.refresh.is_some())
    }

    /// True while some provider has no keys.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.0
            .iter()
            .any(|slot| slot.refresh.is_some() && slot.fetched.is_none())
    }

    /// The fetches that must be started now, with the slot that [`Self::on_fetched`] wants back.
    #[must_use]
    pub fn due(&mut self, now: Duration) -> Vec<(usize, RemoteKeys)> {
        let mut due = Vec::new();
        for (index, slot) in self.0.iter_mut().enumerate() {
            if let (KeySource::Remote(remote), Some(refresh)) =
                (&slot.provider.keys, &mut slot.refresh)
                && refresh.wants_fetch(now)
            {
                due.push((index, remote.clone()));
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
        now: Duration,
        fetched: Fetched<'_>,
    ) -> Option<(Rc<Provider>, Result<&KeySet, FetchError>)> {
        let slot = self.0.get_mut(index)?;
        let refresh = slot.refresh.as_mut()?;
        let provider = Rc::clone(&slot.provider);
        match parse(fetched) {
            Ok(keys) => {
                refresh.on_success(now);
                Some((provider, Ok(slot.fetched.insert(keys))))
            }
            Err(error) => {
                refresh.on_failure(now);
                Some((provider, Err(error)))
            }
        }
    }

    /// A token of `provider` named a key that is not there.
    pub fn on_unknown_key(&mut self, provider: &Provider) {
        let slot = self
            .0
            .iter_mut()
            .find(|slot| slot.provider.name == provider.name);
        if let Some(refresh) = slot.and_then(|slot| slot.refresh.as_mut()) {
            refresh.on_unknown_key();
        }
    }
}

fn parse(fetched: Fetched<'_>) -> Result<KeySet, FetchError> {
    match fetched {
        Fetched::Response {
            status: Some(200),
            body,
        } => Ok(KeySet::parse(body)?),
        Fetched::Response { status, .. } => Err(FetchError::Status {
            status: status.unwrap_or(0),
        }),
        Fetched::TooLarge => Err(FetchError::TooLarge),
        Fetched::Unreachable => Err(FetchError::Unreachable),
    }
}

#[cfg(test)]
mod tests;
