//! The rules of one namespace: deny rules first, then the first allow rule that matches; nothing
//! matched is a denial. What is in shadow mode decides about nothing: it is tried, and what it would have
//! done is recorded.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use ipnet::IpNet;

use crate::condition::{Condition, Fact, Facts};
use crate::grant::Role;
use crate::host::{Host, HostPattern};
use crate::path::{CanonicalPath, PathPattern};
use crate::rules::Rules;
use crate::spiffe::SpiffePattern;

mod unmet;

pub use unmet::Part;

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
    pub deny: Rules,
    /// Tried in this order; the first that matches decides.
    pub allow: Rules,
    /// Whether what no rule allows passes all the same, and is only recorded.
    pub is_shadow: bool,
    /// What the rules ask for besides the caller and the operation.
    pub needs: Needs,
}

/// What must be found out before the rules can be tried: each may cost a host call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// The SPIFFE id of the client certificate.
    pub certificate: bool,
    /// These headers, each at most once.
    pub headers: Vec<String>,
    /// Whether some rule is there to be recorded only.
    pub shadow: bool,
    /// The client's address.
    pub source: bool,
}

impl Needs {
    /// What these rules ask for.
    pub fn of<'a>(rules: impl Iterator<Item = &'a Rule>) -> Self {
        let mut needs = Self::default();
        for rule in rules {
            needs.shadow |= rule.is_shadow;
            needs.source |= !rule.callers.sources.is_empty();
            needs.certificate |= !rule.callers.certificates.is_empty();
            for condition in &rule.callers.when {
                condition.for_each_fact(&mut |fact| match fact {
                    Fact::Certificate => needs.certificate = true,
                    Fact::Header(name) if !needs.headers.contains(name) => {
                        needs.headers.push(name.clone());
                    }
                    _ => {}
                });
            }
        }
        needs
    }
}

/// One rule: which operations, and whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name in the configuration and in the audit record.
    pub name: String,
    /// Whether it decides about nothing and is only recorded.
    pub is_shadow: bool,
    /// Which operations it is about.
    pub scope: Scope,
    /// Whom it is about.
    pub callers: Callers,
}

/// Operations of one namespace; an empty list stands for all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    /// Exact methods. `CONNECT` is among all methods for deny rules alone: whoever allows a tunnel says so.
    pub methods: Vec<String>,
    /// Hosts.
    pub hosts: Vec<HostPattern>,
    /// Paths.
    pub paths: Vec<PathPattern>,
}

/// Whom a rule is about; all that is there must hold, and an empty list asks for nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Callers {
    /// Only callers with a valid credential. The workload is told who they are.
    pub is_authenticated: bool,
    /// Callers with one of these roles.
    pub roles: BTreeSet<Role>,
    /// Callers with one of these workload identities.
    pub identities: Vec<SpiffePattern>,
    /// Callers for whom one of these providers has signed.
    pub providers: Vec<String>,
    /// Clients whose certificate has one of these SPIFFE ids.
    pub certificates: Vec<SpiffePattern>,
    /// Clients with an address in one of these networks.
    pub sources: Vec<IpNet>,
    /// What else must hold.
    pub when: Vec<Condition>,
}

/// A request as the rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What is asked for.
    pub operation: &'a Operation,
    /// The caller's roles in this namespace; nothing without a valid credential.
    pub roles: Option<&'a [Role]>,
    /// What is known besides.
    pub facts: Facts<'a>,
    /// The client's address, where it is known.
    pub source: Option<IpAddr>,
}

/// What some of the rules say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ruling<'a> {
    /// Let in by an allow rule.
    Allowed {
        /// The rule.
        rule: &'a Rule,
        /// Whether the workload may learn who the caller is.
        disclosure: Disclosure,
    },
    /// Kept out by a deny rule.
    Denied {
        /// The rule.
        rule: &'a Rule,
    },
    /// No rule was about it.
    NoRule,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict<'a> {
    /// What is done; nothing when a policy in shadow mode lets pass what it would deny.
    pub ruling: Option<Ruling<'a>>,
    /// What would be done if every rule were enforced, where that is something else.
    pub shadow: Option<Ruling<'a>>,
}

/// What a workload learns of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disclosure {
    /// Nothing: the rule asked for nothing.
    Anonymous,
    /// Subject, workload identity, roles and provider.
    Identity,
    /// Not even that the filter has let it in: no rule has.
    Nothing,
}

impl Policy {
    /// Judges a request of this namespace.
    #[must_use]
    pub fn judge(&self, request: &Request<'_>) -> Verdict<'_> {
        let enforced = self.rule(request, false);
        if !self.needs.shadow {
            return Verdict {
                ruling: Some(enforced),
                shadow: None,
            };
        }
        let all = self.rule(request, true);
        let allows = |ruling: Ruling<'_>| matches!(ruling, Ruling::Allowed { .. });
        let ruling = match enforced {
            Ruling::NoRule if self.is_shadow => allows(all).then_some(all),
            _ => Some(enforced),
        };
        let passes = ruling.is_none_or(allows);
        Verdict {
            ruling,
            shadow: (passes != allows(all)).then_some(all),
        }
    }

    /// What the rules say that are enforced, or all of them.
    fn rule(&self, request: &Request<'_>, with_shadow: bool) -> Ruling<'_> {
        let applies = |rule: &Rule, is_deny| {
            (with_shadow || !rule.is_shadow) && rule.callers.include(request, is_deny)
        };
        let operation = request.operation;
        if let Some(rule) = self.deny.first(operation, |rule| applies(rule, true)) {
            return Ruling::Denied { rule };
        }
        match self.allow.first(operation, |rule| {
            rule.scope.may_allow(operation) && applies(rule, false)
        }) {
            Some(rule) => Ruling::Allowed {
                rule,
                disclosure: if rule.callers.is_authenticated {
                    Disclosure::Identity
                } else {
                    Disclosure::Anonymous
                },
            },
            None => Ruling::NoRule,
        }
    }
}

impl Scope {
    /// Whether the operation is one of these.
    #[must_use]
    pub fn covers(&self, operation: &Operation) -> bool {
        self.has_method(operation) && self.has_host(operation) && self.has_path(operation)
    }

    fn has_method(&self, operation: &Operation) -> bool {
        self.methods.is_empty() || self.methods.contains(&operation.method)
    }

    fn has_host(&self, operation: &Operation) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(&operation.host))
    }

    fn has_path(&self, operation: &Operation) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|path| path.matches(&operation.path))
    }

    /// Whoever allows a tunnel says so.
    fn may_allow(&self, operation: &Operation) -> bool {
        operation.method != CONNECT || !self.methods.is_empty()
    }

    /// What all paths like this one are called together: the first pattern that means it, as the configuration
    /// has it.
    #[must_use]
    pub fn path_template(&self, path: &CanonicalPath) -> &str {
        let mut patterns = self.paths.iter();
        let pattern = patterns.find(|pattern| pattern.matches(path));
        pattern.map_or(ALL_PATHS, PathPattern::as_str)
    }
}

impl Callers {
    /// `if_unknown`: what an address that nobody knows means. Who keeps a network out keeps out what may
    /// come from it.
    fn include(&self, request: &Request<'_>, if_unknown: bool) -> bool {
        let facts = &request.facts;
        self.has_credential(request)
            && self.has_role(request)
            && fits(&self.identities, facts.workload)
            && self.has_provider(facts)
            && fits(&self.certificates, facts.certificate)
            && self.has_source(request, if_unknown)
            && self.when.iter().all(|condition| condition.holds(facts))
    }

    const fn has_credential(&self, request: &Request<'_>) -> bool {
        !self.is_authenticated || request.roles.is_some()
    }

    fn has_role(&self, request: &Request<'_>) -> bool {
        self.roles.is_empty()
            || request
                .roles
                .is_some_and(|roles| roles.iter().any(|role| self.roles.contains(role)))
    }

    fn has_provider(&self, facts: &Facts<'_>) -> bool {
        self.providers.is_empty()
            || facts
                .provider
                .is_some_and(|name| self.providers.iter().any(|provider| provider == name))
    }

    fn has_source(&self, request: &Request<'_>, if_unknown: bool) -> bool {
        self.sources.is_empty()
            || request.source.map_or(if_unknown, |source| {
                self.sources.iter().any(|network| network.contains(&source))
            })
    }
}

fn fits(patterns: &[SpiffePattern], id: Option<&str>) -> bool {
    patterns.is_empty() || id.is_some_and(|id| patterns.iter().any(|pattern| pattern.matches(id)))
}

/// The pattern of a rule that has none.
const ALL_PATHS: &str = "/**";

/// RFC 9110 section 9.3.6.
const CONNECT: &str = "CONNECT";

#[cfg(test)]
mod tests;
