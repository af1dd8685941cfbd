//! Passive health: an endpoint that fails several attempts in a row is left out for a while, the
//! longer the more often. Pure: the time is a parameter.

use std::time::Duration;

use tokio::time::Instant;

/// When an endpoint is ejected, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EjectionRules {
    /// Consecutive failures that lead to it; at least 1.
    pub(crate) failures: u32,
    /// The first time; twice as long each time after.
    pub(crate) base: Duration,
    /// Never longer. After as long a time in service, the next ejection is a first one again.
    pub(crate) most: Duration,
    /// Of the cluster's endpoints, in percent.
    pub(crate) most_percent: usize,
}

impl EjectionRules {
    /// True if one more of `endpoints` may be ejected, `ejected` being so already. One of several
    /// always may, the only one never.
    pub(crate) const fn allow_one_more(&self, endpoints: usize, ejected: usize) -> bool {
        let share = endpoints * self.most_percent / 100;
        let most = if share == 0 { 1 } else { share };
        endpoints > 1 && ejected < most
    }
}

/// Whether one endpoint is ejected.
#[derive(Debug, Default)]
pub(crate) struct Ejection {
    until: Option<Instant>,
    /// Ejections that followed one another closely.
    times: u32,
    ended: Option<Instant>,
}

impl Ejection {
    /// When it ends; `None` if the endpoint is not ejected.
    pub(crate) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Ejects the endpoint; gives for how long.
    pub(crate) fn begin(&mut self, rules: &EjectionRules, now: Instant) -> Duration {
        let long_ago = |ended: Instant| now.duration_since(ended) >= rules.most;
        if self.ended.is_some_and(long_ago) {
            self.times = 0;
        }
        let factor = 1_u32.checked_shl(self.times).unwrap_or(u32::MAX);
        self.times = self.times.saturating_add(1);
        let period = rules.base.saturating_mul(factor).min(rules.most);
        self.until = Some(now + period);
        period
    }

    /// True if the ejection is over now.
    pub(crate) fn end_if_due(&mut self, now: Instant) -> bool {
        let due = self.until.is_some_and(|until| now >= until);
        if due {
            self.until = None;
            self.ended = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: EjectionRules = EjectionRules {
        failures: 5,
        base: Duration::from_secs(10),
        most: Duration::from_secs(60),
        most_percent: 50,
    };

    #[test]
    fn each_ejection_is_longer_than_the_last_up_to_a_bound() {
        let (mut ejection, mut now) = (Ejection::default(), Instant::now());
        for seconds in [10, 20, 40, 60, 60] {
            let period = ejection.begin(&RULES, now);
            assert_eq!(period, Duration::from_secs(seconds));
            assert!(!ejection.end_if_due(now + period - Duration::from_millis(1)));
            now += period;
            assert!(ejection.end_if_due(now));
            assert!(!ejection.end_if_due(now), "only once");
        }
        assert_eq!(ejection.until(), None);
        now += RULES.most;
        assert_eq!(ejection.begin(&RULES, now), RULES.base, "forgotten");
    }

    #[test]
    fn the_share_of_ejected_endpoints_is_bounded() {
        for (endpoints, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (10, 5)] {
            let ejected = (0..endpoints).take_while(|n| RULES.allow_one_more(endpoints, *n));
            assert_eq!(ejected.count(), most, "of {endpoints}");
        }
        let few = EjectionRules {
            most_percent: 10,
            ..RULES
        };
        assert!(few.allow_one_more(3, 0), "one of several always may");
    }
}
