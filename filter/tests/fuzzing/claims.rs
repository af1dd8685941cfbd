//! A JOSE header and claims, through the whole walk, with an engine that believes every signature: what
//! the rules about claims let in is judged a second time, by another reader.

use identity_filter::base64url;
use identity_filter::identity;
use serde_json::{Map, Value};

use crate::gateway::{CERTIFICATE, Credulous, ISSUER, NOW, ROLES, decide};

/// The first line is the header, the rest is the payload.
pub(crate) fn check(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (header, payload) = data.split_at(end.unwrap_or(0));
    let payload = payload.strip_prefix(b"\n").unwrap_or(payload);
    let header = if header.is_empty() {
        br#"{"alg":"ES256","kid":"ec"}"#
    } else {
        header
    };
    let token = [header, payload, b"signature"]
        .map(base64url::encode)
        .join(".");
    let outcome = decide(
        &[
            (":method", b"GET"),
            (":authority", b"api.test"),
            (":path", b"/orders/1"),
            ("x-token", token.as_bytes()),
        ],
        &Credulous,
    );
    let record: Value = serde_json::from_str(&outcome.line()).expect("a record is one JSON object");
    if outcome.denial.is_some() {
        assert_eq!(record["subject"], Value::Null);
        return;
    }
    let claims: Map<String, Value> =
        serde_json::from_slice(payload).expect("what is believed is a JSON object");
    may_be_believed(&claims);
    let one = |name: &str| -> Option<String> {
        let mut values = outcome.headers.all(name);
        let value = values.next()?;
        assert_eq!(values.next(), None, "{name} is there once");
        assert!(
            value.iter().all(u8::is_ascii_graphic),
            "{name} is visible ASCII"
        );
        Some(String::from_utf8_lossy(value).into_owned())
    };
    let subject = one("x-identity-subject").expect("the workload learns the subject");
    assert!(subject.starts_with(&format!("{ISSUER}#")), "{subject}");
    assert_eq!(one("x-identity-provider").as_deref(), Some("main"));
    if let Some(workload) = one("x-identity-workload") {
        assert!(
            identity::is_in_trust_domain(&workload, "c.test"),
            "{workload}"
        );
    }
    if let Some(roles) = one("x-identity-roles") {
        assert!(
            roles.split(',').all(|role| ROLES.contains(&role)),
            "{roles}"
        );
    }
    let (email, groups) = (one("x-identity-email"), one("x-identity-groups"));
    assert!(email.is_none() || claims["email"].is_string() || claims["email"].is_number());
    assert_eq!(groups.is_some(), has_groups(&claims));
    assert_eq!(outcome.headers.all("x-token").count(), 0);
}

/// Whether there is a list of groups that has some.
fn has_groups(claims: &Map<String, Value>) -> bool {
    let is_element = |element: &Value| match element {
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => !number.is_f64(),
        _ => false,
    };
    match claims.get("groups") {
        Some(Value::Array(elements)) => !elements.is_empty() && elements.iter().all(is_element),
        Some(Value::String(text)) => !text.is_empty(),
        _ => false,
    }
}

/// Only the first provider reads `x-token`; its leeway is 60 s.
fn may_be_believed(claims: &Map<String, Value>) {
    assert_eq!(claims["iss"], ISSUER);
    let is_ours = |audience: &Value| audience == "api";
    let audience = &claims["aud"];
    assert!(
        is_ours(audience)
            || audience
                .as_array()
                .is_some_and(|all| all.iter().any(is_ours))
    );
    let time = |name: &str| {
        claims
            .get(name)
            .map(|time| time.as_u64().expect("whole seconds"))
    };
    assert!(time("exp").expect("a token ends") > NOW - 60);
    assert!(time("nbf").is_none_or(|begins| begins <= NOW + 60));
    assert!(time("iat").is_none_or(|made| made <= NOW + 60));
    if let Some(bound) = claims.get("cnf") {
        let certificate = &bound["x5t#S256"];
        let is_elsewhere = certificate.is_null() && bound.get("jkt").is_some();
        assert!(certificate == CERTIFICATE || is_elsewhere);
    }
    let subject = claims["sub"].as_str().expect("a subject is text");
    assert!((1..=255).contains(&subject.len()));
}
