//! Signatures against vectors that others wrote. Every engine that checks the algorithm has the same
//! answer, and it is the one that the vectors, or a named exception, ask for.

use std::collections::BTreeMap;

use identity_filter::algorithm::Algorithm;
use identity_filter::jwks::{KeySet, SkipReason};
use identity_filter::signature::software::Software;
use identity_filter::signature::{Engine, PublicKey};
use identity_filter::token::{Header, Jws};
use serde_json::{Value, json};
use signatures::case::{Group, Signed, Want};
use signatures::{outside, primitives};

use crate::host::HostStandIn;

/// What each engine says; without a key, nobody has signed.
fn ask(algorithm: Algorithm, key: Option<&PublicKey>, text: &[u8], signature: &[u8]) -> Vec<bool> {
    [&HostStandIn as &dyn Engine, &Software]
        .into_iter()
        .filter(|engine| engine.checks(algorithm))
        .map(|engine| key.is_some_and(|key| engine.is_valid(algorithm, key, text, signature)))
        .collect()
}

/// The algorithm, and what each engine says; nothing of a token that is refused for its form.
fn judge(keys: &KeySet, signed: &Signed) -> Option<(Algorithm, Vec<bool>)> {
    match signed {
        Signed::Token(token) => {
            let jws = Jws::parse(token, 64 * 1024).ok()?;
            let algorithm = Algorithm::from_name(&jws.header().algorithm)?;
            let key = keys.pick(jws.header(), algorithm);
            let text = jws.signing_input().as_bytes();
            Some((algorithm, ask(algorithm, key, text, jws.signature())))
        }
        Signed::Text {
            algorithm: name,
            text,
            signature,
        } => {
            let algorithm = Algorithm::from_name(name)?;
            let header = Header {
                algorithm: (*name).into(),
                key_id: None,
                kind: None,
                origin: None,
            };
            let key = keys.pick(&header, algorithm);
            Some((algorithm, ask(algorithm, key, text, signature)))
        }
    }
}

fn key_set(keys: &Value) -> KeySet {
    KeySet::parse(keys.to_string().as_bytes()).unwrap_or_default()
}

/// How often each algorithm was accepted and refused.
fn check(groups: &[Group]) -> BTreeMap<&'static str, [usize; 2]> {
    let mut counts = BTreeMap::new();
    for group in groups {
        let keys = key_set(&group.keys);
        for case in &group.cases {
            let judged = judge(&keys, &case.signed);
            let verdicts = judged
                .as_ref()
                .map_or(&[false][..], |(_, verdicts)| verdicts);
            assert!(
                case.want.is_met_by(verdicts),
                "{}, {}: {verdicts:?}, {:?} is right",
                group.name,
                case.name,
                case.want
            );
            if let Some((algorithm, verdicts)) = &judged {
                counts.entry(algorithm.name()).or_insert([0; 2])[usize::from(!verdicts[0])] += 1;
            }
        }
    }
    eprintln!("accepted and refused: {counts:?}");
    counts
}

#[test]
fn tokens_that_others_signed() {
    let Some(groups) = outside::groups("tokens that others signed").unwrap() else {
        return;
    };
    let counts = check(&groups);
    assert!(
        counts
            .values()
            .all(|[accepted, refused]| accepted + refused > 0)
    );
    assert!(counts.len() >= 8, "{counts:?}");
}

#[test]
fn texts_that_others_signed() {
    let counts = check(&primitives::groups().unwrap());
    assert_eq!(counts.len(), Algorithm::ALL.len(), "{counts:?}");
    for (name, [accepted, refused]) in counts {
        assert!(accepted > 0 && refused > 0, "{name}");
    }
}

#[test]
fn longer_rsa_keys_are_refused() {
    let groups = primitives::groups().unwrap();
    let group = groups
        .iter()
        .find(|group| group.name == "Rsa8192Sha256")
        .unwrap();
    let mut keys = group.keys.clone();
    let own = crate::issuer::EC.jwk();
    keys["keys"].as_array_mut().unwrap().push(own);
    let keys = key_set(&keys);
    let bits = identity_filter::signature::KeyError::RsaModulus { bits: 8192 };
    assert_eq!(keys.skipped()[0].reason, SkipReason::Key(bits));
}

#[test]
fn a_key_that_others_published_is_used_when_it_is_public() {
    let Some(files) = outside::keys("keys that others published").unwrap() else {
        return;
    };
    for (file, jwk) in files {
        let keys = key_set(&json!({ "keys": [jwk, crate::issuer::EC.jwk()] }));
        let is_public = file.contains("public");
        assert_eq!(keys.len(), 1 + usize::from(is_public), "{file}");
        assert_eq!(keys.private(), usize::from(!is_public), "{file}");
    }
}

#[test]
fn shared_secrets_are_refused_by_algorithm_and_by_key() {
    let Some(groups) = outside::groups("shared secrets").unwrap() else {
        return;
    };
    let is_secret = |group: &&Group| {
        let keys = group.keys["keys"].as_array().unwrap();
        !keys.is_empty() && keys.iter().all(|key| key["kty"] == "oct")
    };
    let mut refused = 0;
    for group in groups.iter().filter(is_secret) {
        assert!(key_set(&group.keys).is_empty(), "{}", group.name);
        for case in &group.cases {
            assert_eq!(case.want, Want::Refuse, "{}, {}", group.name, case.name);
            refused += 1;
        }
    }
    assert!(refused > 0);
}
