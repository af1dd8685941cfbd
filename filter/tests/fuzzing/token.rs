//! The text of a token, through the whole walk, with the filter's own engine and fixed keys.

use identity_filter::base64url;
use identity_filter::gate::Outcome;
use identity_filter::signature::software::Software;
use identity_filter::token::Jws;
use serde_json::Value;

use crate::gateway::{decide, signed_tokens};

/// Nothing is believed but what the keys have signed; what can be read is read as it is written.
pub(crate) fn check(data: &[u8]) {
    let outcome = request(data);
    let text = core::str::from_utf8(data).unwrap_or_default();
    if outcome.denial.is_none() {
        // An ECDSA signature has a twin, so what was signed is compared.
        assert!(
            signed_tokens().any(|token| signing_input(token) == signing_input(text)),
            "believed, and not signed by any of the keys"
        );
        assert_eq!(outcome.headers.all("authorization").count(), 0);
    } else {
        let mut names = outcome.headers.iter().map(|(name, _)| name);
        assert!(!names.any(|name| name.starts_with("x-identity-")));
        assert_eq!(
            record_but_reason(&outcome),
            record_but_reason(&request(b""))
        );
    }
    if let Ok(jws) = Jws::parse(text, 16 * 1024) {
        is_read_as_written(&jws, text);
    }
}

fn request(token: &[u8]) -> Outcome {
    let value = [b"Bearer ", token].concat();
    decide(
        &[
            (":method", b"GET"),
            (":authority", b"api.test"),
            (":path", b"/orders/1"),
            ("authorization", &value),
            ("x-identity-subject", b"forged"),
        ],
        &Software,
    )
}

/// The reason tells all that is recorded of a token that is refused.
fn record_but_reason(outcome: &Outcome) -> Value {
    let mut record: Value =
        serde_json::from_str(&outcome.line()).expect("a record is one JSON object");
    for member in ["reason", "status"] {
        record[member].take();
    }
    record
}

fn is_read_as_written(jws: &Jws<'_>, text: &str) {
    let parts: Vec<_> = text.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        unreachable!("a compact JWS has three parts");
    };
    assert_eq!(jws.compact(), text);
    assert_eq!(jws.signing_input(), format!("{header}.{payload}"));
    assert_eq!(base64url::encode(jws.payload()), payload);
    assert_eq!(base64url::encode(jws.signature()), signature);
    let decoded = base64url::decode(header.as_bytes()).unwrap_or_default();
    assert_eq!(base64url::encode(&decoded), header);
    let key_id = jws.header().key_id.as_deref();
    assert!(key_id.is_none_or(|id| id.len() <= 256));
}

fn signing_input(token: &str) -> &str {
    token.rsplit_once('.').map_or("", |(text, _)| text)
}
