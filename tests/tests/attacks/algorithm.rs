//! Whose word decides how a token is verified: never the token's.

use aws_lc_rs::hmac;
use e2e::{conversation::Mismatch, token::SigningKey};
use serde_json::json;

use crate::{
    Attack,
    forge::{self, Draft, encode},
    range::{PEOPLE, RAW_RSA, Range},
    rsa_forge::{self, PS256},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: 1,
        name: "unsigned_tokens_are_refused",
        run: |range| Box::pin(unsigned(range)),
    },
    Attack {
        row: 2,
        name: "public_keys_are_no_shared_secrets",
        run: |range| Box::pin(shared_secrets(range)),
    },
    Attack {
        row: 3,
        name: "keys_verify_their_own_algorithm_only",
        run: |range| Box::pin(other_algorithms(range)),
    },
    Attack {
        row: 4,
        name: "a_kid_is_compared_and_nothing_else",
        run: |range| Box::pin(kids(range)),
    },
    Attack {
        row: 5,
        name: "keys_in_the_header_are_refused",
        run: |range| Box::pin(own_keys(range)),
    },
    Attack {
        row: 6,
        name: "headers_that_change_the_rules_are_refused",
        run: |range| Box::pin(critical(range)),
    },
];

async fn unsigned(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.rsa;
    for name in ["none", "None", "nOnE", "NONE", "", " none"] {
        let draft = range.draft(key).head("alg", name);
        let case = format!("alg {name:?} without a signature");
        let token = draft.with_signature("");
        range.refused(&case, &token, "algorithm_refused").await?;
        let case = format!("alg {name:?} with a good signature");
        range
            .refused(&case, &draft.signed(key)?, "algorithm_refused")
            .await?;
        let draft = draft.headless("kid");
        let case = format!("alg {name:?} without a kid");
        let token = draft.with_signature("");
        range.refused(&case, &token, "algorithm_refused").await?;
    }
    let stripped = range.draft(key).with_signature("");
    range
        .refused(
            "a good header, no signature",
            &stripped,
            "signature_invalid",
        )
        .await?;
    let missing = range.draft(key).headless("alg");
    range
        .refused("no alg", &missing.signed(key)?, "token_malformed")
        .await?;
    let list = range.draft(key).head("alg", json!(["RS256"]));
    range
        .refused("alg is a list", &list.signed(key)?, "token_malformed")
        .await?;
    Ok(())
}

async fn shared_secrets(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.rsa;
    let pem = key.public_pem().to_owned();
    let jwk = key.public_jwk();
    let secrets = [
        ("the PEM text", pem.clone()),
        (
            "the PEM text without its last line feed",
            pem.trim_end().to_owned(),
        ),
        ("the JWK", jwk.to_string()),
        (
            "the modulus as it is published",
            jwk["n"].as_str().unwrap_or_default().to_owned(),
        ),
        ("nothing", String::new()),
    ];
    let hashes = [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ];
    for (name, hash) in hashes {
        for (what, secret) in &secrets {
            for draft in [range.draft(key), range.draft(key).headless("kid")] {
                let draft = draft.head("alg", name);
                let secret = hmac::Key::new(hash, secret.as_bytes());
                let tag = hmac::sign(&secret, draft.signing_input().as_bytes());
                let case = format!("{name} with {what}");
                let token = draft.with_signature(tag);
                range.refused(&case, &token, "algorithm_refused").await?;
            }
        }
    }
    Ok(())
}

/// Each signature is a good one of the algorithm in the header, or of the key that is named.
async fn other_algorithms(range: &Range) -> Result<(), Mismatch> {
    let keys = &range.keys;
    for key in [&keys.rsa, &keys.pss, &keys.p256, &keys.p384, &keys.ed25519] {
        let token = range.draft(key).signed(key)?;
        range.passes(key.algorithm(), &token).await?;
    }
    let named = |key: &SigningKey, algorithm: &str, signer: &SigningKey| {
        range.draft(key).head("alg", algorithm).signed(signer)
    };
    let cases = [
        (
            "RS256 signed as PS256",
            named(&keys.rsa, "RS256", &keys.pss)?,
            "signature_invalid",
        ),
        (
            "the RS256 key named for PS256",
            named(&keys.rsa, "PS256", &keys.pss)?,
            "key_unknown",
        ),
        (
            "the PS256 key named for RS256",
            named(&keys.pss, "RS256", &keys.rsa)?,
            "key_unknown",
        ),
        (
            "the P-384 key named for ES256",
            named(&keys.p384, "ES256", &keys.p384)?,
            "key_unknown",
        ),
        (
            "the P-256 key named for ES384",
            named(&keys.p256, "ES384", &keys.p256)?,
            "key_unknown",
        ),
        (
            "the P-256 key named for RS256",
            named(&keys.p256, "RS256", &keys.p256)?,
            "key_unknown",
        ),
        (
            "the RSA key named for ES256",
            named(&keys.rsa, "ES256", &keys.rsa)?,
            "key_unknown",
        ),
        (
            "the RSA key named for EdDSA",
            named(&keys.rsa, "EdDSA", &keys.rsa)?,
            "key_unknown",
        ),
        (
            "the Ed25519 key named for ES256",
            named(&keys.ed25519, "ES256", &keys.ed25519)?,
            "key_unknown",
        ),
        (
            "a P-384 signature under ES256",
            named(&keys.p256, "ES256", &keys.p384)?,
            "signature_invalid",
        ),
        (
            "ES256K",
            named(&keys.p256, "ES256K", &keys.p256)?,
            "algorithm_refused",
        ),
        (
            "RS1",
            named(&keys.rsa, "RS1", &keys.rsa)?,
            "algorithm_refused",
        ),
        (
            "rs256",
            named(&keys.rsa, "rs256", &keys.rsa)?,
            "algorithm_refused",
        ),
        (
            "RS512, which the provider does not list",
            named(&keys.rsa, "RS512", &keys.rsa)?,
            "algorithm_refused",
        ),
        (
            "ES256, no kid, signed by another key",
            range
                .draft(&keys.p256)
                .headless("kid")
                .signed(&keys.attacker)?,
            "signature_invalid",
        ),
    ];
    for (case, token, reason) in cases {
        range.refused(case, &token, reason).await?;
    }
    // A key without `alg` serves both paddings, each under its own name.
    let raw = &keys.raw_rsa;
    let draft = |algorithm: &str| {
        range
            .draft(&keys.rsa)
            .head("kid", RAW_RSA)
            .head("alg", algorithm)
    };
    let pkcs1 = |draft: &Draft| {
        let text = draft.signing_input();
        draft.with_signature(raw.power(&rsa_forge::pkcs1(
            raw.size(),
            &rsa_forge::digest_info(text.as_bytes()),
        )))
    };
    let pss = |draft: &Draft| {
        let text = draft.signing_input();
        draft.with_signature(raw.power(&PS256.encode(raw.size(), text.as_bytes())))
    };
    range
        .passes("RS256 by a key without alg", &pkcs1(&draft("RS256")))
        .await?;
    range
        .passes("PS256 by a key without alg", &pss(&draft("PS256")))
        .await?;
    range
        .refused(
            "PKCS #1 v1.5 under PS256",
            &pkcs1(&draft("PS256")),
            "signature_invalid",
        )
        .await?;
    range
        .refused(
            "PSS under RS256",
            &pss(&draft("RS256")),
            "signature_invalid",
        )
        .await?;
    Ok(())
}

async fn kids(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let unknown = [
        "../../../../etc/passwd",
        "/dev/null",
        "' OR '1'='1",
        "p256' UNION SELECT 'x",
        "https://attacker.example/jwks",
        "file:///proc/self/environ",
        "p256\u{0}",
        "p256 ",
        " p256",
        "P256",
        "p\u{ff12}56",
        "",
        "*",
        "0",
        "__proto__",
        "p256\r\nx-identity-workload: forged",
        "/strict",
    ];
    for id in unknown {
        for signer in [key, &range.keys.attacker] {
            let token = range.draft(key).head("kid", id).signed(signer)?;
            range
                .refused(&format!("kid {id:?}"), &token, "key_unknown")
                .await?;
        }
    }
    let long = range.draft(key).head("kid", "k".repeat(257)).signed(key)?;
    range
        .refused("a kid of 257 bytes", &long, "token_malformed")
        .await?;
    let longer = range
        .draft(key)
        .head("kid", "k".repeat(11_000))
        .signed(key)?;
    range
        .refused("a kid of 11 kB", &longer, "token_too_large")
        .await?;
    for id in [
        json!(0),
        json!(null),
        json!(["p256"]),
        json!({ "kid": "p256" }),
        json!(true),
    ] {
        let token = range.draft(key).head("kid", id.clone()).signed(key)?;
        range
            .refused(&format!("kid {id}"), &token, "token_malformed")
            .await?;
    }
    nobody_else_was_asked(range)
}

/// The header brings a key with it, and the token is signed by that very key.
async fn own_keys(range: &Range) -> Result<(), Mismatch> {
    let (key, attacker) = (&range.keys.p256, &range.keys.attacker);
    let jwk = attacker.public_jwk();
    let own = url(range);
    let members = [
        ("jwk", jwk.clone()),
        ("jku", json!(own)),
        ("x5u", json!(own)),
        ("x5c", json!([encode(attacker.public_pem())])),
    ];
    for (name, value) in members {
        for id in ["attacker", "p256"] {
            let draft = range.draft(key).head(name, value.clone()).head("kid", id);
            let case = format!("{name} of the attacker's, kid {id}");
            range
                .refused(&case, &draft.signed(attacker)?, "token_malformed")
                .await?;
        }
        let draft = range.draft(key).head(name, value).headless("kid");
        let case = format!("{name} of the attacker's, no kid");
        range
            .refused(&case, &draft.signed(attacker)?, "token_malformed")
            .await?;
    }
    let honest = range.draft(key).head("jwk", key.public_jwk());
    range
        .refused(
            "jwk, the provider's own",
            &honest.signed(key)?,
            "token_malformed",
        )
        .await?;
    nobody_else_was_asked(range)
}

fn url(range: &Range) -> String {
    e2e::stand::url(&range.stand.keys, "/attacker")
}

fn nobody_else_was_asked(range: &Range) -> Result<(), Mismatch> {
    let strays = range.stand.keys.strays();
    e2e::conversation::expect("what else the key server was asked for", strays, [""; 0])
}

async fn critical(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let cases = [
        ("crit with a claim", json!({ "crit": ["exp"], "exp": 1 })),
        (
            "crit with an unknown name",
            json!({ "crit": ["https://example.com/x"], "https://example.com/x": true }),
        ),
        ("an empty crit", json!({ "crit": [] })),
        ("crit that is no list", json!({ "crit": "b64" })),
        (
            "b64 false and crit",
            json!({ "b64": false, "crit": ["b64"] }),
        ),
        ("b64 false without crit", json!({ "b64": false })),
        ("b64 true", json!({ "b64": true, "crit": ["b64"] })),
    ];
    for (case, members) in cases {
        let mut draft = range.draft(key);
        for (name, value) in members.as_object().into_iter().flatten() {
            draft = draft.head(name, value.clone());
        }
        range
            .refused(case, &draft.signed(key)?, "token_malformed")
            .await?;
    }
    // RFC 7797 section 3: the payload as it is, not encoded, and signed so.
    let draft = range
        .draft(key)
        .head("b64", false)
        .head("crit", json!(["b64"]));
    let input = format!("{}.{PEOPLE}", encode(draft.header_text()));
    let token = forge::sign(&input.replace(['/', ':'], "_"), key)?;
    range
        .refused("a payload that is not encoded", &token, "token_malformed")
        .await?;
    Ok(())
}
