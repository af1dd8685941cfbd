//! Headers that the configuration makes of claims, through the whole walk of a request; and what becomes of a
//! caller who would have too much in them.

use identity_filter::config::Config;
use identity_filter::decision::Denial;
use identity_filter::gate::Outcome;
use identity_filter::headers::Headers;
use identity_filter::keyring::Keyring;
use serde_json::{Value, json};

use crate::host::{Counting, HostStandIn};
use crate::issuer::EC;
use crate::request::{NOW, Request, Worker, forwarded};

fn document(set: Value) -> Value {
    let provider = |name: &str| {
        json!({"name": name, "issuer": format!("https://{name}.test"), "audiences": ["api"],
               "algorithms": ["ES256"], "jwks": {"inline": {"keys": [EC.jwk()]}}})
    };
    json!({
        "providers": [provider("okta"), provider("other")],
        "namespaces": [{"name": "orders", "routes": [{"host": "api.test"}]}, {"name": "pay", "routes": [{"host": "pay.test"}]}],
        "identities": [{"name": "people", "provider": "okta", "when": [{"claim": "name", "present": true}],
                        "workload": "spiffe://c/sa/{claim:name}"},
                       {"name": "rest", "provider": "okta", "workload": "spiffe://c/rest"}],
        "grants": [{"name": "g", "namespace": "orders", "provider": "okta",
                    "roles_from": {"claim": "roles", "allow": ["a", "b"]}}],
        "policy": {"rules": [
            {"name": "open", "namespace": "orders", "anonymous": true, "paths": ["/open"]},
            {"name": "role", "namespace": "orders", "roles": ["a"], "paths": ["/role"]},
            {"name": "id", "namespace": "orders", "identities": ["spiffe://c/**"], "paths": ["/id"]},
            {"name": "provider", "namespace": "orders", "providers": ["okta"], "paths": ["/provider"]},
            {"name": "all", "namespace": "orders", "authenticated": true, "paths": ["/all"]},
            {"name": "pay", "namespace": "pay", "authenticated": true}]},
        "headers": {"set": set}
    })
}

fn config(set: Value) -> Config {
    Config::parse(document(set).to_string().as_bytes()).unwrap()
}

fn usual() -> Value {
    json!([{"name": "x-identity-email", "provider": "okta", "value": "{claim:email}",
            "when": [{"claim": "email_verified", "equals": true}]},
           {"name": "x-identity-groups", "provider": "okta", "list": "groups"},
           {"name": "x-identity-groups", "provider": "other", "list": "teams"}])
}

fn token(issuer: &str, extra: &Value) -> String {
    let mut claims = json!({"iss": format!("https://{issuer}.test"), "aud": "api", "sub": "s", "exp": NOW + 300});
    claims
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    EC.token(&claims)
}

fn alice() -> Value {
    json!({"email": "alice@example.com", "email_verified": true, "groups": ["ops", "a,b", "ops"], "roles": ["a"],
           "teams": ["not mine"]})
}

fn get(path: &str, claims: &Value) -> Request {
    Request::new("GET", "api.test", path).bearer(&token("okta", claims))
}

fn told(outcome: &Outcome) -> [Option<String>; 2] {
    ["x-identity-email", "x-identity-groups"].map(|name| forwarded(outcome, name))
}

#[test]
fn a_workload_that_learns_who_calls_learns_what_is_configured() {
    let config = config(usual());
    let all = [Some("alice@example.com".into()), Some("a%2Cb,ops".into())];
    for path in ["/role", "/id", "/provider", "/all"] {
        let outcome = get(path, &alice()).decide(&config);
        assert_eq!(
            (outcome.denial, told(&outcome)),
            (None, all.clone()),
            "{path}"
        );
    }
    let mut unverified = alice();
    unverified["email_verified"] = json!(false);
    assert_eq!(
        told(&get("/all", &unverified).decide(&config)),
        [None, all[1].clone()]
    );
    // Who has the claims of another provider has its headers, not these.
    let other = Request::new("GET", "api.test", "/all").bearer(&token("other", &alice()));
    assert_eq!(
        told(&other.decide(&config)),
        [None, Some("not%20mine".into())]
    );
}

#[test]
fn a_remembered_token_has_the_same_headers_in_each_namespace() {
    let config = config(usual());
    let (keyring, engine) = (Keyring::new(&config, 1), Counting::default());
    let mut worker = Worker::new(&config);
    let token = token("okta", &alice());
    for (host, path) in [
        ("api.test", "/all"),
        ("api.test", "/role"),
        ("pay.test", "/"),
        ("api.test", "/all"),
    ] {
        let request = Request::new("GET", host, path).bearer(&token);
        let outcome = worker.decide(request, &config, &keyring, &engine);
        let want = [Some("alice@example.com".into()), Some("a%2Cb,ops".into())];
        assert_eq!(
            (outcome.denial, told(&outcome)),
            (None, want),
            "{host}{path}"
        );
    }
    assert_eq!(engine.checked(), 1);
}

#[test]
fn what_a_client_says_is_gone_also_where_nothing_takes_its_place() {
    let config = config(usual());
    let spoofed = |request: Request| {
        request
            .with("x-identity-email", "root@example.com")
            .with("X-Identity-Groups", "admins")
            .with("x_identity_groups", "admins")
            .with("x-identity-never-configured", "x")
    };
    let names = |outcome: &Outcome| -> Vec<String> {
        let names = outcome
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase().replace('_', "-"));
        let mut names: Vec<_> = names
            .filter(|name| name.starts_with("x-identity-"))
            .collect();
        names.sort();
        names
    };
    let anonymous = spoofed(Request::new("GET", "api.test", "/open")).decide(&config);
    assert_eq!(anonymous.denial, None);
    assert_eq!(
        names(&anonymous),
        ["x-identity-decision", "x-identity-namespace"]
    );
    // A token that an anonymous rule did not ask for is told to nobody.
    let known = spoofed(get("/open", &alice())).decide(&config);
    assert_eq!((known.denial, names(&known)), (None, names(&anonymous)));
    let nothing = spoofed(get("/all", &json!({}))).decide(&config);
    assert_eq!(nothing.denial, None);
    assert_eq!(told(&nothing), [None, None]);
    assert!(!names(&nothing).contains(&"x-identity-groups".into()));
    let denied = spoofed(get("/role", &json!({}))).decide(&config);
    assert_eq!(denied.denial, Some(Denial::RuleMissing));
    assert_eq!(names(&denied), [""; 0]);
    // As trailers are stripped.
    let mut trailers = Headers::new(vec![
        ("X_Identity-Email".into(), b"x".to_vec()),
        ("grpc-status".into(), b"0".to_vec()),
    ]);
    assert!(config.headers.strip(&mut trailers));
    assert_eq!(
        trailers,
        Headers::new(vec![("grpc-status".into(), b"0".to_vec())])
    );
}

#[test]
fn no_claim_begins_another_header() {
    let config = config(usual());
    let hostile = "x\r\nx-identity-roles: admin\0, root\u{85}";
    let claims = json!({"email": hostile, "email_verified": true, "groups": [hostile, "b"]});
    let outcome = get("/all", &claims).decide(&config);
    let [email, groups] = told(&outcome);
    let escaped = "x%0D%0Ax-identity-roles:%20admin%00%2C%20root%C2%85";
    assert_eq!(email.as_deref(), Some(escaped));
    assert_eq!(groups, Some(format!("b,{escaped}")));
    assert_eq!(forwarded(&outcome, "x-identity-roles"), None);
}

#[test]
fn too_much_is_denied_and_never_cut() {
    let text = |length: usize| "x".repeat(length);
    let many = |count: usize| {
        (0..count)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
    };
    let cases = [
        (
            "a claim of a workload id",
            json!({"name": text(255)}),
            json!({"name": text(256)}),
        ),
        (
            "a claim of a header",
            json!({"email": text(1024), "email_verified": true}),
            json!({"email": text(1025), "email_verified": true}),
        ),
        (
            "an element",
            json!({"groups": [text(1024)]}),
            json!({"groups": ["a", text(1025)]}),
        ),
        (
            "elements",
            json!({"groups": many(512)}),
            json!({"groups": many(513)}),
        ),
        (
            "bytes of all headers",
            json!({"groups": (0..200).map(|n| format!("{n:060}")).collect::<Vec<_>>()}),
            json!({"groups": (0..300).map(|n| format!("{n:060}")).collect::<Vec<_>>()}),
        ),
    ];
    let mut document = document(usual());
    document["limits"] = json!({"token_bytes": 61_440});
    let config = Config::parse(document.to_string().as_bytes()).unwrap();
    for (name, fits, too_much) in cases {
        // Also where nobody would be told of it: who the caller is cannot be said.
        for path in ["/all", "/open", "/role"] {
            let denied = get(path, &too_much).decide(&config);
            assert_eq!(
                denied.denial,
                Some(Denial::IdentityTooLarge),
                "{name} {path}"
            );
            let record = denied.record.unwrap();
            assert_eq!(
                (record.status, record.reason),
                (Some(403), Some(Denial::IdentityTooLarge))
            );
        }
        assert_eq!(get("/all", &fits).denial(&config), None, "{name}");
    }
}

#[test]
fn an_identity_that_is_too_long_is_not_passed_by_for_a_later_one() {
    let config = config(json!([]));
    let workload = |claims: Value| {
        let outcome = get("/id", &claims).decide(&config);
        (outcome.denial, forwarded(&outcome, "x-identity-workload"))
    };
    let rest = || (None, Some("spiffe://c/rest".into()));
    assert_eq!(
        workload(json!({"name": "alice"})),
        (None, Some("spiffe://c/sa/alice".into()))
    );
    assert_eq!(workload(json!({})), rest());
    assert_eq!(workload(json!({"name": ["alice"]})), rest());
    let too_long = "a".repeat(256);
    assert_eq!(
        workload(json!({"name": too_long})),
        (Some(Denial::IdentityTooLarge), None)
    );
}

#[test]
fn shadow_mode_lets_nothing_pass_that_is_too_large_and_tells_nothing_of_who_is_let_pass() {
    let mut document = document(usual());
    document["policy"]["mode"] = json!("shadow");
    let config = Config::parse(document.to_string().as_bytes()).unwrap();
    let too_large = json!({"groups": ["x".repeat(1025)]});
    assert_eq!(
        get("/all", &too_large).denial(&config),
        Some(Denial::IdentityTooLarge)
    );
    let passed = get("/nowhere", &alice()).decide(&config);
    assert_eq!((passed.denial, told(&passed)), (None, [None, None]));
}

#[test]
fn more_roles_than_may_be_are_denied() {
    let roles: Vec<_> = (0..513).map(|number| format!("r{number}")).collect();
    let mut document = document(json!([]));
    document["grants"][0]["roles_from"]["allow"] = json!(roles);
    document["limits"] = json!({"identity_bytes": 49_152});
    let config = Config::parse(document.to_string().as_bytes()).unwrap();
    let engine = HostStandIn::engines();
    for (count, want) in [(512, None), (513, Some(Denial::IdentityTooLarge))] {
        let request = get("/all", &json!({"roles": roles[..count]}));
        let keyring = Keyring::new(&config, 1);
        assert_eq!(
            request.decide_with(&config, &keyring, &engine).denial,
            want,
            "{count}"
        );
    }
}
