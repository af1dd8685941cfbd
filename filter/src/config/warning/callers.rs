//! Providers, identities and grants: who is never meant, and what nobody gets.

use alloc::format;
use alloc::vec::Vec;

use super::{Concern, Warning, say};
use crate::claims::ClaimPath;
use crate::condition::{Condition, Fact};
use crate::config::{Config, wire};
use crate::identity::IdentityRule;

pub(super) fn find(document: &wire::Document, config: &Config, found: &mut Vec<Warning>) {
    find_providers(document, config, found);
    find_identities(document, config, found);
    find_grants(document, found);
}

fn find_providers(document: &wire::Document, config: &Config, found: &mut Vec<Warning>) {
    // What names no provider is about the callers of each. Roles and workload identities are not: they come from
    // grants and identities.
    let mut rules = document.policy.rules.iter();
    let has_general_rule = rules.any(|rule| rule.authenticated && rule.providers.is_none());
    let has_general_grant = document.grants.iter().any(|grant| grant.provider.is_none());
    let asks_for_provider =
        |condition: &Condition| condition.is_about(|fact| matches!(fact, Fact::Provider));
    let has_condition = config.routes.namespaces().any(|namespace| {
        let mut rules = namespace
            .policy
            .deny
            .iter()
            .chain(namespace.policy.allow.iter());
        rules.any(|rule| rule.callers.when.iter().any(asks_for_provider))
    });
    if has_general_rule || has_general_grant || has_condition {
        return;
    }
    for (index, provider) in document.providers.iter().enumerate() {
        let name = &provider.name;
        let is_in_rule = document.policy.rules.iter().any(|rule| {
            let mut providers = rule.providers.iter().flatten();
            providers.any(|provider| provider == name)
        });
        let is_used = is_in_rule
            || document
                .identities
                .iter()
                .any(|identity| identity.provider == *name)
            || document
                .grants
                .iter()
                .any(|grant| grant.provider.as_ref() == Some(name));
        if !is_used {
            let concern = Concern::ProviderUnused {
                provider: name.clone(),
            };
            say(found, format!("providers[{index}]"), concern);
        }
    }
}

fn find_identities(document: &wire::Document, config: &Config, found: &mut Vec<Warning>) {
    let built = |identity: &wire::Identity| {
        let provider = config
            .providers
            .iter()
            .find(|provider| provider.name == identity.provider)?;
        provider
            .identities
            .iter()
            .find(|rule| rule.name == identity.name)
    };
    for (index, identity) in document.identities.iter().enumerate() {
        let Some(rule) = built(identity) else {
            continue;
        };
        let hides = |(_, earlier): &(usize, &wire::Identity)| {
            earlier.provider == identity.provider
                && built(earlier).is_some_and(|earlier| {
                    always_gives_an_id(earlier)
                        && earlier
                            .when
                            .iter()
                            .all(|condition| rule.when.contains(condition))
                })
        };
        if let Some((number, earlier)) = document
            .identities
            .iter()
            .enumerate()
            .take(index)
            .find(hides)
        {
            let concern = Concern::IdentityHidden {
                identity: identity.name.clone(),
                by: earlier.name.clone(),
                other: format!("identities[{number}]"),
            };
            say(found, format!("identities[{index}]"), concern);
        }
    }
}

/// Whether the template is filled for every caller: every believed token has a `sub` of 1 to 255 bytes, and of
/// no other claim is that known.
fn always_gives_an_id(rule: &IdentityRule) -> bool {
    let subject = ClaimPath::parse("sub");
    rule.workload.claims().count() <= 1
        && rule
            .workload
            .claims()
            .all(|claim| Some(claim) == subject.as_ref())
        && rule.workload.literal_bytes() <= 1024
}

fn find_grants(document: &wire::Document, found: &mut Vec<Warning>) {
    for (index, grant) in document.grants.iter().enumerate() {
        let given_here = given(grant);
        let mut rules = document.policy.rules.iter();
        let opens = rules.any(|rule| {
            rule.namespace == grant.namespace
                && rule
                    .roles
                    .iter()
                    .flatten()
                    .any(|role| given_here.contains(&role.as_str()))
        });
        if !opens {
            let concern = Concern::GrantOpensNothing {
                grant: grant.name.clone(),
                namespace: grant.namespace.clone(),
            };
            say(found, format!("grants[{index}]"), concern);
        }
    }
    for (index, rule) in document.policy.rules.iter().enumerate() {
        for (number, role) in rule.roles.iter().flatten().enumerate() {
            let mut grants = document.grants.iter();
            let is_given = grants.any(|grant| {
                grant.namespace == rule.namespace && given(grant).contains(&role.as_str())
            });
            if !is_given {
                let concern = Concern::RoleOfNobody {
                    role: role.clone(),
                    namespace: rule.namespace.clone(),
                };
                say(
                    found,
                    format!("policy.rules[{index}].roles[{number}]"),
                    concern,
                );
            }
        }
    }
}

/// The roles that a grant may give.
fn given(grant: &wire::Grant) -> Vec<&str> {
    let listed = grant.roles_from.iter().flat_map(|from| &from.allow);
    let roles = grant.roles.iter().flatten().chain(listed);
    roles.map(alloc::string::String::as_str).collect()
}
