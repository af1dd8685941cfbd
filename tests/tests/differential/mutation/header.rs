//! Changes of the token's header; it is signed afterwards, so the signature is true unless said otherwise.

use aws_lc_rs::hmac;

use super::{Mutation, bad, good};
use crate::draft::{Draft, quoted};

pub(crate) const ALL: &[Mutation] = &[
    bad("alg: none, no signature", |draft| {
        set_unsigned(draft, "none");
    }),
    bad("alg: None, no signature", |draft| {
        set_unsigned(draft, "None");
    }),
    bad("alg: nOnE, no signature", |draft| {
        set_unsigned(draft, "nOnE");
    }),
    bad("alg: none, signed", |draft| {
        draft.header.set("alg", quoted("none"));
    }),
    bad("alg: HS256 with the public key as its secret", |draft| {
        draft.header.set("alg", quoted("HS256"));
        draft.signature = Some(|draft, text| {
            let secret = draft.key.jwk().to_string();
            let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            hmac::sign(&secret, text).as_ref().to_vec()
        });
    }),
    bad("alg: HS512, signed", |draft| {
        draft.header.set("alg", quoted("HS512"));
    }),
    bad("alg: of another kind of key", |draft| {
        let other = match draft.key.algorithm() {
            "EdDSA" => "ES256",
            _ => "EdDSA",
        };
        draft.header.set("alg", quoted(other));
    }),
    bad("alg: another one for the same kind of key", |draft| {
        let other = match draft.key.algorithm() {
            "RS256" => "RS384",
            "PS256" => "RS256",
            "RS512" => "PS512",
            "ES256" => "ES384",
            "ES384" => "ES512",
            "ES512" => "ES256",
            _ => "Ed448",
        };
        draft.header.set("alg", quoted(other));
    }),
    bad("alg: in lower case", |draft| {
        let lower = draft.key.algorithm().to_lowercase();
        draft.header.set("alg", quoted(&lower));
    }),
    bad("alg: unknown", |draft| {
        draft.header.set("alg", quoted("ML-DSA-44"));
    }),
    bad("alg: missing", |draft| draft.header.remove("alg")),
    bad("alg: a number", |draft| draft.header.set("alg", "256")),
    bad("alg: a list", |draft| {
        draft
            .header
            .set("alg", format!("[{}]", quoted(draft.key.algorithm())));
    }),
    bad("alg: null", |draft| draft.header.set("alg", "null")),
    bad("alg: empty", |draft| draft.header.set("alg", "\"\"")),
    bad("alg: twice, none last", |draft| {
        draft.header.add("alg", quoted("none"));
    }),
    bad("alg: twice, none first", |draft| {
        let honest = draft.header.value("alg").to_owned();
        draft.header.set("alg", quoted("none"));
        draft.header.add("alg", honest);
    }),
    bad("alg: twice, once by escape", |draft| {
        draft.header.add("\\u0061lg", quoted("none"));
    }),
    good("alg: its name by escape", |draft| {
        draft.header.rename("alg", "\\u0061lg");
    }),
    good("alg: by the name of RFC 9864", |draft| {
        if draft.key.algorithm() == "EdDSA" {
            draft.header.set("alg", quoted("Ed25519"));
        }
    }),
    good("kid: missing", |draft| {
        draft.header.remove("kid");
        // Without a name, only a key that has no rival is meant.
        let own = draft.key.algorithm();
        let keys = &draft.issuer.keys;
        draft.is_good &= keys.iter().filter(|key| key.algorithm() == own).count() == 1;
    }),
    bad("kid: unknown", |draft| {
        draft.header.set("kid", quoted("nobody"));
    }),
    bad("kid: of another key of the issuer", |draft| {
        let keys = &draft.issuer.keys;
        let other = keys.iter().find(|key| key.key_id() != draft.key.key_id());
        if let Some(other) = other {
            draft.header.set("kid", quoted(other.key_id()));
        }
    }),
    bad("kid: empty", |draft| draft.header.set("kid", "\"\"")),
    bad("kid: a number", |draft| draft.header.set("kid", "1")),
    bad("kid: null", |draft| draft.header.set("kid", "null")),
    bad("kid: a path", |draft| {
        draft.header.set("kid", quoted("../../../../dev/null"));
    }),
    bad("kid: SQL", |draft| {
        draft.header.set("kid", quoted("x' UNION SELECT 'k"));
    }),
    bad("kid: 300 bytes", |draft| {
        draft.header.set("kid", quoted(&"k".repeat(300)));
    }),
    bad("kid: in another case", |draft| {
        let upper = draft.key.key_id().to_uppercase();
        draft.header.set("kid", quoted(&upper));
    }),
    bad("kid: twice", |draft| {
        draft.header.add("kid", quoted("nobody"));
    }),
    good("typ: missing", |draft| draft.header.remove("typ")),
    good("typ: at+jwt", |draft| {
        draft.header.set("typ", quoted("at+jwt"))
    }),
    good("typ: a whole media type", |draft| {
        draft.header.set("typ", quoted("application/at+JWT"));
    }),
    bad("typ: logout+jwt", |draft| {
        draft.header.set("typ", quoted("logout+jwt"));
    }),
    bad("typ: dpop+jwt", |draft| {
        draft.header.set("typ", quoted("dpop+jwt"));
    }),
    bad("typ: secevent+jwt", |draft| {
        draft.header.set("typ", quoted("secevent+jwt"));
    }),
    bad("typ: a number", |draft| draft.header.set("typ", "1")),
    bad("typ: empty", |draft| draft.header.set("typ", "\"\"")),
    bad("crit: a claim", |draft| {
        draft.header.set("crit", r#"["exp"]"#);
    }),
    bad("crit: an extension that nobody knows", |draft| {
        draft.header.set("crit", r#"["x-bound"]"#);
        draft.header.set("x-bound", "true");
    }),
    bad("crit: empty", |draft| draft.header.set("crit", "[]")),
    bad("b64: false", |draft| {
        draft.header.set("b64", "false");
        draft.header.set("crit", r#"["b64"]"#);
    }),
    bad("b64: true", |draft| draft.header.set("b64", "true")),
    bad("zip", |draft| draft.header.set("zip", quoted("DEF"))),
    bad("enc", |draft| {
        draft.header.set("enc", quoted("A128CBC-HS256"));
    }),
    bad("jwk: the sender's own, signed by it", |draft| {
        draft.key = draft.stranger;
        draft.header.set("alg", quoted(draft.key.algorithm()));
        draft.header.set("jwk", draft.key.jwk().to_string());
    }),
    bad("jwk: the issuer's", |draft| {
        draft.header.set("jwk", draft.key.jwk().to_string());
    }),
    bad("jku", |draft| {
        draft.header.set("jku", quoted("https://evil.test/keys"));
    }),
    bad("x5u", |draft| {
        draft.header.set("x5u", quoted("https://evil.test/chain"));
    }),
    bad("x5c", |draft| draft.header.set("x5c", r#"["MAA="]"#)),
    good("member that nobody knows", |draft| {
        draft.header.set("x5t", quoted("abc"));
    }),
    good("cty", |draft| draft.header.set("cty", quoted("JWT"))),
    good("white space in the header", |draft| {
        draft.header_text = Some(draft.header.text_with(" ", "\n\t").into_bytes());
    }),
    bad("header: a list", |draft| {
        draft.header_text = Some(format!("[{}]", draft.header.text()).into_bytes());
    }),
    bad("header: empty", |draft| {
        draft.header_text = Some(Vec::new())
    }),
    bad("header: bytes behind it", |draft| {
        draft.header_text = Some(format!("{}x", draft.header.text()).into_bytes());
    }),
    bad("header: two objects", |draft| {
        draft.header_text = Some(draft.header.text().repeat(2).into_bytes());
    }),
    bad("header: a byte order mark", |draft| {
        draft.header_text = Some(format!("\u{feff}{}", draft.header.text()).into_bytes());
    }),
    bad("header: a comment", |draft| {
        draft.header_text = Some(draft.header.text_with("/**/", "").into_bytes());
    }),
    bad("header: single quotes", |draft| {
        draft.header_text = Some(draft.header.text().replace('"', "'").into_bytes());
    }),
    bad("header: names without quotes", |draft| {
        draft.header_text = Some(draft.header.text().replace("\"alg\"", "alg").into_bytes());
    }),
    bad("header: a comma at its end", |draft| {
        draft.header_text = Some(draft.header.text().replace('}', ",}").into_bytes());
    }),
    bad("header: not UTF-8", |draft| {
        let mut text = draft.header.text().into_bytes();
        text.splice(1..1, *b"\"x\":\"\xff\xfe\",");
        draft.header_text = Some(text);
    }),
    bad("header: half of a surrogate pair", |draft| {
        draft.header.add("x", "\"\\ud800\"");
    }),
    bad("header: 5 KiB", |draft| {
        draft.header.add("x", quoted(&"x".repeat(5 * 1024)));
    }),
    bad("header: nested 20 deep", |draft| {
        draft
            .header
            .add("x", format!("{}{}", "[".repeat(20), "]".repeat(20)));
    }),
    bad("header: nested 1000 deep", |draft| {
        draft
            .header
            .add("x", format!("{}{}", "[".repeat(1000), "]".repeat(1000)));
    }),
];

fn set_unsigned(draft: &mut Draft<'_>, name: &str) {
    draft.header.set("alg", quoted(name));
    draft.signature = Some(|_draft, _text| Vec::new());
}
