//! Traps of presets that a change of claims alone does not show: other algorithms, several issuers, `typ`.

use identity_filter::config::Config;
use identity_filter::decision::Denial;
use serde_json::{Value, json};

use crate::documents::plugin_config;
use crate::issuer::{RSA, Signer};
use crate::request::{NOW, Request};

/// The configuration on a page with these keys, changed by `change`.
fn config(preset: &str, keys: &[Value], change: impl Fn(&mut Value)) -> Config {
    let mut document = plugin_config(preset);
    document["providers"][0]["jwks"] = json!({"inline": {"keys": keys}});
    change(&mut document);
    Config::parse(document.to_string().as_bytes()).unwrap()
}

fn denial(config: &Config, token: &str) -> Option<Denial> {
    Request::new("GET", "api.example.com", "/orders/1")
        .bearer(token)
        .denial(config)
}

#[test]
fn each_account_of_aws_iam_has_an_issuer_and_keys_of_its_own_also_with_es384() {
    let issuer = |id: &str| format!("https://{id}.tokens.sts.global.api.aws");
    let [one, two] = [Signer::new("k", "ES384"), Signer::new("k", "ES384")];
    let config = config("aws-iam", &[one.jwk(), RSA.jwk()], |document| {
        let second = json!({"name": "aws-2", "preset": "aws-iam", "issuer": issuer("1a2b"), "accounts": ["210987654321"],
            "audiences": ["https://api.example.com"], "jwks": {"inline": {"keys": [two.jwk()]}}});
        document["providers"].as_array_mut().unwrap().push(second);
        let grant = json!({"name": "readers-2", "namespace": "orders", "provider": "aws-2", "roles": ["reader"]});
        document["grants"].as_array_mut().unwrap().push(grant);
    });
    let token = |signer: &Signer, id: &str, account: &str| {
        signer.token(
            &json!({"iss": issuer(id), "aud": "https://api.example.com", "iat": NOW, "exp": NOW + 300,
            "sub": format!("arn:aws:iam::{account}:role/Batch"),
            "https://sts.amazonaws.com/": {"aws_account": account, "request_tags": {"purpose": "report"}}}),
        )
    };
    let cases = [
        ("first", token(&one, "0f3c", "123456789012"), None),
        (
            "first with RS256",
            token(&RSA, "0f3c", "123456789012"),
            None,
        ),
        ("second", token(&two, "1a2b", "210987654321"), None),
        (
            "the second's key for the first",
            token(&two, "0f3c", "123456789012"),
            Some(Denial::SignatureInvalid),
        ),
        (
            "the second's account from the first",
            token(&one, "0f3c", "210987654321"),
            Some(Denial::ClaimMismatch),
        ),
        (
            "a third",
            token(&one, "2c3d", "123456789012"),
            Some(Denial::IssuerUnknown),
        ),
        (
            "a longer issuer",
            token(&one, "x.0f3c", "123456789012"),
            Some(Denial::IssuerUnknown),
        ),
    ];
    for (name, token, want) in cases {
        assert_eq!(denial(&config, &token), want, "{name}");
    }
}

#[test]
fn an_access_token_of_oktas_org_server_is_opaque_whatever_its_type() {
    let claims = |issuer: &str| {
        json!({"iss": issuer, "aud": "api://orders", "sub": "alice@example.com", "cid": "0oa1", "uid": "00u1",
            "scp": ["orders.read"], "iat": NOW, "exp": NOW + 300})
    };
    let typed = |kind: &str, issuer: &str| {
        RSA.sign(
            &json!({"alg": "RS256", "kid": RSA.key_id(), "typ": kind}),
            &claims(issuer),
        )
    };
    let (org, custom) = (
        "https://example.okta.com",
        "https://example.okta.com/oauth2/default",
    );
    let internal = "application/okta-internal-at+jwt";
    let alone = config("okta", &[RSA.jwk()], |_document| {});
    // ID tokens of the org server can be checked; its access tokens still cannot.
    let beside = config("okta", &[RSA.jwk()], |document| {
        let id_tokens = json!({"name": "org", "issuer": org, "audiences": ["api://orders"], "algorithms": ["RS256"],
            "jwks": {"inline": {"keys": [RSA.jwk()]}}});
        document["providers"]
            .as_array_mut()
            .unwrap()
            .push(id_tokens);
        document["grants"] = json!([{"name": "all", "namespace": "orders", "roles": ["reader"]}]);
    });
    for config in [&alone, &beside] {
        assert_eq!(
            denial(config, &typed(internal, org)),
            Some(Denial::TokenOpaque)
        );
        assert_eq!(denial(config, &typed("JWT", custom)), None);
        assert_eq!(
            denial(config, &typed(internal, custom)),
            Some(Denial::TokenTypeRefused),
            "the type is still checked"
        );
    }
    assert_eq!(
        denial(&alone, &typed("JWT", org)),
        Some(Denial::TokenOpaque)
    );
    assert_eq!(denial(&beside, &typed("JWT", org)), None);
}

#[test]
fn a_jwt_svid_says_jwt_or_jose_or_nothing() {
    let config = config("spiffe-jwt-svid", &[RSA.jwk()], |_document| {});
    let claims = json!({"sub": "spiffe://example.org/ns/jobs/sa/batch", "aud": ["https://api.example.com"], "exp": NOW + 300});
    let typed = |kind: Option<&str>| {
        let mut header = json!({"alg": "RS256", "kid": RSA.key_id()});
        if let Some(kind) = kind {
            header["typ"] = kind.into();
        }
        denial(&config, &RSA.sign(&header, &claims))
    };
    for kind in [None, Some("JWT"), Some("JOSE"), Some("jose")] {
        assert_eq!(typed(kind), None, "{kind:?}");
    }
    for kind in ["at+jwt", "JOSE+JSON", "logout+jwt", ""] {
        assert_eq!(typed(Some(kind)), Some(Denial::TokenTypeRefused), "{kind}");
    }
}
