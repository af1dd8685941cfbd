//! Each algorithm as a provider uses it: which tokens, keys and lists go together, whoever checks.

use identity_filter::algorithm::Algorithm;
use identity_filter::config::Config;
use identity_filter::decision::Denial;
use identity_filter::keyring::Keyring;
use identity_filter::signature::choice::Choice;
use identity_filter::signature::software::Software;
use identity_filter::signature::{Engine, PublicKey};
use serde_json::{Value, json};

use crate::host::HostStandIn;
use crate::issuer::Signer;
use crate::request::{NOW, Request};

/// The decision about a token, where the provider has these keys and takes these algorithms.
fn check(keys: &[Value], algorithms: &[&str], token: &str, engine: &dyn Engine) -> Option<Denial> {
    let document = json!({
        "providers": [{"name": "p", "issuer": "https://p.test", "audiences": ["api"], "algorithms": algorithms,
            "jwks": {"inline": {"keys": keys}}}],
        "namespaces": [{"name": "n", "routes": [{"host": "a.test"}]}],
        "policy": {"rules": [{"name": "all", "namespace": "n", "authenticated": true}]}
    });
    let config = Config::parse(document.to_string().as_bytes()).unwrap();
    Request::new("GET", "a.test", "/")
        .bearer(token)
        .decide_with(&config, &Keyring::new(&config, 1), engine)
        .denial
}

fn claims() -> Value {
    json!({"iss": "https://p.test", "aud": "api", "sub": "alice", "exp": NOW + 300})
}

fn signers() -> Vec<Signer> {
    Algorithm::ALL
        .iter()
        .map(|algorithm| Signer::new("k", algorithm.name()))
        .collect()
}

#[test]
fn host_and_software_agree_about_each_algorithm() {
    let engines = HostStandIn::engines();
    assert_eq!(engines.count(Choice::Host), 6);
    assert_eq!(engines.count(Choice::Software), 4);
    for signer in signers() {
        let name = signer.algorithm();
        let algorithm = Algorithm::from_name(name).unwrap();
        let good = signer.token(&claims());
        let (input, signature) = good.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{input}.{first}{}", &signature[1..]);
        let by: [(&str, &dyn Engine); 3] = [
            ("chosen", &engines),
            ("host", &HostStandIn),
            ("software", &Software),
        ];
        for (by, engine) in by {
            let verdict = |token| check(&[signer.jwk()], &[name], token, engine);
            if engine.checks(algorithm) {
                assert_eq!(verdict(&good), None, "{name} by {by}");
                assert_eq!(
                    verdict(&forged),
                    Some(Denial::SignatureInvalid),
                    "{name} by {by}"
                );
            } else {
                assert_eq!(
                    verdict(&good),
                    Some(Denial::AlgorithmUnavailable),
                    "{name} by {by}"
                );
            }
        }
    }
}

#[test]
fn an_algorithm_is_bound_to_its_key_and_to_the_list() {
    let all: Vec<_> = Algorithm::ALL
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    let engines = HostStandIn::engines();
    for signer in signers() {
        let own = signer.algorithm();
        let kind = Algorithm::from_name(own).unwrap().key_kind();
        for other in Algorithm::ALL {
            // The same key and a true signature, and only the header says something else.
            let header = json!({"alg": other.name(), "kid": "k"});
            let token = signer.sign(&header, &claims());
            let mut unbound = signer.jwk();
            unbound.as_object_mut().unwrap().remove("alg");
            let mut bound = signer.jwk();
            bound["alg"] = own.into();
            let (by_unbound, by_bound) = match () {
                () if other.name() == own => (None, None),
                () if other.key_kind() == kind => {
                    (Some(Denial::SignatureInvalid), Some(Denial::KeyUnknown))
                }
                () => (Some(Denial::KeyUnknown), Some(Denial::KeyUnknown)),
            };
            let name = other.name();
            assert_eq!(
                check(&[unbound.clone()], &all, &token, &engines),
                by_unbound,
                "{own} as {name}"
            );
            assert_eq!(
                check(&[bound], &all, &token, &engines),
                by_bound,
                "{own} as {name}, bound"
            );
            if name != own {
                let by_list = check(&[unbound], &[own], &token, &engines);
                assert_eq!(
                    by_list,
                    Some(Denial::AlgorithmRefused),
                    "{own} as {name}, not listed"
                );
            }
        }
    }
}

#[test]
fn ed25519_has_two_names() {
    let signer = Signer::new("k", "EdDSA");
    let engines = HostStandIn::engines();
    for listed in ["EdDSA", "Ed25519"] {
        for said in ["EdDSA", "Ed25519"] {
            for key in ["EdDSA", "Ed25519"] {
                let token = signer.sign(&json!({"alg": said, "kid": "k"}), &claims());
                let mut jwk = signer.jwk();
                jwk["alg"] = key.into();
                let verdict = check(&[jwk], &[listed], &token, &engines);
                assert_eq!(verdict, None, "{listed}, {said}, {key}");
            }
        }
    }
}

#[test]
fn a_key_of_another_kind_has_signed_nothing() {
    let keys: Vec<(Signer, PublicKey)> = ["RS256", "ES256", "ES384", "ES512", "EdDSA"]
        .into_iter()
        .map(|name| {
            let signer = Signer::new("k", name);
            let jwk = signer.jwk();
            let number = |member: &str| {
                identity_filter::base64url::decode(jwk[member].as_str().unwrap().as_bytes())
                    .unwrap()
            };
            let key = match Algorithm::from_name(name).unwrap().key_kind() {
                identity_filter::algorithm::KeyKind::Rsa => {
                    PublicKey::rsa(&number("n"), &number("e"))
                }
                identity_filter::algorithm::KeyKind::Ed25519 => PublicKey::ed25519(&number("x")),
                identity_filter::algorithm::KeyKind::Ec(curve) => {
                    PublicKey::ec(curve, &number("x"), &number("y"))
                }
            };
            (signer, key.unwrap())
        })
        .collect();
    for (signer, key) in &keys {
        let token = signer.token(&claims());
        let (text, signature) = token.rsplit_once('.').unwrap();
        let signature = identity_filter::base64url::decode(signature.as_bytes()).unwrap();
        for algorithm in Algorithm::ALL {
            for engine in [&HostStandIn as &dyn Engine, &Software] {
                let want = algorithm.name() == signer.algorithm() && engine.checks(algorithm);
                let got = engine.is_valid(algorithm, key, text.as_bytes(), &signature);
                assert_eq!(got, want, "{} as {}", signer.algorithm(), algorithm.name());
            }
        }
    }
}
