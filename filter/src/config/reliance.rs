//! What identities and grants rest on: never only on claims that a caller can choose, and whether they
//! need the caller's groups.

use alloc::string::String;
use alloc::vec::Vec;

use super::{ConfigError, Provider, wire};
use crate::claim_header::HeaderTemplate;
use crate::claims::ClaimPath;
use crate::condition::{Condition, Fact, Test};

/// Refuses an identity, a grant or a header that rests on nothing but claims that the caller can choose.
/// `read`: claims that it takes values from; `is_bound`: it is for one workload identity only.
pub(super) fn check_reliance<'a>(
    at: &str,
    provider: &Provider,
    when: &[Condition],
    mut read: impl Iterator<Item = &'a ClaimPath>,
    is_bound: bool,
) -> Result<(), ConfigError> {
    let is_weak = |path: &ClaimPath| provider.weak_claims.iter().any(|weak| weak.overlaps(path));
    let rests_on_weak = |fact: &Fact| matches!(fact, Fact::Claim(path) if is_weak(path));
    let uses_weak = when
        .iter()
        .any(|condition| condition.is_about(rests_on_weak))
        || read.any(is_weak);
    if uses_weak && !is_bound && !when.iter().any(|condition| is_strong(condition, &is_weak)) {
        return Err(ConfigError::fields(
            at,
            "rests only on claims that the caller, or whoever fills in a profile, can choose (see the preset's \
             page); `when` must also have a condition on another claim",
        ));
    }
    Ok(())
}

/// Whether a condition can hold only for what the provider itself says of the caller.
fn is_strong(condition: &Condition, is_weak: &dyn Fn(&ClaimPath) -> bool) -> bool {
    match condition {
        Condition::All(joined) => joined.iter().any(|one| is_strong(one, is_weak)),
        Condition::Any(joined) => joined.iter().all(|one| is_strong(one, is_weak)),
        Condition::Not(_) => false,
        Condition::Is { fact, test } => match (fact, test) {
            (_, Test::Present(false)) | (Fact::Header(_) | Fact::Provider, _) => false,
            (Fact::Certificate | Fact::Workload, _) => true,
            (Fact::Claim(path), _) => !is_weak(path),
        },
    }
}

/// The providers whose `groups` something reads; `None` is every provider.
pub(super) fn group_readers(document: &wire::Document) -> Vec<Option<String>> {
    let groups = ClaimPath::parse("groups");
    let is_groups_path =
        |claim: &ClaimPath| groups.as_ref().is_some_and(|groups| claim.overlaps(groups));
    let is_groups =
        |claim: &String| ClaimPath::parse(claim).is_some_and(|claim| is_groups_path(&claim));
    let reads = |when: &[wire::Condition]| reads(when, &is_groups);
    let providers = document.providers.iter();
    let by_providers = providers
        .filter(|provider| reads(&provider.required_claims))
        .map(|provider| Some(provider.name.clone()));
    let by_identities = document
        .identities
        .iter()
        .filter(|identity| reads(&identity.when))
        .map(|identity| Some(identity.provider.clone()));
    let by_grants = document
        .grants
        .iter()
        .filter(|grant| {
            reads(&grant.when)
                || grant
                    .roles_from
                    .as_ref()
                    .is_some_and(|from| is_groups(&from.claim))
        })
        .map(|grant| grant.provider.clone());
    let by_headers = document.headers.set.iter().filter(|header| {
        // A template says of its own places what they read; a text that is none is refused elsewhere.
        let template = header.value.as_deref().and_then(HeaderTemplate::parse);
        let mut places = template.iter().flat_map(HeaderTemplate::claims);
        reads(&header.when)
            || header.list.as_ref().is_some_and(is_groups)
            || places.any(is_groups_path)
    });
    let by_headers = by_headers.map(|header| header.provider.clone());
    // A rule that names no provider may be about the callers of each.
    let rules = document.policy.rules.iter();
    let by_rules = rules
        .filter(|rule| reads(&rule.when))
        .flat_map(|rule| match &rule.providers {
            Some(names) => names.iter().cloned().map(Some).collect(),
            None => alloc::vec![None],
        });
    let by_others = by_providers.chain(by_identities).chain(by_grants);
    by_others.chain(by_headers).chain(by_rules).collect()
}

/// Whether one of the conditions, or of those that they join, reads a claim that is wanted.
fn reads(when: &[wire::Condition], is_wanted: &dyn Fn(&String) -> bool) -> bool {
    when.iter().any(|condition| {
        let joined = [&condition.all, &condition.any].into_iter().flatten();
        condition.claim.as_ref().is_some_and(is_wanted)
            || joined.into_iter().any(|list| reads(list, is_wanted))
            || condition
                .not
                .as_deref()
                .is_some_and(|condition| reads(core::slice::from_ref(condition), is_wanted))
    })
}
