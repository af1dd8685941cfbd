//! The rules of one namespace: deny rules first, then the first allow rule that matches; nothing
//! matched is a denial.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::grant::Role;
use crate::host::{Host, HostPattern};
use crate::path::{CanonicalPath, PathPattern};

/// What a request asks for, in canonical form.
#[derive(Debug)]
pub struct Operation {
    /// Case-sensitive (RFC 9110 section 9.1).
    pub method: String,
    /// Its host.
    pub host: Host,
    /// Its path.
    pub path: CanonicalPath,
}

/// The rules of one namespace.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Each is tried before any allow rule.
    pub deny: Vec<Rule<Deny>>,
    /// Tried in this order; the first that matches decides.
    pub allow: Vec<Rule<Allow>>,
}

/// One rule: which operations, and whom.
#[derive(Debug, Clone)]
pub struct Rule<Callers> {
    /// Its name in the configuration and in the audit record.
    pub name: String,
    /// Which operations it is about.
    pub scope: Scope,
    /// Whom it is about.
    pub callers: Callers,
}

/// Operations of one namespace; an empty list stands for all.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Exact methods.
    pub methods: Vec<String>,
    /// Hosts.
    pub hosts: Vec<HostPattern>,
    /// Paths.
    pub paths: Vec<PathPattern>,
}

/// Whom an allow rule lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    /// Everybody, with a credential or without; no identity is handed on.
    Anonymous,
    /// Everybody with a valid credential.
    Authenticated,
    /// Callers with one of these roles.
    Roles(BTreeSet<Role>),
}

/// Whom a deny rule keeps out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deny {
    /// Everybody.
    Everybody,
    /// Callers with one of these roles.
    Roles(BTreeSet<Role>),
}

/// What the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling<'a> {
    /// Let in by an allow rule.
    Allowed {
        /// The rule's name.
        rule: &'a str,
        /// Whether the workload may learn who the caller is.
        disclosure: Disclosure,
    },
    /// Kept out by a deny rule.
    Denied {
        /// The rule's name.
        rule: &'a str,
    },
    /// No rule was about it.
    NoRule,
}

/// What a workload learns of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disclosure {
    /// Nothing: the rule asked for nothing.
    Anonymous,
    /// Subject, workload identity, roles and provider.
    Identity,
}

impl Policy {
    /// Judges an operation of this namespace. `roles` are those of this namespace; without a valid
    /// credential there are none at all.
    #[must_use]
    pub fn rule(&self, operation: &Operation, roles: Option<&[Role]>) -> Ruling<'_> {
        let has_one_of = |wanted: &BTreeSet<Role>| {
            roles.is_some_and(|roles| roles.iter().any(|role| wanted.contains(role)))
        };
        let denies = |rule: &&Rule<Deny>| match &rule.callers {
            Deny::Everybody => true,
            Deny::Roles(wanted) => has_one_of(wanted),
        };
        let allows = |rule: &&Rule<Allow>| match &rule.callers {
            Allow::Anonymous => true,
            Allow::Authenticated => roles.is_some(),
            Allow::Roles(wanted) => has_one_of(wanted),
        };
        if let Some(rule) = self
            .deny
            .iter()
            .filter(|rule| rule.scope.covers(operation))
            .find(denies)
        {
            return Ruling::Denied { rule: &rule.name };
        }
        match self
            .allow
            .iter()
            .filter(|rule| rule.scope.covers(operation))
            .find(allows)
        {
            Some(rule) => Ruling::Allowed {
                rule: &rule.name,
                disclosure: match rule.callers {
                    Allow::Anonymous => Disclosure::Anonymous,
                    Allow::Authenticated | Allow::Roles(_) => Disclosure::Identity,
                },
            },
            None => Ruling::NoRule,
        }
    }
}

impl Scope {
    fn covers(&self, operation: &Operation) -> bool {
        (self.methods.is_empty() || self.methods.contains(&operation.method))
            && (self.hosts.is_empty()
                || self.hosts.iter().any(|host| host.matches(&operation.host)))
            && (self.paths.is_empty()
                || self.paths.iter().any(|path| path.matches(&operation.path)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn roles(names: &[&str]) -> BTreeSet<Role> {
        names
            .iter()
            .map(|name| Role::parse(name).unwrap())
            .collect()
    }

    fn rule<Callers>(name: &str, method: &str, path: &str, callers: Callers) -> Rule<Callers> {
        Rule {
            name: name.into(),
            scope: Scope {
                methods: vec![method.into()],
                hosts: vec![],
                paths: vec![PathPattern::parse(path).unwrap()],
            },
            callers,
        }
    }

    fn policy() -> Policy {
        Policy {
            deny: vec![
                rule("no-internal", "GET", "/internal/**", Deny::Everybody),
                rule(
                    "no-interns",
                    "GET",
                    "/pay/**",
                    Deny::Roles(roles(&["intern"])),
                ),
            ],
            allow: vec![
                rule("health", "GET", "/healthz", Allow::Anonymous),
                rule(
                    "readers",
                    "GET",
                    "/pay/**",
                    Allow::Roles(roles(&["reader", "admin"])),
                ),
                rule("anyone", "GET", "/me", Allow::Authenticated),
                rule("internal", "GET", "/internal/**", Allow::Anonymous),
            ],
        }
    }

    fn check(method: &str, path: &str, caller: Option<&[&str]>) -> String {
        let policy = policy();
        let operation = Operation {
            method: method.into(),
            host: Host::parse(b"a").unwrap(),
            path: CanonicalPath::parse(path.as_bytes()).unwrap(),
        };
        let roles = caller.map(|names| roles(names).into_iter().collect::<Vec<_>>());
        match policy.rule(&operation, roles.as_deref()) {
            Ruling::Allowed { rule, disclosure } => alloc::format!("{rule} {disclosure:?}"),
            Ruling::Denied { rule } => alloc::format!("{rule} denied"),
            Ruling::NoRule => "nothing".into(),
        }
    }

    #[test]
    fn deny_rules_come_first_and_nothing_is_denied() {
        let cases: &[(&str, &str, Option<&[&str]>, &str)] = &[
            ("GET", "/healthz", None, "health Anonymous"),
            ("GET", "/healthz", Some(&["reader"]), "health Anonymous"),
            ("POST", "/healthz", None, "nothing"),
            ("get", "/healthz", None, "nothing"),
            ("GET", "/pay/1", None, "nothing"),
            ("GET", "/pay/1", Some(&[]), "nothing"),
            ("GET", "/pay/1", Some(&["reader"]), "readers Identity"),
            (
                "GET",
                "/pay/1",
                Some(&["intern", "admin"]),
                "no-interns denied",
            ),
            ("GET", "/me", None, "nothing"),
            ("GET", "/me", Some(&[]), "anyone Identity"),
            ("GET", "/internal/x", Some(&["admin"]), "no-internal denied"),
            ("GET", "/internal/x", None, "no-internal denied"),
            ("GET", "/other", Some(&["admin"]), "nothing"),
        ];
        for (method, path, caller, want) in cases {
            assert_eq!(
                check(method, path, *caller),
                *want,
                "{method} {path} {caller:?}"
            );
        }
    }

    #[test]
    fn a_host_narrows_a_rule() {
        let mut policy = policy();
        policy.allow[0].scope.hosts = vec![HostPattern::parse("b").unwrap()];
        let operation = |host: &[u8]| Operation {
            method: "GET".into(),
            host: Host::parse(host).unwrap(),
            path: CanonicalPath::parse(b"/healthz").unwrap(),
        };
        assert_eq!(policy.rule(&operation(b"a"), None), Ruling::NoRule);
        assert_ne!(policy.rule(&operation(b"b"), None), Ruling::NoRule);
    }
}
