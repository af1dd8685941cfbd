//! A decision of each kind: a request for each reason to deny, and for each way in.

use std::time::Duration;

use identity_filter::config::Config;
use identity_filter::decision::Denial;
use identity_filter::gate::Outcome;
use identity_filter::keyring::Keyring;
use identity_filter::signature::Engine;
use identity_filter::signature::software::Software;
use serde_json::{Value, json};

use crate::host::HostStandIn;
use crate::issuer::{EC, RSA, Signer};
use crate::request::{NOW, Request, Worker};

const ID: &str = "01a22c83-a6d0-7001-9e43-3f2f93aa799c";
const TENANT: &str = "5f3cfb4a-6c1d-4f8e-b9a6-0d2f7e8c9b1a";
const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

pub(crate) fn document() -> Value {
    let keys = json!({"inline": {"keys": [RSA.jwk(), EC.jwk()]}});
    let provider = |name: &str, more: Value| {
        let mut provider = json!({"name": name, "issuer": format!("https://{name}.test"), "audiences": ["api"],
            "algorithms": ["RS256", "ES256"], "jwks": keys});
        let members = more.as_object().unwrap().clone();
        provider.as_object_mut().unwrap().extend(members);
        provider
    };
    let fetched = json!({"cluster": "c", "uri": "https://far.test/keys"});
    json!({
        "providers": [
            provider("id", json!({"tokens": [{"header": "authorization", "scheme": "Bearer"}, {"header": "x-token"}]})),
            provider("strict", json!({"max_lifetime_seconds": 60, "required_claims": [{"claim": "tenant", "equals": "t"}]})),
            provider("bound", json!({"certificate_binding": "required"})),
            provider("far", json!({"jwks": fetched})),
            provider("large", json!({"algorithms": ["ES512"], "jwks": fetched})),
            {"name": "okta", "preset": "okta", "issuer": "https://example.okta.com/oauth2/default",
             "audiences": ["api"], "jwks": keys},
            {"name": "entra", "preset": "entra", "tenant": TENANT, "audiences": ["api"], "jwks": keys},
            {"name": "alb", "preset": "aws-alb", "issuer": "https://people.test", "audiences": ["client"],
             "signer": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188",
             "jwks": {"cluster": "c"}}],
        "namespaces": [{"name": "orders", "routes": [{"host": "api.test", "path_prefix": "/orders"}]}],
        "identities": [{"name": "people", "provider": "id", "workload": "spiffe://cluster.local/ns/people/sa/{claim:sub}"}],
        "grants": [
            {"name": "claimed", "namespace": "orders", "provider": "id", "roles_from": {"claim": "roles", "allow": ["reader"]}},
            {"name": "groups", "namespace": "orders", "provider": "entra", "roles": ["reader"],
             "when": [{"claim": "groups", "contains": "readers"}]}],
        "policy": {"rules": [
            {"name": "health", "namespace": "orders", "anonymous": true, "paths": ["/orders/healthz"]},
            {"name": "no-secrets", "namespace": "orders", "action": "deny", "paths": ["/orders/secrets/**"]},
            {"name": "soon", "namespace": "orders", "action": "deny", "mode": "shadow", "paths": ["/orders/old"]},
            {"name": "later", "namespace": "orders", "mode": "shadow", "authenticated": true, "paths": ["/orders/new"]},
            {"name": "asks", "namespace": "orders", "authenticated": true, "paths": ["/orders/asks"],
             "when": [{"header": "x-flag", "equals": "on"}]},
            {"name": "read", "namespace": "orders", "roles": ["reader"], "paths": ["/orders/{id}"]},
            {"name": "head", "namespace": "orders", "roles": ["reader"], "methods": ["HEAD"]}]},
        "headers": {"set": [{"name": "x-identity-email", "provider": "id", "when": [{"claim": "aud", "equals": "api"}],
            "value": "{claim:email}"}]},
        "audit": {"log_allows": true},
        "limits": {"failures_per_source": 1, "failure_window_seconds": 3600}
    })
}

fn claims(issuer: &str, more: &Value) -> Value {
    let mut claims =
        json!({"iss": issuer, "aud": "api", "sub": "alice", "exp": NOW + 300, "roles": ["reader"]});
    let members = more.as_object().unwrap().clone();
    claims.as_object_mut().unwrap().extend(members);
    claims
}

/// A token of the provider `id`, with these claims changed.
pub(crate) fn token(more: &Value) -> String {
    RSA.token(&claims("https://id.test", more))
}

fn of(provider: &str, more: &Value) -> String {
    RSA.token(&claims(&format!("https://{provider}.test"), more))
}

pub(crate) fn get(path: &str) -> Request {
    Request::new("GET", "api.test", path)
}

pub(crate) fn bearing(token: &str) -> Request {
    get("/orders/7").bearer(token)
}

/// A request for each reason; the sender's address is a new one each time, so that none is throttled.
pub(crate) fn denied() -> Vec<(Denial, Request)> {
    use Denial::*;
    let alb = json!({"typ": "JWT", "kid": TENANT, "alg": "ES256", "iss": "https://people.test", "client": "client",
        "signer": "another", "exp": NOW + 120});
    let overage = claims(
        &format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        &json!({"tid": TENANT, "ver": "2.0", "oid": "o", "_claim_names": {"groups": "src1"}, "_claim_sources": {}}),
    );
    let typed = json!({"alg": "RS256", "kid": RSA.key_id(), "typ": "logout+jwt"});
    let opaque = claims(
        "https://example.okta.com",
        &json!({"aud": "https://example.okta.com"}),
    );
    let mut forged = token(&json!({}));
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    let unknown = Signer::es256("unknown");
    let large = json!({"alg": "ES512", "kid": "k", "typ": "JWT"});
    let mismatch =
        token(&json!({"cnf": {"x5t#S256": "B4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}}));
    vec![
        (
            AlgorithmRefused,
            bearing(&Signer::new("k", "ES384").token(&claims("https://id.test", &json!({})))),
        ),
        (
            AlgorithmUnavailable,
            bearing(&EC.sign(&large, &claims("https://large.test", &json!({})))),
        ),
        (AudienceMismatch, bearing(&token(&json!({"aud": "other"})))),
        (CertificateMismatch, bearing(&mismatch)),
        (CertificateMissing, bearing(&mismatch)),
        (
            ClaimMismatch,
            bearing(&of("strict", &json!({"iat": NOW, "exp": NOW + 60}))),
        ),
        (
            ConfirmationUnsupported,
            bearing(&token(&json!({"cnf": {"jkt": "a"}}))),
        ),
        (GroupsOverage, bearing(&RSA.token(&overage))),
        (
            HeaderInvalid,
            get("/orders/asks")
                .bearer(&token(&json!({})))
                .with("x-flag", "on")
                .with("x-flag", "off"),
        ),
        (HostInvalid, Request::new("GET", "a b", "/orders/7")),
        (
            IdentityTooLarge,
            bearing(&token(&json!({"email": "a".repeat(2000)}))),
        ),
        (IssuerUnknown, bearing(&of("nobody", &json!({})))),
        (
            KeyUnknown,
            bearing(&unknown.token(&claims("https://id.test", &json!({})))),
        ),
        (KeysUnavailable, bearing(&of("far", &json!({})))),
        (NamespaceUnknown, get("/else")),
        (PathAmbiguous, get("/orders/%2f?secret=1")),
        (
            RuleDenied,
            get("/orders/secrets/7").bearer(&token(&json!({}))),
        ),
        (RuleMissing, bearing(&token(&json!({"roles": []})))),
        (SignatureInvalid, bearing(&forged)),
        (
            SignerRefused,
            get("/orders/7").with(
                "x-amzn-oidc-data",
                EC.sign_padded(&alb, &json!({"sub": "a"})),
            ),
        ),
        (TokenAmbiguous, bearing("a").with("x-token", "b")),
        (TokenExpired, bearing(&token(&json!({"exp": NOW - 600})))),
        (
            TokenLifetimeRefused,
            bearing(&of("strict", &json!({"tenant": "t", "iat": NOW}))),
        ),
        (TokenMalformed, bearing("a.b.c")),
        (TokenMissing, get("/orders/7")),
        (
            TokenNotYetValid,
            bearing(&token(&json!({"nbf": NOW + 600}))),
        ),
        (TokenOpaque, bearing(&RSA.token(&opaque))),
        (
            TokenSourceRefused,
            get("/orders/7").with("x-token", of("bound", &json!({}))),
        ),
        (TokenTooLarge, bearing(&"a".repeat(20_000))),
        (
            TokenTypeRefused,
            bearing(&RSA.sign(&typed, &claims("https://id.test", &json!({})))),
        ),
        (TokenUnbound, bearing(&of("bound", &json!({})))),
    ]
}

pub(crate) fn worker(config: &Config) -> Worker {
    let mut worker = Worker::new(config);
    worker.decision_id = ID.into();
    worker
}

pub(crate) fn decide(worker: &mut Worker, request: Request, config: &Config) -> Outcome {
    decide_by(&HostStandIn::engines(), worker, request, config)
}

fn decide_by(
    engine: &dyn Engine,
    worker: &mut Worker,
    request: Request,
    config: &Config,
) -> Outcome {
    worker.decide(request, config, &Keyring::new(config, 1), engine)
}

pub(crate) fn record(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.record.as_ref().unwrap().line()).unwrap()
}

/// Records of all kinds, each with what it is of.
pub(crate) fn records() -> Vec<(String, Value)> {
    let config = Config::parse(document().to_string().as_bytes()).unwrap();
    let mut records = Vec::new();
    for (denial, request) in denied() {
        let mut worker = worker(&config);
        if denial == Denial::CertificateMismatch {
            worker.connection.thumbprint = Some(THUMBPRINT.into());
        }
        let outcome = if denial == Denial::AlgorithmUnavailable {
            decide_by(&Software, &mut worker, request, &config)
        } else {
            decide(&mut worker, request, &config)
        };
        assert_eq!(outcome.denial, Some(denial));
        let record = record(&outcome);
        assert_eq!(record["reason"], denial.name());
        assert_eq!(record["status"], denial.status());
        records.push((denial.name().into(), record));
        if denial == Denial::KeysUnavailable {
            let mut outcome = outcome;
            outcome.deny(Denial::TooManyWaiting);
            records.push(("too_many_waiting".into(), self::record(&outcome)));
        }
        if denial == Denial::TokenMalformed {
            let again = decide(&mut worker, bearing("a.b.c"), &config);
            assert_eq!(again.denial, Some(Denial::SourceThrottled));
            records.push(("source_throttled".into(), self::record(&again)));
        }
    }
    let good = token(&json!({}));
    for (what, request) in [
        ("anonymous", get("/orders/healthz")),
        ("a role", bearing(&good)),
        (
            "no path in the rule",
            Request::new("HEAD", "api.test", "/orders/a/b").bearer(&good),
        ),
        ("would be denied", get("/orders/old").bearer(&good)),
    ] {
        let mut worker = worker(&config);
        worker.waited = Some(Duration::from_millis(20));
        let outcome = decide(&mut worker, request, &config);
        assert_eq!(outcome.denial, None, "{what}");
        let record = record(&outcome);
        let allowed: Value = serde_json::from_str(&outcome.allowed.unwrap()).unwrap();
        for (name, value) in allowed.as_object().unwrap() {
            assert_eq!(*value, record[name], "{what}: {name} in filter state");
        }
        records.push((what.into(), record));
    }
    let request = get("/orders/new").bearer(&token(&json!({"roles": []})));
    records.push((
        "would be allowed".into(),
        record(&decide(&mut worker(&config), request, &config)),
    ));
    records
}
