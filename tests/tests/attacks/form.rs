//! What is nearly a token: other readers would take it, this one must not.

use e2e::{conversation::Mismatch, token::SigningKey};
use serde_json::json;

use crate::{
    Attack,
    forge::{encode, sign, signing_input},
    range::Range,
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: 7,
        name: "names_that_are_there_twice_are_refused",
        run: |range| Box::pin(twice(range)),
    },
    Attack {
        row: 8,
        name: "one_spelling_of_a_token_and_no_other",
        run: |range| Box::pin(spellings(range)),
    },
    Attack {
        row: 9,
        name: "sizes_depths_and_numbers_are_bounded",
        run: |range| Box::pin(bounds(range)),
    },
    Attack {
        row: 29,
        name: "encrypted_and_packed_tokens_are_refused_unopened",
        run: |range| Box::pin(encrypted(range)),
    },
];

/// Each is signed, so only the repetition can be the reason.
async fn twice(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let draft = range.draft(key);
    let (header, claims) = (draft.header_text(), draft.claims_text());
    let first = |text: &str, member: &str| format!("{{{member},{}", &text[1..]);
    let last = |text: &str, member: &str| format!("{},{member}}}", &text[..text.len() - 1]);
    let headers = [
        r#""alg":"none""#,
        r#""alg":"ES256""#,
        r#""\u0061lg":"none""#,
        r#""kid":"attacker""#,
        r#""typ":"JWT""#,
        r#""x":{"a":1,"a":1}"#,
    ];
    for member in headers {
        for text in [first(&header, member), last(&header, member)] {
            let token = sign(&signing_input(&text, &claims), key)?;
            range.refused(&text, &token, "token_malformed").await?;
        }
    }
    let payloads = [
        r#""sub":"root""#,
        r#""sub":"alice""#,
        r#""\u0073ub":"root""#,
        r#""iss":"https://partner.example""#,
        r#""aud":"api://orders""#,
        r#""exp":9007199254740991"#,
        r#""groups":{"a":["x"],"a":["admins"]}"#,
        r#""groups":[{"a":1,"a":2}]"#,
    ];
    for member in payloads {
        for text in [first(&claims, member), last(&claims, member)] {
            let token = sign(&signing_input(&header, &text), key)?;
            range.refused(&text, &token, "token_malformed").await?;
        }
    }
    Ok(())
}

async fn spellings(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let token = range.draft(key).signed(key)?;
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Err(Mismatch::differs("the token", &token, "three parts"));
    };
    let (standard, loose) = (in_standard_alphabet(range)?, with_stray_bits(range)?);
    let flat = json!({ "payload": payload, "protected": header, "signature": signature });
    let general = json!({ "payload": payload, "signatures": [{ "protected": header, "signature": signature }] });
    let cases = [
        (
            "padding after the signature",
            format!("{token}=="),
            "token_malformed",
        ),
        (
            "padding after the header",
            format!("{header}=.{payload}.{signature}"),
            "token_malformed",
        ),
        (
            "padding after the payload",
            format!("{header}.{payload}=.{signature}"),
            "token_malformed",
        ),
        ("the standard alphabet", standard, "token_malformed"),
        ("stray bits after the signature", loose, "token_malformed"),
        (
            "a space inside",
            format!("{header}. {payload}.{signature}"),
            "token_malformed",
        ),
        (
            "a tab inside",
            format!("{header}.\t{payload}.{signature}"),
            "token_malformed",
        ),
        ("quotes around", format!("\"{token}\""), "token_malformed"),
        ("a dot at the end", format!("{token}."), "token_malformed"),
        ("a dot at the start", format!(".{token}"), "token_malformed"),
        (
            "two dots in a row",
            format!("{header}..{payload}.{signature}"),
            "token_malformed",
        ),
        (
            "four parts",
            format!("{token}.{signature}"),
            "token_malformed",
        ),
        (
            "two parts",
            format!("{header}.{payload}"),
            "token_malformed",
        ),
        ("one part", header.to_owned(), "token_malformed"),
        ("dots alone", "..".to_owned(), "token_malformed"),
        (
            "no payload (RFC 7515 appendix F)",
            format!("{header}..{signature}"),
            "token_malformed",
        ),
        (
            "an encoded dot",
            format!("{header}%2e{payload}.{signature}"),
            "token_malformed",
        ),
        // JSON has commas: a list of credentials, for who reads the header.
        ("flattened JSON", flat.to_string(), "token_ambiguous"),
        ("general JSON", general.to_string(), "token_ambiguous"),
        (
            "JSON without a comma",
            r#"{"payload":"e30"}"#.to_owned(),
            "token_malformed",
        ),
    ];
    range.passes("the token as it is", &token).await?;
    for (case, token, reason) in cases {
        range.refused(case, &token, reason).await?;
    }
    Ok(())
}

/// A token whose signature has one of the two letters in which the alphabets of base64 differ.
fn in_standard_alphabet(range: &Range) -> Result<String, Mismatch> {
    let key = &range.keys.p256;
    loop {
        let token = range.draft(key).signed(key)?;
        if token.contains(['-', '_']) {
            return Ok(token.replace('-', "+").replace('_', "/"));
        }
    }
}

/// 64 bytes leave four bits unused in the last letter: a lax reader takes sixteen spellings.
fn with_stray_bits(range: &Range) -> Result<String, Mismatch> {
    let key = &range.keys.p256;
    let mut token = range.draft(key).signed(key)?;
    // The last letter of a canonical spelling is one of A, Q, g and w: the next one has a bit more.
    let spelled = match token.pop() {
        Some('A') => 'B',
        Some('Q') => 'R',
        Some('g') => 'h',
        Some('w') => 'x',
        other => {
            return Err(Mismatch::differs(
                "the last letter",
                &format!("{other:?}"),
                "A, Q, g or w",
            ));
        }
    };
    token.push(spelled);
    Ok(token)
}

async fn bounds(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let long = range.draft(key).claim("padding", "x".repeat(13_000));
    range
        .refused("17 kB of token", &long.signed(key)?, "token_too_large")
        .await?;
    let near = range.draft(key).claim("padding", "x".repeat(11_000));
    range.passes("15 kB of token", &near.signed(key)?).await?;
    let fat = range.draft(key).head("padding", "x".repeat(5_000));
    range
        .refused("5 kB of header", &fat.signed(key)?, "token_too_large")
        .await?;
    for depth in [17, 5_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let text = with_member(
                &range.draft(key).claims_text(),
                &format!(r#""deep":{deep}"#),
            );
            let token = sign(&signing_input(range.draft(key).header_text(), text), key)?;
            let (case, reason) = (
                format!("{depth} of {open} in the claims"),
                if token.len() > 16_384 {
                    "token_too_large"
                } else {
                    "token_malformed"
                },
            );
            range.refused(&case, &token, reason).await?;
        }
    }
    let deep = format!(r#""deep":{}1{}"#, "[".repeat(600), "]".repeat(600));
    let header = with_member(&range.draft(key).header_text(), &deep);
    let token = sign(&signing_input(header, range.draft(key).claims_text()), key)?;
    range
        .refused("600 of [ in the header", &token, "token_malformed")
        .await?;
    numbers(range, key).await?;
    payloads(range, key).await
}

/// In the place of `exp`. What JSON does not know as a number is malformed as well.
async fn numbers(range: &Range, key: &SigningKey) -> Result<(), Mismatch> {
    let digits = "9".repeat(4_000);
    let numbers = [
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "1e300",
        "1e999",
        "4102444800.0",
        "4102444800.5",
        "4.1024448e9",
        "-1",
        "-0",
        "-9223372036854775809",
        "NaN",
        "Infinity",
        "-Infinity",
        "0x7fffffff",
        "+4102444800",
        "04102444800",
        "4102444800_0",
        "null",
        "true",
        "\"4102444800\"",
        "[4102444800]",
        "{}",
        &digits,
    ];
    for name in ["exp", "nbf", "iat"] {
        for number in numbers {
            let draft = range.draft(key).without(name);
            let text = with_member(&draft.claims_text(), &format!(r#""{name}":{number}"#));
            let token = sign(&signing_input(draft.header_text(), text), key)?;
            let case: String = format!("{name} {number}").chars().take(60).collect();
            range.refused(&case, &token, "token_malformed").await?;
        }
    }
    Ok(())
}

/// In the place of the claims.
async fn payloads(range: &Range, key: &SigningKey) -> Result<(), Mismatch> {
    let draft = range.draft(key);
    let claims = draft.claims_text();
    let payloads: [(&str, Vec<u8>); 11] = [
        ("nothing", Vec::new()),
        ("null", b"null".to_vec()),
        ("a list", format!("[{claims}]").into_bytes()),
        ("a text", b"\"claims\"".to_vec()),
        ("a number", b"1".to_vec()),
        (
            "a byte order mark",
            [b"\xef\xbb\xbf", claims.as_bytes()].concat(),
        ),
        (
            "text after the object",
            format!("{claims}{{}}").into_bytes(),
        ),
        (
            "half an object",
            claims.as_bytes()[..claims.len() - 1].to_vec(),
        ),
        (
            "what is not UTF-8",
            with_member(&claims, "\"x\":\"?\"")
                .replace('?', "\u{fffd}")
                .into_bytes()
                .into_iter()
                .filter(|byte| *byte != 0xbf)
                .collect(),
        ),
        (
            "half a surrogate pair",
            with_member(&claims, r#""x":"\ud800""#).into_bytes(),
        ),
        (
            "UTF-16",
            claims.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        ),
    ];
    for (case, payload) in payloads {
        let token = sign(&signing_input(draft.header_text(), payload), key)?;
        range.refused(case, &token, "token_malformed").await?;
    }
    Ok(())
}

fn with_member(object: &str, member: &str) -> String {
    format!("{},{member}}}", &object[..object.len() - 1])
}

async fn encrypted(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let header = |members: serde_json::Value| encode(members.to_string());
    let five = |header: &str| format!("{header}.{0}.{0}.{0}.{0}", encode([7; 16]));
    let cases = [
        (
            "a packed JWE",
            five(&header(
                json!({ "alg": "RSA-OAEP-256", "enc": "A256GCM", "zip": "DEF" }),
            )),
        ),
        (
            "a JWE with the key itself",
            five(&header(json!({ "alg": "dir", "enc": "A128GCM" }))),
        ),
        (
            "a JWE by a password, two billion rounds",
            five(&header(json!({
                "alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 2_000_000_000_u32, "p2s": "AAAA",
            }))),
        ),
        (
            "a JWE of no encryption (CVE-2026-29000)",
            five(&header(json!({ "alg": "none", "enc": "none" }))),
        ),
    ];
    for (case, token) in cases {
        range.refused(case, &token, "token_malformed").await?;
    }
    for member in ["zip", "enc"] {
        let token = range.draft(key).head(member, "DEF").signed(key)?;
        let case = format!("a signed token with {member}");
        range.refused(&case, &token, "token_malformed").await?;
    }
    // A counter alone changes nothing here: it is a member like any other.
    let draft = range
        .draft(key)
        .head("alg", "PBES2-HS512+A256KW")
        .head("p2c", 2_000_000_000_u32);
    let token = draft.signed(key)?;
    range
        .refused("a signed token by a password", &token, "algorithm_refused")
        .await?;
    let nested = range.draft(key).head("cty", "JWT").head("typ", "JOSE");
    range
        .refused(
            "a token in a token",
            &nested.signed(key)?,
            "token_type_refused",
        )
        .await?;
    Ok(())
}
