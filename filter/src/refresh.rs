//! When to fetch a provider's key set: a state machine without clock and network.
//!
//! Invariant: one fetch in flight in each worker, and where the workers agree, in the gateway. A failure
//! never takes keys away; it only changes when the next attempt is made. Keys go when they have not been
//! fetched again for the longest time that the configuration allows. All times are since an arbitrary
//! start and never go back.

use core::time::Duration;

use crate::freshness::Freshness;
use crate::jitter::Jitter;
use crate::lease::{Cause, Turn};

/// How a key set is kept fresh, as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// How long keys hold where the provider does not say.
    pub refresh: Duration,
    /// They hold at least this long, whatever it says.
    pub refresh_min: Duration,
    /// They hold no longer than this, whatever it says.
    pub refresh_max: Duration,
    /// For one fetch.
    pub timeout: Duration,
    /// How long keys are used that could not be fetched again in time.
    pub max_stale: Duration,
    /// How long a request waits for keys; nothing: it does not.
    pub wait: Duration,
}

/// The state of one provider's key set in one worker.
#[derive(Debug, Clone)]
pub struct Refresh {
    schedule: Schedule,
    state: State,
    /// The next fetch, by the provider's word or by the back-off.
    next: Duration,
    failures: u32,
    /// When the keys go; nothing while there are none.
    keys_until: Option<Duration>,
    /// A token named a key that is not there.
    is_wanted: bool,
    /// Before it, unknown keys bring no fetch forward.
    quiet_until: Duration,
    /// While a fetch is due that other workers hold up.
    held: Option<Held>,
    jitter: Jitter,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    Fetching { since: Duration, cause: Cause },
}

#[derive(Debug, Clone, Copy)]
struct Held {
    since: Duration,
    /// Since when another worker fetches, without a time of quiet in between.
    turn_since: Option<Duration>,
    /// How much longer than the others this worker waits.
    spread: Duration,
}

impl Refresh {
    /// Wants its first fetch at once.
    #[must_use]
    pub const fn new(schedule: Schedule, jitter: Jitter) -> Self {
        Self {
            schedule,
            state: State::Idle,
            next: Duration::ZERO,
            failures: 0,
            keys_until: None,
            is_wanted: false,
            quiet_until: Duration::ZERO,
            held: None,
            jitter,
        }
    }

    /// How it was configured.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Why a fetch should start now, if one should. It starts only when [`Self::starts`] agrees.
    #[must_use]
    pub fn due(&mut self, now: Duration) -> Option<Cause> {
        if let State::Fetching { since, .. } = self.state {
            // Twice the time that the gateway gives the fetch: the answer is lost.
            if now >= since.saturating_add(self.schedule.timeout * 2) {
                self.on_failure(now);
            }
            return None;
        }
        if now >= self.next {
            Some(Cause::Due)
        } else if now >= self.early() {
            Some(Cause::UnknownKey)
        } else {
            None
        }
    }

    /// Whether the caller starts the fetch that is due, when the workers say this about whose turn it
    /// is. A worker that is held up too long goes alone: what the others say may be a lie.
    #[must_use]
    pub fn starts(&mut self, now: Duration, cause: Cause, turn: Turn) -> bool {
        let held = match &mut self.held {
            Some(held) => held,
            None => self.held.insert(Held {
                since: now,
                turn_since: None,
                spread: self.jitter.up_to(SPREAD),
            }),
        };
        // Somebody may be waiting: fetching beside another worker is better than to let the time pass.
        let (patience, spread) = if self.keys_until.is_none() || cause == Cause::UnknownKey {
            let quarter = (self.schedule.wait / 4).max(TURN_PATIENCE_MIN);
            (quarter.min(TURN_PATIENCE), held.spread / 8)
        } else {
            (TURN_PATIENCE, held.spread)
        };
        let quiet_ends = held.since.saturating_add(QUIET_PATIENCE);
        let alone = match turn {
            Turn::Mine => now,
            Turn::Quiet(_) => {
                held.turn_since = None;
                quiet_ends.saturating_add(held.spread)
            }
            Turn::Theirs => {
                let since = *held.turn_since.get_or_insert(now);
                let turn_ends = since.saturating_add(patience);
                turn_ends.min(quiet_ends).saturating_add(spread)
            }
        };
        if now < alone {
            if let Turn::Quiet(rest) = turn {
                self.quiet_until = now.saturating_add(rest.min(UNKNOWN_KEY_GAP)).min(alone);
            }
            return false;
        }
        self.held = None;
        self.state = State::Fetching { since: now, cause };
        true
    }

    /// The fetch brought a usable key set, and the provider says how long it holds. Gives the time for
    /// which no worker needs to look for unknown keys, if the set is the one that was there before.
    pub fn on_success(
        &mut self,
        now: Duration,
        freshness: Freshness,
        news: News,
    ) -> Option<Duration> {
        let Schedule {
            refresh,
            refresh_min,
            refresh_max,
            max_stale,
            ..
        } = self.schedule;
        let lifetime = match freshness {
            Freshness::For(time) => time.max(refresh_min).min(refresh_max),
            Freshness::Unsaid => refresh,
        };
        let looked = matches!(
            (self.state, news),
            (
                State::Fetching {
                    cause: Cause::UnknownKey,
                    ..
                },
                News::None
            )
        );
        self.state = State::Idle;
        self.failures = 0;
        self.is_wanted = false;
        // Before the keys are old, and each worker at a moment of its own.
        self.next = now.saturating_add(lifetime - self.jitter.up_to(lifetime / 10));
        self.keys_until = Some(now.saturating_add(lifetime).saturating_add(max_stale));
        let quiet = if looked { UNKNOWN_KEY_GAP } else { FETCH_GAP };
        self.quiet_until = now.saturating_add(quiet);
        looked.then_some(quiet)
    }

    /// The fetch brought nothing usable: wait about one second, then twice as long each time, up to
    /// [`RETRY_MAX`] (or the configured interval, where that is shorter). A broken issuer must not be
    /// hammered.
    pub fn on_failure(&mut self, now: Duration) {
        let wait = pause(self.failures, self.schedule.refresh, &mut self.jitter);
        self.state = State::Idle;
        self.failures = self.failures.saturating_add(1);
        self.next = now.saturating_add(wait);
    }

    /// A token named a key that the set does not have: perhaps the provider has changed its keys, so
    /// fetch early. Anybody can send such tokens, so not before the back-off allows it, and not within
    /// [`UNKNOWN_KEY_GAP`] after a look that brought nothing new.
    pub const fn on_unknown_key(&mut self) {
        self.is_wanted = self.keys_until.is_some();
    }

    /// Whether a fetch is in flight.
    #[must_use]
    pub const fn is_fetching(&self) -> bool {
        matches!(self.state, State::Fetching { .. })
    }

    /// Whether the keys are used beyond their time, because they could not be fetched again.
    #[must_use]
    pub fn is_stale(&self, now: Duration) -> bool {
        self.keys_until
            .is_some_and(|until| now.saturating_add(self.schedule.max_stale) >= until)
    }

    /// Whether a fetch is in flight or begins by then: whether it is worth waiting.
    #[must_use]
    pub fn is_expected_by(&self, deadline: Duration) -> bool {
        match self.state {
            State::Fetching { .. } => true,
            State::Idle => self.next <= deadline || self.early() <= deadline,
        }
    }

    /// True once, when the keys have become too old to be used.
    #[must_use]
    pub fn lets_go(&mut self, now: Duration) -> bool {
        let is_over = self.keys_until.is_some_and(|until| now >= until);
        if is_over {
            self.keys_until = None;
            self.is_wanted = false;
        }
        is_over
    }

    /// When an unknown key may bring a fetch forward.
    const fn early(&self) -> Duration {
        if self.is_wanted && self.failures == 0 {
            self.quiet_until
        } else {
            Duration::MAX
        }
    }
}

/// How long to wait after a failure, when there were `failures` before it in a row.
pub(crate) fn pause(failures: u32, most: Duration, jitter: &mut Jitter) -> Duration {
    let wait = RETRY_MIN
        .saturating_mul(1 << failures.min(16))
        .min(RETRY_MAX)
        .min(most);
    wait - jitter.up_to(wait / 4)
}

/// Whether a key set differs from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The same keys.
    None,
    /// Other keys, or the first ones.
    Some,
}

/// The first wait after a failure, before jitter.
pub const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest wait after failures.
pub const RETRY_MAX: Duration = Duration::from_secs(30);
/// Between two fetches, because of unknown keys, that bring nothing new.
pub const UNKNOWN_KEY_GAP: Duration = Duration::from_secs(10);
/// Between any fetch and one because of unknown keys.
pub const FETCH_GAP: Duration = Duration::from_secs(1);
/// How long a worker lets others go before it: most fetches are over sooner.
pub const TURN_PATIENCE: Duration = Duration::from_secs(2);
/// The same where requests may wait for the fetch: a quarter of their time, and no less than this.
pub const TURN_PATIENCE_MIN: Duration = Duration::from_millis(100);
/// How long a worker believes others that there is nothing new.
pub const QUIET_PATIENCE: Duration = Duration::from_secs(60);
/// Workers that lose patience do not do it all at once.
pub const SPREAD: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
