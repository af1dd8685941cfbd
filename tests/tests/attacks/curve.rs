//! Elliptic curves: numbers out of range, other encodings, and points that are none.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use e2e::{conversation::Mismatch, token::SigningKey};
use rsa::BigUint;
use serde_json::{Value, json};

use crate::{
    Attack,
    forge::{encode, signature_of},
    range::{CARELESS, Range},
    rsa_forge::left_padded,
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: 13,
        name: "ecdsa_numbers_are_in_range_and_in_one_encoding",
        run: |range| Box::pin(ecdsa(range)),
    },
    Attack {
        row: 14,
        name: "points_off_the_curve_are_no_keys",
        run: |range| Box::pin(points(range)),
    },
    Attack {
        row: 15,
        name: "ed25519_scalars_are_reduced_and_keys_of_full_order",
        run: |range| Box::pin(ed25519(range)),
    },
];

/// Public keys that are none, as an attacker would like them published: under which name, and which.
#[derive(Debug)]
pub(crate) struct Curves {
    keys: Vec<(String, Value)>,
}

impl Curves {
    /// Made from a good P-256 key.
    pub(crate) fn new(good: &Value) -> Self {
        let coordinate = |name: &str| {
            let text = good[name].as_str().unwrap_or_default();
            URL_SAFE_NO_PAD.decode(text).unwrap_or_default()
        };
        let (x, y) = (coordinate("x"), coordinate("y"));
        let mut beside = y.clone();
        beside[31] ^= 1;
        let point = |curve: &str, x: &[u8], y: &[u8]| json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) });
        let edwards = |key: &[u8; 32]| json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key) });
        let mut half_turn = [0xff; 32];
        (half_turn[0], half_turn[31]) = (0xec, 0x7f);
        let mut identity_again = [0xff; 32];
        (identity_again[0], identity_again[31]) = (0xee, 0x7f);
        let mut one = [0; 32];
        one[0] = 1;
        let mut quarter = [0; 32];
        quarter[31] = 0x80;
        let keys = [
            ("off the curve", point("P-256", &x, &beside)),
            ("nowhere", point("P-256", &[0; 32], &[0; 32])),
            ("beyond the field", point("P-256", &[0xff; 32], &y)),
            ("of another curve", point("P-384", &x, &y)),
            ("cut short", point("P-256", &x[..31], &y)),
            (
                "zero before",
                point("P-256", &left_padded(&x, 33), &left_padded(&y, 33)),
            ),
            ("swapped", point("P-256", &y, &x)),
            ("of order 1", edwards(&one)),
            ("of order 2", edwards(&half_turn)),
            ("of order 4", edwards(&[0; 32])),
            ("of order 4, too", edwards(&quarter)),
            ("of order 1, not canonical", edwards(&identity_again)),
        ];
        let keys = keys.map(|(id, mut key)| {
            key["kid"] = json!(id);
            (id.to_owned(), key)
        });
        Self { keys: keys.into() }
    }

    /// To be published.
    pub(crate) fn jwks(&self) -> impl Iterator<Item = Value> {
        self.keys.iter().map(|(_id, key)| key.clone())
    }

    fn ids(&self, kind: &str) -> Vec<&str> {
        let of_kind = self.keys.iter().filter(|(_id, key)| key["kty"] == kind);
        of_kind.map(|(id, _key)| id.as_str()).collect()
    }
}

async fn ecdsa(range: &Range) -> Result<(), Mismatch> {
    of_curve(range, &range.keys.p256, P256_ORDER).await?;
    of_curve(range, &range.keys.p384, P384_ORDER).await
}

async fn of_curve(range: &Range, key: &SigningKey, order: &str) -> Result<(), Mismatch> {
    let order = BigUint::parse_bytes(order.as_bytes(), 16).unwrap_or_default();
    let size = order.bits().div_ceil(8);
    let number = |number: &BigUint| left_padded(&number.to_bytes_be(), size);
    let draft = range.draft(key);
    let signature = signature_of(&draft.signed(key)?);
    let (r, s) = signature.split_at(size);
    let (zero, one) = (vec![0; size], left_padded(&[1], size));
    let (n, beyond) = (number(&order), vec![0xff; size]);
    let other = if size == 32 { 48 } else { 66 };
    let cases = [
        (
            "r and s are 0 (CVE-2022-21449)",
            [&zero[..], &zero].concat(),
        ),
        ("r is 0", [&zero, s].concat()),
        ("s is 0", [r, &zero].concat()),
        ("r is the order", [&n, s].concat()),
        ("s is the order", [r, &n].concat()),
        ("r and s are the order", [&n[..], &n].concat()),
        ("r is 1, s is 1", [&one[..], &one].concat()),
        ("r is beyond", [&beyond, s].concat()),
        ("s is beyond", [r, &beyond].concat()),
        ("r and s change places", [s, r].concat()),
        ("r alone", r.to_vec()),
        ("nothing", Vec::new()),
        ("a byte less", signature[..signature.len() - 1].to_vec()),
        ("a byte more", [&signature[..], &[0]].concat()),
        ("a zero before", [&[0], &signature[..]].concat()),
        (
            "numbers of another curve's length",
            [left_padded(r, other), left_padded(s, other)].concat(),
        ),
        ("DER", der(r, s)),
        ("DER of zeros", der(&[0], &[0])),
    ];
    for (case, signature) in cases {
        let case = format!("{}: {case}", key.algorithm());
        range
            .refused(&case, &draft.with_signature(signature), "signature_invalid")
            .await?;
    }
    // The twin is as good a signature of the same claims: it wins nothing, and is remembered apart.
    let twin = number(&(order - BigUint::from_bytes_be(s)));
    let twin = draft.with_signature([r, &twin].concat());
    let mirror = range.passes("the twin of a signature", &twin).await?;
    let subject = mirror.value("x-identity-subject")?.to_owned();
    let mirror = range
        .passes("the signature", &draft.with_signature(&signature))
        .await?;
    e2e::conversation::expect(
        "whom both name",
        mirror.value("x-identity-subject")?,
        subject.as_str(),
    )
}

/// SEQUENCE of two INTEGERs, as X.509 and Java hold signatures.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let start = number
            .iter()
            .position(|byte| *byte != 0)
            .unwrap_or(number.len() - 1);
        let sign: &[u8] = if number[start] < 0x80 { &[] } else { &[0] };
        let body = [sign, &number[start..]].concat();
        [&[0x02, length(&body)], &body[..]].concat()
    };
    let body = [integer(r), integer(s)].concat();
    [&[0x30, length(&body)], &body[..]].concat()
}

fn length(body: &[u8]) -> u8 {
    u8::try_from(body.len()).unwrap_or_default()
}

/// They are left out when the set is read, so no signature is checked with them, and the good key beside
/// them serves.
async fn points(range: &Range) -> Result<(), Mismatch> {
    let good = &range.keys.p256;
    for id in range.keys.curves.ids("EC") {
        for signer in [good, &range.keys.attacker] {
            let draft = range.draft_of(CARELESS, good).head("kid", id);
            let case = format!("a key {id}");
            range
                .refused(&case, &draft.signed(signer)?, "key_unknown")
                .await?;
        }
        let wide = range
            .draft_of(CARELESS, good)
            .head("kid", id)
            .head("alg", "ES384");
        let case = format!("a key {id}, ES384");
        range
            .refused(&case, &wide.with_signature([1; 96]), "key_unknown")
            .await?;
    }
    let token = range.draft_of(CARELESS, good).signed(good)?;
    range.passes("the good key of the same set", &token).await?;
    Ok(())
}

async fn ed25519(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.ed25519;
    let draft = range.draft(key);
    let signature = signature_of(&draft.signed(key)?);
    let (r, s) = signature.split_at(32);
    let reversed = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<u8>>();
    let order = BigUint::parse_bytes(ED25519_ORDER.as_bytes(), 16).unwrap_or_default();
    let beyond = BigUint::from_bytes_be(&reversed(s)) + &order;
    let beyond = reversed(&left_padded(&beyond.to_bytes_be(), 32));
    let n = reversed(&left_padded(&order.to_bytes_be(), 32));
    let cases = [
        ("S plus the order", [r, &beyond].concat()),
        ("S is the order", [r, &n].concat()),
        ("S is 0", [r, &[0; 32]].concat()),
        ("R and S are 0", vec![0; 64]),
        ("R is no point", [&[0xff; 32], s].concat()),
        ("nothing", Vec::new()),
        ("a byte less", signature[..63].to_vec()),
        ("a byte more", [&signature[..], &[0]].concat()),
    ];
    for (case, signature) in cases {
        range
            .refused(case, &draft.with_signature(signature), "signature_invalid")
            .await?;
    }
    range
        .passes(
            "the same with its own signature",
            &draft.with_signature(&signature),
        )
        .await?;
    // With such a key, R of the same order and S of 0 sign every text, or every second or fourth.
    for id in range.keys.curves.ids("OKP") {
        let mut identity = vec![0; 64];
        identity[0] = 1;
        for algorithm in ["EdDSA", "Ed25519"] {
            let draft = range
                .draft_of(CARELESS, key)
                .head("kid", id)
                .head("alg", algorithm);
            let case = format!("a key {id}, {algorithm}");
            range
                .refused(&case, &draft.with_signature(&identity), "key_unknown")
                .await?;
        }
    }
    Ok(())
}

/// FIPS 186-4 appendix D.1.2.3.
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
/// FIPS 186-4 appendix D.1.2.4.
const P384_ORDER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
/// RFC 8032 section 5.1.
const ED25519_ORDER: &str = "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed";
