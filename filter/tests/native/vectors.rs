//! Signatures against vectors that others wrote: Wycheproof and RFC 7515. Their payloads are no
//! claims, so this is about the token form, the key policy and the signature.
//!
//! The vectors hold test private keys and are not part of the repository: they are read from
//! `$TEST_VECTORS`, or from `../shared/vectors`. Where neither is there, the test says so.

use std::io::{self, Write as _};
use std::path::PathBuf;

use identity_filter::algorithm::Algorithm;
use identity_filter::jwks::KeySet;
use identity_filter::signature::Engine;
use identity_filter::signature::software::Software;
use identity_filter::token::Jws;
use serde_json::{Map, Value, json};

use crate::host::HostStandIn;

/// Cases that are called valid and that this filter refuses, each for a reason of its own: the key
/// names another `alg` than the token, or a character is none of base64url's.
const DISPUTABLE: [u64; 6] = [346, 347, 350, 351, 372, 373];

/// A file of the vectors; `None` where there are none, and then it says so past the test runner, which
/// keeps what a passing test prints.
#[expect(
    clippy::disallowed_methods,
    reason = "tells this test where the vectors are"
)]
fn read(path: &str) -> Option<Value> {
    let folder = std::env::var("TEST_VECTORS").map_or_else(
        |_unset| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")),
        PathBuf::from,
    );
    if !folder.is_dir() {
        let missing = folder.display();
        let message = format!("LEFT OUT: vectors {path}: no folder {missing}; set TEST_VECTORS\n");
        io::stderr().write_all(message.as_bytes()).unwrap();
        return None;
    }
    let text = std::fs::read(folder.join(path)).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
}

/// The public half of a JWK, as a provider would publish it.
fn public(key: &Value) -> Value {
    let is_public = |name: &str| !["d", "p", "q", "dp", "dq", "qi", "oth"].contains(&name);
    let members = key
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| is_public(name));
    Value::Object(
        members
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>(),
    )
}

fn key_set(keys: &Value) -> Result<KeySet, String> {
    let keys = match keys.get("keys") {
        Some(Value::Array(keys)) => keys.iter().map(public).collect(),
        _ => vec![public(keys)],
    };
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).map_err(|error| error.to_string())
}

/// What the filter does with a token, short of its claims. Every engine that checks the algorithm has
/// the same answer.
fn is_accepted(keys: &KeySet, token: &str) -> bool {
    let Ok(jws) = Jws::parse(token, 64 * 1024) else {
        return false;
    };
    let Some(algorithm) = Algorithm::from_name(&jws.header().algorithm) else {
        return false;
    };
    let Some(key) = keys.pick(jws.header(), algorithm) else {
        return false;
    };
    let text = jws.signing_input().as_bytes();
    let mut verdicts = [&HostStandIn as &dyn Engine, &Software]
        .into_iter()
        .filter(|engine| engine.checks(algorithm))
        .map(|engine| engine.is_valid(algorithm, key, text, jws.signature()));
    let verdict = verdicts.next().unwrap();
    assert!(
        verdicts.all(|other| other == verdict),
        "the engines disagree about {token}"
    );
    verdict
}

fn algorithm(token: &str) -> String {
    Jws::parse(token, 64 * 1024)
        .map_or_else(|_| String::new(), |jws| jws.header().algorithm.clone())
}

#[test]
fn wycheproof_signatures() {
    let Some(vectors) = read("wycheproof/json_web_signature_test.json") else {
        return;
    };
    let (mut accepted, mut refused, mut other_algorithms) = (0, 0, 0);
    for group in vectors["testGroups"].as_array().unwrap() {
        let keys = key_set(group.get("public").unwrap_or_else(|| &group["private"]));
        for test in group["tests"].as_array().unwrap() {
            let (id, token) = (
                test["tcId"].as_u64().unwrap(),
                test["jws"].as_str().unwrap_or(""),
            );
            let got = keys.as_ref().is_ok_and(|keys| is_accepted(keys, token));
            let is_ours = Algorithm::from_name(&algorithm(token)).is_some();
            let want = test["result"] == "valid" && is_ours && !DISPUTABLE.contains(&id);
            assert_eq!(got, want, "case {id}: {}, {keys:?}", test["comment"]);
            match (got, is_ours) {
                (true, _) => accepted += 1,
                (false, true) => refused += 1,
                (false, false) => other_algorithms += 1,
            }
        }
    }
    eprintln!(
        "{accepted} accepted, {refused} refused, {other_algorithms} of other algorithms or forms"
    );
    assert!(accepted > 0 && refused > 0 && other_algorithms > 0);
}

#[test]
fn wycheproof_key_sets() {
    let Some(vectors) = read("wycheproof/json_web_key_test.json") else {
        return;
    };
    for group in vectors["testGroups"].as_array().unwrap() {
        let keys = key_set(group.get("public").unwrap_or_else(|| &group["private"]));
        for test in group["tests"].as_array().unwrap() {
            let token = test["jws"].as_str().unwrap();
            let got = keys.as_ref().is_ok_and(|keys| is_accepted(keys, token));
            let is_ours = Algorithm::from_name(&algorithm(token)).is_some();
            // A mixed set is not refused as a whole, its unusable keys are dropped; and a provider's weak
            // key (ROCA) is the provider's to withdraw.
            let is_mixed = test["flags"]
                .as_array()
                .unwrap()
                .iter()
                .any(|flag| flag == "MixedKeySet");
            let is_roca = test["comment"] == "rejectsKeyWithRocaVulnerability";
            if !(is_mixed && is_ours || is_roca) {
                let want = test["result"] == "valid" && is_ours;
                assert_eq!(got, want, "{}: {}", test["tcId"], test["comment"]);
            }
        }
    }
}

#[test]
fn json_web_encryption_is_refused() {
    let Some(vectors) = read("wycheproof/json_web_encryption_test.json") else {
        return;
    };
    let tests = vectors["testGroups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["tests"].as_array().unwrap());
    for test in tests {
        let token = test["jwe"].as_str().unwrap_or_default();
        assert!(Jws::parse(token, 64 * 1024).is_err(), "{}", test["tcId"]);
    }
}

#[test]
fn rfc_7515_examples() {
    let Some(vectors) = read("rfc7515/rfc7515.json") else {
        return;
    };
    let examples = vectors
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_array)
        .flatten();
    let mut accepted = Vec::new();
    for example in examples {
        let Some(token) = example["jws"]
            .as_str()
            .filter(|_| example["jwk"].is_object())
        else {
            continue;
        };
        if key_set(&example["jwk"]).is_ok_and(|keys| is_accepted(&keys, token)) {
            accepted.push(example["section"].as_str().unwrap());
        }
    }
    assert_eq!(accepted, ["RFC7515 A.2", "RFC7515 A.3", "RFC7515 A.4"]);
}

#[test]
fn rfc_7520_8037_and_7797_examples() {
    let examples = [
        ("jws/4_1.rsa_v15_signature.json", true),
        ("jws/4_2.rsa-pss_signature.json", true),
        ("jws/4_3.ecdsa_signature.json", true),
        ("curve25519/jws.json", true),
        // A shared secret, a detached payload, and one that is not encoded.
        ("jws/4_4.hmac-sha2_integrity_protection.json", false),
        ("jws/4_5.signature_with_detached_content.json", false),
        ("rfc7797/hmac-sha2_b64_false.json", false),
        ("curve25519/ecdh-es.json", false),
    ];
    for (path, want) in examples {
        let Some(example) = read(&format!("jose-cookbook/{path}")) else {
            return;
        };
        let token = example["output"]["compact"].as_str().unwrap();
        let keys = key_set(&example["input"]["key"]);
        let got = keys.as_ref().is_ok_and(|keys| is_accepted(keys, token));
        assert_eq!(got, want, "{path}, {keys:?}");
        // Its other serialisations are no tokens, whatever they are signed with.
        for form in ["json", "json_flat"] {
            let text = example["output"][form].to_string();
            assert!(Jws::parse(&text, 64 * 1024).is_err(), "{path}, {form}");
        }
    }
}

#[test]
fn shared_secrets_are_refused_by_algorithm_and_by_key() {
    let Some(vectors) = read("wycheproof/json_web_signature_test.json") else {
        return;
    };
    let mut refused = 0;
    for group in vectors["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let name = algorithm(test["jws"].as_str().unwrap_or_default());
            if test["result"] == "valid" && name.starts_with("HS") {
                assert_eq!(Algorithm::from_name(&name), None);
                assert!(key_set(&group["private"]).is_err(), "{}", test["tcId"]);
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
}
