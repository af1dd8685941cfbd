//! What is counted: which counters there are, and which of them a decision makes grow.
//!
//! The host knows no labels, so they are part of a counter's name, in the form that Istio's own telemetry
//! uses: `label=.=value;.;`. What a label can say follows from the configuration and from this code,
//! never from a request, so the number of counters is bounded.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::algorithm::Algorithm;
use crate::gate::Outcome;
use crate::signature::choice::{Choice, Engines};

/// Something that is counted or gauged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Decisions, by what was decided and about whose token.
    Decisions,
    /// Attempts to fetch keys.
    KeyFetches,
    /// When keys last came.
    KeysFetched,
    /// Key sets in workers, by state.
    KeySets,
    /// Keys that were left out because they hold private material.
    PrivateKeysRefused,
    /// Decisions that were made by a rule.
    RuleDecisions,
    /// Signatures that were checked.
    SignatureChecks,
    /// Tokens that had to make room for others.
    TokenCacheEvictions,
    /// Tokens that were looked for among those that are remembered.
    TokenCacheLookups,
    /// Denials that would be none if every rule were enforced.
    WouldHaveAllowed,
    /// Requests that would not have passed if every rule were enforced.
    WouldHaveDenied,
}

impl Metric {
    /// Its name and those of its labels.
    #[must_use]
    pub const fn schema(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Decisions => ("decisions_total", &["decision", "reason", "provider"]),
            Self::KeyFetches => ("key_fetches_total", &["provider", "result"]),
            Self::KeysFetched => ("keys_fetched_timestamp_seconds", &["provider"]),
            Self::KeySets => ("key_sets", &["provider", "state"]),
            Self::PrivateKeysRefused => ("private_keys_refused", &[]),
            Self::RuleDecisions => ("rule_decisions_total", &["decision", "rule"]),
            Self::SignatureChecks => ("signature_checks_total", &["engine", "algorithm"]),
            Self::TokenCacheEvictions => ("token_cache_evictions_total", &[]),
            Self::TokenCacheLookups => ("token_cache_lookups_total", &["result"]),
            Self::WouldHaveAllowed => ("would_have_allowed", &[]),
            Self::WouldHaveDenied => ("would_have_denied", &[]),
        }
    }
}

/// One counter or gauge: the metric and the values of its labels, in their order. A value that is empty
/// stands for a label that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series<'a> {
    metric: Metric,
    values: [&'a str; 3],
}

impl<'a> Series<'a> {
    /// The metric with these values; what is left out is empty.
    #[must_use]
    pub fn new<const N: usize>(metric: Metric, given: [&'a str; N]) -> Self {
        let mut values = [""; 3];
        for (value, given) in values.iter_mut().zip(given) {
            *value = given;
        }
        Self { metric, values }
    }

    /// What the host is to call it.
    #[must_use]
    pub fn name(&self) -> String {
        let (metric, labels) = self.metric.schema();
        let mut name = String::from("identity_filter.");
        for (label, value) in labels.iter().zip(self.values) {
            if !value.is_empty() {
                for part in [label, "=.=", value, ";.;"] {
                    name.push_str(part);
                }
            }
        }
        name.push_str(metric);
        name
    }
}

/// Whether a token was among those that are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It was, and still holds.
    Hit,
    /// It was not, or does not hold any longer.
    Miss,
}

/// What a decision took, as far as it is counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Work {
    /// Where a token was looked for.
    pub lookup: Option<Lookup>,
    /// Whose signature was checked.
    pub checked: Option<Algorithm>,
    /// How many tokens had to make room.
    pub evicted: u64,
}

/// Calls `add` with each counter that the decision makes grow, and by how much. About a token that is
/// remembered these are three.
pub fn count(outcome: &Outcome, engines: &Engines, mut add: impl FnMut(Series<'_>, u64)) {
    let decision = if outcome.denial.is_some() {
        "deny"
    } else {
        "allow"
    };
    let reason = outcome.denial.map_or("", |denial| denial.name());
    let provider = outcome.provider.as_ref();
    let provider = provider.map_or("", |provider| provider.name.as_str());
    add(
        Series::new(Metric::Decisions, [decision, reason, provider]),
        1,
    );
    if let Some(rule) = &outcome.rule {
        add(Series::new(Metric::RuleDecisions, [decision, rule]), 1);
    }
    let work = &outcome.work;
    if let Some(lookup) = work.lookup {
        let result = match lookup {
            Lookup::Hit => "hit",
            Lookup::Miss => "miss",
        };
        add(Series::new(Metric::TokenCacheLookups, [result]), 1);
    }
    if let Some(algorithm) = work.checked {
        let engine = match engines.choice(algorithm) {
            Choice::Host => "host",
            Choice::Software => "software",
            Choice::Nobody => "nobody",
        };
        let values = [engine, algorithm.name()];
        add(Series::new(Metric::SignatureChecks, values), 1);
    }
    if work.evicted > 0 {
        add(Series::new(Metric::TokenCacheEvictions, []), work.evicted);
    }
    let shadow = outcome
        .record
        .as_ref()
        .and_then(|record| record.shadow.as_ref());
    if let Some(shadow) = shadow {
        let metric = if shadow.reason.is_some() {
            Metric::WouldHaveDenied
        } else {
            Metric::WouldHaveAllowed
        };
        add(Series::new(metric, []), 1);
    }
}

/// The numbers that the host has given to counters: it gives one only once for each.
#[derive(Debug, Default)]
pub struct Numbers(Vec<(Metric, [String; 3], u32)>);

impl Numbers {
    /// The number of this one, which `define` asks the host for where it has none yet.
    pub fn number(
        &mut self,
        series: &Series<'_>,
        define: impl FnOnce(&str) -> Option<u32>,
    ) -> Option<u32> {
        let place = self
            .0
            .binary_search_by(|(metric, values, _number)| compare(*metric, values, series));
        match place {
            Ok(place) => self.0.get(place).map(|(_, _, number)| *number),
            Err(place) => {
                let number = define(&series.name())?;
                let values = series.values.map(String::from);
                self.0.insert(place, (series.metric, values, number));
                Some(number)
            }
        }
    }
}

fn compare(metric: Metric, values: &[String; 3], series: &Series<'_>) -> Ordering {
    let values = values.iter().map(String::as_str);
    metric
        .cmp(&series.metric)
        .then_with(|| values.cmp(series.values))
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_name_has_the_labels_that_have_a_value() {
        let cases = [
            (
                Series::new(Metric::Decisions, ["deny", "token_expired", "okta"]),
                "identity_filter.decision=.=deny;.;reason=.=token_expired;.;provider=.=okta;.;decisions_total",
            ),
            (
                Series::new(Metric::Decisions, ["allow", "", ""]),
                "identity_filter.decision=.=allow;.;decisions_total",
            ),
            (
                Series::new(Metric::WouldHaveDenied, []),
                "identity_filter.would_have_denied",
            ),
        ];
        for (series, want) in cases {
            assert_eq!(series.name(), want);
        }
    }

    #[test]
    fn the_host_is_asked_once_for_each_number() {
        let mut numbers = Numbers::default();
        let mut asked = Vec::new();
        for _round in 0..2 {
            for provider in ["b", "a", "c"] {
                let series = Series::new(Metric::KeyFetches, [provider, "success"]);
                let number = numbers.number(&series, |name| {
                    asked.push(String::from(name));
                    u32::try_from(asked.len()).ok()
                });
                let place = asked.iter().position(|name| *name == series.name());
                assert_eq!(
                    number.map(|number| number as usize),
                    place.map(|place| place + 1)
                );
            }
        }
        assert_eq!(asked.len(), 3, "{asked:?}");
    }

    #[test]
    fn a_number_that_the_host_refuses_is_asked_for_again() {
        let mut numbers = Numbers::default();
        let series = Series::new(Metric::TokenCacheEvictions, []);
        assert_eq!(numbers.number(&series, |_name| None), None);
        assert_eq!(numbers.number(&series, |_name| Some(7)), Some(7));
        assert_eq!(numbers.number(&series, |_name| None), Some(7));
        assert!(format!("{numbers:?}").contains('7'));
    }
}
