//! Namespaces are islands, as properties over generated configurations: what is granted in one never
//! opens anything in another, and taking a grant away opens nothing, unless a deny rule names its roles.

use identity_filter::config::Config;
use identity_filter::keyring::Keyring;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::host::HostStandIn;
use crate::issuer::EC;
use crate::request::{NOW, Request, Worker};

const NAMESPACES: [&str; 3] = ["red", "green", "blue"];
const ROLES: [&str; 3] = ["reader", "writer", "admin"];
const GROUPS: [&str; 3] = ["a", "b", "c"];

/// A grant: namespace, roles, and the group that gets them (or whom the claim `roles` names), in one of
/// several ways.
#[derive(Debug, Clone)]
struct Grant {
    namespace: usize,
    roles: Vec<usize>,
    group: Option<usize>,
    way: usize,
}

/// An allow or deny rule: namespace, role where it asks for one, path, and what else it asks for.
#[derive(Debug, Clone)]
struct Rule {
    namespace: usize,
    role: Option<usize>,
    path: usize,
    is_deny: bool,
    asks: usize,
}

#[derive(Debug, Clone)]
struct Caller {
    groups: Vec<usize>,
    roles: Vec<usize>,
    has_certificate: bool,
    tenant: Option<usize>,
}

const GATE: &str = "spiffe://c/ns/edge/sa/gate";

/// What a rule asks for besides a role.
fn asked() -> [Value; 8] {
    [
        json!({}),
        json!({"identities": ["spiffe://c/sa/*"]}),
        json!({"providers": ["p"]}),
        json!({"certificates": ["spiffe://c/ns/*/sa/gate"]}),
        json!({"sources": ["192.0.2.0/24"]}),
        json!({"when": [{"not": {"claim": "groups", "contains": "a"}}]}),
        json!({"when": [{"any": [{"header": "x-tenant", "equals": "a"}, {"claim": "groups", "contains": "b"}]}]}),
        json!({"mode": "shadow"}),
    ]
}

const PATHS: [&str; 3] = ["/**", "/x", "/x/{id}"];
const TARGETS: [&str; 3] = ["/", "/x", "/x/1"];

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let grant = (
        0..3_usize,
        prop::collection::vec(0..3_usize, 1..3),
        prop::option::of(0..3_usize),
        0..5_usize,
    )
        .prop_map(|(namespace, roles, group, way)| Grant {
            namespace,
            roles,
            group,
            way,
        });
    prop::collection::vec(grant, 0..6)
}

/// Who has which identity: the first of these groups that the caller is in says it, and `s` has who is in none.
fn identities() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..3_usize, 0..3)
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let rule = (
        0..3_usize,
        prop::option::weighted(0.8, 0..3_usize),
        0..3_usize,
        prop::bool::weighted(0.2),
        0..asked().len(),
    )
        .prop_map(|(namespace, role, path, is_deny, asks)| Rule {
            namespace,
            role,
            path,
            is_deny,
            asks,
        });
    prop::collection::vec(rule, 0..8)
}

fn caller() -> impl Strategy<Value = Caller> {
    (
        prop::collection::vec(0..3_usize, 0..3),
        prop::collection::vec(0..3_usize, 0..3),
        any::<bool>(),
        prop::option::of(0..2_usize),
    )
        .prop_map(|(groups, roles, has_certificate, tenant)| Caller {
            groups,
            roles,
            has_certificate,
            tenant,
        })
}

fn config(identities: &[usize], grants: &[Grant], rules: &[Rule]) -> Config {
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
                    let is_in = json!({"claim": "groups", "contains": GROUPS[group]});
                    let gate = json!({"attribute": "certificate", "spiffe": GATE});
                    written["when"] = match grant.way {
                        0 => json!([is_in]),
                        1 => json!([{"not": is_in}]),
                        2 => json!([{"any": [is_in, gate]}]),
                        3 => json!([{"attribute": "workload", "spiffe": format!("spiffe://c/sa/{}", GROUPS[group])}]),
                        _ => json!([{"all": [is_in, {"not": gate}]}]),
                    };
                }
                None => written["roles_from"] = json!({"claim": "roles", "allow": roles}),
            }
            written
        })
        .collect();
    let rules: Vec<_> = rules.iter().enumerate().map(|(index, rule)| {
        let mut written = json!({"name": format!("r{index}"), "namespace": NAMESPACES[rule.namespace],
               "paths": [PATHS[rule.path]], "action": if rule.is_deny { "deny" } else { "allow" }});
        match rule.role {
            Some(role) => written["roles"] = json!([ROLES[role]]),
            None if !rule.is_deny && !matches!(rule.asks, 1 | 2) => written["authenticated"] = json!(true),
            None => {}
        }
        let asked = asked()[rule.asks].as_object().unwrap().clone();
        written.as_object_mut().unwrap().extend(asked);
        written
    }).collect();
    let mut written: Vec<_> = identities
        .iter()
        .enumerate()
        .map(|(index, group)| {
            let group = GROUPS[*group];
            json!({"name": format!("i{index}"), "provider": "p", "workload": format!("spiffe://c/sa/{group}"),
                   "when": [{"claim": "groups", "contains": group}]})
        })
        .collect();
    written.push(json!({"name": "all", "provider": "p", "workload": "spiffe://c/sa/{claim:sub}"}));
    let document = json!({
        "providers": [{"name": "p", "issuer": "https://id.test", "audiences": ["api"], "algorithms": ["ES256"],
                       "jwks": {"inline": {"keys": [EC.jwk()]}}}],
        "identities": written, "namespaces": namespaces, "grants": grants, "policy": {"rules": rules}
    });
    Config::parse(document.to_string().as_bytes()).unwrap()
}

/// Which of all requests the caller may make: three targets in each of three namespaces.
fn allowed(config: &Config, caller: &Caller) -> Vec<Target> {
    let judged = judged(config, caller).into_iter();
    judged
        .filter_map(|(target, deny_rule)| deny_rule.is_ok().then_some(target))
        .collect()
}

/// Namespace and path.
type Target = (&'static str, &'static str);

/// What becomes of each; where it is denied, the rule that did it, if one did.
fn judged(config: &Config, caller: &Caller) -> Vec<(Target, Result<(), Option<usize>>)> {
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
    let (keyring, engine) = (Keyring::new(config, 1), HostStandIn::engines());
    // One worker for all of them: what it remembers of one namespace must not open another.
    let mut worker = Worker::new(config);
    worker.connection.spiffe_id = caller.has_certificate.then(|| GATE.into());
    requests
        .map(|(name, target)| {
            let mut request = Request::new("GET", &format!("{name}.test"), target).bearer(&token);
            if let Some(tenant) = caller.tenant {
                request = request.with("x-tenant", GROUPS[tenant]);
            }
            let outcome = worker.decide(request, config, &keyring, &engine);
            let rule = || {
                outcome
                    .record
                    .as_ref()?
                    .rule
                    .as_ref()?
                    .strip_prefix('r')?
                    .parse()
                    .ok()
            };
            (
                (name, target),
                outcome.denial.map_or(Ok(()), |_denial| Err(rule())),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn grants_of_a_namespace_never_open_another(
        identities in identities(), grants in grants(), rules in rules(), caller in caller()
    ) {
        let all = allowed(&config(&identities, &grants, &rules), &caller);
        let none = allowed(&config(&identities, &[], &rules), &caller);
        for (index, name) in NAMESPACES.iter().enumerate() {
            let own: Vec<_> = grants.iter().filter(|grant| grant.namespace == index).cloned().collect();
            let alone = allowed(&config(&identities, &own, &rules), &caller);
            // With only its own grants a namespace answers as with all of them, and each other as without any.
            let split = |list: &[Target]| -> (Vec<_>, Vec<_>) {
                list.iter().copied().partition(|(other, _)| other == name)
            };
            let (here, elsewhere) = split(&alone);
            prop_assert_eq!(here, split(&all).0);
            prop_assert_eq!(elsewhere, split(&none).1);
        }
    }

    #[test]
    fn taking_a_grant_away_opens_nothing_but_what_a_deny_rule_kept_from_its_roles(
        identities in identities(), grants in grants(), rules in rules(), caller in caller(), index in any::<prop::sample::Index>()
    ) {
        prop_assume!(!grants.is_empty());
        let before = judged(&config(&identities, &grants, &rules), &caller);
        let mut fewer = grants.clone();
        let taken = fewer.remove(index.index(grants.len()));
        let after = allowed(&config(&identities, &fewer, &rules), &caller);
        for (target, was) in before {
            let Err(rule) = was else { continue };
            let kept_out = rule.map(|index: usize| &rules[index]);
            let is_for_its_roles = kept_out.is_some_and(|rule| {
                rule.is_deny && rule.namespace == taken.namespace && rule.role.is_some_and(|role| taken.roles.contains(&role))
            });
            prop_assert!(is_for_its_roles || !after.contains(&target), "{:?} {:?}", target, rule);
        }
    }

    #[test]
    fn taking_a_rule_away_never_opens_anything_but_a_deny_rule(
        identities in identities(), grants in grants(), rules in rules(), caller in caller(), index in any::<prop::sample::Index>()
    ) {
        prop_assume!(!rules.is_empty());
        let mut fewer = rules.clone();
        let taken = fewer.remove(index.index(rules.len()));
        let before = allowed(&config(&identities, &grants, &rules), &caller);
        let after = allowed(&config(&identities, &grants, &fewer), &caller);
        let (less, more) = if taken.is_deny { (before, after) } else { (after, before) };
        prop_assert!(less.iter().all(|request| more.contains(request)));
    }
}
