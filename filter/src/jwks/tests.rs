use alloc::format;
use alloc::string::ToString;
use alloc::vec;

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

/// RFC 8037 appendix A.2.
fn okp() -> Value {
    json!({"kty": "OKP", "kid": "o", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

/// RFC 7515 appendix A.4.
fn p521() -> Value {
    json!({"kty": "EC", "kid": "p", "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4XUQgWWTRAgqC",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"})
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
        ("PSS", with(rsa(), "alg", "PS512".into()), None),
        ("P-521", p521(), None),
        ("Ed25519", okp(), None),
        ("EdDSA", with(okp(), "alg", "EdDSA".into()), None),
        ("RFC 9864", with(okp(), "alg", "Ed25519".into()), None),
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
            "for wrapping keys",
            with(rsa(), "alg", "RSA-OAEP".into()),
            Some(SkipReason::Algorithm),
        ),
        (
            "shared secret",
            with(rsa(), "alg", "HS256".into()),
            Some(SkipReason::Algorithm),
        ),
        (
            "alg of no type",
            with(rsa(), "alg", Value::Null),
            Some(SkipReason::Algorithm),
        ),
        (
            "algorithm of another curve",
            with(ec(), "alg", "ES384".into()),
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
            "symmetric, without the key",
            json!({"kty": "oct"}),
            Some(SkipReason::Private),
        ),
        (
            "private, of a later type",
            with(rsa(), "priv", "AA".into()),
            Some(SkipReason::Private),
        ),
        (
            "private Ed25519",
            with(okp(), "d", "AA".into()),
            Some(SkipReason::Private),
        ),
        (
            "called another curve",
            with(ec(), "crv", "P-384".into()),
            Some(KeyError::Unusable.into()),
        ),
        (
            "other curve",
            with(ec(), "crv", "secp256k1".into()),
            Some(SkipReason::Type),
        ),
        (
            "other Edwards curve",
            with(okp(), "crv", "Ed448".into()),
            Some(SkipReason::Type),
        ),
        (
            "of small order",
            with(okp(), "x", base64url::encode(&[0; 32]).into()),
            Some(KeyError::Unusable.into()),
        ),
        (
            "short point",
            with(okp(), "x", "AA".into()),
            Some(KeyError::Unusable.into()),
        ),
        (
            "no curve",
            with(ec(), "crv", Value::Null),
            Some(SkipReason::Type),
        ),
        (
            "other type",
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
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
        kind: None,
        origin: None,
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
fn a_key_without_alg_is_for_every_algorithm_of_its_kind() {
    let header = Header {
        algorithm: "".into(),
        key_id: Some("r".into()),
        kind: None,
        origin: None,
    };
    let bound = with(rsa(), "alg", "PS384".into());
    for (key, name) in [(rsa(), "unbound"), (bound, "bound")] {
        let set = parse(&[key]).unwrap();
        for algorithm in Algorithm::ALL {
            let want = match name {
                "unbound" => algorithm.key_kind() == KeyKind::Rsa,
                _ => algorithm == Algorithm::Ps384,
            };
            let got = set.pick(&header, algorithm).is_some();
            assert_eq!(got, want, "{name}, {}", algorithm.name());
        }
    }
}

#[test]
fn keys_of_one_name_and_different_algorithms_are_told_apart() {
    let key = |algorithm: &str| with(rsa(), "alg", algorithm.into());
    let cases = [
        ("different", vec![key("RS256"), key("PS256")], 2),
        ("the same", vec![key("RS256"), key("RS256")], 0),
        ("one for all", vec![key("RS256"), rsa()], 0),
        (
            "one for all first",
            vec![rsa(), key("RS256"), key("PS256")],
            0,
        ),
    ];
    for (name, mut keys, want) in cases {
        keys.push(ec());
        assert_eq!(parse(&keys).unwrap().len(), want + 1, "{name}");
    }
}

#[test]
fn private_material_is_counted() {
    let private = with(rsa(), "d", "AA".into());
    let shared = json!({"kty": "oct", "kid": "r"});
    let set = parse(&[private, ec(), shared, with(rsa(), "use", "enc".into())]).unwrap();
    assert_eq!((set.len(), set.private()), (1, 2));
    assert_eq!(parse(&[ec()]).unwrap().private(), 0);
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
