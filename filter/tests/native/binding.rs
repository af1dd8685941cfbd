//! Tokens that are bound to a client certificate (RFC 8705 section 3): good on its connections, and nowhere else.

use identity_filter::config::Config;
use identity_filter::decision::Denial;
use identity_filter::gate::Outcome;
use identity_filter::keyring::Keyring;
use serde_json::{Value, json};

use crate::host::Counting;
use crate::issuer::EC;
use crate::request::{NOW, Request, Worker};

/// RFC 8705 appendix A.
const OURS: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
const THEIRS: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v4";

struct Run {
    config: Config,
    keyring: Keyring,
    engine: Counting,
    worker: Worker,
}

impl Run {
    /// With these fields of the provider besides the usual ones.
    fn new(fields: &Value) -> Self {
        Self::within(fields, &json!({}))
    }

    fn within(fields: &Value, limits: &Value) -> Self {
        let mut document = json!({
            "providers": [{"name": "p", "issuer": "https://id.test", "audiences": ["api"],
                "algorithms": ["ES256"], "jwks": {"inline": {"keys": [EC.jwk()]}}}],
            "namespaces": [{"name": "n", "routes": [{"host": "a.test"}]}],
            "policy": {"rules": [
                {"name": "open", "namespace": "n", "anonymous": true, "paths": ["/open"]},
                {"name": "all", "namespace": "n", "authenticated": true}]},
            "limits": limits,
        });
        let provider = document["providers"][0].as_object_mut().unwrap();
        provider.extend(fields.as_object().unwrap().clone());
        let config = Config::parse(document.to_string().as_bytes()).unwrap();
        Self {
            keyring: Keyring::new(&config, 1),
            engine: Counting::default(),
            worker: Worker::new(&config),
            config,
        }
    }

    fn send(&mut self, request: Request, shown: Option<&str>) -> Outcome {
        self.worker.connection.thumbprint = shown.map(Into::into);
        self.worker
            .decide(request, &self.config, &self.keyring, &self.engine)
    }

    fn ask(&mut self, token: &str, shown: Option<&str>) -> Option<Denial> {
        self.send(Request::new("GET", "a.test", "/").bearer(token), shown)
            .denial
    }
}

fn token(cnf: &Value) -> String {
    let mut claims = json!({"iss": "https://id.test", "aud": "api", "sub": "alice", "iat": NOW, "exp": NOW + 300});
    if !cnf.is_null() {
        claims["cnf"] = cnf.clone();
    }
    EC.token(&claims)
}

fn bound() -> String {
    token(&json!({"x5t#S256": OURS}))
}

#[test]
fn a_bound_token_is_good_with_its_certificate_alone() {
    let cases = [
        (Some(OURS), None),
        (Some(THEIRS), Some(Denial::CertificateMismatch)),
        (None, Some(Denial::CertificateMissing)),
        (Some("no thumbprint"), Some(Denial::CertificateMissing)),
    ];
    for (shown, want) in cases {
        assert_eq!(Run::new(&json!({})).ask(&bound(), shown), want, "{shown:?}");
    }
}

#[test]
fn a_remembered_token_is_held_against_each_connection() {
    let mut run = Run::new(&json!({}));
    let token = bound();
    for _round in 0..3 {
        assert_eq!(run.ask(&token, Some(OURS)), None);
        assert_eq!(
            run.ask(&token, Some(THEIRS)),
            Some(Denial::CertificateMismatch)
        );
        assert_eq!(run.ask(&token, None), Some(Denial::CertificateMissing));
    }
    assert_eq!(run.engine.checked(), 1, "and it stays remembered");
}

#[test]
fn a_bound_token_is_remembered_only_for_its_holder() {
    let mut run = Run::new(&json!({}));
    let token = bound();
    for shown in [Some(THEIRS), None] {
        assert!(run.ask(&token, shown).is_some());
        assert!(run.worker.cache.is_empty());
    }
    assert_eq!(run.ask(&token, Some(OURS)), None);
}

#[test]
fn copies_of_a_bound_token_count_as_bad_ones_remembered_or_not() {
    let limits = json!({"failures_per_source": 2, "failure_window_seconds": 60});
    let other = token(&json!({"x5t#S256": THEIRS}));
    for is_remembered in [true, false] {
        let mut run = Run::within(&json!({}), &limits);
        let token = bound();
        if is_remembered {
            assert_eq!(run.ask(&token, Some(OURS)), None);
        }
        for _replay in 0..2 {
            assert_eq!(run.ask(&token, None), Some(Denial::CertificateMissing));
        }
        assert_eq!(
            run.ask(&other, Some(THEIRS)),
            Some(Denial::SourceThrottled),
            "{is_remembered}"
        );
    }
}

#[test]
fn nothing_in_the_request_stands_in_for_the_certificate() {
    let mut run = Run::new(&json!({}));
    for name in [
        "certificate_sha256",
        "x-client-certificate",
        "x-forwarded-client-cert",
        "client-cert",
    ] {
        let request = Request::new("GET", "a.test", "/")
            .with(name, OURS)
            .bearer(&bound());
        assert_eq!(
            run.send(request, None).denial,
            Some(Denial::CertificateMissing),
            "{name}"
        );
    }
}

#[test]
fn a_bound_token_is_refused_also_where_none_is_needed() {
    let mut run = Run::new(&json!({}));
    let request = |token: &str| Request::new("GET", "a.test", "/open").bearer(token);
    assert_eq!(
        run.send(request(&bound()), None).denial,
        Some(Denial::CertificateMissing)
    );
    let dpop = token(&json!({"jkt": "a"}));
    assert_eq!(
        run.send(request(&dpop), None).denial,
        Some(Denial::ConfirmationUnsupported)
    );
}

#[test]
fn the_provider_says_what_its_tokens_may_be_bound_to() {
    let (by_default, required, elsewhere) = (
        json!({}),
        json!({"certificate_binding": "required"}),
        json!({"certificate_binding": "if_present", "confirmations_checked_elsewhere": ["jkt"]}),
    );
    let (unbound, dpop, other) = (
        token(&Value::Null),
        token(&json!({"jkt": "a"})),
        token(&json!({"kid": "a"})),
    );
    let unsupported = Some(Denial::ConfirmationUnsupported);
    let cases = [
        (&by_default, &unbound, None),
        (&by_default, &dpop, unsupported),
        (&required, &unbound, Some(Denial::TokenUnbound)),
        (&required, &dpop, Some(Denial::TokenUnbound)),
        (&required, &bound(), None),
        (&elsewhere, &unbound, None),
        (&elsewhere, &dpop, None),
        (&elsewhere, &other, unsupported),
    ];
    for (fields, token, want) in cases {
        let mut run = Run::new(fields);
        assert_eq!(run.ask(token, Some(OURS)), want, "{fields} {token}");
    }
    for fields in [&by_default, &required, &elsewhere] {
        let malformed = token(&json!({"x5t#S256": "A"}));
        assert_eq!(
            Run::new(fields).ask(&malformed, Some(OURS)),
            Some(Denial::TokenMalformed)
        );
        assert_eq!(
            Run::new(fields).ask(&bound(), Some(THEIRS)),
            Some(Denial::CertificateMismatch),
            "no setting takes this check away: {fields}"
        );
    }
}

#[test]
fn nobody_is_asked_about_the_certificate_of_an_unbound_token() {
    let mut run = Run::new(&json!({}));
    let (unbound, bound) = (token(&Value::Null), bound());
    for _request in 0..2 {
        assert_eq!(run.ask(&unbound, Some(OURS)), None);
    }
    assert_eq!(run.worker.connection.asked.get(), 0);
    for _request in 0..2 {
        assert_eq!(run.ask(&bound, Some(OURS)), None);
    }
    assert_eq!(run.worker.connection.asked.get(), 2);
}

#[test]
fn a_denial_tells_its_sender_nothing_of_the_certificate() {
    let mut run = Run::new(&json!({}));
    let request = Request::new("GET", "a.test", "/").bearer(&bound());
    let outcome = run.send(request, Some(THEIRS));
    let reply = outcome.denial.unwrap().reply("d-1", None);
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (401, r#"{"decision":"d-1"}"#)
    );
    assert_eq!(reply, Denial::SignatureInvalid.reply("d-1", None));
}

#[test]
fn the_record_says_whether_the_token_was_bound() {
    let mut run = Run::new(&json!({}));
    let mut certificate_bound = |token: &str, shown| {
        let request = Request::new("GET", "a.test", "/").bearer(token);
        let line = run.send(request, shown).line();
        let record: Value = serde_json::from_str(&line).unwrap();
        (
            record["certificate_bound"].clone(),
            record["reason"].clone(),
        )
    };
    for _remembered in [false, true] {
        assert_eq!(
            certificate_bound(&bound(), Some(OURS)),
            (json!(true), Value::Null)
        );
        assert_eq!(
            certificate_bound(&token(&Value::Null), Some(OURS)),
            (json!(false), Value::Null)
        );
        assert_eq!(
            certificate_bound(&bound(), Some(THEIRS)),
            (Value::Null, json!("certificate_mismatch"))
        );
    }
}
