//! The walk of a request through the filter: what goes on, what is answered, what is recorded.

use identity_filter::audit::Sample;
use identity_filter::config::Config;
use identity_filter::decision::Denial;
use serde_json::{Value, json};

use crate::issuer::{EC, RSA, Signer};
use crate::request::{NOW, Request, forwarded};

fn document() -> Value {
    json!({
        "providers": [{"name": "okta", "issuer": "https://id.test", "audiences": ["api"],
            "algorithms": ["RS256", "ES256"], "jwks": {"inline": {"keys": [RSA.jwk(), EC.jwk()]}},
            "tokens": [{"header": "authorization", "scheme": "Bearer"}, {"header": "x-token"}]}],
        "namespaces": [
            {"name": "orders", "routes": [{"host": "api.test", "path_prefix": "/orders"}, {"host": "*.orders.test"}]},
            {"name": "payments", "routes": [{"host": "api.test", "path_prefix": "/pay"}]}],
        "identities": [{"name": "people", "provider": "okta",
            "workload": "spiffe://cluster.local/ns/people/sa/{claim:sub}"}],
        "grants": [
            {"name": "claimed", "namespace": "orders", "provider": "okta",
             "roles_from": {"claim": "roles", "allow": ["reader", "writer"]}},
            {"name": "ops", "namespace": "orders", "roles": ["auditor", "reader"],
             "when": [{"attribute": "workload", "prefix": "spiffe://cluster.local/ns/people/sa/ops-"}]},
            {"name": "cashiers", "namespace": "payments", "roles": ["cashier"],
             "when": [{"claim": "groups", "contains": "cash"}]}],
        "policy": {"mode": "enforce", "rules": [
            {"name": "health", "namespace": "orders", "anonymous": true, "methods": ["GET"], "paths": ["/orders/healthz"]},
            {"name": "no-secrets", "namespace": "orders", "action": "deny", "paths": ["/orders/secrets/**"]},
            {"name": "read", "namespace": "orders", "roles": ["reader"], "methods": ["GET"]},
            {"name": "write", "namespace": "orders", "roles": ["writer"], "methods": ["POST"], "paths": ["/orders/{id}"]},
            {"name": "cash", "namespace": "payments", "roles": ["cashier"]}]}
    })
}

fn config() -> Config {
    parse(&document())
}

fn parse(document: &Value) -> Config {
    Config::parse(document.to_string().as_bytes()).unwrap()
}

fn token(extra: &Value) -> String {
    let mut claims =
        json!({"iss": "https://id.test", "aud": "api", "sub": "alice", "exp": NOW + 300});
    claims
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    RSA.token(&claims)
}

fn get(target: &str) -> Request {
    Request::new("GET", "api.test", target)
}

#[test]
fn the_workload_learns_who_is_calling() {
    let token = token(
        &json!({"sub": "alice, bob\r\n%é", "roles": ["writer", "reader", "root"], "groups": ["cash"]}),
    );
    let outcome = get("/orders/7?x=1")
        .bearer(&token)
        .with("accept", "*/*")
        .decide(&config());
    assert_eq!(outcome.denial, None);
    let header = |name: &str| forwarded(&outcome, name);
    assert_eq!(
        header("x-identity-subject").unwrap(),
        "https://id.test#alice%2C%20bob%0D%0A%25%C3%A9"
    );
    let workload = "spiffe://cluster.local/ns/people/sa/alice_2C_20bob_0D_0A_25_C3_A9";
    assert_eq!(header("x-identity-workload").unwrap(), workload);
    assert_eq!(
        header("x-identity-roles").unwrap(),
        "reader,writer",
        "of this namespace, as far as allowed"
    );
    assert_eq!(header("x-identity-namespace").unwrap(), "orders");
    assert_eq!(header("x-identity-provider").unwrap(), "okta");
    assert_eq!(header("x-identity-decision").unwrap(), "d-1");
    assert_eq!(header("x-connection-id").unwrap(), "c-1");
    assert_eq!(header(":path").unwrap(), "/orders/7?x=1");
    assert_eq!(header("accept").unwrap(), "*/*");
    assert_eq!(header("authorization"), None);
    assert!(!outcome.target_changed);
}

#[test]
fn what_the_client_says_about_itself_is_stripped_everywhere() {
    let spoofed = |request: Request| {
        request
            .with("x-identity-subject", "root")
            .with("X_Identity_Roles", "writer")
            .with("x-identity-future", "x")
            .with("x-connection-id", "forged")
    };
    let cases = [
        ("anonymous", get("/orders/healthz"), None),
        (
            "allowed",
            get("/orders/7").bearer(&token(&json!({"roles": ["reader"]}))),
            None,
        ),
        (
            "no credential",
            get("/orders/7"),
            Some(Denial::TokenMissing),
        ),
        (
            "bad credential",
            get("/orders/7").bearer("x"),
            Some(Denial::TokenMalformed),
        ),
        (
            "no role",
            get("/orders/7").bearer(&token(&json!({}))),
            Some(Denial::RuleMissing),
        ),
        ("no namespace", get("/else"), Some(Denial::NamespaceUnknown)),
        ("bad path", get("/orders/%2f"), Some(Denial::PathAmbiguous)),
        (
            "bad host",
            Request::new("GET", "a b", "/"),
            Some(Denial::HostInvalid),
        ),
    ];
    for (name, request, want) in cases {
        let outcome = spoofed(request).decide(&config());
        assert_eq!(outcome.denial, want, "{name}");
        for (header, value) in outcome.headers.iter() {
            assert!(!header.contains('_'), "{name}: {header}");
            assert!(!header.ends_with("-future"), "{name}: {header}");
            assert!(
                value != b"root" && value != b"forged" && value != b"writer",
                "{name}: {header}"
            );
        }
    }
}

#[test]
fn an_anonymous_request_has_no_identity_even_with_a_token() {
    for request in [
        get("/orders/healthz"),
        get("/orders/healthz").bearer(&token(&json!({}))),
    ] {
        let outcome = request.decide(&config());
        assert_eq!(outcome.denial, None);
        for name in ["subject", "workload", "roles", "provider"] {
            assert_eq!(forwarded(&outcome, &format!("x-identity-{name}")), None);
        }
        assert_eq!(
            forwarded(&outcome, "x-identity-namespace").unwrap(),
            "orders"
        );
        assert_eq!(forwarded(&outcome, "x-identity-decision").unwrap(), "d-1");
        assert_eq!(forwarded(&outcome, "authorization"), None);
    }
    let denial = get("/orders/healthz").bearer("bad").denial(&config());
    assert_eq!(
        denial,
        Some(Denial::TokenMalformed),
        "a credential that is there must be good"
    );
}

#[test]
fn rules_decide_by_role_method_and_path() {
    let reader = json!({"roles": "reader"});
    let writer = json!({"roles": "writer"});
    let none = json!({});
    let cashier = json!({"groups": ["cash"], "roles": ["reader", "writer"]});
    let cases = [
        ("GET", "/orders/7", &reader, None),
        ("GET", "/orders/7", &writer, Some(Denial::RuleMissing)),
        ("POST", "/orders/7", &writer, None),
        (
            "POST",
            "/orders/7/lines",
            &writer,
            Some(Denial::RuleMissing),
        ),
        ("POST", "/orders/7", &reader, Some(Denial::RuleMissing)),
        ("GET", "/orders/7", &none, Some(Denial::RuleMissing)),
        (
            "GET",
            "/orders/secrets/x",
            &reader,
            Some(Denial::RuleDenied),
        ),
        ("GET", "/orders/secrets", &reader, Some(Denial::RuleDenied)),
        ("GET", "/pay/1", &cashier, None),
        ("GET", "/pay/1", &reader, Some(Denial::RuleMissing)),
        ("GET", "/orders/7", &json!({"sub": "ops-1"}), None),
    ];
    for (method, path, claims, want) in cases {
        let request = Request::new(method, "api.test", path).bearer(&token(claims));
        assert_eq!(request.denial(&config()), want, "{method} {path} {claims}");
    }
    let on_other_host = |path| Request::new("GET", "eu.orders.test", path).bearer(&token(&reader));
    assert_eq!(on_other_host("/anything").denial(&config()), None);
    assert_eq!(
        on_other_host("/pay/1").denial(&config()),
        None,
        "the host alone decides here"
    );
}

#[test]
fn what_was_judged_is_what_goes_on() {
    let reader = token(&json!({"roles": ["reader"]}));
    let cases = [
        ("API.test.:8443", "/orders/7", "api.test:8443", "/orders/7"),
        (
            "api.test",
            "/pay/../orders//%37/./?a=/../%2f",
            "api.test",
            "/orders/7/?a=/../%2f",
        ),
    ];
    for (host, target, want_host, want_target) in cases {
        let outcome = Request::new("GET", host, target)
            .bearer(&reader)
            .decide(&config());
        assert_eq!(outcome.denial, None, "{host}{target}");
        assert_eq!(forwarded(&outcome, ":authority").unwrap(), want_host);
        assert_eq!(forwarded(&outcome, ":path").unwrap(), want_target);
        assert!(outcome.target_changed);
    }
}

#[test]
fn requests_that_cannot_be_read_in_one_way_are_refused() {
    let one = || Request::new("GET", "api.test", "/orders/healthz");
    let cases = [
        (
            "two paths",
            one().with(":path", "/orders/1"),
            Denial::PathAmbiguous,
        ),
        (
            "two hosts",
            one().with(":authority", "api.test"),
            Denial::HostInvalid,
        ),
        (
            "two methods",
            one().with(":method", "GET"),
            Denial::HeaderInvalid,
        ),
        (
            "strange method",
            Request::new("G T", "api.test", "/orders/healthz"),
            Denial::HeaderInvalid,
        ),
        ("up and away", get("/orders/..;/pay"), Denial::PathAmbiguous),
        ("no path", get("*"), Denial::PathAmbiguous),
        (
            "two credentials",
            one().bearer("a").with("authorization", "b"),
            Denial::TokenAmbiguous,
        ),
        (
            "two places",
            one().bearer("a.b.c").with("x-token", "a.b.c"),
            Denial::TokenAmbiguous,
        ),
        (
            "not text",
            one().with("authorization", b"Bearer \xff"),
            Denial::TokenMalformed,
        ),
    ];
    for (name, request, want) in cases {
        assert_eq!(request.denial(&config()), Some(want), "{name}");
    }
    let outcome = one().with("x-binary", b"\xff\xfe").decide(&config());
    assert_eq!(outcome.denial, None);
    assert_eq!(
        outcome.headers.only("x-binary"),
        Some(&b"\xff\xfe"[..]),
        "other headers go on as they are"
    );
}

#[test]
fn the_token_goes_on_only_where_that_is_wanted() {
    let mut document = document();
    document["headers"] = json!({"prefix": "x-caller-", "forward_token": true});
    let token = token(&json!({"roles": ["reader"]}));
    let outcome = get("/orders/7")
        .bearer(&token)
        .with("x-caller-subject", "root")
        .decide(&parse(&document));
    assert_eq!(
        forwarded(&outcome, "authorization").unwrap(),
        format!("Bearer {token}")
    );
    assert_eq!(
        forwarded(&outcome, "x-caller-subject").unwrap(),
        "https://id.test#alice"
    );
    assert_eq!(forwarded(&outcome, "x-identity-subject"), None);
}

#[test]
fn the_record_tells_who_what_and_why_and_never_the_token() {
    let token = token(&json!({"roles": ["reader"]}));
    let mut config = config();
    config.allow_sample = Some(Sample::ALL);
    let outcome = get("/orders/7?secret=1").bearer(&token).decide(&config);
    let record: Value = serde_json::from_str(&outcome.record.unwrap().line()).unwrap();
    let want = json!({
        "type": "audit", "time": "2027-01-15T08:00:00.123Z", "decision": "allow", "decision_id": "d-1",
        "connection_id": "c-1", "request_id": "r-1", "source": "192.0.2.1:5", "provider": "okta",
        "subject": "https://id.test#alice", "workload": "spiffe://cluster.local/ns/people/sa/alice",
        "roles": ["reader"], "certificate_bound": false, "namespace": "orders", "identity": "people", "grants": ["claimed"],
        "rule": "read", "method": "GET", "host": "api.test", "path": "/orders/7", "path_template": "/**",
        "duration_microseconds": 17, "waited_microseconds": null, "shadow": null, "status": null, "reason": null
    });
    assert_eq!(record, want);
    let allowed: Value = serde_json::from_str(&outcome.allowed.unwrap()).unwrap();
    for (name, value) in allowed.as_object().unwrap() {
        assert_eq!(*value, want[name], "{name}");
    }

    let signature = token.rsplit_once('.').unwrap().1;
    let forged = Signer::es256("rsa").token(&json!({"iss": "https://id.test", "sub": "root"}));
    for request in [
        get("/orders/secrets/x?secret=1").bearer(&token),
        get("/orders/7").bearer(&forged),
    ] {
        let outcome = request.decide(&config);
        assert_eq!(outcome.allowed, None);
        let line = outcome.record.unwrap().line();
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["status"], outcome.denial.unwrap().status());
        assert!(
            !line.contains(signature) && !line.contains("secret=") && !line.contains("root"),
            "{line}"
        );
    }
}

#[test]
fn what_is_let_in_is_recorded_for_the_access_log_and_logged_only_where_that_is_wanted() {
    let (token, mut config) = (token(&json!({"roles": ["reader"]})), config());
    for logs_allows in [false, true] {
        config.allow_sample = logs_allows.then_some(Sample::ALL);
        let outcome = get("/orders/7").bearer(&token).decide(&config);
        assert_eq!(
            (outcome.record.is_some(), outcome.allowed.is_some()),
            (logs_allows, true)
        );
        let outcome = get("/orders/7").decide(&config);
        assert_eq!(
            (outcome.record.is_some(), outcome.allowed.is_some()),
            (true, false)
        );
    }
}

#[test]
fn an_unknown_key_asks_for_new_keys_and_nothing_else_does() {
    let config = config();
    let claims = json!({"iss": "https://id.test", "aud": "api", "sub": "a", "exp": NOW + 300});
    let asked = |token: &str| {
        get("/orders/7")
            .bearer(token)
            .decide(&config)
            .wanted_key
            .is_some()
    };
    assert!(asked(
        &RSA.sign(&json!({"alg": "RS256", "kid": "rotated"}), &claims)
    ));
    assert!(!asked(&RSA.token(&claims)));
    assert!(!asked(
        &RSA.sign(&json!({"alg": "PS256", "kid": "rotated"}), &claims)
    ));
    assert!(!asked("x"));
}
