//! Checks the `identities`, `namespaces`, `grants` and `policy` of the document, and puts each grant
//! and each rule into its namespace.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::provider::check_name;
use super::{ConfigError, Problem, Provider, wire};
use crate::claims::ClaimPath;
use crate::condition::{Condition, Fact, Test};
use crate::grant::{Gives, Grant, Role};
use crate::host::HostPattern;
use crate::identity::{IdentityRule, Template};
use crate::namespace::{Namespace, Route, Routes};
use crate::path::{CanonicalPath, PathPattern};
use crate::policy::{Allow, Deny, Policy, Rule};

pub(super) fn add_identities(
    written: Vec<wire::Identity>,
    providers: &mut [Provider],
) -> Result<(), ConfigError> {
    let mut names = Names::new("identities");
    for (index, identity) in written.into_iter().enumerate() {
        let at = names.add(index, &identity.name)?;
        let mut when = Vec::new();
        for (index, condition) in identity.when.into_iter().enumerate() {
            let at = format!("{at}.when[{index}]");
            if condition.attribute.is_some() {
                return Err(ConfigError::fields(
                    format!("{at}.attribute"),
                    "an identity is decided by claims alone: use `claim`; the provider is a field of its own",
                ));
            }
            when.push(build_condition(&at, condition)?);
        }
        let workload = Template::parse(&identity.workload).ok_or_else(|| {
            ConfigError::value(format!("{at}.workload"), &identity.workload, TEMPLATES)
        })?;
        let known: Vec<_> = providers
            .iter()
            .map(|provider| provider.name.clone())
            .collect();
        let provider = providers
            .iter_mut()
            .find(|provider| provider.name == identity.provider)
            .ok_or_else(|| unknown_provider(&at, &identity.provider, &known))?;
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
            policy: Policy::default(),
        });
    }
    add_grants(&mut drafts, grants, providers)?;
    add_rules(&mut drafts, policy.rules)?;
    Ok(Routes::new(
        drafts.into_iter().flat_map(Draft::finish).collect(),
    ))
}

/// A namespace before its grants and rules are known to be complete.
struct Draft {
    name: String,
    routes: Vec<(HostPattern, CanonicalPath)>,
    grants: Vec<Grant>,
    policy: Policy,
}

impl Draft {
    fn finish(self) -> Vec<Route> {
        let namespace = Rc::new(Namespace {
            name: self.name,
            grants: self.grants,
            policy: self.policy,
        });
        let route = |(host, prefix)| Route {
            host,
            prefix,
            namespace: Rc::clone(&namespace),
        };
        self.routes.into_iter().map(route).collect()
    }

    fn find<'a>(drafts: &'a mut [Self], at: &str, name: &str) -> Result<&'a mut Self, ConfigError> {
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

fn add_grants(
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
        let reads_claims = grant.roles_from.is_some()
            || grant.when.iter().any(|condition| condition.claim.is_some());
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
            (None, Some(from)) => Gives::FromClaim {
                claim: build_claim(&format!("{at}.roles_from"), &from.claim)?,
                allow: build_roles(&format!("{at}.roles_from.allow"), &from.allow)?,
            },
            _ => {
                return Err(ConfigError::fields(
                    at,
                    "exactly one of `roles` and `roles_from` must be there",
                ));
            }
        };
        let mut when = Vec::new();
        for (index, condition) in grant.when.into_iter().enumerate() {
            when.push(build_condition(&format!("{at}.when[{index}]"), condition)?);
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

fn add_rules(drafts: &mut [Draft], written: Vec<wire::Rule>) -> Result<(), ConfigError> {
    let mut names = Names::new("policy.rules");
    for (index, rule) in written.into_iter().enumerate() {
        let at = names.add(index, &rule.name)?;
        let draft = Draft::find(drafts, &at, &rule.namespace)?;
        let matcher = |callers| build_rule(&at, &rule, draft, callers);
        match rule.action {
            wire::Action::Allow => {
                let built = matcher(())?.with(build_allow(&at, &rule)?);
                draft.policy.allow.push(built);
            }
            wire::Action::Deny => {
                let built = matcher(())?.with(build_deny(&at, &rule)?);
                draft.policy.deny.push(built);
            }
        }
    }
    Ok(())
}

fn build_rule(
    at: &str,
    written: &wire::Rule,
    draft: &Draft,
    callers: (),
) -> Result<Rule<()>, ConfigError> {
    let mut rule = Rule {
        name: written.name.clone(),
        methods: Vec::new(),
        hosts: Vec::new(),
        paths: Vec::new(),
        callers,
    };
    for (index, method) in entries(&format!("{at}.methods"), written.methods.as_deref())? {
        let is_method = method.len() <= 32
            && method
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if method.is_empty() || !is_method {
            return Err(ConfigError::value(
                format!("{at}.methods[{index}]"),
                method,
                "a method such as GET",
            ));
        }
        rule.methods.push(method.clone());
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
            return Err(ConfigError::value(
                at,
                host,
                "a host that the rule's namespace has a route for",
            ));
        }
        rule.hosts.push(pattern);
    }
    for (index, path) in entries(&format!("{at}.paths"), written.paths.as_deref())? {
        let pattern = PathPattern::parse(path)
            .ok_or_else(|| ConfigError::value(format!("{at}.paths[{index}]"), path, PATHS))?;
        rule.paths.push(pattern);
    }
    Ok(rule)
}

impl Rule<()> {
    fn with<Callers>(self, callers: Callers) -> Rule<Callers> {
        let Self {
            name,
            methods,
            hosts,
            paths,
            callers: (),
        } = self;
        Rule {
            name,
            methods,
            hosts,
            paths,
            callers,
        }
    }
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

fn build_roles(at: &str, names: &[String]) -> Result<BTreeSet<Role>, ConfigError> {
    if names.is_empty() {
        return Err(ConfigError::fields(at, "at least one role must be there"));
    }
    let role = |(index, name): (usize, &String)| {
        Role::parse(name).ok_or_else(|| ConfigError::value(format!("{at}[{index}]"), name, ROLES))
    };
    names.iter().enumerate().map(role).collect()
}

fn build_claim(at: &str, path: &str) -> Result<ClaimPath, ConfigError> {
    ClaimPath::parse(path).ok_or_else(|| ConfigError::value(format!("{at}.claim"), path, CLAIMS))
}

fn build_condition(at: &str, written: wire::Condition) -> Result<Condition, ConfigError> {
    let fact = match (&written.claim, written.attribute) {
        (Some(path), None) => Fact::Claim(build_claim(at, path)?),
        (None, Some(wire::Attribute::Provider)) => Fact::Provider,
        (None, Some(wire::Attribute::Workload)) => Fact::Workload,
        _ => {
            return Err(ConfigError::fields(
                at,
                "exactly one of `claim` and `attribute` must be there",
            ));
        }
    };
    for value in written.equals.iter().chain(written.one_of.iter().flatten()) {
        if !(value.is_string() || value.is_boolean() || value.is_i64() || value.is_u64()) {
            let value = format!("{value}");
            return Err(ConfigError::value(
                at,
                &value,
                "a text, an integer or a boolean",
            ));
        }
    }
    if written.one_of.as_ref().is_some_and(Vec::is_empty) {
        return Err(ConfigError::fields(
            format!("{at}.one_of"),
            "at least one value must be there",
        ));
    }
    let tests: [Option<Test>; 6] = [
        written.contains.map(Test::Contains),
        written
            .equals
            .filter(|value| *value != Value::Null)
            .map(Test::Equals),
        written.glob.map(Test::Glob),
        written.one_of.map(Test::OneOf),
        written.prefix.map(Test::Prefix),
        written.present.map(Test::Present),
    ];
    let mut tests = tests.into_iter().flatten();
    match (tests.next(), tests.next()) {
        (Some(test), None) => Ok(Condition { fact, test }),
        _ => Err(ConfigError::fields(
            at,
            "exactly one of `contains`, `equals`, `glob`, `one_of`, `prefix` and `present` must be there",
        )),
    }
}

/// An exact id is a template without places.
fn is_plain_workload(text: &str) -> bool {
    !text.contains('{') && Template::parse(text).is_some()
}

fn unknown_provider(at: &str, name: &str, known: &[String]) -> ConfigError {
    let known = known.iter().map(String::as_str);
    ConfigError::unknown(format!("{at}.provider"), "provider", name, known)
}

/// Checks names and that no two entries of one list share one.
struct Names {
    list: &'static str,
    seen: Vec<String>,
}

impl Names {
    const fn new(list: &'static str) -> Self {
        Self {
            list,
            seen: Vec::new(),
        }
    }

    /// The place of the entry.
    fn add(&mut self, index: usize, name: &str) -> Result<String, ConfigError> {
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

const HOSTS: &str = "a lower-case host, or `*.` and a host; no port";
const PREFIXES: &str = "a canonical path without a slash at its end, such as /orders";
const TEMPLATES: &str = "a SPIFFE id such as spiffe://cluster.local/ns/people/sa/{claim:sub}: letters, \
    digits, `-`, `.` and `_`, and at most one {claim:PATH} in a path segment";
const WORKLOADS: &str = "a SPIFFE id without places for claims; to compare otherwise, use `when` with \
    `attribute: workload`";
const PATHS: &str = "a canonical path, where `*` or `{name}` is one whole segment and one `**` is any \
    number of segments";
const ROLES: &str = "1 to 64 letters, digits and `._:/-`";
const CLAIMS: &str = "names separated by dots; a name with a dot in it stands in double quotes";
