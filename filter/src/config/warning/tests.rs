use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::condition::Facts;
use crate::grant::Role;
use crate::host::Host;
use crate::path::CanonicalPath;
use crate::policy::{Operation, Request, Ruling};

fn document() -> Value {
    let provider = |name: &str| {
        json!({"name": name, "issuer": format!("https://{name}.test"), "audiences": ["api"], "algorithms": ["ES256"],
            "jwks": {"cluster": "c", "uri": "https://id.test/keys"}})
    };
    json!({
        "providers": [provider("okta"), provider("aws")],
        "namespaces": [
            {"name": "orders", "routes": [{"host": "api.test", "path_prefix": "/orders"}, {"host": "*.orders.test"}]},
            {"name": "pay", "routes": [{"host": "api.test", "path_prefix": "/orders/pay"}]}],
        "identities": [{"name": "people", "provider": "aws", "workload": "spiffe://c/sa/{claim:email}"}],
        "grants": [{"name": "g", "namespace": "orders", "provider": "okta", "roles": ["reader", "spare"]}],
        "policy": {"rules": [
            {"name": "read", "namespace": "orders", "roles": ["reader"], "methods": ["GET"], "paths": ["/orders/{id}"]},
            {"name": "pay", "namespace": "pay", "authenticated": true}]}
    })
}

/// What there is to say of the document after its lists were made longer and other members replaced.
fn check(changes: &Value) -> Vec<String> {
    let mut document = document();
    for (pointer, value) in changes.as_object().unwrap() {
        match (document.pointer_mut(pointer).unwrap(), value) {
            (Value::Array(list), Value::Array(more)) => list.extend(more.iter().cloned()),
            (place, value) => *place = value.clone(),
        }
    }
    let warnings = Config::warnings(document.to_string().as_bytes()).unwrap();
    warnings.iter().map(ToString::to_string).collect()
}

fn rules(more: &Value) -> Vec<String> {
    check(&json!({"/policy/rules": more}))
}

#[test]
fn what_says_what_it_means_is_not_talked_about() {
    assert_eq!(check(&json!({})), [""; 0]);
    let rules = rules(&json!([
        {"name": "deeper", "namespace": "orders", "roles": ["reader"], "methods": ["GET"], "paths": ["/orders/**"]},
        {"name": "any-method", "namespace": "orders", "roles": ["reader"], "paths": ["/orders/{id}"]},
        {"name": "tried", "namespace": "pay", "anonymous": true, "mode": "shadow"},
        {"name": "decides", "namespace": "pay", "anonymous": true},
        {"name": "tunnel", "namespace": "pay", "authenticated": true, "methods": ["CONNECT"]}]));
    assert_eq!(rules, [""; 0]);
}

#[test]
fn rules_that_never_decide_are_named() {
    let cases = [
        (
            json!([{"name": "again", "namespace": "orders", "roles": ["reader"], "methods": ["GET"],
                "paths": ["/orders/7"], "sources": ["10.0.0.0/8"]}]),
            "policy.rules[2]: rule \"again\" never decides: \"read\" (policy.rules[0]) is tried first",
        ),
        (
            json!([{"name": "kept-out", "namespace": "orders", "action": "deny", "paths": ["/**"]}]),
            "policy.rules[0]: rule \"read\" never decides: \"kept-out\" (policy.rules[2])",
        ),
        (
            json!([{"name": "far", "namespace": "orders", "roles": ["reader"], "paths": ["/order/{id}"],
                "hosts": ["api.test"]}]),
            "policy.rules[2].paths[0]: no route of namespace \"orders\" leads to \"/order/{id}\"",
        ),
        (
            json!([{"name": "theirs", "namespace": "orders", "roles": ["reader"], "hosts": ["api.test"],
                "paths": ["/orders/pay/**", "/orders/x/y"]}]),
            "policy.rules[2].paths[0]: requests of \"/orders/pay/**\" are of namespace \"pay\", by its more \
             specific route namespaces[1].routes[0]",
        ),
    ];
    for (more, want) in cases {
        let got = rules(&more);
        assert_eq!(got.len(), 1, "{got:?}");
        assert!(got[0].starts_with(want), "{got:?}");
    }
}

#[test]
fn what_nobody_has_or_uses_is_named() {
    let cases = [
        (
            json!({"/policy/rules": [{"name": "w", "namespace": "orders", "roles": ["reader", "wirter"], "methods": ["PUT"]}]}),
            "policy.rules[2].roles[1]: no grant of namespace \"orders\" gives role \"wirter\"",
        ),
        (
            json!({"/grants": [{"name": "idle", "namespace": "pay", "provider": "aws", "roles": ["reader"]}]}),
            "grants[1]: no rule of namespace \"pay\" asks for a role of grant \"idle\"",
        ),
        (
            json!({"/identities": [
                {"name": "all", "provider": "okta", "workload": "spiffe://c/sa/{claim:sub}"},
                {"name": "batch", "provider": "okta", "when": [{"claim": "sub", "equals": "b"}], "workload": "spiffe://c/sa/b"}]}),
            "identities[2]: identity \"batch\" is never used: \"all\" (identities[1]) matches first",
        ),
        (
            json!({"/policy/rules/1": {"name": "pay", "namespace": "pay",
                "anonymous": true}, "/identities/0/provider": "okta"}),
            "providers[1]: no identity, grant or rule is about callers of provider \"aws\"",
        ),
        (
            json!({"/namespaces": [{"name": "idle", "routes": [{"host": "idle.test"}]}]}),
            "namespaces[2]: no rule is about namespace \"idle\": all of its requests are denied",
        ),
        (
            json!({"/namespaces": [{"name": "nowhere", "routes": []}]}),
            "namespaces[2]: namespace \"nowhere\" has no routes",
        ),
        (
            json!({"/namespaces/1/routes": [{"host": "*.orders.test", "path_prefix": "/pay"}],
                "/namespaces/0/routes": [{"host": "eu.orders.test"}]}),
            "namespaces[1].routes[1]: requests of \"eu.orders.test/pay\" are of namespace \"orders\" \
             (namespaces[0].routes[2])",
        ),
    ];
    for (changes, want) in cases {
        let got = check(&changes);
        assert_eq!(got.len(), 1, "{got:?}");
        assert!(got[0].starts_with(want), "{got:?}");
    }
}

#[test]
fn an_identity_whose_claim_may_be_missing_hides_none() {
    let later = json!({"/identities": [
        {"name": "batch", "provider": "aws", "workload": "spiffe://c/sa/batch"}]});
    assert_eq!(check(&later), [""; 0]);
}

const HOSTS: [&str; 4] = ["a.test", "*.test", "b.a.test", "*.a.test"];
const PREFIXES: [&str; 4] = ["/", "/x", "/x/y", "/z"];
const PATHS: [&str; 8] = [
    "/**", "/x", "/x/**", "/x/*", "/x/y", "/**/y", "/z/*/y", "/x/y/**",
];
const METHODS: [&str; 3] = ["GET", "POST", "CONNECT"];

/// A rule without its name: namespace, action, and what it is about.
fn rule() -> impl Strategy<Value = Value> {
    let some = |all: &'static [&'static str]| {
        prop::option::weighted(0.3, prop::sample::subsequence(all, 1..=2.min(all.len())))
    };
    let callers = prop::sample::select(alloc::vec![
        json!({"anonymous": true}),
        json!({"authenticated": true}),
        json!({"roles": ["reader"]}),
        json!({"roles": ["reader", "writer"]}),
        json!({"providers": ["p"]}),
        json!({"identities": ["spiffe://c/sa/*"], "providers": ["p"]}),
        json!({"identities": ["spiffe://c/sa/s"]}),
        json!({"anonymous": true, "sources": ["10.0.0.0/8"]}),
        json!({"anonymous": true, "sources": ["10.1.0.0/16", "10.2.0.1"]}),
        json!({"anonymous": true, "certificates": ["spiffe://c/**"]}),
        json!({"anonymous": true, "when": [{"attribute": "certificate", "present": true}]}),
    ]);
    let is = prop::bool::weighted;
    (
        0..2_usize,
        is(0.25),
        is(0.2),
        callers,
        some(&METHODS),
        some(&HOSTS),
        some(&PATHS),
    )
        .prop_map(
            |(namespace, is_deny, is_shadow, mut rule, methods, hosts, paths)| {
                let members = rule.as_object_mut().unwrap();
                if is_deny {
                    members.remove("anonymous");
                    members.remove("authenticated");
                }
                let mut put = |name: &str, value: Value| drop(members.insert(name.into(), value));
                put("namespace", ["one", "two"][namespace].into());
                put("action", if is_deny { "deny" } else { "allow" }.into());
                put("mode", if is_shadow { "shadow" } else { "enforce" }.into());
                for (name, list) in [("methods", methods), ("hosts", hosts), ("paths", paths)] {
                    if let Some(list) = list {
                        put(name, json!(list));
                    }
                }
                rule
            },
        )
}

fn generated(routes: &[(usize, usize, usize)], rules: &[Value]) -> Option<Value> {
    let mut document = json!({
        "providers": [{"name": "p", "issuer": "https://id.test", "audiences": ["api"], "algorithms": ["ES256"],
            "jwks": {"cluster": "c", "uri": "https://id.test/keys"}}],
        "namespaces": [{"name": "one", "routes": []}, {"name": "two", "routes": []}],
        "policy": {"rules": rules}
    });
    let mut seen = BTreeSet::new();
    for (namespace, host, prefix) in routes {
        if seen.insert((host, prefix)) {
            let route = json!({"host": HOSTS[*host], "path_prefix": PREFIXES[*prefix]});
            let list = document["namespaces"][namespace]["routes"]
                .as_array_mut()
                .unwrap();
            list.push(route);
        }
    }
    for (index, rule) in document["policy"]["rules"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .enumerate()
    {
        rule["name"] = format!("r{index}").into();
    }
    Config::parse(document.to_string().as_bytes())
        .is_ok()
        .then_some(document)
}

/// The names of the rules that the warnings call unreachable.
fn unreachable(document: &Value) -> BTreeSet<String> {
    let warnings = Config::warnings(document.to_string().as_bytes()).unwrap();
    let rules = document["policy"]["rules"].as_array().unwrap();
    let mut names = BTreeSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let at = format!("policy.rules[{index}]");
        let paths = format!("{at}.paths[");
        let dead_paths = warnings
            .iter()
            .filter(|warning| warning.at.starts_with(&paths))
            .count();
        let is_dead = warnings.iter().any(|warning| warning.at == at)
            || rule["paths"]
                .as_array()
                .is_some_and(|paths| paths.len() == dead_paths);
        if is_dead {
            names.insert(rule["name"].as_str().unwrap().into());
        }
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_is_called_unreachable_never_decides(
        routes in prop::collection::vec((0..2_usize, 0..4_usize, 0..4_usize), 1..6),
        rules in prop::collection::vec(rule(), 1..6),
    ) {
        let Some(document) = generated(&routes, &rules) else {
            return Ok(());
        };
        let config = Config::parse(document.to_string().as_bytes()).unwrap();
        let unreachable = unreachable(&document);
        let reader = [Role::parse("reader").unwrap()];
        let hosts = ["a.test", "b.a.test", "c.a.test", "d.test"];
        let paths = ["/", "/x", "/x/y", "/x/y/z", "/z", "/z/a/y", "/y"];
        for (host, path, method) in hosts.iter().flat_map(|host| {
            paths.iter().flat_map(move |path| METHODS.iter().map(move |method| (host, path, method)))
        }) {
            let operation = Operation {
                method: (*method).into(),
                host: Host::parse(host.as_bytes()).unwrap(),
                path: CanonicalPath::parse(path.as_bytes()).unwrap(),
            };
            let Some(namespace) = config.routes.find(&operation.host, &operation.path) else {
                continue;
            };
            for (is_known, source) in [(false, None), (false, Some("10.1.0.1")), (true, None), (true, Some("10.9.9.9"))] {
                let facts = Facts {
                    certificate: is_known.then_some("spiffe://c/ns/a"),
                    provider: is_known.then_some("p"),
                    workload: is_known.then_some("spiffe://c/sa/s"),
                    ..Facts::default()
                };
                let verdict = namespace.policy.judge(&Request {
                    operation: &operation,
                    roles: is_known.then_some(&reader[..]),
                    facts,
                    source: source.map(|source| source.parse().unwrap()),
                });
                for ruling in verdict.ruling.into_iter().chain(verdict.shadow) {
                    if let Ruling::Allowed { rule, .. } | Ruling::Denied { rule } = ruling {
                        prop_assert!(!unreachable.contains(&rule.name), "{} decides\n{document:#}", rule.name);
                    }
                }
            }
        }
    }
}

#[test]
fn generated_rules_are_often_called_unreachable() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    // The property above would hold of a search that finds nothing.
    let mut runner = TestRunner::deterministic();
    let strategy = (
        prop::collection::vec((0..2_usize, 0..4_usize, 0..4_usize), 1..6),
        prop::collection::vec(rule(), 1..6),
    );
    let mut found = 0;
    for _case in 0..200 {
        let (routes, rules) = strategy.new_tree(&mut runner).unwrap().current();
        found += generated(&routes, &rules).map_or(0, |document| unreachable(&document).len());
    }
    assert!(found > 30, "{found}");
}
