//! Rules that can never decide: outside what their namespace has, or behind another rule.

use alloc::format;
use alloc::vec::Vec;

use super::land::{Land, Piece, Route};
use super::{Concern, Warning, say};
use crate::config::{Config, wire};
use crate::path::PathPattern;
use crate::policy::{Callers, Policy, Rule, Scope};
use crate::spiffe::SpiffePattern;

pub(super) fn find(
    document: &wire::Document,
    config: &Config,
    land: &Land<'_>,
    found: &mut Vec<Warning>,
) {
    let written = document.policy.rules.iter().enumerate();
    let entries: Vec<_> = written
        .filter_map(|(index, written)| Entry::of(index, written, config))
        .collect();
    for entry in &entries {
        let reach = entry.reach(land, found);
        if reach.is_empty() {
            continue;
        }
        let covers = |other: &&Entry<'_>| other.comes_before(entry) && other.covers(entry, &reach);
        if let Some(other) = entries.iter().find(covers) {
            let concern = Concern::Covered {
                rule: entry.rule.name.clone(),
                by: other.rule.name.clone(),
                other: format!("policy.rules[{}]", other.index),
            };
            say(found, format!("policy.rules[{}]", entry.index), concern);
        }
    }
}

/// A rule, as it was written and as it is.
struct Entry<'a> {
    index: usize,
    written: &'a wire::Rule,
    rule: &'a Rule,
    is_deny: bool,
}

impl<'a> Entry<'a> {
    /// Nothing for a rule of a namespace without routes.
    fn of(index: usize, written: &'a wire::Rule, config: &'a Config) -> Option<Self> {
        let mut namespaces = config.routes.namespaces();
        let namespace = namespaces.find(|namespace| namespace.name == written.namespace)?;
        let Policy { deny, allow, .. } = &namespace.policy;
        let is_deny = written.action == wire::Action::Deny;
        let mut rules = if is_deny { deny } else { allow }.iter();
        Some(Self {
            index,
            written,
            rule: rules.find(|rule| rule.name == written.name)?,
            is_deny,
        })
    }

    /// Which requests of the namespace it may be about; says what of it is none of them.
    fn reach(&self, land: &Land<'_>, found: &mut Vec<Warning>) -> Vec<Piece> {
        let at = format!("policy.rules[{}]", self.index);
        let scope = &self.rule.scope;
        let namespace = &self.written.namespace;
        if scope.paths.is_empty() {
            let (pieces, taken) = land.pieces(namespace, &scope.hosts, None);
            if pieces.is_empty() {
                say(found, at, nowhere(&self.rule.name, namespace, taken));
            }
            return pieces;
        }
        let mut reach = Vec::new();
        let written = self.written.paths.iter().flatten();
        for (index, (path, written)) in scope.paths.iter().zip(written).enumerate() {
            let (pieces, taken) = land.pieces(namespace, &scope.hosts, Some(path));
            if pieces.is_empty() {
                let concern = nowhere(written, namespace, taken);
                say(found, format!("{at}.paths[{index}]"), concern);
            }
            reach.extend(pieces);
        }
        reach
    }

    /// Whether it is tried before the other, whatever that one is tried for.
    fn comes_before(&self, other: &Self) -> bool {
        let is_earlier = if self.is_deny == other.is_deny {
            self.index < other.index
        } else {
            self.is_deny
        };
        self.written.namespace == other.written.namespace
            && is_earlier
            && (!self.rule.is_shadow || other.rule.is_shadow)
    }

    /// Whether it is about every request that the other, with that reach, is about.
    fn covers(&self, other: &Self, reach: &[Piece]) -> bool {
        let Scope {
            methods,
            hosts,
            paths,
        } = &self.rule.scope;
        let narrow = &other.rule.scope.methods;
        let covers_methods = if methods.is_empty() {
            self.is_deny || !narrow.iter().any(|method| method == "CONNECT")
        } else {
            !narrow.is_empty() && narrow.iter().all(|method| methods.contains(method))
        };
        let covers_path = |path: &PathPattern| paths.iter().any(|wide| wide.covers(path));
        covers_methods
            && reach.iter().all(|(host, path)| {
                (hosts.is_empty() || hosts.iter().any(|wide| wide.covers(host)))
                    && (paths.is_empty() || covers_path(path))
            })
            && includes(&self.rule.callers, &other.rule.callers)
    }
}

fn nowhere(value: &str, namespace: &str, taken: Option<&Route<'_>>) -> Concern {
    match taken {
        Some(route) => Concern::Taken {
            value: value.into(),
            namespace: route.namespace.into(),
            other: route.at.clone(),
        },
        None => Concern::Outside {
            value: value.into(),
            namespace: namespace.into(),
        },
    }
}

/// Whether all that `wide` asks for follows from what `narrow` asks for.
fn includes(wide: &Callers, narrow: &Callers) -> bool {
    let fit = |wide: &[SpiffePattern], narrow: &[SpiffePattern]| {
        let is_covered = |pattern: &SpiffePattern| wide.iter().any(|wide| wide.covers(pattern));
        wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(is_covered))
    };
    (!wide.is_authenticated || narrow.is_authenticated || !narrow.roles.is_empty())
        && (wide.roles.is_empty()
            || (!narrow.roles.is_empty() && narrow.roles.is_subset(&wide.roles)))
        && fit(&wide.identities, &narrow.identities)
        && (wide.providers.is_empty()
            || (!narrow.providers.is_empty()
                && narrow
                    .providers
                    .iter()
                    .all(|name| wide.providers.contains(name))))
        && fit(&wide.certificates, &narrow.certificates)
        && (wide.sources.is_empty()
            || (!narrow.sources.is_empty()
                && narrow
                    .sources
                    .iter()
                    .all(|network| wide.sources.iter().any(|wide| wide.contains(network)))))
        && wide
            .when
            .iter()
            .all(|condition| narrow.when.contains(condition))
}
