//! Checks the `grants` of the document and puts each into its namespace; also roles.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::access::{Draft, Names, unknown_provider};
use super::condition::{Place, build_conditions};
use super::reliance::check_reliance;
use super::{ConfigError, Provider, wire};
use crate::claims::{ClaimPath, Text};
use crate::condition::Fact;
use crate::grant::{Gives, Grant, Role};
use crate::identity::Template;

pub(super) fn add_grants(
    drafts: &mut [Draft],
    written: Vec<wire::Grant>,
    providers: &[Provider],
) -> Result<(), ConfigError> {
    let mut names = Names::new("grants");
    for (index, grant) in written.into_iter().enumerate() {
        let at = names.add(index, &grant.name)?;
        let draft = Draft::find(drafts, &at, &grant.namespace)?;
        if let Some(name) = &grant.provider
            && !providers.iter().any(|provider| provider.name == *name)
        {
            let known: Vec<_> = providers
                .iter()
                .map(|provider| provider.name.clone())
                .collect();
            return Err(unknown_provider(&at, name, &known));
        }
        let when = build_conditions(&format!("{at}.when"), &grant.when, Place::Grant)?;
        let reads_claims =
            grant.roles_from.is_some() || when.iter().any(|condition| condition.is_about(is_claim));
        if reads_claims && grant.provider.is_none() && providers.len() > 1 {
            return Err(ConfigError::fields(
                at,
                "a grant that reads claims must name its `provider`: with several providers, a claim of \
                 one says nothing about the callers of another",
            ));
        }
        let workload = match grant.workload {
            Some(text) if !is_plain_workload(&text) => {
                return Err(ConfigError::value(
                    format!("{at}.workload"),
                    &text,
                    WORKLOADS,
                ));
            }
            workload => workload,
        };
        let gives = match (grant.roles, grant.roles_from) {
            (Some(roles), None) => Gives::Roles(build_roles(&format!("{at}.roles"), &roles)?),
            (None, Some(from)) => {
                let claim = build_claim(&format!("{at}.roles_from"), &from.claim)?;
                Gives::FromClaim {
                    text_means: text_means(&claim, from.words),
                    claim,
                    allow: build_roles(&format!("{at}.roles_from.allow"), &from.allow)?,
                }
            }
            _ => {
                return Err(ConfigError::fields(
                    at,
                    "exactly one of `roles` and `roles_from` must be there",
                ));
            }
        };
        let read = match &gives {
            Gives::FromClaim { claim, .. } => Some(claim),
            Gives::Roles(_) => None,
        };
        // A grant without a provider reads claims only where there is one provider.
        let is_its = |provider: &&Provider| {
            let name = grant.provider.as_ref();
            name.is_none_or(|name| *name == provider.name)
        };
        if let Some(provider) = providers.iter().find(is_its) {
            check_reliance(&at, provider, &when, read.into_iter(), workload.is_some())?;
        }
        draft.grants.push(Grant {
            name: grant.name,
            provider: grant.provider,
            workload,
            when,
            gives,
        });
    }
    Ok(())
}

pub(super) fn build_roles(at: &str, names: &[String]) -> Result<BTreeSet<Role>, ConfigError> {
    if names.is_empty() {
        return Err(ConfigError::fields(at, "at least one role must be there"));
    }
    let role = |(index, name): (usize, &String)| {
        Role::parse(name).ok_or_else(|| ConfigError::value(format!("{at}[{index}]"), name, ROLES))
    };
    names.iter().enumerate().map(role).collect()
}

pub(super) fn build_claim(at: &str, path: &str) -> Result<ClaimPath, ConfigError> {
    ClaimPath::parse(path).ok_or_else(|| ConfigError::value(format!("{at}.claim"), path, CLAIMS))
}

pub(super) fn text_means(claim: &ClaimPath, words: Option<bool>) -> Text {
    match words {
        None => claim.text_means(),
        Some(true) => Text::Words,
        Some(false) => Text::Element,
    }
}

pub(super) const fn is_claim(fact: &Fact) -> bool {
    matches!(fact, Fact::Claim(_))
}

/// An exact id is a template without places.
fn is_plain_workload(text: &str) -> bool {
    !text.contains('{') && Template::parse(text).is_some()
}

const WORKLOADS: &str = "a SPIFFE id without places for claims; to compare otherwise, use `when` with \
    `attribute: workload`";
const ROLES: &str = "1 to 64 letters, digits and `._:/-`";
pub(super) const CLAIMS: &str =
    "names separated by dots; a name with a dot in it stands in double quotes";
