//! What a right document says in vain, or otherwise than its reader may think: rules that can never decide,
//! roles that nobody gets, entries behind others that always match.
//!
//! Sound, not complete: what is called unreachable is, and some of what is unreachable is not found. Nothing
//! here decides about a request, and the gateway does not ask for it: `identity-policy check` does.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{Config, wire};

mod callers;
mod land;
mod reach;

/// Something that is allowed and perhaps not meant: where, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The place in the document, such as `policy.rules[3]`.
    pub at: String,
    /// What there is to say.
    pub concern: Concern,
}

/// What there is to say of a place of the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Concern {
    /// A rule behind one that is about everything that it is about.
    #[error(
        "rule {rule:?} never decides: {by:?} ({other}) is tried first and is about all of its requests; \
         put it first where it is meant to be an exception, or take it out"
    )]
    Covered {
        /// The rule.
        rule: String,
        /// The name of the other.
        by: String,
        /// Where the other is.
        other: String,
    },
    /// A grant of roles that no rule of the namespace asks for.
    #[error(
        "no rule of namespace {namespace:?} asks for a role of grant {grant:?}: it opens nothing, and workloads \
         alone read it in their headers; name the role in a rule, or take the grant out"
    )]
    GrantOpensNothing {
        /// The grant.
        grant: String,
        /// Its namespace.
        namespace: String,
    },
    /// A mapping entry behind one that always matches when it would.
    #[error(
        "identity {identity:?} is never used: {by:?} ({other}) matches first whenever it would; \
         put the more special one first"
    )]
    IdentityHidden {
        /// The entry.
        identity: String,
        /// The name of the other.
        by: String,
        /// Where the other is.
        other: String,
    },
    /// A namespace without routes.
    #[error(
        "namespace {namespace:?} has no routes: no request is of it; give it routes, or take it out"
    )]
    NoRoutes {
        /// The namespace.
        namespace: String,
    },
    /// A namespace without rules.
    #[error("no rule is about namespace {namespace:?}: all of its requests are denied")]
    NoRules {
        /// The namespace.
        namespace: String,
    },
    /// A path, or a whole rule, outside its namespace's routes.
    #[error(
        "no route of namespace {namespace:?} leads to {value:?}: the rule is never about it; \
         routes decide by host first, then by path"
    )]
    Outside {
        /// The path, or the rule's name.
        value: String,
        /// The rule's namespace.
        namespace: String,
    },
    /// A provider whose callers nothing is about.
    #[error(
        "no identity, grant or rule is about callers of provider {provider:?}: its tokens open no more than \
         anonymous rules do; name it in a rule, or take it out"
    )]
    ProviderUnused {
        /// The provider.
        provider: String,
    },
    /// A role that no grant of the namespace gives.
    #[error(
        "no grant of namespace {namespace:?} gives role {role:?}: nobody has it there; add a grant, or mend the name"
    )]
    RoleOfNobody {
        /// The role.
        role: String,
        /// The rule's namespace.
        namespace: String,
    },
    /// A route that a route of another namespace with a shorter prefix comes before.
    #[error(
        "requests of {value:?} are of namespace {namespace:?} ({other}): a more specific host counts before a \
         longer path; give this namespace a route with that host where they should be its own"
    )]
    RouteCut {
        /// The host that is cut out, with the prefix.
        value: String,
        /// Whose they are.
        namespace: String,
        /// Where the other route is.
        other: String,
    },
    /// A path, or a whole rule, in what belongs to another namespace.
    #[error(
        "requests of {value:?} are of namespace {namespace:?}, by its more specific route {other}: \
         the rule is never about them; put it into that namespace"
    )]
    Taken {
        /// The path, or the rule's name.
        value: String,
        /// Whose it is.
        namespace: String,
        /// Where the other route is.
        other: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.concern)
    }
}

/// All that there is to say, by place: namespaces, providers, identities, grants, rules.
pub(super) fn find(document: &wire::Document, config: &Config) -> Vec<Warning> {
    let mut found = Vec::new();
    let land = land::Land::survey(document);
    land.find(document, &mut found);
    callers::find(document, config, &mut found);
    reach::find(document, config, &land, &mut found);
    found
}

/// Adds what there is to say of a place.
fn say(found: &mut Vec<Warning>, at: String, concern: Concern) {
    found.push(Warning { at, concern });
}

#[cfg(test)]
mod tests;
