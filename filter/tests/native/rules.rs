//! Rules by everything that they can ask for, and what shadow mode lets pass.

use identity_filter::config::Config;
use identity_filter::decision::Denial;
use identity_filter::gate::Outcome;
use identity_filter::keyring::Keyring;
use serde_json::{Value, json};

use crate::host::HostStandIn;
use crate::issuer::EC;
use crate::request::{NOW, Request, Worker, forwarded};

const GATE: &str = "spiffe://cluster.local/ns/edge/sa/gate";

fn config(rules: Value) -> Config {
    configured(json!({"rules": rules}), json!([]), json!([]))
}

fn configured(policy: Value, identities: Value, grants: Value) -> Config {
    let document = json!({
        "providers": [{"name": "okta", "issuer": "https://id.test", "audiences": ["api"],
            "algorithms": ["ES256"], "jwks": {"inline": {"keys": [EC.jwk()]}}}],
        "namespaces": [{"name": "orders", "routes": [{"host": "api.test"}]}],
        "identities": identities, "grants": grants, "policy": policy
    });
    Config::parse(document.to_string().as_bytes()).unwrap()
}

fn rule(extra: Value) -> Value {
    let mut rule = json!({"name": "r", "namespace": "orders"});
    rule.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    json!([rule])
}

fn token(extra: &Value) -> String {
    let mut claims =
        json!({"iss": "https://id.test", "aud": "api", "sub": "alice", "exp": NOW + 300});
    claims
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    EC.token(&claims)
}

fn get(target: &str) -> Request {
    Request::new("GET", "api.test", target)
}

fn shadow(outcome: &Outcome) -> Value {
    let record = outcome.record.as_ref().map(|record| record.line());
    record.map_or(Value::Null, |line| {
        serde_json::from_str::<Value>(&line).unwrap()["shadow"].take()
    })
}

fn identity_headers(outcome: &Outcome) -> Vec<String> {
    let names = outcome.headers.iter().map(|(name, _)| String::from(name));
    names
        .filter(|name| name.starts_with("x-identity"))
        .collect()
}

#[test]
fn a_rule_asks_for_claims_and_headers() {
    let config = config(rule(json!({"authenticated": true, "when": [
        {"any": [{"claim": "mfa", "equals": true}, {"claim": "amr", "contains": "hwk"}]},
        {"not": {"claim": "groups", "contains": "contractors"}},
        {"header": "x-tenant", "one_of": ["a", "b"]}]})));
    let good = || get("/").with("x-tenant", "a");
    let mfa = json!({"mfa": true});
    let cases = [
        (good(), &mfa, None),
        (good(), &json!({"amr": ["pwd", "hwk"]}), None),
        (good(), &json!({"amr": ["pwd"]}), Some(Denial::RuleMissing)),
        (
            good(),
            &json!({"mfa": true, "groups": ["contractors"]}),
            Some(Denial::RuleMissing),
        ),
        (get("/"), &mfa, Some(Denial::RuleMissing)),
        (
            get("/").with("x-tenant", "c"),
            &mfa,
            Some(Denial::RuleMissing),
        ),
    ];
    for (request, claims, want) in cases {
        assert_eq!(
            request.bearer(&token(claims)).denial(&config),
            want,
            "{claims}"
        );
    }
}

#[test]
fn a_header_that_a_rule_asks_for_has_one_meaning() {
    let config = config(rule(json!({"anonymous": true,
        "when": [{"not": {"header": "x-tenant", "equals": "evil"}}]})));
    let cases = [
        ("absent", get("/"), None),
        ("fine", get("/").with("x-tenant", "a"), None),
        ("other", get("/").with("x_other", "a"), None),
        (
            "evil",
            get("/").with("X-Tenant", "evil"),
            Some(Denial::TokenMissing),
        ),
        (
            "twice",
            get("/").with("x-tenant", "a").with("x-tenant", "evil"),
            Some(Denial::HeaderInvalid),
        ),
        (
            "spelled otherwise",
            get("/").with("x_tenant", "evil"),
            Some(Denial::HeaderInvalid),
        ),
        (
            "both spellings",
            get("/").with("x-tenant", "a").with("X_Tenant", "evil"),
            Some(Denial::HeaderInvalid),
        ),
        (
            "not text",
            get("/").with("x-tenant", b"evil\xff"),
            Some(Denial::HeaderInvalid),
        ),
    ];
    for (name, request, want) in cases {
        assert_eq!(request.denial(&config), want, "{name}");
    }
}

#[test]
fn identities_roles_and_rules_follow_the_certificate_of_the_connection() {
    let gate = json!({"attribute": "certificate", "spiffe": "spiffe://cluster.local/ns/*/sa/gate"});
    let config = configured(
        json!({"rules": [
            {"name": "seen", "namespace": "orders", "certificates": [GATE], "anonymous": true, "paths": ["/seen"]},
            {"name": "role", "namespace": "orders", "roles": ["gate"], "paths": ["/role"]},
            {"name": "id", "namespace": "orders", "identities": ["spiffe://c/via/**"], "paths": ["/id"]}]}),
        json!([{"name": "via", "provider": "okta", "when": [gate], "workload": "spiffe://c/via/{claim:sub}"}]),
        json!([{"name": "gate", "namespace": "orders", "roles": ["gate"], "when": [gate]}]),
    );
    let (keyring, engine) = (Keyring::new(&config, 1), HostStandIn::engines());
    let mut worker = Worker::new(&config);
    let token = token(&json!({}));
    // The same token over one connection after the other: what is remembered is not what was.
    for id in [
        Some(GATE),
        None,
        Some("spiffe://cluster.local/ns/edge/sa/gates"),
        Some("spiffe://cluster.local/ns/a/b/sa/gate"),
        Some(GATE),
    ] {
        worker.connection.spiffe_id = id.map(Into::into);
        for path in ["/seen", "/role", "/id"] {
            let request = get(path).bearer(&token);
            let outcome = worker.decide(request, &config, &keyring, &engine);
            assert_eq!(outcome.denial.is_none(), id == Some(GATE), "{id:?} {path}");
        }
    }
}

#[test]
fn a_rule_asks_for_networks() {
    let config = config(rule(
        json!({"anonymous": true, "sources": ["10.0.0.0/8", "2001:db8::7"]}),
    ));
    let (keyring, engine) = (Keyring::new(&config, 1), HostStandIn::engines());
    let mut worker = Worker::new(&config);
    for (source, want) in [
        ("10.255.0.1:1", true),
        ("11.0.0.1:1", false),
        ("[::ffff:10.0.0.1]:1", true),
        ("[2001:db8::7]:1", true),
        ("[2001:db8::8]:1", false),
        ("10.0.0.1", false),
        ("", false),
    ] {
        worker.source = source;
        let outcome = worker.decide(get("/"), &config, &keyring, &engine);
        assert_eq!(outcome.denial.is_none(), want, "{source}");
    }
}

#[test]
fn what_shadow_mode_lets_pass_has_no_identity() {
    let config = configured(
        json!({"mode": "shadow", "rules": [
            {"name": "readers", "namespace": "orders", "roles": ["reader"], "methods": ["GET"]},
            {"name": "no-b", "namespace": "orders", "action": "deny", "paths": ["/b/**"]}]}),
        json!([]),
        json!([{"name": "g", "namespace": "orders", "roles_from": {"claim": "roles", "allow": ["reader"]}}]),
    );
    let spoofed = |request: Request| {
        request
            .with("x-identity-subject", "root")
            .with("X_Identity_Roles", "admin")
            .with("x-connection-id", "forged")
    };
    let reader = token(&json!({"roles": ["reader"]}));
    let nobody = token(&json!({}));
    let denied =
        |rule: Value, reason: &str| json!({"decision": "deny", "rule": rule, "reason": reason});
    let cases = [
        ("allowed", get("/a").bearer(&reader), Value::Null),
        (
            "a deny rule",
            get("/b/1").bearer(&reader),
            denied(json!("no-b"), "rule_denied"),
        ),
        (
            "no rule",
            get("/a").bearer(&nobody),
            denied(Value::Null, "rule_missing"),
        ),
        ("no token", get("/a"), denied(Value::Null, "token_missing")),
    ];
    for (name, request, want) in cases {
        let outcome = spoofed(request).decide(&config);
        assert_eq!(outcome.denial, None, "{name}");
        assert_eq!(shadow(&outcome), want, "{name}");
        assert_eq!(forwarded(&outcome, "x-connection-id").unwrap(), "c-1");
        assert_eq!(outcome.headers.only("authorization"), None, "{name}");
        if want.is_null() {
            let subject = forwarded(&outcome, "x-identity-subject").unwrap();
            assert_eq!(subject, "https://id.test#alice");
            assert_eq!(forwarded(&outcome, "x-identity-roles").unwrap(), "reader");
        } else {
            assert_eq!(identity_headers(&outcome), Vec::<String>::new(), "{name}");
        }
        assert!(outcome.headers.iter().all(|(name, _)| !name.contains('_')));
    }
    for (name, request, want) in [
        ("a bad token", get("/a").bearer("x"), Denial::TokenMalformed),
        ("a bad path", get("/a%2f"), Denial::PathAmbiguous),
        (
            "nobody's host",
            Request::new("GET", "other.test", "/"),
            Denial::NamespaceUnknown,
        ),
    ] {
        assert_eq!(request.denial(&config), Some(want), "{name}");
    }
}

#[test]
fn a_rule_in_shadow_mode_changes_nothing_but_the_record() {
    let mut rules = vec![
        json!({"name": "all", "namespace": "orders", "authenticated": true}),
        json!({"name": "no-b", "namespace": "orders", "action": "deny", "paths": ["/b"]}),
        json!({"name": "open", "namespace": "orders", "anonymous": true, "paths": ["/c"]}),
    ];
    let without = config(json!([rules[0]]));
    rules[1]["mode"] = json!("shadow");
    rules[2]["mode"] = json!("shadow");
    let with = config(json!(rules));
    let token = token(&json!({}));
    let cases = [
        ("/a", true, Value::Null),
        (
            "/b",
            true,
            json!({"decision": "deny", "rule": "no-b", "reason": "rule_denied"}),
        ),
        ("/b", false, Value::Null),
        (
            "/c",
            false,
            json!({"decision": "allow", "rule": "open", "reason": null}),
        ),
    ];
    for (path, has_token, want) in cases {
        let request = || {
            if has_token {
                get(path).bearer(&token)
            } else {
                get(path)
            }
        };
        let (one, other) = (request().decide(&with), request().decide(&without));
        assert_eq!(one.denial, other.denial, "{path}");
        assert_eq!(one.headers, other.headers, "{path}");
        assert_eq!(shadow(&one), want, "{path}");
        assert_eq!(shadow(&other), Value::Null, "{path}");
    }
}

#[test]
fn a_host_that_is_named_twice_is_one_host() {
    let config = config(rule(json!({"anonymous": true})));
    let cases = [
        ("the same", "api.test", None),
        ("in another spelling", "API.test.:8443", None),
        ("another", "admin.test", Some(Denial::HostInvalid)),
        ("none", "", Some(Denial::HostInvalid)),
    ];
    for (name, host, want) in cases {
        assert_eq!(get("/").with("host", host).denial(&config), want, "{name}");
    }
    let twice = get("/").with("host", "api.test").with("host", "admin.test");
    assert_eq!(twice.denial(&config), Some(Denial::HostInvalid));
}

#[test]
fn a_fragment_is_refused_before_and_in_the_query() {
    let config = config(rule(json!({"anonymous": true})));
    for target in ["/a#b", "/#", "/a?b#c", "/a?#"] {
        assert_eq!(
            get(target).denial(&config),
            Some(Denial::PathAmbiguous),
            "{target}"
        );
    }
}

#[test]
fn no_header_stands_in_for_the_method_or_the_target() {
    let config = config(json!([
        {"name": "read", "namespace": "orders", "anonymous": true, "methods": ["GET"], "paths": ["/open"]}]));
    let overrides = [
        ("x-http-method-override", "GET"),
        ("x-http-method", "GET"),
        ("x-method-override", "GET"),
        ("x-original-url", "/open"),
        ("x-rewrite-url", "/open"),
        ("x-forwarded-host", "api.test"),
        ("x-envoy-original-path", "/open"),
    ];
    let with_all = |request: Request| {
        overrides
            .iter()
            .fold(request, |request, (name, value)| request.with(name, value))
    };
    let post = Request::new("POST", "api.test", "/open");
    assert_eq!(with_all(post).denial(&config), Some(Denial::TokenMissing));
    assert_eq!(
        with_all(get("/closed")).denial(&config),
        Some(Denial::TokenMissing)
    );
    let elsewhere = Request::new("GET", "other.test", "/open");
    assert_eq!(
        with_all(elsewhere).denial(&config),
        Some(Denial::NamespaceUnknown)
    );
    assert_eq!(with_all(get("/open")).denial(&config), None);
}

#[test]
fn preflights_upgrades_calls_and_tunnels_pass_only_where_a_rule_says_so() {
    let rules = json!([
        {"name": "preflights", "namespace": "orders", "anonymous": true, "methods": ["OPTIONS"], "paths": ["/v1/**"],
         "when": [{"header": "origin", "equals": "https://app.test"},
                  {"header": "access-control-request-method", "one_of": ["GET", "PUT"]}]},
        {"name": "sockets", "namespace": "orders", "anonymous": true, "methods": ["GET"], "paths": ["/ws"],
         "when": [{"header": "upgrade", "equals": "websocket"}]},
        {"name": "calls", "namespace": "orders", "anonymous": true, "methods": ["POST"],
         "paths": ["/shop.Orders/{method}"], "when": [{"header": "content-type", "prefix": "application/grpc"}]},
        {"name": "tunnels", "namespace": "orders", "anonymous": true, "methods": ["CONNECT"], "paths": ["/tunnel"]},
        {"name": "anything", "namespace": "orders", "anonymous": true, "paths": ["/any"]}]);
    let config = config(rules);
    let preflight = |origin: &str, method: &str| {
        Request::new("OPTIONS", "api.test", "/v1/orders")
            .with("origin", origin)
            .with("access-control-request-method", method)
    };
    let post = |target: &str, kind: &str| {
        Request::new("POST", "api.test", target).with("content-type", kind)
    };
    let missing = Some(Denial::TokenMissing);
    let bare = Request::new("CONNECT", "api.test:443", "");
    let cases = [
        ("preflight", preflight("https://app.test", "PUT"), None),
        (
            "of another origin",
            preflight("https://evil.test", "PUT"),
            missing,
        ),
        (
            "for another method",
            preflight("https://app.test", "DELETE"),
            missing,
        ),
        (
            "options alone",
            Request::new("OPTIONS", "api.test", "/v1/orders"),
            missing,
        ),
        (
            "preflight elsewhere",
            Request::new("OPTIONS", "api.test", "/v2"),
            missing,
        ),
        ("socket", get("/ws").with("upgrade", "websocket"), None),
        ("no upgrade", get("/ws"), missing),
        (
            "another upgrade",
            get("/ws").with("upgrade", "h2c"),
            missing,
        ),
        (
            "call",
            post("/shop.Orders/List", "application/grpc+proto"),
            None,
        ),
        (
            "another service",
            post("/shop.Admin/List", "application/grpc"),
            missing,
        ),
        ("no call", post("/shop.Orders/List", "text/plain"), missing),
        (
            "tunnel",
            Request::new("CONNECT", "api.test", "/tunnel"),
            None,
        ),
        (
            "tunnel that no rule names",
            Request::new("CONNECT", "api.test", "/any"),
            missing,
        ),
        (
            "any method",
            Request::new("PURGE", "api.test", "/any"),
            None,
        ),
        ("bare tunnel", bare, Some(Denial::PathAmbiguous)),
    ];
    for (name, request, want) in cases {
        assert_eq!(request.denial(&config), want, "{name}");
    }
}
