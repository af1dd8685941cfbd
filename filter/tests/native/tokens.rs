//! Which tokens are believed: every rule of RFC 7519 and RFC 8725 that the filter holds, with both
//! engines, which must agree on every token.

use aws_lc_rs::rsa::KeySize;
use identity_filter::base64url;
use identity_filter::config::Config;
use identity_filter::decision::Denial;
use identity_filter::keyring::Keyring;
use identity_filter::signature::software::Software;
use serde_json::{Value, json};

use crate::host::HostStandIn;
use crate::issuer::{EC, RSA, Signer};
use crate::request::{NOW, Request};

fn config() -> Config {
    let keys = |keys: &[Value]| json!({"inline": {"keys": keys}});
    let document = json!({
        "providers": [
            {"name": "main", "issuer": "https://main.test", "audiences": ["api", "api2"],
             "algorithms": ["RS256", "ES256"], "jwks": keys(&[RSA.jwk(), EC.jwk()]), "clock_skew_seconds": 60},
            {"name": "narrow", "issuer": "https://narrow.test", "audiences": ["api"], "algorithms": ["ES256"],
             "jwks": keys(&[EC.jwk()]), "max_lifetime_seconds": 600, "types": ["at+jwt"],
             "required_claims": [{"claim": "tenant.id", "one_of": ["a", "b"]}, {"claim": "level", "equals": 2}]},
            {"name": "strict", "issuer": "https://strict.test", "audiences": ["api"], "algorithms": ["ES256"],
             "jwks": keys(&[RSA.jwk(), OTHER_EC.jwk()]), "clock_skew_seconds": 0,
             "tokens": [{"header": "x-token"}]},
            {"name": "picky", "issuer": "https://picky.test", "audiences": ["api"], "algorithms": ["ES256"],
             "jwks": keys(&[EC.jwk()]), "max_lifetime_seconds": 600,
             "required_claims": [{"claim": "kind", "equals": "access"}, {"claim": "cnf", "present": false}]},
            {"name": "far", "issuer": "https://far.test", "audiences": ["api"], "algorithms": ["RS256"],
             "jwks": {"cluster": "c", "uri": "https://far.test/keys"}}],
        "namespaces": [{"name": "n", "routes": [{"host": "a.test"}]}],
        "policy": {"rules": [{"name": "all", "namespace": "n", "authenticated": true}]}
    });
    Config::parse(document.to_string().as_bytes()).unwrap()
}

static OTHER_EC: std::sync::LazyLock<Signer> = std::sync::LazyLock::new(|| Signer::es256("other"));

fn claims() -> Value {
    json!({"iss": "https://main.test", "aud": "api", "sub": "alice", "iat": NOW, "exp": NOW + 300})
}

/// The claims with these members changed; `null` takes one away.
fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn check(header: &str, token: &str) -> Option<Denial> {
    let config = config();
    let keyring = Keyring::new(&config, 1);
    let value = if header == "authorization" {
        format!("Bearer {token}")
    } else {
        token.into()
    };
    let request = || Request::new("GET", "a.test", "/").with(header, &value);
    let by_host = request()
        .decide_with(&config, &keyring, &HostStandIn)
        .denial;
    let by_software = request().decide_with(&config, &keyring, &Software).denial;
    assert_eq!(by_host, by_software, "the engines disagree about {token}");
    by_host
}

#[test]
fn claims_are_judged_one_by_one() {
    use Denial::{AudienceMismatch, IssuerUnknown, TokenExpired, TokenMalformed, TokenNotYetValid};
    let cases: &[(&str, Value, Option<Denial>)] = &[
        ("all well", json!({}), None),
        (
            "one audience of several",
            json!({"aud": ["x", "api2"]}),
            None,
        ),
        ("no iat", json!({"iat": null}), None),
        ("expired within the leeway", json!({"exp": NOW - 59}), None),
        (
            "expired at the leeway",
            json!({"exp": NOW - 60}),
            Some(TokenExpired),
        ),
        ("no exp", json!({"exp": null}), Some(TokenMalformed)),
        (
            "exp is text",
            json!({"exp": (NOW + 300).to_string()}),
            Some(TokenMalformed),
        ),
        (
            "exp is a fraction",
            json!({"exp": 1_800_000_300.5}),
            Some(TokenMalformed),
        ),
        ("exp is negative", json!({"exp": -1}), Some(TokenMalformed)),
        (
            "exp is out of range",
            json!({"exp": u64::MAX}),
            Some(TokenMalformed),
        ),
        ("begins within the leeway", json!({"nbf": NOW + 60}), None),
        (
            "begins later",
            json!({"nbf": NOW + 61}),
            Some(TokenNotYetValid),
        ),
        (
            "nbf is no number",
            json!({"nbf": true}),
            Some(TokenMalformed),
        ),
        (
            "made in the future",
            json!({"iat": NOW + 61}),
            Some(TokenNotYetValid),
        ),
        ("no audience", json!({"aud": null}), Some(AudienceMismatch)),
        (
            "other audience",
            json!({"aud": "api3"}),
            Some(AudienceMismatch),
        ),
        (
            "other audiences",
            json!({"aud": ["API", "api3"]}),
            Some(AudienceMismatch),
        ),
        ("no audiences", json!({"aud": []}), Some(AudienceMismatch)),
        (
            "audience of mixed types",
            json!({"aud": ["api", 1]}),
            Some(TokenMalformed),
        ),
        (
            "audience is an object",
            json!({"aud": {"api": true}}),
            Some(TokenMalformed),
        ),
        (
            "other issuer",
            json!({"iss": "https://evil.test"}),
            Some(IssuerUnknown),
        ),
        (
            "issuer with a slash",
            json!({"iss": "https://main.test/"}),
            Some(IssuerUnknown),
        ),
        (
            "issuer of other case",
            json!({"iss": "https://MAIN.test"}),
            Some(IssuerUnknown),
        ),
        ("no issuer", json!({"iss": null}), Some(TokenMalformed)),
        (
            "issuers",
            json!({"iss": ["https://main.test"]}),
            Some(TokenMalformed),
        ),
        ("no subject", json!({"sub": null}), Some(TokenMalformed)),
        ("empty subject", json!({"sub": ""}), Some(TokenMalformed)),
        (
            "long subject",
            json!({"sub": "s".repeat(256)}),
            Some(TokenMalformed),
        ),
    ];
    for signer in [&*RSA, &*EC] {
        for (name, changes, want) in cases {
            let got = check("authorization", &signer.token(&with(changes)));
            assert_eq!(got, *want, "{name}, {}", signer.algorithm());
        }
    }
}

#[test]
fn headers_and_keys_are_bound_together() {
    use Denial::{
        AlgorithmRefused, KeyUnknown, SignatureInvalid, TokenMalformed, TokenTypeRefused,
    };
    let small = Signer::rs256("rsa", KeySize::Rsa2048);
    let rsa = |header: Value| RSA.sign(&header, &claims());
    let cases = [
        (
            "no kid, one key of the kind",
            rsa(json!({"alg": "RS256"})),
            None,
        ),
        (
            "unknown kid",
            rsa(json!({"alg": "RS256", "kid": "new"})),
            Some(KeyUnknown),
        ),
        (
            "kid of a key of another kind",
            rsa(json!({"alg": "RS256", "kid": "ec"})),
            Some(KeyUnknown),
        ),
        (
            "kid that looks like a path",
            rsa(json!({"alg": "RS256", "kid": "../rsa"})),
            Some(KeyUnknown),
        ),
        ("none", rsa(json!({"alg": "none"})), Some(AlgorithmRefused)),
        ("None", rsa(json!({"alg": "nOnE"})), Some(AlgorithmRefused)),
        (
            "other case",
            rsa(json!({"alg": "rs256", "kid": "rsa"})),
            Some(AlgorithmRefused),
        ),
        (
            "HS256",
            rsa(json!({"alg": "HS256", "kid": "rsa"})),
            Some(AlgorithmRefused),
        ),
        (
            "PS256",
            rsa(json!({"alg": "PS256", "kid": "rsa"})),
            Some(AlgorithmRefused),
        ),
        (
            "ES256 with an RSA key",
            rsa(json!({"alg": "ES256", "kid": "rsa"})),
            Some(KeyUnknown),
        ),
        (
            "ES256 signed with RSA",
            rsa(json!({"alg": "ES256", "kid": "ec"})),
            Some(SignatureInvalid),
        ),
        (
            "same kid, other key",
            small.token(&claims()),
            Some(SignatureInvalid),
        ),
        (
            "kid is a number",
            rsa(json!({"alg": "RS256", "kid": 1})),
            Some(TokenMalformed),
        ),
        (
            "key of its own",
            rsa(json!({"alg": "RS256", "jwk": RSA.jwk()})),
            Some(TokenMalformed),
        ),
        (
            "key from elsewhere",
            rsa(json!({"alg": "RS256", "jku": "https://e"})),
            Some(TokenMalformed),
        ),
        (
            "crit",
            rsa(json!({"alg": "RS256", "crit": ["exp"], "exp": 1})),
            Some(TokenMalformed),
        ),
        (
            "logout token",
            rsa(json!({"alg": "RS256", "typ": "logout+jwt"})),
            Some(TokenTypeRefused),
        ),
        (
            "claims twice",
            RSA.sign_text(r#"{"alg":"RS256"}"#, r#"{"sub":"a","sub":"b"}"#),
            Some(TokenMalformed),
        ),
        (
            "no claims set",
            RSA.sign_text(r#"{"alg":"RS256"}"#, "foo"),
            Some(TokenMalformed),
        ),
    ];
    for (name, token, want) in cases {
        assert_eq!(check("authorization", &token), want, "{name}");
    }
}

#[test]
fn a_changed_token_is_refused() {
    for signer in [&*RSA, &*EC] {
        let token = signer.token(&claims());
        assert_eq!(check("authorization", &token), None);
        let (input, signature) = token.rsplit_once('.').unwrap();
        let other = signer.token(&with(&json!({"sub": "mallory"})));
        let (other_input, _) = other.rsplit_once('.').unwrap();
        let bytes = base64url::decode(signature.as_bytes()).unwrap();
        let signed = |bytes: &[u8]| format!("{input}.{}", base64url::encode(bytes));
        let mut flipped = bytes.clone();
        flipped[20] ^= 1;
        let cases = [
            (
                "other claims",
                format!("{other_input}.{signature}"),
                Denial::SignatureInvalid,
            ),
            ("no signature", signed(&[]), Denial::SignatureInvalid),
            (
                "zeros",
                signed(&vec![0; bytes.len()]),
                Denial::SignatureInvalid,
            ),
            ("shorter", signed(&bytes[1..]), Denial::SignatureInvalid),
            (
                "longer",
                signed(&[&bytes[..], &[0]].concat()),
                Denial::SignatureInvalid,
            ),
            (
                "leading zero",
                signed(&[&[0], &bytes[..]].concat()),
                Denial::SignatureInvalid,
            ),
            ("one bit", signed(&flipped), Denial::SignatureInvalid),
            ("padded", format!("{token}="), Denial::TokenMalformed),
            ("another dot", format!("{token}."), Denial::TokenMalformed),
        ];
        for (name, token, want) in cases {
            assert_eq!(
                check("authorization", &token),
                Some(want),
                "{name}, {}",
                signer.algorithm()
            );
        }
    }
}

#[test]
fn a_provider_narrows_its_tokens() {
    use Denial::{ClaimMismatch, TokenLifetimeRefused, TokenMalformed, TokenTypeRefused};
    let good = || {
        with(
            &json!({"iss": "https://narrow.test", "tenant": {"id": "b"}, "level": 2, "exp": NOW + 600}),
        )
    };
    let changed = |changes: Value| {
        let mut claims = good();
        claims
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        claims
    };
    let mut without_iat = good();
    without_iat.as_object_mut().unwrap().remove("iat");
    let typ = |typ: Value| json!({"alg": "ES256", "kid": "ec", "typ": typ});
    let cases = [
        ("all well", typ("at+jwt".into()), good(), None),
        (
            "a second too long",
            typ("at+jwt".into()),
            changed(json!({"exp": NOW + 601})),
            Some(TokenLifetimeRefused),
        ),
        (
            "no iat to measure from",
            typ("at+jwt".into()),
            without_iat,
            Some(TokenMalformed),
        ),
        (
            "other type",
            typ("JWT".into()),
            good(),
            Some(TokenTypeRefused),
        ),
        (
            "no type",
            json!({"alg": "ES256", "kid": "ec"}),
            good(),
            Some(TokenTypeRefused),
        ),
        (
            "no text as type",
            typ(1.into()),
            good(),
            Some(TokenMalformed),
        ),
        (
            "other tenant",
            typ("at+jwt".into()),
            changed(json!({"tenant": {"id": "c"}})),
            Some(ClaimMismatch),
        ),
        (
            "no tenant",
            typ("at+jwt".into()),
            changed(json!({"tenant": null})),
            Some(ClaimMismatch),
        ),
        (
            "level as text",
            typ("at+jwt".into()),
            changed(json!({"level": "2"})),
            Some(ClaimMismatch),
        ),
    ];
    for (name, header, claims, want) in cases {
        assert_eq!(
            check("authorization", &EC.sign(&header, &claims)),
            want,
            "{name}"
        );
    }
}

#[test]
fn an_issuer_is_judged_by_its_own_rules_alone() {
    let strict = |signer: &Signer, header: Value| {
        let claims = with(&json!({"iss": "https://strict.test"}));
        check("x-token", &signer.sign(&header, &claims))
    };
    assert_eq!(
        strict(&OTHER_EC, json!({"alg": "ES256", "kid": "other"})),
        None
    );
    assert_eq!(
        strict(&EC, json!({"alg": "ES256", "kid": "ec"})),
        Some(Denial::KeyUnknown),
        "a key of the other issuer"
    );
    assert_eq!(
        strict(&RSA, json!({"alg": "RS256", "kid": "rsa"})),
        Some(Denial::AlgorithmRefused),
        "the key is there, the algorithm is not allowed"
    );
    let token = OTHER_EC.token(&with(&json!({"iss": "https://strict.test"})));
    assert_eq!(
        check("authorization", &token),
        Some(Denial::TokenSourceRefused)
    );
    assert_eq!(
        check("x-token", &RSA.token(&claims())),
        Some(Denial::TokenSourceRefused)
    );
}

#[test]
fn lifetime_and_claims_are_judged_where_the_provider_asks_for_it() {
    let cases = [
        ("all well", json!({}), None),
        (
            "ten minutes",
            json!({"iat": NOW - 300, "exp": NOW + 300}),
            None,
        ),
        (
            "made to live longer",
            json!({"iat": NOW - 301, "exp": NOW + 300}),
            Some(Denial::TokenLifetimeRefused),
        ),
        (
            "life without a beginning",
            json!({"iat": null}),
            Some(Denial::TokenMalformed),
        ),
        (
            "required claim is missing",
            json!({"kind": null}),
            Some(Denial::ClaimMismatch),
        ),
        (
            "required claim is another",
            json!({"kind": "refresh"}),
            Some(Denial::ClaimMismatch),
        ),
        (
            "claim that must not be there",
            json!({"cnf": {"x5t#S256": "a"}}),
            Some(Denial::ClaimMismatch),
        ),
    ];
    for (name, changes, want) in cases {
        let mut all = json!({"iss": "https://picky.test", "kind": "access"});
        all.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        assert_eq!(
            check("authorization", &EC.token(&with(&all))),
            want,
            "{name}"
        );
    }
}

#[test]
fn without_keys_a_token_is_neither_good_nor_bad() {
    let token = RSA.token(&with(&json!({"iss": "https://far.test"})));
    assert_eq!(
        check("authorization", &token),
        Some(Denial::KeysUnavailable)
    );
    let token = EC.token(&with(&json!({"iss": "https://far.test"})));
    assert_eq!(
        check("authorization", &token),
        Some(Denial::AlgorithmRefused),
        "no keys are needed"
    );
}

#[test]
fn sizes_are_bounded() {
    let long = |length: usize| RSA.token(&with(&json!({"x": "x".repeat(length)})));
    assert_eq!(check("authorization", &long(10_000)), None);
    assert_eq!(
        check("authorization", &long(20_000)),
        Some(Denial::TokenTooLarge)
    );
    let header = json!({"alg": "RS256", "x": "x".repeat(5_000)});
    assert_eq!(
        check("authorization", &RSA.sign(&header, &claims())),
        Some(Denial::TokenTooLarge)
    );
}

#[test]
fn keys_of_every_allowed_size_verify() {
    for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
        let signer = Signer::rs256("k", size);
        let mut document = json!({
            "providers": [{"name": "p", "issuer": "https://main.test", "audiences": ["api"],
                "algorithms": ["RS256"], "jwks": {"inline": {"keys": [signer.jwk()]}}}],
            "namespaces": [{"name": "n", "routes": [{"host": "a.test"}]}],
            "policy": {"rules": [{"name": "all", "namespace": "n", "authenticated": true}]}
        });
        let config = Config::parse(document.to_string().as_bytes()).unwrap();
        let request = Request::new("GET", "a.test", "/").bearer(&signer.token(&claims()));
        assert_eq!(request.denial(&config), None);
        document["providers"][0]["jwks"]["inline"]["keys"][0]["e"] = json!("Aw");
        let error = Config::parse(document.to_string().as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains("none of its 1 keys can be used"), "{error}");
    }
}
