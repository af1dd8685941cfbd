//! A filter with a fixed configuration, fixed keys and a fixed time, for whatever is thrown at it.
//!
//! `signed.json` holds the public keys and three tokens that they verify. The private keys are gone, so a
//! token that the filter believes and that is not among the three is forged.

use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::Duration;

use identity_filter::algorithm::Algorithm;
use identity_filter::cache::TokenCache;
use identity_filter::config::Config;
use identity_filter::confirmation::Connection;
use identity_filter::gate::{self, Context, Outcome};
use identity_filter::headers::Headers;
use identity_filter::keyring::Keyring;
use identity_filter::signature::{Engine, PublicKey};
use identity_filter::throttle::Throttle;
use identity_filter::time::UnixTime;
use serde_json::{Value, json};

/// The time of every decision, in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;
/// The `iss` of the provider that the three tokens are of.
pub(crate) const ISSUER: &str = "https://id.test";
/// The thumbprint of the certificate that the client has shown (RFC 8705 appendix A).
pub(crate) const CERTIFICATE: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
/// The roles that a token can bring.
pub(crate) const ROLES: [&str; 3] = ["auditor", "reader", "writer"];

static SIGNED: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("signed.json")).expect("it is JSON"));

/// The tokens that the keys have signed.
pub(crate) fn signed_tokens() -> impl Iterator<Item = &'static str> {
    let tokens = SIGNED["tokens"].as_array().into_iter().flatten();
    tokens.filter_map(Value::as_str)
}

/// Says yes to every signature, so that what follows the check can be reached without a key.
#[derive(Debug)]
pub(crate) struct Credulous;

impl Engine for Credulous {
    fn checks(&self, _algorithm: Algorithm) -> bool {
        true
    }

    fn is_valid(&self, _: Algorithm, _: &PublicKey, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

#[derive(Debug)]
struct Shown;

impl Connection for Shown {
    fn certificate_sha256(&self) -> Option<String> {
        Some(CERTIFICATE.into())
    }

    fn spiffe_id(&self) -> Option<String> {
        Some("spiffe://c.test/gate".into())
    }
}

struct Gateway {
    config: Config,
    keyring: Keyring,
    throttle: RefCell<Throttle>,
}

thread_local! {
    static GATEWAY: Gateway = Gateway::new(&document());
}

/// Hands the configuration to `use_it`.
pub(crate) fn with_config<T>(use_it: impl FnOnce(&Config) -> T) -> T {
    GATEWAY.with(|gateway| use_it(&gateway.config))
}

/// The public half of one of the keys.
pub(crate) fn key(id: &str) -> &'static Value {
    let mut keys = SIGNED["keys"].as_array().into_iter().flatten();
    keys.find(|key| key["kid"] == id)
        .expect("there is a key of this id")
}

/// The decision under another configuration, by an engine that says yes to every signature.
pub(crate) fn decide_under(document: &Value, headers: &[(&str, &[u8])]) -> Outcome {
    let gateway = Gateway::new(document);
    let mut cache = TokenCache::new(gateway.config.limits.cache, 1);
    gateway.decide(headers, &Credulous, &mut cache)
}

/// Decides twice about the same request, so that a remembered token is met too, and demands that both
/// decisions are one.
pub(crate) fn decide(headers: &[(&str, &[u8])], engine: &dyn Engine) -> Outcome {
    GATEWAY.with(|gateway| {
        let mut cache = TokenCache::new(gateway.config.limits.cache, 1);
        let first = gateway.decide(headers, engine, &mut cache);
        let second = gateway.decide(headers, engine, &mut cache);
        assert_eq!(
            first.denial, second.denial,
            "a repeated request is judged alike"
        );
        assert_eq!(first.headers, second.headers, "and goes on alike");
        first
    })
}

impl Gateway {
    fn new(document: &Value) -> Self {
        let config = Config::parse(document.to_string().as_bytes()).expect("it is valid");
        Self {
            keyring: Keyring::new(&config, 1),
            throttle: RefCell::new(Throttle::new(config.limits.failures, 1)),
            config,
        }
    }

    fn decide(
        &self,
        headers: &[(&str, &[u8])],
        engine: &dyn Engine,
        cache: &mut TokenCache,
    ) -> Outcome {
        let owned = |(name, value): &(&str, &[u8])| (String::from(*name), value.to_vec());
        let headers = Headers::new(headers.iter().map(owned).collect());
        let context = Context {
            now: UnixTime::from_millis(NOW * 1000),
            decision_id: "d-1".into(),
            elapsed: &|| Duration::ZERO,
            waited: None,
            connection_id: Some("c-1".into()),
            // Without a source nobody is throttled, so no input changes what becomes of the next.
            source: &|| None,
            connection: &Shown,
            keyring: &self.keyring,
            engine,
            cache,
            throttle: &mut self.throttle.borrow_mut(),
        };
        gate::decide(&self.config, headers, context)
    }
}

fn document() -> Value {
    let keys = json!({ "inline": { "keys": SIGNED["keys"] } });
    json!({
        "providers": [
            {"name": "main", "issuer": ISSUER, "audiences": ["api"], "jwks": keys,
             "algorithms": ["RS256", "ES256", "EdDSA"], "confirmations_checked_elsewhere": ["jkt"],
             "tokens": [{"header": "authorization", "scheme": "Bearer"}, {"header": "x-token"}, {"cookie": "session"}]},
            {"name": "narrow", "issuer": "https://narrow.test", "audiences": ["api"], "jwks": keys,
             "algorithms": ["ES256"], "types": ["at+jwt"], "max_lifetime_seconds": 600, "clock_skew_seconds": 0,
             "required_claims": [{"claim": "tenant.id", "one_of": ["a", 7, true]}, {"claim": "cnf", "present": false}]}],
        "namespaces": [{"name": "orders", "routes": [{"host": "api.test"}]}],
        "identities": [
            {"name": "tagged", "provider": "main", "when": [{"claim": "tag", "glob": "a*b*c"}],
             "workload": "spiffe://c.test/tag/{claim:\"https://x/\".account}"},
            {"name": "people", "provider": "main", "workload": "spiffe://c.test/sa/{claim:sub}"}],
        "grants": [
            {"name": "listed", "namespace": "orders", "provider": "main",
             "roles_from": {"claim": "roles", "allow": ["reader", "writer"]}},
            {"name": "scoped", "namespace": "orders", "provider": "main", "roles": ["writer"],
             "when": [{"claim": "scope", "contains": "write"}, {"claim": "sub", "prefix": "b"}]},
            {"name": "ops", "namespace": "orders", "provider": "main", "roles": ["auditor"],
             "when": [{"claim": "groups", "contains": "ops"}]}],
        "headers": {"set": [
            {"name": "x-identity-email", "provider": "main", "value": "{claim:email}"},
            {"name": "x-identity-groups", "provider": "main", "list": "groups"}]},
        "policy": {"rules": [
            {"name": "no-secrets", "namespace": "orders", "action": "deny", "paths": ["/secrets/**"]},
            {"name": "callers", "namespace": "orders", "authenticated": true}]}
    })
}
