//! What identities and grants rest on: never only on claims that a caller can choose, and whether they
//! need the caller's groups.

use alloc::string::String;
use alloc::vec::Vec;

use super::{ConfigError, Provider, wire};
use crate::claims::ClaimPath;
use crate::condition::{Condition, Fact, Test};

/// Refuses an identity or a grant that rests on nothing but claims that the caller can choose.
/// `read`: claims that it takes values from; `is_bound`: it is for one workload identity only.
pub(super) fn check_reliance<'a>(
    at: &str,
    provider: &Provider,
    when: &[Condition],
    mut read: impl Iterator<Item = &'a ClaimPath>,
    is_bound: bool,
) -> Result<(), ConfigError> {
    let is_weak = |path: &ClaimPath| provider.weak_claims.iter().any(|weak| weak.overlaps(path));
    let is_strong = |condition: &Condition| match (&condition.fact, &condition.test) {
        (_, Test::Present(false)) | (Fact::Provider, _) => false,
        (Fact::Workload, _) => true,
        (Fact::Claim(path), _) => !is_weak(path),
    };
    let rests_on_weak =
        |condition: &Condition| matches!(&condition.fact, Fact::Claim(path) if is_weak(path));
    let uses_weak = when.iter().any(rests_on_weak) || read.any(is_weak);
    if uses_weak && !is_bound && !when.iter().any(is_strong) {
        return Err(ConfigError::fields(
            at,
            "rests only on claims that the caller, or whoever fills in a profile, can choose (see the preset's \
             page); `when` must also have a condition on another claim",
        ));
    }
    Ok(())
}

/// The providers whose `groups` something reads; `None` is every provider.
pub(super) fn group_readers(document: &wire::Document) -> Vec<Option<String>> {
    let is_groups = |claim: &String| {
        let groups = ClaimPath::parse("groups");
        ClaimPath::parse(claim)
            .zip(groups)
            .is_some_and(|(claim, groups)| claim.overlaps(&groups))
    };
    let reads = |when: &[wire::Condition]| {
        when.iter()
            .filter_map(|condition| condition.claim.as_ref())
            .any(is_groups)
    };
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
    by_providers.chain(by_identities).chain(by_grants).collect()
}
