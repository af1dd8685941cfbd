//! Checks the `policy` of the document and puts each rule into its namespace.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::access::{Draft, HOSTS, Names};
use super::grant::build_roles;
use super::{ConfigError, wire};
use crate::host::HostPattern;
use crate::path::PathPattern;
use crate::policy::{Allow, Deny, Rule, Scope};

pub(super) fn add_rules(drafts: &mut [Draft], written: Vec<wire::Rule>) -> Result<(), ConfigError> {
    let mut names = Names::new("policy.rules");
    for (index, rule) in written.into_iter().enumerate() {
        let at = names.add(index, &rule.name)?;
        let draft = Draft::find(drafts, &at, &rule.namespace)?;
        let scope = build_scope(&at, &rule, draft)?;
        let name = rule.name.clone();
        match rule.action {
            wire::Action::Allow => {
                let callers = build_allow(&at, &rule)?;
                draft.policy.allow.push(Rule {
                    name,
                    scope,
                    callers,
                });
            }
            wire::Action::Deny => {
                let callers = build_deny(&at, &rule)?;
                draft.policy.deny.push(Rule {
                    name,
                    scope,
                    callers,
                });
            }
        }
    }
    Ok(())
}

fn build_scope(at: &str, written: &wire::Rule, draft: &Draft) -> Result<Scope, ConfigError> {
    let mut scope = Scope::default();
    for (index, method) in entries(&format!("{at}.methods"), written.methods.as_deref())? {
        let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
        if !(1..=32).contains(&method.len()) || !method.bytes().all(is_allowed) {
            let at = format!("{at}.methods[{index}]");
            return Err(ConfigError::value(
                at,
                method,
                "a method in upper case, such as GET",
            ));
        }
        scope.methods.push(method.clone());
    }
    for (index, host) in entries(&format!("{at}.hosts"), written.hosts.as_deref())? {
        let at = format!("{at}.hosts[{index}]");
        let pattern =
            HostPattern::parse(host).ok_or_else(|| ConfigError::value(at.as_str(), host, HOSTS))?;
        if !draft
            .routes
            .iter()
            .any(|(route, _)| route.overlaps(&pattern))
        {
            let allowed = "a host that the rule's namespace has a route for";
            return Err(ConfigError::value(at, host, allowed));
        }
        scope.hosts.push(pattern);
    }
    for (index, path) in entries(&format!("{at}.paths"), written.paths.as_deref())? {
        let pattern = PathPattern::parse(path)
            .ok_or_else(|| ConfigError::value(format!("{at}.paths[{index}]"), path, PATHS))?;
        scope.paths.push(pattern);
    }
    Ok(scope)
}

fn build_allow(at: &str, written: &wire::Rule) -> Result<Allow, ConfigError> {
    match (&written.roles, written.anonymous, written.authenticated) {
        (Some(roles), false, false) => {
            Ok(Allow::Roles(build_roles(&format!("{at}.roles"), roles)?))
        }
        (None, true, false) => Ok(Allow::Anonymous),
        (None, false, true) => Ok(Allow::Authenticated),
        _ => Err(ConfigError::fields(
            at,
            "an allow rule must say whom it lets in by exactly one of `roles`, `anonymous: true` and \
             `authenticated: true`",
        )),
    }
}

fn build_deny(at: &str, written: &wire::Rule) -> Result<Deny, ConfigError> {
    match (&written.roles, written.anonymous, written.authenticated) {
        (Some(roles), false, false) => Ok(Deny::Roles(build_roles(&format!("{at}.roles"), roles)?)),
        (None, false, false) => Ok(Deny::Everybody),
        _ => Err(ConfigError::fields(
            at,
            "a deny rule is about everybody, or about callers with one of its `roles`; `anonymous` and \
             `authenticated` are for allow rules",
        )),
    }
}

/// The entries of an optional list. A list that is there and empty could mean all or nothing.
fn entries<'a>(
    at: &str,
    list: Option<&'a [String]>,
) -> Result<impl Iterator<Item = (usize, &'a String)>, ConfigError> {
    if list.is_some_and(<[String]>::is_empty) {
        return Err(ConfigError::fields(
            at,
            "is empty; leave it out to mean all",
        ));
    }
    Ok(list.unwrap_or_default().iter().enumerate())
}

const PATHS: &str = "a canonical path, where `*` or `{name}` is one whole segment and one `**` is any \
    number of segments";
