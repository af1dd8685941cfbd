//! What a worker remembers: verified tokens, and who sent bad ones.

use identity_filter::config::Config;
use identity_filter::decision::Denial;
use identity_filter::freshness::Freshness;
use identity_filter::keyring::{FetchId, Fetched, Keyring, Moment};
use identity_filter::lease::Board;
use identity_filter::time::UnixTime;
use serde_json::{Value, json};

use crate::host::Counting;
use crate::issuer::{EC, RSA, Signer};
use crate::request::{NOW, Request, Worker};

/// A worker that has the gateway to itself.
struct Nobody;

impl Board for Nobody {
    fn read(&self, _key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        (None, None)
    }

    fn write(&self, _key: &str, _value: &[u8], _version: Option<u32>) -> bool {
        true
    }
}

struct Run {
    config: Config,
    keyring: Keyring,
    engine: Counting,
    worker: Worker,
}

impl Run {
    fn new(limits: &Value) -> Self {
        let config = json!({
            "providers": [{"name": "okta", "issuer": "https://id.test", "audiences": ["api"],
                "algorithms": ["RS256", "ES256"],
                "jwks": {"cluster": "c", "uri": "https://id.test/keys"},
                "tokens": [{"header": "authorization", "scheme": "Bearer"}, {"header": "x-token"}]}],
            "namespaces": [{"name": "orders", "routes": [{"host": "api.test"}]}],
            "policy": {"rules": [{"name": "all", "namespace": "orders", "authenticated": true}]},
            "limits": limits,
        });
        let config = Config::parse(config.to_string().as_bytes()).unwrap();
        let mut run = Self {
            keyring: Keyring::new(&config, 1),
            worker: Worker::new(&config),
            config,
            engine: Counting::default(),
        };
        run.keys(&[RSA.jwk(), EC.jwk()]);
        run
    }

    /// The provider publishes these keys from now on.
    fn keys(&mut self, keys: &[Value]) {
        let body = json!({ "keys": keys }).to_string();
        let fetched = Fetched::Response {
            status: Some(200),
            freshness: Freshness::Unsaid,
            body: body.as_bytes(),
        };
        let now = Moment {
            elapsed: std::time::Duration::ZERO,
            wall: self.worker.now,
        };
        let fetched = self
            .keyring
            .on_fetched(FetchId::of_set(0), now, &Nobody, fetched);
        let (_provider, result) = fetched.unwrap();
        result.unwrap();
    }

    fn at(&mut self, seconds: u64) {
        self.worker.now = UnixTime::from_millis(seconds * 1000);
    }

    fn ask(&mut self, token: &str) -> Option<Denial> {
        self.send(Request::new("GET", "api.test", "/").bearer(token))
    }

    fn send(&mut self, request: Request) -> Option<Denial> {
        self.worker
            .decide(request, &self.config, &self.keyring, &self.engine)
            .denial
    }

    fn checked(&self) -> u32 {
        self.engine.checked()
    }
}

fn claims(subject: &str) -> Value {
    json!({"iss": "https://id.test", "aud": "api", "sub": subject, "exp": NOW + 300})
}

fn bad(token: &str) -> String {
    let end = if token.ends_with("AAAA") {
        "BBBB"
    } else {
        "AAAA"
    };
    format!("{}{end}", &token[..token.len() - 4])
}

#[test]
fn a_token_is_verified_once() {
    let mut run = Run::new(&json!({}));
    let token = RSA.token(&claims("alice"));
    for _request in 0..3 {
        assert_eq!(run.ask(&token), None);
    }
    assert_eq!(run.checked(), 1);
    assert_eq!(run.ask(&RSA.token(&claims("bob"))), None);
    assert_eq!(run.checked(), 2);
}

#[test]
fn a_token_in_another_place_is_another_token() {
    let mut run = Run::new(&json!({}));
    let token = RSA.token(&claims("alice"));
    assert_eq!(run.ask(&token), None);
    let elsewhere = || Request::new("GET", "api.test", "/").with("x-token", &token);
    assert_eq!(run.send(elsewhere()), None);
    assert_eq!(run.checked(), 2);
}

#[test]
fn a_remembered_token_ends_when_it_expires() {
    let mut run = Run::new(&json!({}));
    let token = RSA.token(&claims("alice"));
    assert_eq!(run.ask(&token), None);
    run.at(NOW + 300 + 59);
    assert_eq!(
        run.ask(&token),
        None,
        "the leeway is that of a verification"
    );
    run.at(NOW + 300 + 60);
    assert_eq!(run.ask(&token), Some(Denial::TokenExpired));
    assert!(run.worker.cache.is_empty());
}

#[test]
fn a_remembered_token_is_not_valid_before_its_time() {
    let mut run = Run::new(&json!({}));
    let mut claims = claims("alice");
    claims["nbf"] = json!(NOW);
    let token = RSA.token(&claims);
    assert_eq!(run.ask(&token), None);
    run.at(NOW - 61);
    assert_eq!(run.ask(&token), Some(Denial::TokenNotYetValid));
}

#[test]
fn a_key_that_leaves_the_set_takes_its_tokens_along() {
    let mut run = Run::new(&json!({}));
    let (rsa, ec) = (RSA.token(&claims("alice")), EC.token(&claims("bob")));
    assert_eq!((run.ask(&rsa), run.ask(&ec)), (None, None));
    run.keys(&[EC.jwk()]);
    assert_eq!(run.ask(&rsa), Some(Denial::KeyUnknown));
    assert_eq!(
        (run.ask(&ec), run.checked()),
        (None, 2),
        "the other key stayed"
    );
    assert_eq!(run.worker.cache.len(), 1);
    run.keys(&[RSA.jwk(), EC.jwk()]);
    assert_eq!((run.ask(&rsa), run.checked()), (None, 3), "verified anew");
}

#[test]
fn another_key_under_the_same_name_takes_its_tokens_along() {
    let mut run = Run::new(&json!({}));
    let token = EC.token(&claims("alice"));
    assert_eq!(run.ask(&token), None);
    let mut other = Signer::es256("other").jwk();
    other["kid"] = EC.jwk()["kid"].clone();
    run.keys(&[other]);
    assert_eq!(run.ask(&token), Some(Denial::SignatureInvalid));
}

#[test]
fn the_same_keys_fetched_again_change_nothing() {
    let mut run = Run::new(&json!({}));
    let token = RSA.token(&claims("alice"));
    assert_eq!(run.ask(&token), None);
    run.keys(&[EC.jwk(), RSA.jwk()]);
    assert_eq!((run.ask(&token), run.checked()), (None, 1));
}

#[test]
fn a_refused_token_is_never_remembered() {
    let mut run = Run::new(&json!({}));
    let token = bad(&RSA.token(&claims("alice")));
    for _request in 0..3 {
        assert_eq!(run.ask(&token), Some(Denial::SignatureInvalid));
    }
    assert_eq!(run.checked(), 3);
    assert!(run.worker.cache.is_empty());
}

#[test]
fn the_cache_can_be_left_out() {
    let mut run = Run::new(&json!({"cached_tokens": 0}));
    let token = RSA.token(&claims("alice"));
    assert_eq!((run.ask(&token), run.ask(&token)), (None, None));
    assert_eq!(run.checked(), 2);
}

#[test]
fn a_source_of_bad_tokens_is_throttled_and_its_good_neighbour_is_not() {
    let mut run = Run::new(&json!({"failures_per_source": 5, "failure_window_seconds": 50}));
    let good = RSA.token(&claims("alice"));
    assert_eq!(run.ask(&good), None);
    for number in 0..5 {
        let token = bad(&RSA.token(&claims(&format!("mallory-{number}"))));
        assert_eq!(run.ask(&token), Some(Denial::SignatureInvalid));
    }
    let checked = run.checked();
    for _request in 0..3 {
        let request = Request::new("GET", "api.test", "/").bearer(&bad(&good));
        let outcome = run
            .worker
            .decide(request, &run.config, &run.keyring, &run.engine);
        assert_eq!(outcome.denial, Some(Denial::SourceThrottled));
        assert_eq!(outcome.retry_after, Some(10));
    }
    assert_eq!(run.ask(&good), None, "known tokens go on");
    assert_eq!(
        run.send(Request::new("GET", "api.test", "/")),
        Some(Denial::TokenMissing),
        "so do requests without one"
    );
    assert_eq!(run.checked(), checked, "no signature was checked");
    run.worker.source = "192.0.2.2:5";
    assert_eq!(run.ask(&RSA.token(&claims("bob"))), None, "another source");
    run.worker.source = "192.0.2.1:6";
    assert_eq!(
        run.ask(&RSA.token(&claims("carol"))),
        Some(Denial::SourceThrottled)
    );
    run.at(NOW + 11);
    assert_eq!(
        run.ask(&RSA.token(&claims("carol"))),
        None,
        "the wait is over"
    );
}

#[test]
fn missing_keys_are_not_held_against_the_sender() {
    let mut run = Run::new(&json!({"failures_per_source": 1, "failure_window_seconds": 50}));
    run.keyring = Keyring::new(&run.config, 1);
    let token = RSA.token(&claims("alice"));
    for _request in 0..3 {
        assert_eq!(run.ask(&token), Some(Denial::KeysUnavailable));
    }
    run.keys(&[RSA.jwk()]);
    assert_eq!(run.ask(&token), None);
}

#[test]
fn a_token_whose_key_may_yet_come_is_not_counted_before_it_is_denied() {
    let mut run = Run::new(&json!({"failures_per_source": 1, "failure_window_seconds": 50}));
    let rotated = Signer::es256("rotated");
    let token = rotated.token(&claims("alice"));
    for _waiting in 0..3 {
        assert_eq!(run.ask(&token), Some(Denial::KeyUnknown));
    }
    run.keys(&[RSA.jwk(), rotated.jwk()]);
    assert_eq!(run.ask(&token), None);
    let invented = Signer::es256("invented").token(&claims("alice"));
    let request = || Request::new("GET", "api.test", "/").bearer(&invented);
    let outcome = run
        .worker
        .decide(request(), &run.config, &run.keyring, &run.engine);
    run.worker.settle(&outcome);
    assert_eq!(run.send(request()), Some(Denial::SourceThrottled));
}
