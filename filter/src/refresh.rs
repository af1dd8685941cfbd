//! When to fetch a provider's key set: a state machine without clock and network.
//!
//! Invariant: one fetch in flight. A failure never takes keys away; it only changes when the next
//! attempt is made. All times are since an arbitrary start and never go back.

use core::time::Duration;

/// The schedule of one provider's key set in one worker.
#[derive(Debug, Clone)]
pub struct Refresh {
    interval: Duration,
    fetch_limit: Duration,
    state: State,
    failures: u32,
    last_success: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Waiting { until: Duration },
    Fetching { since: Duration },
}

impl Refresh {
    /// Wants its first fetch at once. `interval` is the time between two successful fetches;
    /// `fetch_limit` is longer than any fetch can take, so an answer that never comes is a failure.
    #[must_use]
    pub const fn new(interval: Duration, fetch_limit: Duration) -> Self {
        Self {
            interval,
            fetch_limit,
            state: State::Waiting {
                until: Duration::ZERO,
            },
            failures: 0,
            last_success: None,
        }
    }

    /// True exactly when the caller must start a fetch now.
    #[must_use]
    pub fn wants_fetch(&mut self, now: Duration) -> bool {
        match self.state {
            State::Fetching { since } if now < since.saturating_add(self.fetch_limit) => false,
            State::Waiting { until } if now < until => false,
            State::Fetching { .. } | State::Waiting { .. } => {
                self.state = State::Fetching { since: now };
                true
            }
        }
    }

    /// The fetch brought a usable key set.
    pub fn on_success(&mut self, now: Duration) {
        self.failures = 0;
        self.last_success = Some(now);
        self.state = State::Waiting {
            until: now.saturating_add(self.interval),
        };
    }

    /// The fetch brought nothing usable: wait one second, then twice as long each time, up to
    /// [`RETRY_MAX`] (or the interval, where that is shorter). A broken issuer must not be hammered.
    pub fn on_failure(&mut self, now: Duration) {
        let wait = RETRY_MIN
            .saturating_mul(1 << self.failures.min(16))
            .min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting {
            until: now.saturating_add(wait.min(self.interval)),
        };
    }

    /// A token named a key that the set does not have: perhaps the provider has changed its keys, so
    /// fetch early, but not within [`UNKNOWN_KEY_GAP`] of the last success,
    /// and not before the back-off allows it. Anybody can send such tokens.
    pub fn on_unknown_key(&mut self) {
        let early = self
            .last_success
            .map(|last| last.saturating_add(UNKNOWN_KEY_GAP));
        if let (State::Waiting { until }, Some(early), 0) = (&mut self.state, early, self.failures)
        {
            *until = (*until).min(early);
        }
    }
}

/// The first wait after a failure.
pub const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest wait after failures.
pub const RETRY_MAX: Duration = Duration::from_secs(30);
/// At most one fetch in this time because of unknown keys.
pub const UNKNOWN_KEY_GAP: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn refresh() -> Refresh {
        Refresh::new(s(300), s(20))
    }

    #[test]
    fn one_fetch_at_a_time_then_the_interval() {
        let mut refresh = refresh();
        assert!(refresh.wants_fetch(s(0)), "at once");
        assert!(!refresh.wants_fetch(s(1)), "one is in flight");
        refresh.on_success(s(2));
        assert!(!refresh.wants_fetch(s(301)));
        assert!(refresh.wants_fetch(s(302)));
    }

    #[test]
    fn failures_wait_longer_and_longer_up_to_a_bound() {
        let mut refresh = refresh();
        let mut now = s(0);
        for wait in [1, 2, 4, 8, 16, 30, 30, 30] {
            assert!(refresh.wants_fetch(now));
            refresh.on_failure(now);
            assert!(
                !refresh.wants_fetch(now + s(wait) - Duration::from_millis(1)),
                "wait {wait}"
            );
            now += s(wait);
        }
        assert!(refresh.wants_fetch(now));
        refresh.on_success(now);
        assert!(refresh.wants_fetch(now + s(300)));
        refresh.on_failure(now + s(300));
        assert!(
            refresh.wants_fetch(now + s(301)),
            "a success starts the waits anew"
        );
    }

    #[test]
    fn retries_are_never_rarer_than_the_interval() {
        let mut refresh = Refresh::new(s(5), s(20));
        for _failure in 0..40 {
            refresh.on_failure(s(0));
        }
        assert!(refresh.wants_fetch(s(5)));
    }

    #[test]
    fn a_lost_answer_is_a_failure() {
        let mut refresh = refresh();
        assert!(refresh.wants_fetch(s(0)));
        assert!(!refresh.wants_fetch(s(19)));
        assert!(refresh.wants_fetch(s(20)));
    }

    #[test]
    fn unknown_keys_bring_the_next_fetch_forward_within_limits() {
        let mut refresh = refresh();
        refresh.on_unknown_key();
        assert!(refresh.wants_fetch(s(0)));
        refresh.on_unknown_key();
        assert!(!refresh.wants_fetch(s(1)), "one is in flight");
        refresh.on_success(s(100));
        refresh.on_unknown_key();
        assert!(!refresh.wants_fetch(s(109)), "within the gap");
        assert!(refresh.wants_fetch(s(110)));
        refresh.on_failure(s(110));
        refresh.on_unknown_key();
        assert!(!refresh.wants_fetch(s(110)), "the back-off stands");
        assert!(refresh.wants_fetch(s(111)));
    }
}
