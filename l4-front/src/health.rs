//! Active health: from the results of checks to a verdict. Pure: it knows no socket and no time.

pub(crate) mod check;
pub(crate) mod watch;

/// How many results in a row change the verdict; each at least 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thresholds {
    pub(crate) healthy_after: u32,
    pub(crate) unhealthy_after: u32,
}

/// What the checks so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Verdict {
    /// Nothing yet. The endpoint is used: a front that has just started must not wait.
    #[default]
    Unchecked,
    Healthy,
    Unhealthy,
}

/// The health of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Health {
    verdict: Verdict,
    /// Results in a row that contradict the verdict.
    streak: u32,
}

impl Health {
    pub(crate) const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Takes in one result; true if it changed the verdict. The first result decides at once.
    pub(crate) fn record(&mut self, passed: bool, thresholds: &Thresholds) -> bool {
        let (next, needed) = match (self.verdict, passed) {
            (Verdict::Healthy, true) | (Verdict::Unhealthy, false) => {
                self.streak = 0;
                return false;
            }
            (Verdict::Unchecked, true) => (Verdict::Healthy, 1),
            (Verdict::Unchecked, false) => (Verdict::Unhealthy, 1),
            (Verdict::Healthy, false) => (Verdict::Unhealthy, thresholds.unhealthy_after),
            (Verdict::Unhealthy, true) => (Verdict::Healthy, thresholds.healthy_after),
        };
        self.streak += 1;
        let changed = self.streak >= needed;
        if changed {
            *self = Self {
                verdict: next,
                streak: 0,
            };
        }
        changed
    }

    /// True if nothing speaks against the endpoint, so that the next check has time.
    pub(crate) fn is_settled(&self) -> bool {
        self.verdict == Verdict::Healthy && self.streak == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds {
        healthy_after: 2,
        unhealthy_after: 3,
    };

    /// `+` is a check that passed; gives the verdicts after each, `h` and `u`, upper case where
    /// the next check has time.
    fn check(results: &str) -> String {
        let mut health = Health::default();
        let verdicts = results.chars().map(|result| {
            let before = health.verdict();
            let changed = health.record(result == '+', &THRESHOLDS);
            assert_eq!(changed, before != health.verdict());
            match (health.verdict(), health.is_settled()) {
                (Verdict::Healthy, true) => 'H',
                (Verdict::Healthy, false) => 'h',
                (Verdict::Unhealthy, true) => 'U',
                (Verdict::Unhealthy, false) => 'u',
                (Verdict::Unchecked, _) => '?',
            }
        });
        verdicts.collect()
    }

    #[test]
    fn verdicts_change_after_as_many_results_in_a_row_as_are_asked_for() {
        assert_eq!(check("+--+---"), "HhhHhhu");
        assert_eq!(check("-+-++"), "uuuuH");
    }

    #[test]
    fn the_first_result_decides_at_once() {
        assert_eq!(Health::default().verdict(), Verdict::Unchecked);
        assert_eq!(check("+"), "H");
        assert_eq!(check("-"), "u");
    }

    #[test]
    fn flapping_results_do_not_change_the_verdict() {
        assert_eq!(check("+--+--+--+"), "HhhHhhHhhH");
        assert_eq!(check("-+-+-+-"), "uuuuuuu");
    }
}
