//! The rules that nearly let a request in, the nearest first.

use identity_filter::gate::explanation::RuleTry;
use identity_filter::policy::Part;
use serde::Serialize;

use super::rules::{Known, place, unmet};

/// A rule, and all that it lacks.
#[derive(Debug, Serialize)]
pub(crate) struct NearMiss {
    pub(crate) rule: String,
    pub(crate) place: Option<String>,
    pub(crate) lacks: Vec<String>,
}

pub(super) fn misses(known: &Known<'_>, rules: &[RuleTry<'_>]) -> Vec<NearMiss> {
    let mut near: Vec<_> = rules
        .iter()
        .filter(|attempt| !attempt.is_deny && !attempt.unmet.is_empty())
        .map(|attempt| (distance(attempt), attempt))
        .filter(|(distance, _)| *distance <= FARTHEST)
        .collect();
    // What is about another path is near only where nothing is nearer.
    if near.iter().any(|(distance, _)| *distance < FARTHEST) {
        near.retain(|(distance, _)| *distance < FARTHEST);
    }
    // Stable: of two that are as near, the earlier in the configuration.
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter()
        .take(MOST)
        .map(|(_, attempt)| NearMiss {
            rule: attempt.rule.name.clone(),
            place: place(known, &attempt.rule.name),
            lacks: unmet(known, attempt),
        })
        .collect()
}

/// How much would have to be otherwise. Who has no token has no role either, and that is one thing.
fn distance(attempt: &RuleTry<'_>) -> usize {
    let parts = || attempt.unmet.iter().map(|(part, _)| *part);
    let is_anonymous = parts().any(|part| part == Part::Authenticated);
    let weight = |part: Part| match part {
        Part::Paths => 4,
        Part::Hosts => 3,
        Part::Methods => 2,
        Part::Providers | Part::Identities | Part::Roles if is_anonymous => 0,
        _ => 1,
    };
    parts().map(weight).sum()
}

/// Another path alone; or a host or a method, and one thing about the caller.
const FARTHEST: usize = 4;
const MOST: usize = 5;
