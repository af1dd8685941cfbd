//! Changes of the claims; they are signed afterwards.

use super::{Mutation, bad, good};
use crate::draft::{Draft, quoted};

pub(crate) const ALL: &[Mutation] = &[
    bad("exp: missing", |draft| draft.claims.remove("exp")),
    good("exp: passed, within the leeway", |draft| {
        at(draft, "exp", -20)
    }),
    bad("exp: passed", |draft| at(draft, "exp", -100)),
    bad("exp: passed long ago", |draft| at(draft, "exp", -1_000_000)),
    bad("exp: zero", |draft| draft.claims.set("exp", "0")),
    bad("exp: negative", |draft| draft.claims.set("exp", "-1")),
    bad("exp: a fraction", |draft| append(draft, "exp", ".5")),
    bad("exp: with a point", |draft| append(draft, "exp", ".0")),
    bad("exp: with an exponent", |draft| {
        draft.claims.set("exp", "5e9")
    }),
    bad("exp: text", |draft| as_text(draft, "exp")),
    bad("exp: null", |draft| draft.claims.set("exp", "null")),
    bad("exp: true", |draft| draft.claims.set("exp", "true")),
    bad("exp: a list", |draft| {
        draft.claims.set("exp", "[9000000000]")
    }),
    good("exp: 2^53", |draft| {
        draft.claims.set("exp", "9007199254740992")
    }),
    bad("exp: 2^53 + 1", |draft| {
        draft.claims.set("exp", "9007199254740993")
    }),
    bad("exp: 2^63", |draft| {
        draft.claims.set("exp", "9223372036854775808")
    }),
    bad("exp: 2^64", |draft| {
        draft.claims.set("exp", "18446744073709551616")
    }),
    bad("exp: 1e300", |draft| draft.claims.set("exp", "1e300")),
    bad("exp: 1e999", |draft| draft.claims.set("exp", "1e999")),
    bad("exp: twice, passed first", |draft| {
        let honest = draft.claims.value("exp").to_owned();
        at(draft, "exp", -1000);
        draft.claims.add("exp", honest);
    }),
    bad("exp: twice, passed last", |draft| {
        let passed = draft.now - 1000;
        draft.claims.add("exp", passed.to_string());
    }),
    bad("exp: a leading zero", |draft| {
        let zero = format!("0{}", draft.claims.value("exp"));
        draft.claims.set("exp", zero);
    }),
    bad("exp: a plus sign", |draft| {
        let plus = format!("+{}", draft.claims.value("exp"));
        draft.claims.set("exp", plus);
    }),
    good("nbf: passed", |draft| at(draft, "nbf", -100)),
    good("nbf: zero", |draft| draft.claims.set("nbf", "0")),
    good("nbf: to come, within the leeway", |draft| {
        at(draft, "nbf", 20)
    }),
    bad("nbf: to come", |draft| at(draft, "nbf", 1000)),
    bad("nbf: negative", |draft| draft.claims.set("nbf", "-1")),
    bad("nbf: a fraction", |draft| draft.claims.set("nbf", "1.5")),
    bad("nbf: text", |draft| draft.claims.set("nbf", "\"1\"")),
    bad("nbf: null", |draft| draft.claims.set("nbf", "null")),
    good("iat: missing", |draft| draft.claims.remove("iat")),
    good("iat: to come, within the leeway", |draft| {
        at(draft, "iat", 20)
    }),
    bad("iat: to come", |draft| at(draft, "iat", 1000)),
    bad("iat: negative", |draft| draft.claims.set("iat", "-1")),
    bad("iat: a fraction", |draft| append(draft, "iat", ".5")),
    bad("iat: text", |draft| as_text(draft, "iat")),
    good("aud: a list of one", |draft| {
        let list = format!("[{}]", draft.claims.value("aud"));
        draft.claims.set("aud", list);
    }),
    good("aud: ours among others", |draft| {
        let list = format!("[\"x\",{},\"y\"]", draft.claims.value("aud"));
        draft.claims.set("aud", list);
    }),
    bad("aud: missing", |draft| draft.claims.remove("aud")),
    bad("aud: another", |draft| {
        draft.claims.set("aud", quoted("api-x"))
    }),
    bad("aud: of the other issuer", |draft| {
        draft.claims.set("aud", quoted(draft.other_issuer.audience));
    }),
    bad("aud: others", |draft| {
        draft.claims.set("aud", r#"["x","y"]"#)
    }),
    bad("aud: an empty list", |draft| draft.claims.set("aud", "[]")),
    bad("aud: empty", |draft| draft.claims.set("aud", "\"\"")),
    bad("aud: null", |draft| draft.claims.set("aud", "null")),
    bad("aud: a number", |draft| draft.claims.set("aud", "1")),
    bad("aud: an object", |draft| {
        let object = format!("{{\"aud\":{}}}", draft.claims.value("aud"));
        draft.claims.set("aud", object);
    }),
    bad("aud: ours beside a number", |draft| {
        let list = format!("[{},1]", draft.claims.value("aud"));
        draft.claims.set("aud", list);
    }),
    bad("aud: a list in a list", |draft| {
        let list = format!("[[{}]]", draft.claims.value("aud"));
        draft.claims.set("aud", list);
    }),
    bad("aud: in upper case", |draft| {
        let upper = draft.issuer.audience.to_uppercase();
        draft.claims.set("aud", quoted(&upper));
    }),
    bad("aud: with a slash at its end", |draft| {
        let slash = format!("{}/", draft.issuer.audience);
        draft.claims.set("aud", quoted(&slash));
    }),
    bad("aud: with a scheme", |draft| {
        let url = format!("https://{}", draft.issuer.audience);
        draft.claims.set("aud", quoted(&url));
    }),
    bad("aud: two in one text", |draft| {
        let words = format!("x {}", draft.issuer.audience);
        draft.claims.set("aud", quoted(&words));
    }),
    bad("aud: the beginning of ours", |draft| {
        draft.claims.set("aud", quoted("api"));
    }),
    bad("aud: twice", |draft| draft.claims.add("aud", quoted("x"))),
    bad("iss: missing", |draft| draft.claims.remove("iss")),
    bad("iss: unknown", |draft| {
        draft.claims.set("iss", quoted("https://evil.test"));
    }),
    bad("iss: the other issuer", |draft| {
        draft.claims.set("iss", quoted(draft.other_issuer.url));
        draft.claims.set("aud", quoted(draft.other_issuer.audience));
    }),
    bad("iss: with a slash at its end", |draft| {
        let slash = format!("{}/", draft.issuer.url);
        draft.claims.set("iss", quoted(&slash));
    }),
    bad("iss: in upper case", |draft| {
        let upper = draft.issuer.url.to_uppercase();
        draft.claims.set("iss", quoted(&upper));
    }),
    bad("iss: with user information", |draft| {
        let other = draft.issuer.url.replace("https://", "https://x@");
        draft.claims.set("iss", quoted(&other));
    }),
    bad("iss: another alphabet", |draft| {
        let other = draft.issuer.url.replace('e', "\u{435}");
        draft.claims.set("iss", quoted(&other));
    }),
    bad("iss: a NUL at its end", |draft| {
        let nul = format!("{}\\u0000", draft.issuer.url);
        draft.claims.set("iss", quoted(&nul));
    }),
    bad("iss: a space at its end", |draft| {
        let space = format!("{} ", draft.issuer.url);
        draft.claims.set("iss", quoted(&space));
    }),
    bad("iss: a list", |draft| {
        let list = format!("[{}]", draft.claims.value("iss"));
        draft.claims.set("iss", list);
    }),
    bad("iss: a number", |draft| draft.claims.set("iss", "1")),
    bad("iss: null", |draft| draft.claims.set("iss", "null")),
    bad("iss: twice", |draft| {
        draft.claims.add("iss", quoted(draft.other_issuer.url));
    }),
    good("iss: by escapes", |draft| {
        let escaped = draft.issuer.url.replace('/', "\\/").replace('t', "\\u0074");
        draft.claims.set("iss", quoted(&escaped));
    }),
    bad("sub: missing", |draft| draft.claims.remove("sub")),
    bad("sub: empty", |draft| draft.claims.set("sub", "\"\"")),
    bad("sub: a number", |draft| draft.claims.set("sub", "7")),
    bad("sub: null", |draft| draft.claims.set("sub", "null")),
    bad("sub: a list", |draft| draft.claims.set("sub", r#"["a"]"#)),
    good("sub: 255 bytes", |draft| {
        draft.claims.set("sub", quoted(&"s".repeat(255)));
    }),
    bad("sub: 256 bytes", |draft| {
        draft.claims.set("sub", quoted(&"s".repeat(256)));
    }),
    good("sub: not ASCII", |draft| {
        draft.claims.set("sub", quoted("Zo\u{eb} \u{1f600}"));
    }),
    good("sub: a line break", |draft| {
        draft
            .claims
            .set("sub", "\"a\\r\\nx-identity-roles: admin\"");
    }),
    good("sub: a NUL", |draft| {
        draft.claims.set("sub", "\"a\\u0000b\"")
    }),
    bad("sub: twice", |draft| {
        draft.claims.add("sub", quoted("root"))
    }),
    good("groups: a text", |draft| {
        draft.claims.set("groups", quoted("staff"))
    }),
    bad("groups: missing", |draft| draft.claims.remove("groups")),
    bad("groups: others", |draft| {
        draft.claims.set("groups", r#"["guests"]"#)
    }),
    bad("groups: in upper case", |draft| {
        draft.claims.set("groups", r#"["STAFF"]"#);
    }),
    bad("groups: a longer one", |draft| {
        draft.claims.set("groups", r#"["staffers"]"#);
    }),
    bad("groups: words in one text", |draft| {
        draft.claims.set("groups", quoted("guests staff"));
    }),
    bad("groups: a list in a list", |draft| {
        draft.claims.set("groups", r#"[["staff"]]"#);
    }),
    bad("groups: an object", |draft| {
        draft.claims.set("groups", r#"{"staff":true}"#);
    }),
    good("groups: ours beside a number", |draft| {
        draft.claims.set("groups", r#"[1,null,"staff"]"#);
    }),
    bad("cnf: of a key", |draft| {
        draft
            .claims
            .add("cnf", format!(r#"{{"jkt":"{}"}}"#, "A".repeat(43)));
    }),
    bad("cnf: of a certificate", |draft| {
        let thumbprint = "A".repeat(43);
        draft
            .claims
            .add("cnf", format!(r##"{{"x5t#S256":"{thumbprint}"}}"##));
    }),
    good("claims of every kind", |draft| {
        draft
            .claims
            .add("x", r#"{"a":[null,true,-1.5e3,"\u00e9\ud83d\ude00",{}]}"#);
    }),
    bad("nested member twice", |draft| {
        draft.claims.add("x", r#"{"a":[{"b":1,"b":2}]}"#);
    }),
    good("nested 15 deep", |draft| nest(draft, 15)),
    bad("nested 17 deep", |draft| nest(draft, 17)),
    bad("nested 90 deep", |draft| nest(draft, 90)),
    bad("nested 3000 deep", |draft| nest(draft, 3000)),
    bad("number that no double holds", |draft| {
        draft.claims.add("x", "1e999")
    }),
    bad("NaN", |draft| draft.claims.add("x", "NaN")),
    bad("Infinity", |draft| draft.claims.add("x", "Infinity")),
    bad("number in hex", |draft| draft.claims.add("x", "0x10")),
    good("minus zero", |draft| draft.claims.add("x", "-0")),
    good("integer of 30 digits", |draft| {
        draft.claims.add("x", "1".repeat(30))
    }),
    bad("half of a surrogate pair", |draft| {
        draft.claims.add("x", "\"\\ud800\"")
    }),
    bad("control character in a text", |draft| {
        draft.claims.add("x", "\"a\u{1}b\"");
    }),
    bad("claims: not UTF-8", |draft| {
        let mut text = draft.claims.text().into_bytes();
        text.splice(1..1, *b"\"x\":\"\xc0\xaf\",");
        draft.claims_text = Some(text);
    }),
    good("white space in the claims", |draft| {
        draft.claims_text = Some(draft.claims.text_with("\t", " \r\n").into_bytes());
    }),
    bad("claims: empty", |draft| {
        draft.claims_text = Some(Vec::new())
    }),
    bad("claims: an empty object", |draft| {
        draft.claims_text = Some(b"{}".to_vec())
    }),
    bad("claims: a text", |draft| {
        draft.claims_text = Some(b"\"a\"".to_vec())
    }),
    bad("claims: a list", |draft| {
        draft.claims_text = Some(format!("[{}]", draft.claims.text()).into_bytes());
    }),
    bad("claims: null", |draft| {
        draft.claims_text = Some(b"null".to_vec())
    }),
    bad("claims: bytes behind them", |draft| {
        draft.claims_text = Some(format!("{}x", draft.claims.text()).into_bytes());
    }),
    bad("claims: a NUL behind them", |draft| {
        draft.claims_text = Some(format!("{}\0", draft.claims.text()).into_bytes());
    }),
    bad("claims: two objects", |draft| {
        draft.claims_text = Some(draft.claims.text().repeat(2).into_bytes());
    }),
    bad("claims: a byte order mark", |draft| {
        draft.claims_text = Some(format!("\u{feff}{}", draft.claims.text()).into_bytes());
    }),
    bad("claims: a comment", |draft| {
        draft.claims_text = Some(draft.claims.text_with("", "/**/").into_bytes());
    }),
    bad("claims: single quotes", |draft| {
        draft.claims_text = Some(draft.claims.text().replace('"', "'").into_bytes());
    }),
    bad("claims: a comma at their end", |draft| {
        draft.claims_text = Some(draft.claims.text().replace('}', ",}").into_bytes());
    }),
    bad("claims: cut off", |draft| {
        let mut text = draft.claims.text().into_bytes();
        text.truncate(text.len() - 1 - draft.chance % 20);
        draft.claims_text = Some(text);
    }),
    good("claims of 8 KiB", |draft| pad(draft, 8)),
    bad("claims of 16 KiB", |draft| pad(draft, 16)),
    bad("claims of 60 KiB", |draft| pad(draft, 60)),
];

fn at(draft: &mut Draft<'_>, name: &str, seconds: i64) {
    let instant = draft.now.saturating_add_signed(seconds);
    draft.claims.set(name, instant.to_string());
}

fn append(draft: &mut Draft<'_>, name: &str, tail: &str) {
    let longer = format!("{}{tail}", draft.claims.value(name));
    draft.claims.set(name, longer);
}

fn as_text(draft: &mut Draft<'_>, name: &str) {
    let text = quoted(draft.claims.value(name));
    draft.claims.set(name, text);
}

fn nest(draft: &mut Draft<'_>, depth: usize) {
    let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    draft.claims.add("x", value);
}

fn pad(draft: &mut Draft<'_>, kibibytes: usize) {
    draft.claims.add("x", quoted(&"x".repeat(kibibytes * 1024)));
}
