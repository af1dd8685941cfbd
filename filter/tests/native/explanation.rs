//! What an explanation says is what the filter does, as a property over generated configurations and requests.

use identity_filter::audit::Sample;
use identity_filter::config::Config;
use identity_filter::decision::Denial;
use identity_filter::gate::explanation::{Explanation, GrantVerdict, IdentityVerdict};
use identity_filter::keyring::Keyring;
use identity_filter::policy::Part;
use identity_filter::verify::Check;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::host::HostStandIn;
use crate::issuer::EC;
use crate::request::{NOW, Request, Worker};

/// RFC 8705 appendix A.
const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
const GATE: &str = "spiffe://c/ns/edge/sa/gate";

fn conditions() -> impl Strategy<Value = Vec<Value>> {
    let all = vec![
        json!({"claim": "groups", "contains": "ops"}),
        json!({"not": {"claim": "groups", "contains": "dev"}}),
        json!({"any": [{"claim": "level", "equals": 3}, {"claim": "team", "present": true}]}),
        json!({"attribute": "certificate", "spiffe": "spiffe://c/ns/*/sa/gate"}),
    ];
    subsequence(all, 0..2)
}

fn named(prefix: &str, entries: Vec<Value>) -> Vec<Value> {
    let name = |(index, mut entry): (usize, Value)| {
        entry["name"] = format!("{prefix}{index}").into();
        entry
    };
    entries.into_iter().enumerate().map(name).collect()
}

fn identities() -> impl Strategy<Value = Vec<Value>> {
    let workload = select(vec![
        "spiffe://c/team/{claim:team}",
        "spiffe://c/sa/{claim:sub}",
        "spiffe://c/all",
    ]);
    let one = (select(vec!["p", "q"]), conditions(), workload).prop_map(|(provider, when, workload)| {
        json!({"provider": provider, "when": when, "workload": workload})
    });
    prop::collection::vec(one, 0..4).prop_map(|entries| named("i", entries))
}

fn grants() -> impl Strategy<Value = Vec<Value>> {
    let gives = select(vec![
        json!({"roles": ["reader"]}),
        json!({"roles": ["writer", "reader"]}),
        json!({"roles_from": {"claim": "roles", "allow": ["writer"]}}),
    ]);
    let workload = prop::option::of(select(vec!["spiffe://c/sa/alice", "spiffe://c/all"]));
    let one = (
        select(vec!["red", "green"]),
        gives,
        select(vec!["p", "q"]),
        workload,
        conditions(),
    )
        .prop_map(|(namespace, mut grant, provider, workload, when)| {
            grant["namespace"] = namespace.into();
            grant["provider"] = provider.into();
            grant["when"] = when.into();
            if let Some(workload) = workload {
                grant["workload"] = workload.into();
            }
            grant
        });
    prop::collection::vec(one, 0..5).prop_map(|entries| named("g", entries))
}

fn rules() -> impl Strategy<Value = Vec<Value>> {
    let whom = select(vec![
        json!({"roles": ["reader"]}),
        json!({"roles": ["writer"]}),
        json!({"authenticated": true}),
        json!({"anonymous": true}),
        json!({"identities": ["spiffe://c/sa/*"]}),
        json!({"providers": ["q"]}),
        json!({"providers": ["p"], "when": [{"claim": "groups", "contains": "ops"}]}),
    ]);
    let what = select(vec![
        json!({}),
        json!({"paths": ["/x/{id}"]}),
        json!({"paths": ["/**"], "methods": ["GET"]}),
        json!({"methods": ["CONNECT", "POST"]}),
        json!({"hosts": ["a.red.test"]}),
    ]);
    let how = select(vec![
        json!({}),
        json!({"sources": ["192.0.2.0/24"]}),
        json!({"sources": ["198.51.100.7"]}),
        json!({"certificates": [GATE]}),
        json!({"mode": "shadow"}),
        json!({"mode": "enforce"}),
    ]);
    let tenant = prop::bool::weighted(0.15);
    let one = (
        select(vec!["red", "red", "green"]),
        prop::bool::weighted(0.2),
        whom,
        what,
        how,
        tenant,
    )
        .prop_map(|(namespace, is_deny, mut rule, what, how, tenant)| {
            let members = rule.as_object_mut().unwrap();
            if is_deny {
                members.remove("authenticated");
                members.remove("anonymous");
                members.insert("action".into(), "deny".into());
            }
            members.extend(what.as_object().unwrap().clone());
            members.extend(how.as_object().unwrap().clone());
            members.insert("namespace".into(), namespace.into());
            if tenant {
                rule["when"] = json!([{"header": "x-tenant", "equals": "a"}]);
            }
            // A host of the one namespace is not one of the other.
            if namespace == "green" {
                rule.as_object_mut().unwrap().remove("hosts");
            }
            rule
        });
    prop::collection::vec(one, 0..7).prop_map(|entries| named("r", entries))
}

fn document() -> impl Strategy<Value = Value> {
    let narrowed = select(vec![
        json!({}),
        json!({"required_claims": [{"claim": "team", "present": true}]}),
        json!({"certificate_binding": "required"}),
        json!({"types": ["at+jwt"]}),
        json!({"max_lifetime_seconds": 100}),
    ]);
    (identities(), grants(), rules(), narrowed, select(vec!["enforce", "enforce", "shadow"])).prop_map(
        |(identities, grants, rules, narrowed, mode)| {
            let provider = |name: &str| {
                json!({"name": name, "issuer": format!("https://{name}.test"), "audiences": ["api"],
                    "algorithms": ["ES256"], "jwks": {"inline": {"keys": [EC.jwk()]}},
                    "tokens": [{"header": "authorization", "scheme": "Bearer"}, {"header": format!("x-{name}")}]})
            };
            let mut p = provider("p");
            p.as_object_mut().unwrap().extend(narrowed.as_object().unwrap().clone());
            json!({
                "providers": [p, provider("q")],
                "namespaces": [
                    {"name": "red", "routes": [{"host": "red.test"}, {"host": "*.red.test"}]},
                    {"name": "green", "routes": [{"host": "red.test", "path_prefix": "/green"}]}],
                "identities": identities, "grants": grants, "policy": {"mode": mode, "rules": rules}
            })
        },
    )
}

#[derive(Debug, Clone)]
struct Asked {
    method: &'static str,
    host: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    credential: Credential,
    has_certificate: bool,
    source: &'static str,
}

#[derive(Debug, Clone)]
enum Credential {
    None,
    Text(&'static str),
    Token { header: &'static str, claims: Value },
    Forged(Value),
}

fn asked() -> impl Strategy<Value = Asked> {
    let claims = (
        select(vec![
            "https://p.test",
            "https://p.test",
            "https://q.test",
            "https://z.test",
        ]),
        subsequence(vec!["ops", "dev"], 0..=2),
        subsequence(vec!["reader", "writer"], 0..=2),
        prop::option::of(select(vec![json!("blue"), json!(7), json!([1])])),
        select(vec![
            json!({}),
            json!({}),
            json!({}),
            json!({}),
            json!({"exp": NOW - 61}),
            json!({"aud": "other"}),
            json!({"sub": ""}),
            json!({"iat": NOW, "level": 3}),
            json!({"nbf": NOW + 61}),
            json!({"cnf": {"x5t#S256": THUMBPRINT}}),
            json!({"cnf": {"jkt": "a"}}),
            json!({"exp": "never"}),
        ]),
    )
        .prop_map(|(issuer, groups, roles, team, extra)| {
            let mut claims = json!({"iss": issuer, "aud": "api", "sub": "alice", "exp": NOW + 300,
                "groups": groups, "roles": roles});
            if let Some(team) = team {
                claims["team"] = team;
            }
            claims
                .as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            claims
        });
    let credential = (0..12_u8, claims).prop_map(|(kind, claims)| match kind {
        0 | 1 => Credential::None,
        2 => Credential::Text("Bearer x"),
        3 => Credential::Forged(claims),
        4 => Credential::Token {
            header: "x-q",
            claims,
        },
        _ => Credential::Token {
            header: "authorization",
            claims,
        },
    });
    let headers = select(vec![
        vec![],
        vec![],
        vec![("x-tenant", "a")],
        vec![("x-tenant", "a"), ("X_Tenant", "a")],
        vec![("host", "other.test")],
        vec![("x-identity-roles", "writer")],
    ]);
    (
        select(vec!["GET", "GET", "POST", "CONNECT", "G T"]),
        select(vec![
            "red.test",
            "RED.test:443",
            "a.red.test",
            "none.test",
            "a b",
        ]),
        select(vec![
            "/",
            "/x/1",
            "/x/../x//2",
            "/green/x",
            "/green",
            "/a;b",
            "/%2f",
            "/x#y",
        ]),
        headers,
        credential,
        any::<bool>(),
        select(vec!["192.0.2.1:5", "198.51.100.7:5", "unknown"]),
    )
        .prop_map(
            |(method, host, path, headers, credential, has_certificate, source)| Asked {
                method,
                host,
                path,
                headers,
                credential,
                has_certificate,
                source,
            },
        )
}

/// What an explanation comes to: the denial and the rule that decided.
fn conclusion<'a>(explanation: &Explanation<'a>) -> (Option<Denial>, Option<&'a str>) {
    let denied = |denial| (Some(denial), None);
    if let Err(denial) = explanation.operation {
        return denied(denial);
    }
    let Some((_, namespace)) = explanation.routes.first() else {
        return denied(Denial::NamespaceUnknown);
    };
    if let Err(denial) = explanation.credential {
        return denied(denial);
    }
    if let Some(denial) = explanation.token.as_ref().and_then(|token| token.refused) {
        return denied(denial);
    }
    if explanation.bad_header.is_some() {
        return denied(Denial::HeaderInvalid);
    }
    let first = |with_shadow: bool| {
        let mut rules = explanation.rules.iter();
        rules.find(|attempt| (with_shadow || !attempt.rule.is_shadow) && attempt.unmet.is_empty())
    };
    let is_shadow = namespace.policy.is_shadow;
    match (first(false), first(true)) {
        (Some(attempt), _) if attempt.is_deny => {
            (Some(Denial::RuleDenied), Some(&attempt.rule.name))
        }
        (Some(attempt), _) => (None, Some(&attempt.rule.name)),
        (None, Some(attempt)) if is_shadow && !attempt.is_deny => (None, Some(&attempt.rule.name)),
        (None, _) if is_shadow => (None, None),
        (None, _) if explanation.token.is_none() => denied(Denial::TokenMissing),
        (None, _) => denied(Denial::RuleMissing),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_says_what_the_filter_does(document in document(), asked in asked()) {
        let Ok(mut config) = Config::parse(document.to_string().as_bytes()) else {
            // Such as a rule for all that asks for claims of several providers.
            return Err(TestCaseError::reject("the filter refuses the configuration"));
        };
        config.allow_sample = Some(Sample::ALL);
        let mut request = Request::new(asked.method, asked.host, asked.path);
        for (name, value) in &asked.headers {
            request = request.with(name, value);
        }
        request = match &asked.credential {
            Credential::None => request,
            Credential::Text(text) => request.with("authorization", text),
            Credential::Token { header: "authorization", claims } => request.bearer(&EC.token(claims)),
            Credential::Token { header, claims } => request.with(header, EC.token(claims)),
            Credential::Forged(claims) => {
                let token = EC.token(claims);
                let (signed, _) = token.rsplit_once('.').unwrap();
                request.bearer(&format!("{signed}.{}", "A".repeat(86)))
            }
        };
        let mut worker = Worker::new(&config);
        worker.connection.thumbprint = asked.has_certificate.then(|| THUMBPRINT.into());
        worker.connection.spiffe_id = asked.has_certificate.then(|| GATE.into());
        worker.source = asked.source;
        let (keyring, engine) = (Keyring::new(&config, 1), HostStandIn::engines());
        let explanation = worker.explain(&request, &config, &keyring, &engine);
        let outcome = worker.decide(request, &config, &keyring, &engine);

        let record = outcome.record.unwrap();
        let (denial, rule) = conclusion(&explanation);
        prop_assert_eq!(denial, outcome.denial);
        prop_assert_eq!(rule, record.rule.as_deref());
        let namespace = explanation.routes.first().map(|(_, namespace)| namespace.name.as_str());
        prop_assert_eq!(namespace, record.namespace.as_deref());

        let matched = explanation.identities.iter().find(|attempt| matches!(attempt.verdict, IdentityVerdict::Matched));
        prop_assert_eq!(matched.map(|attempt| attempt.rule.name.as_str()), record.identity.as_deref());
        let caller = explanation.caller.as_ref();
        prop_assert_eq!(caller.and_then(|caller| caller.workload.as_ref()), record.workload.as_ref());
        let giving = explanation.grants.iter().filter(|attempt| matches!(attempt.verdict, GrantVerdict::Gives));
        let names: Vec<_> = giving.clone().map(|attempt| attempt.grant.name.clone()).collect();
        prop_assert_eq!(names, record.grants.clone().unwrap_or_default());
        let mut roles: Vec<_> = giving.flat_map(|attempt| attempt.roles.clone()).collect();
        roles.sort_unstable();
        roles.dedup();
        let recorded = record.roles.iter().flatten().map(identity_filter::grant::Role::as_str);
        prop_assert_eq!(roles, recorded.collect::<Vec<_>>());

        // Who is refused nothing has passed every check, and each rule that does not match says why.
        if let Some(token) = &explanation.token {
            prop_assert!(token.passed.is_sorted());
            prop_assert_eq!(token.refused.is_none(), token.passed.last() == Some(&Check::Connection));
        }
        for attempt in &explanation.rules {
            for (part, unmet) in &attempt.unmet {
                prop_assert_eq!(matches!(part, Part::When(_)), unmet.is_some());
            }
        }
    }
}
