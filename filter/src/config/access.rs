//! Checks the `identities` and `namespaces` of the document.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::condition::{Place, build_conditions};
use super::grant::add_grants;
use super::provider::check_name;
use super::reliance::check_reliance;
use super::rule::add_rules;
use super::{ConfigError, Problem, Provider, wire};
use crate::grant::Grant;
use crate::headers::IdentityHeaders;
use crate::host::HostPattern;
use crate::identity::{IdentityRule, Template};
use crate::namespace::{Namespace, Route, Routes};
use crate::path::CanonicalPath;
use crate::policy::{Needs, Policy, Rule};
use crate::rules::Rules;

pub(super) fn add_identities(
    written: Vec<wire::Identity>,
    providers: &mut [Provider],
) -> Result<(), ConfigError> {
    let mut names = Names::new("identities");
    for (index, identity) in written.into_iter().enumerate() {
        let at = names.add(index, &identity.name)?;
        let when = build_conditions(&format!("{at}.when"), &identity.when, Place::Identity)?;
        let known: Vec<_> = providers
            .iter()
            .map(|provider| provider.name.clone())
            .collect();
        let provider = providers
            .iter_mut()
            .find(|provider| provider.name == identity.provider)
            .ok_or_else(|| unknown_provider(&at, &identity.provider, &known))?;
        let workload = if identity.workload == SUBJECT && provider.has_spiffe_subjects() {
            Template::subject()
        } else {
            Template::parse(&identity.workload).ok_or_else(|| {
                ConfigError::value(format!("{at}.workload"), &identity.workload, TEMPLATES)
            })?
        };
        check_reliance(&at, provider, &when, workload.claims(), false)?;
        provider.identities.push(IdentityRule {
            name: identity.name,
            when,
            workload,
        });
    }
    Ok(())
}

pub(super) fn build_routes(
    namespaces: Vec<wire::Namespace>,
    grants: Vec<wire::Grant>,
    policy: wire::Policy,
    providers: &[Provider],
    headers: &IdentityHeaders,
) -> Result<Routes, ConfigError> {
    let mut drafts = Vec::new();
    let mut names = Names::new("namespaces");
    let mut taken: Vec<(HostPattern, CanonicalPath, String)> = Vec::new();
    for (index, namespace) in namespaces.into_iter().enumerate() {
        let at = names.add(index, &namespace.name)?;
        let first = taken.len();
        for (index, route) in namespace.routes.into_iter().enumerate() {
            let at = format!("{at}.routes[{index}]");
            let (host, prefix) = build_route(&at, &route)?;
            if let Some((_, _, other)) = taken.iter().find(|(a, b, _)| (a, b) == (&host, &prefix)) {
                let value = format!("{}{}", route.host, prefix.as_str());
                let why = "a route belongs to exactly one namespace";
                let problem = Problem::Duplicate {
                    value,
                    other: other.clone(),
                    why,
                };
                return Err(ConfigError::new(at, problem));
            }
            taken.push((host, prefix, at));
        }
        let routes = taken
            .iter()
            .skip(first)
            .map(|(a, b, _)| (a.clone(), b.clone()))
            .collect();
        drafts.push(Draft {
            name: namespace.name,
            routes,
            grants: Vec::new(),
            deny: Vec::new(),
            allow: Vec::new(),
        });
    }
    add_grants(&mut drafts, grants, providers)?;
    let is_shadow = policy.mode == wire::Mode::Shadow;
    add_rules(&mut drafts, policy, providers, headers)?;
    let routes = drafts.into_iter().flat_map(|draft| draft.finish(is_shadow));
    Ok(Routes::new(routes.collect()))
}

/// A namespace before its grants and rules are known to be complete.
pub(super) struct Draft {
    name: String,
    pub(super) routes: Vec<(HostPattern, CanonicalPath)>,
    pub(super) grants: Vec<Grant>,
    pub(super) deny: Vec<Rule>,
    pub(super) allow: Vec<Rule>,
}

impl Draft {
    fn finish(self, is_shadow: bool) -> Vec<Route> {
        let mut needs = Needs::of(self.deny.iter().chain(&self.allow));
        needs.shadow |= is_shadow;
        let namespace = Rc::new(Namespace {
            name: self.name,
            grants: self.grants,
            policy: Policy {
                deny: Rules::new(self.deny),
                allow: Rules::new(self.allow),
                is_shadow,
                needs,
            },
        });
        let route = |(host, prefix)| Route {
            host,
            prefix,
            namespace: Rc::clone(&namespace),
        };
        self.routes.into_iter().map(route).collect()
    }

    pub(super) fn find<'a>(
        drafts: &'a mut [Self],
        at: &str,
        name: &str,
    ) -> Result<&'a mut Self, ConfigError> {
        let known: Vec<_> = drafts.iter().map(|draft| draft.name.clone()).collect();
        drafts
            .iter_mut()
            .find(|draft| draft.name == name)
            .ok_or_else(|| {
                let known = known.iter().map(String::as_str);
                ConfigError::unknown(format!("{at}.namespace"), "namespace", name, known)
            })
    }
}

fn build_route(
    at: &str,
    written: &wire::Route,
) -> Result<(HostPattern, CanonicalPath), ConfigError> {
    let host = HostPattern::parse(&written.host)
        .ok_or_else(|| ConfigError::value(format!("{at}.host"), &written.host, HOSTS))?;
    let text = written.path_prefix.as_deref().unwrap_or("/");
    let prefix = CanonicalPath::parse(text.as_bytes())
        .filter(|path| path.as_str() == text && (text == "/" || !text.ends_with('/')))
        .ok_or_else(|| ConfigError::value(format!("{at}.path_prefix"), text, PREFIXES))?;
    Ok((host, prefix))
}

pub(super) fn unknown_provider(at: &str, name: &str, known: &[String]) -> ConfigError {
    let known = known.iter().map(String::as_str);
    ConfigError::unknown(format!("{at}.provider"), "provider", name, known)
}

/// Checks names and that no two entries of one list share one.
pub(super) struct Names {
    list: &'static str,
    seen: Vec<String>,
}

impl Names {
    pub(super) const fn new(list: &'static str) -> Self {
        Self {
            list,
            seen: Vec::new(),
        }
    }

    /// The place of the entry.
    pub(super) fn add(&mut self, index: usize, name: &str) -> Result<String, ConfigError> {
        let at = format!("{}[{index}]", self.list);
        check_name(&at, name)?;
        if let Some(other) = self.seen.iter().position(|seen| seen == name) {
            let other = format!("{}[{other}].name", self.list);
            let problem = Problem::Duplicate {
                value: name.into(),
                other,
                why: "names must differ",
            };
            return Err(ConfigError::new(format!("{at}.name"), problem));
        }
        self.seen.push(name.into());
        Ok(at)
    }
}

/// The subject as it is, which must be a SPIFFE id.
const SUBJECT: &str = "{claim:sub}";
pub(super) const HOSTS: &str = "a lower-case host, or `*.` and a host; no port";
const PREFIXES: &str = "a canonical path without a slash at its end, such as /orders";
const TEMPLATES: &str = "a SPIFFE id such as spiffe://cluster.local/ns/people/sa/{claim:sub}: letters, \
    digits, `-`, `.` and `_`, and at most one {claim:PATH} in a path segment; or {claim:sub} alone with the preset \
    spiffe-jwt-svid";
