use alloc::format;
use alloc::string::ToString;

use serde_json::json;

use super::*;

/// RFC 7515 appendix A.2 and A.3.
fn rsa() -> Value {
    json!({"kty": "RSA", "kid": "r", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})
}

fn ec() -> Value {
    json!({"kty": "EC", "kid": "e", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

fn parse(keys: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::parse(json!({"keys": keys, "other": 1}).to_string().as_bytes())
}

/// Why `key` is left out, next to a good one; nothing when it is used.
fn check(key: &Value) -> Option<SkipReason> {
    let good = with(ec(), "kid", "good".into());
    let set = parse(&[key.clone(), good]).unwrap();
    assert_eq!(set.len() + set.skipped().len(), 2);
    set.skipped().first().map(|skipped| skipped.reason)
}

#[test]
fn each_key_is_used_or_left_out_for_a_reason() {
    let short = base64url::encode(&[0xff; 128]);
    let long = base64url::encode(&[0xff; 513]);
    let padded = with(
        rsa(),
        "n",
        format!("{}==", rsa()["n"].as_str().unwrap()).into(),
    );
    let zeros = [
        &[0, 0],
        &base64url::decode(rsa()["n"].as_str().unwrap().as_bytes()).unwrap()[..],
    ]
    .concat();
    let cases = [
        ("rsa", rsa(), None),
        ("ec", ec(), None),
        ("for signatures", with(rsa(), "use", "sig".into()), None),
        ("to verify", with(ec(), "key_ops", json!(["verify"])), None),
        ("its algorithm", with(rsa(), "alg", "RS256".into()), None),
        (
            "certificate next to it",
            with(rsa(), "x5c", json!(["x"])),
            None,
        ),
        (
            "leading zeros",
            with(rsa(), "n", base64url::encode(&zeros).into()),
            None,
        ),
        (
            "no kid",
            with(rsa(), "kid", Value::Null),
            Some(SkipReason::Malformed),
        ),
        (
            "long kid",
            with(rsa(), "kid", "k".repeat(257).into()),
            Some(SkipReason::Malformed),
        ),
        (
            "for encryption",
            with(rsa(), "use", "enc".into()),
            Some(SkipReason::Use),
        ),
        (
            "to sign",
            with(rsa(), "key_ops", json!(["sign"])),
            Some(SkipReason::Use),
        ),
        (
            "strange use",
            with(rsa(), "use", 1.into()),
            Some(SkipReason::Use),
        ),
        (
            "other algorithm",
            with(rsa(), "alg", "RS512".into()),
            Some(SkipReason::Algorithm),
        ),
        (
            "PSS",
            with(rsa(), "alg", "PS256".into()),
            Some(SkipReason::Algorithm),
        ),
        (
            "algorithm of the other kind",
            with(ec(), "alg", "RS256".into()),
            Some(SkipReason::Algorithm),
        ),
        (
            "private",
            with(rsa(), "d", "AQAB".into()),
            Some(SkipReason::Private),
        ),
        (
            "symmetric",
            json!({"kty": "oct", "k": "AAAA"}),
            Some(SkipReason::Private),
        ),
        (
            "other curve",
            with(ec(), "crv", "P-384".into()),
            Some(SkipReason::Type),
        ),
        (
            "no curve",
            with(ec(), "crv", Value::Null),
            Some(SkipReason::Type),
        ),
        (
            "other type",
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}),
            Some(SkipReason::Type),
        ),
        ("no type", json!({"n": "AA"}), Some(SkipReason::Malformed)),
        ("no object", json!(7), Some(SkipReason::Malformed)),
        (
            "no modulus",
            with(rsa(), "n", Value::Null),
            Some(SkipReason::Malformed),
        ),
        ("padded modulus", padded, Some(SkipReason::Malformed)),
        (
            "short",
            with(rsa(), "n", short.into()),
            Some(KeyError::RsaModulus { bits: 1024 }.into()),
        ),
        (
            "long",
            with(rsa(), "n", long.into()),
            Some(KeyError::RsaModulus { bits: 4104 }.into()),
        ),
        (
            "exponent 3",
            with(rsa(), "e", "Aw".into()),
            Some(KeyError::RsaExponent.into()),
        ),
        (
            "exponent 1",
            with(rsa(), "e", "AQ".into()),
            Some(KeyError::RsaExponent.into()),
        ),
        (
            "off the curve",
            with(ec(), "x", ec()["y"].clone()),
            Some(KeyError::Unusable.into()),
        ),
        (
            "short coordinate",
            with(ec(), "x", "AA".into()),
            Some(KeyError::Unusable.into()),
        ),
    ];
    for (name, key, want) in cases {
        assert_eq!(check(&key), want, "{name}");
    }
}

#[test]
fn a_document_that_is_no_key_set_is_refused() {
    let many: Vec<_> = (0..=KEYS_LIMIT).map(|_index| rsa()).collect();
    let cases: &[(&str, Vec<u8>, KeySetError)] = &[
        ("empty", b"".to_vec(), KeySetError::Malformed),
        ("html", b"<html>".to_vec(), KeySetError::Malformed),
        ("array", b"[]".to_vec(), KeySetError::Malformed),
        ("no keys", b"{}".to_vec(), KeySetError::Malformed),
        (
            "keys twice",
            br#"{"keys":[],"keys":[]}"#.to_vec(),
            KeySetError::Malformed,
        ),
        (
            "keys is an object",
            br#"{"keys":{}}"#.to_vec(),
            KeySetError::Malformed,
        ),
        (
            "no key",
            br#"{"keys":[]}"#.to_vec(),
            KeySetError::NoUsableKey { keys: 0 },
        ),
        (
            "nothing usable",
            br#"{"keys":[1,2]}"#.to_vec(),
            KeySetError::NoUsableKey { keys: 2 },
        ),
        (
            "many keys",
            json!({ "keys": many }).to_string().into_bytes(),
            KeySetError::TooLarge,
        ),
        (
            "many bytes",
            alloc::vec![b' '; SIZE_LIMIT + 1],
            KeySetError::TooLarge,
        ),
    ];
    for (name, document, want) in cases {
        assert_eq!(KeySet::parse(document).unwrap_err(), *want, "{name}");
    }
}

#[test]
fn a_key_is_picked_by_name_or_because_it_is_the_only_one() {
    let header = |key_id: Option<&str>| Header {
        algorithm: "".into(),
        key_id: key_id.map(String::from),
    };
    let set = parse(&[rsa(), ec(), with(ec(), "kid", "e2".into())]).unwrap();
    let picked = |key_id, algorithm| set.pick(&header(key_id), algorithm).is_some();
    assert!(picked(Some("r"), Algorithm::Rs256));
    assert!(picked(None, Algorithm::Rs256), "the only one of its kind");
    assert!(picked(Some("e"), Algorithm::Es256));
    assert!(!picked(None, Algorithm::Es256), "there are two");
    assert!(!picked(Some("r"), Algorithm::Es256));
    assert!(!picked(Some("R"), Algorithm::Rs256));
}

#[test]
fn keys_of_one_name_are_all_dropped() {
    let set = parse(&[rsa(), ec(), with(ec(), "kid", "r".into()), ec()]).unwrap();
    assert_eq!(
        set.len(),
        2,
        "the same name for another algorithm is no rival"
    );
    let dropped: Vec<_> = set
        .skipped()
        .iter()
        .map(|skipped| (skipped.index, skipped.reason))
        .collect();
    assert_eq!(
        dropped,
        [(1, SkipReason::Duplicate), (3, SkipReason::Duplicate)]
    );
}
