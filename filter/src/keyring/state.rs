//! What keys are good for, for whoever watches the gateway.

use core::time::Duration;

use super::{Keyring, Store};

/// What the keys of a provider are good for in this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// They are there, and within the time for which they hold.
    Fresh,
    /// Keys that are needed are not there.
    Missing,
    /// They are there and used beyond their time.
    Stale,
}

impl Keyring {
    /// The state of each provider's keys, where they are fetched.
    pub fn states(&self, now: Duration) -> impl Iterator<Item = (&str, KeyState)> {
        self.0.iter().filter_map(move |slot| {
            let (is_stale, is_missing) = match &slot.store {
                Store::Inline => return None,
                Store::OneByOne(shelf) => (shelf.is_stale(now), shelf.is_waiting()),
                Store::Set(remote) => (remote.refresh.is_stale(now), remote.keys.is_none()),
            };
            let state = match (is_stale, is_missing) {
                (true, _) => KeyState::Stale,
                (false, true) => KeyState::Missing,
                (false, false) => KeyState::Fresh,
            };
            Some((slot.provider.name.as_str(), state))
        })
    }
}
