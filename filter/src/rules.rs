//! Rules in the order of the configuration, found by host and path: a request meets the rules that can be
//! about it, however many there are.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::host::HostPattern;
use crate::path;
use crate::policy::{Operation, Rule};

/// The allow rules or the deny rules of one namespace.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Which rules may be about a path that begins so. A key is the literal segments that a rule's
    /// pattern begins with, after the host where the rule is for exactly one.
    heads: BTreeMap<String, Vec<usize>>,
    /// The segments of the longest of these.
    deepest: usize,
}

impl Rules {
    /// Takes the rules in the order in which they are tried.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let mut heads: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut deepest = 0;
        for (index, rule) in rules.iter().enumerate() {
            for head in heads_of(rule) {
                deepest = deepest.max(head.matches('/').count());
                let indexes = heads.entry(head).or_default();
                if indexes.last() != Some(&index) {
                    indexes.push(index);
                }
            }
        }
        Self {
            rules,
            heads,
            deepest,
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The first rule that is about the operation and that `applies`.
    pub fn first(&self, operation: &Operation, applies: impl Fn(&Rule) -> bool) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let host = operation.host.as_str();
        let target = [host, operation.path.as_str()].concat();
        let mut first: Option<usize> = None;
        for end in path::prefix_ends(operation.path.as_str(), self.deepest) {
            let end = host.len() + end;
            let of_any_host = target.get(host.len()..end);
            for head in of_any_host.into_iter().chain(target.get(..end)) {
                let found = self.heads.get(head).into_iter().flatten().find(|index| {
                    first.is_none_or(|first| **index < first)
                        && self
                            .rules
                            .get(**index)
                            .is_some_and(|rule| rule.scope.covers(operation) && applies(rule))
                });
                first = found.copied().or(first);
            }
        }
        self.rules.get(first?)
    }
}

/// Every key under which a request that the rule is about will look.
fn heads_of(rule: &Rule) -> impl Iterator<Item = String> {
    let is_exact = |host: &HostPattern| matches!(host, HostPattern::Exact(_));
    let hosts: Vec<&str> = if rule.scope.hosts.is_empty() || !rule.scope.hosts.iter().all(is_exact)
    {
        [""].into()
    } else {
        let names = rule.scope.hosts.iter();
        names
            .filter_map(|host| match host {
                HostPattern::Exact(name) => Some(name.as_str()),
                HostPattern::Below(_) => None,
            })
            .collect()
    };
    let paths: Vec<String> = if rule.scope.paths.is_empty() {
        [String::new()].into()
    } else {
        let paths = rule.scope.paths.iter();
        paths.map(path::PathPattern::literal_head).collect()
    };
    hosts.into_iter().flat_map(move |host| {
        let keys: Vec<String> = paths.iter().map(|path| [host, path].concat()).collect();
        keys
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;
    use core::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::host::Host;
    use crate::path::{CanonicalPath, PathPattern};
    use crate::policy::{Callers, Scope};

    fn rule(name: String, hosts: &[&str], paths: &[&str]) -> Rule {
        Rule {
            name,
            is_shadow: false,
            scope: Scope {
                methods: vec![],
                hosts: hosts
                    .iter()
                    .map(|host| HostPattern::parse(host).unwrap())
                    .collect(),
                paths: paths
                    .iter()
                    .map(|path| PathPattern::parse(path).unwrap())
                    .collect(),
            },
            callers: Callers::default(),
        }
    }

    fn operation(host: &str, path: &str) -> Operation {
        Operation {
            method: "GET".into(),
            host: Host::parse(host.as_bytes()).unwrap(),
            path: CanonicalPath::parse(path.as_bytes()).unwrap(),
        }
    }

    #[test]
    fn a_request_meets_only_the_rules_of_its_host_and_path() {
        let tenants = (0..1000).map(|tenant| {
            rule(
                format!("{tenant}"),
                &[],
                &[&format!("/tenants/{tenant}/**")],
            )
        });
        let hosts =
            (0..1000).map(|host| rule(format!("h{host}"), &[&format!("h{host}.test")], &["/**"]));
        let rules = Rules::new(tenants.chain(hosts).collect());
        let met = Cell::new(0);
        let count = |_: &Rule| {
            met.set(met.get() + 1);
            false
        };
        assert!(
            rules
                .first(&operation("h7.test", "/tenants/999/x"), count)
                .is_none()
        );
        assert_eq!(met.get(), 2);
        let long = format!("/tenants/999{}", "/x".repeat(10_000));
        let found = rules.first(&operation("h7.test", &long), |_| true);
        assert_eq!(found.unwrap().name, "999");
    }

    proptest! {
        #[test]
        fn the_index_finds_what_trying_each_rule_would(
            rules in prop::collection::vec((
                prop::collection::vec("a|b|\\*\\.a|x\\.a", 0..3),
                prop::collection::vec("(/(a|b|\\*|\\{n\\})){0,3}(/\\*\\*)?(/c)?", 0..3),
            ), 0..8),
            host in "a|b|x\\.a|y\\.a",
            path in "(/(a|b|c)){0,4}/?",
            skipped in any::<u8>(),
        ) {
            let rules: Vec<_> = rules
                .iter()
                .enumerate()
                .map(|(index, (hosts, paths))| {
                    let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
                    let paths: Vec<_> = paths.iter().map(|path| if path.is_empty() { "/" } else { path.as_str() }).collect();
                    rule(format!("{index}"), &hosts, &paths)
                })
                .collect();
            let operation = operation(&host, if path.is_empty() { "/" } else { &path });
            let applies = |rule: &Rule| skipped >> rule.name.parse::<u8>().unwrap() & 1 == 0;
            let one_by_one = rules.iter().find(|rule| rule.scope.covers(&operation) && applies(rule));
            let want = one_by_one.map(|rule| rule.name.clone());
            let found = Rules::new(rules.clone());
            let found = found.first(&operation, applies).map(|rule| rule.name.clone());
            prop_assert_eq!(found, want);
        }
    }
}
