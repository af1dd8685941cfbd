//! Checks the `policy` of the document and puts each rule into its namespace.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use ipnet::IpNet;

use super::access::{Draft, HOSTS, Names};
use super::condition::{Place, build_conditions, build_pattern};
use super::grant::{build_roles, is_claim};
use super::reliance::check_reliance;
use super::{ConfigError, Provider, wire};
use crate::condition::Fact;
use crate::headers::IdentityHeaders;
use crate::host::HostPattern;
use crate::path::PathPattern;
use crate::policy::{Callers, Rule, Scope};
use crate::spiffe::SpiffePattern;

pub(super) fn add_rules(
    drafts: &mut [Draft],
    written: wire::Policy,
    providers: &[Provider],
    headers: &IdentityHeaders,
) -> Result<(), ConfigError> {
    let mut names = Names::new("policy.rules");
    for (index, rule) in written.rules.into_iter().enumerate() {
        let at = names.add(index, &rule.name)?;
        let draft = Draft::find(drafts, &at, &rule.namespace)?;
        let scope = build_scope(&at, &rule, draft)?;
        let callers = build_callers(&at, &rule, providers, headers)?;
        let rules = match rule.action {
            wire::Action::Allow => &mut draft.allow,
            wire::Action::Deny => &mut draft.deny,
        };
        rules.push(Rule {
            name: rule.name,
            is_shadow: rule.mode.unwrap_or(written.mode) == wire::Mode::Shadow,
            scope,
            callers,
        });
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

fn build_callers(
    at: &str,
    written: &wire::Rule,
    providers: &[Provider],
    headers: &IdentityHeaders,
) -> Result<Callers, ConfigError> {
    let is_deny = written.action == wire::Action::Deny;
    let place = Place::Rule {
        headers,
        providers,
        is_deny,
    };
    let mut callers = Callers {
        when: build_conditions(&format!("{at}.when"), &written.when, place)?,
        identities: patterns(&format!("{at}.identities"), written.identities.as_deref())?,
        certificates: patterns(
            &format!("{at}.certificates"),
            written.certificates.as_deref(),
        )?,
        ..Callers::default()
    };
    if let Some(roles) = &written.roles {
        callers.roles = build_roles(&format!("{at}.roles"), roles)?;
    }
    for (index, name) in entries(&format!("{at}.providers"), written.providers.as_deref())? {
        if !providers.iter().any(|provider| provider.name == *name) {
            let known = providers.iter().map(|provider| provider.name.as_str());
            let at = format!("{at}.providers[{index}]");
            return Err(ConfigError::unknown(at, "provider", name, known));
        }
        callers.providers.push(name.clone());
    }
    for (index, source) in entries(&format!("{at}.sources"), written.sources.as_deref())? {
        let network = build_network(source).ok_or_else(|| {
            ConfigError::value(format!("{at}.sources[{index}]"), source, NETWORKS)
        })?;
        callers.sources.push(network);
    }
    if is_deny {
        if written.anonymous || written.authenticated {
            return Err(ConfigError::fields(
                at,
                "a deny rule is about everybody, or about those whom its other fields name; `anonymous` and \
                 `authenticated` are for allow rules",
            ));
        }
    } else {
        callers.is_authenticated = check_allow(at, written, &callers, providers)?;
    }
    Ok(callers)
}

/// Whether the rule lets in only callers with a valid token: nobody else unless the rule says so.
fn check_allow(
    at: &str,
    written: &wire::Rule,
    callers: &Callers,
    providers: &[Provider],
) -> Result<bool, ConfigError> {
    let names_callers = !callers.roles.is_empty()
        || !callers.identities.is_empty()
        || !callers.providers.is_empty();
    let reads_claims = callers
        .when
        .iter()
        .any(|condition| condition.is_about(is_claim));
    match (names_callers, written.anonymous, written.authenticated) {
        (true, false, false) | (false, false, true) => {}
        (false, true, false) => {
            let asks_for_caller =
                |fact: &Fact| matches!(fact, Fact::Claim(_) | Fact::Provider | Fact::Workload);
            if callers.when.iter().any(|one| one.is_about(asks_for_caller)) {
                return Err(ConfigError::fields(
                    format!("{at}.when"),
                    "asks for what only a token says, and the rule lets in who has none (`anonymous: true`)",
                ));
            }
            return Ok(false);
        }
        _ => {
            return Err(ConfigError::fields(
                at,
                "an allow rule must say whom it lets in: by `roles`, `identities` and `providers`, or by exactly one of \
                 `authenticated: true` and `anonymous: true`",
            ));
        }
    }
    if reads_claims && callers.providers.is_empty() && providers.len() > 1 {
        return Err(ConfigError::fields(
            at,
            "an allow rule that reads claims must name its `providers`: with several, a claim of one says \
             nothing about the callers of another",
        ));
    }
    let is_bound = !callers.roles.is_empty() || !callers.identities.is_empty();
    let is_meant = |provider: &&Provider| {
        callers.providers.is_empty() || callers.providers.contains(&provider.name)
    };
    for provider in providers.iter().filter(is_meant) {
        check_reliance(at, provider, &callers.when, core::iter::empty(), is_bound)?;
    }
    Ok(true)
}

fn patterns(at: &str, written: Option<&[String]>) -> Result<Vec<SpiffePattern>, ConfigError> {
    entries(at, written)?
        .map(|(index, pattern)| build_pattern(format!("{at}[{index}]"), pattern))
        .collect()
}

/// A network without bits after its prefix, or one address.
fn build_network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_no_address) => text.parse().ok()?,
    };
    let is_mapped =
        matches!(network, IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some());
    (network.trunc() == network && !is_mapped).then_some(network)
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
const NETWORKS: &str =
    "a network without bits after its prefix, such as 10.0.0.0/8 or 2001:db8::/32, or an address";
