//! Namespaces are islands, as properties over generated configurations: what is granted in one never
//! opens anything in another, and taking a grant away never opens anything at all.

use identity_filter::config::Config;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::issuer::EC;
use crate::request::{NOW, Request};

const NAMESPACES: [&str; 3] = ["red", "green", "blue"];
const ROLES: [&str; 3] = ["reader", "writer", "admin"];
const GROUPS: [&str; 3] = ["a", "b", "c"];

/// A grant: namespace, roles, and the group that gets them (or whom the claim `roles` names).
#[derive(Debug, Clone)]
struct Grant {
    namespace: usize,
    roles: Vec<usize>,
    group: Option<usize>,
}

/// An allow or deny rule: namespace, role, path.
#[derive(Debug, Clone)]
struct Rule {
    namespace: usize,
    role: usize,
    path: usize,
    is_deny: bool,
}

#[derive(Debug, Clone)]
struct Caller {
    groups: Vec<usize>,
    roles: Vec<usize>,
}

const PATHS: [&str; 3] = ["/**", "/x", "/x/{id}"];
const TARGETS: [&str; 3] = ["/", "/x", "/x/1"];

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let grant = (
        0..3_usize,
        prop::collection::vec(0..3_usize, 1..3),
        prop::option::of(0..3_usize),
    )
        .prop_map(|(namespace, roles, group)| Grant {
            namespace,
            roles,
            group,
        });
    prop::collection::vec(grant, 0..6)
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let rule = (
        0..3_usize,
        0..3_usize,
        0..3_usize,
        prop::bool::weighted(0.2),
    )
        .prop_map(|(namespace, role, path, is_deny)| Rule {
            namespace,
            role,
            path,
            is_deny,
        });
    prop::collection::vec(rule, 0..8)
}

fn caller() -> impl Strategy<Value = Caller> {
    (
        prop::collection::vec(0..3_usize, 0..3),
        prop::collection::vec(0..3_usize, 0..3),
    )
        .prop_map(|(groups, roles)| Caller { groups, roles })
}

fn config(grants: &[Grant], rules: &[Rule]) -> Config {
    let namespaces: Vec<_> = NAMESPACES
        .iter()
        .map(|name| json!({"name": name, "routes": [{"host": format!("{name}.test")}]}))
        .collect();
    let grants: Vec<_> = grants
        .iter()
        .enumerate()
        .map(|(index, grant)| {
            let roles: Vec<_> = grant.roles.iter().map(|role| ROLES[*role]).collect();
            let mut written =
                json!({"name": format!("g{index}"), "namespace": NAMESPACES[grant.namespace]});
            match grant.group {
                Some(group) => {
                    written["roles"] = json!(roles);
                    written["when"] = json!([{"claim": "groups", "contains": GROUPS[group]}]);
                }
                None => written["roles_from"] = json!({"claim": "roles", "allow": roles}),
            }
            written
        })
        .collect();
    let rules: Vec<_> = rules.iter().enumerate().map(|(index, rule)| {
        json!({"name": format!("r{index}"), "namespace": NAMESPACES[rule.namespace], "roles": [ROLES[rule.role]],
               "paths": [PATHS[rule.path]], "action": if rule.is_deny { "deny" } else { "allow" }})
    }).collect();
    let document = json!({
        "providers": [{"name": "p", "issuer": "https://id.test", "audiences": ["api"], "algorithms": ["ES256"],
                       "jwks": {"inline": {"keys": [EC.jwk()]}}}],
        "namespaces": namespaces, "grants": grants, "policy": {"rules": rules}
    });
    Config::parse(document.to_string().as_bytes()).unwrap()
}

/// Which of all requests the caller may make: three targets in each of three namespaces.
fn allowed(config: &Config, caller: &Caller) -> Vec<(&'static str, &'static str)> {
    let named = |all: &[&'static str], some: &[usize]| -> Value {
        some.iter()
            .map(|index| all[*index])
            .collect::<Vec<_>>()
            .into()
    };
    let token = EC.token(&json!({
        "iss": "https://id.test", "aud": "api", "sub": "s", "exp": NOW + 60,
        "groups": named(&GROUPS, &caller.groups), "roles": named(&ROLES, &caller.roles)
    }));
    let requests = NAMESPACES
        .iter()
        .flat_map(|name| TARGETS.iter().map(move |target| (*name, *target)));
    requests
        .filter(|(name, target)| {
            let request = Request::new("GET", &format!("{name}.test"), target).bearer(&token);
            request.denial(config).is_none()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn grants_of_a_namespace_never_open_another(grants in grants(), rules in rules(), caller in caller()) {
        let all = allowed(&config(&grants, &rules), &caller);
        for (index, name) in NAMESPACES.iter().enumerate() {
            let own: Vec<_> = grants.iter().filter(|grant| grant.namespace == index).cloned().collect();
            let alone = allowed(&config(&own, &rules), &caller);
            // With only its own grants a namespace answers as with all of them, and no other opens.
            let here = |list: &[(&'static str, &'static str)]| -> Vec<_> {
                list.iter().filter(|(other, _)| other == name).copied().collect()
            };
            prop_assert_eq!(here(&alone), here(&all));
            prop_assert_eq!(here(&alone).len(), alone.len());
        }
    }

    #[test]
    fn without_deny_rules_taking_a_grant_away_never_opens_anything(
        grants in grants(), rules in rules(), caller in caller(), index in any::<prop::sample::Index>()
    ) {
        let rules: Vec<_> = rules.into_iter().filter(|rule| !rule.is_deny).collect();
        let before = allowed(&config(&grants, &rules), &caller);
        let mut fewer = grants.clone();
        if !fewer.is_empty() {
            fewer.remove(index.index(grants.len()));
        }
        for request in allowed(&config(&fewer, &rules), &caller) {
            prop_assert!(before.contains(&request));
        }
    }

    #[test]
    fn taking_a_rule_away_never_opens_anything_but_a_deny_rule(
        grants in grants(), rules in rules(), caller in caller(), index in any::<prop::sample::Index>()
    ) {
        prop_assume!(!rules.is_empty());
        let mut fewer = rules.clone();
        let taken = fewer.remove(index.index(rules.len()));
        let before = allowed(&config(&grants, &rules), &caller);
        let after = allowed(&config(&grants, &fewer), &caller);
        let (less, more) = if taken.is_deny { (before, after) } else { (after, before) };
        prop_assert!(less.iter().all(|request| more.contains(request)));
    }
}
