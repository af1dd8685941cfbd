//! Compact JWS: split, base64url, header (RFC 7515 section 3.1 and 4.1). No crypto and no claims.
//!
//! What comes out has the right form and nothing more; only `verify` turns it into something that
//! can be trusted.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::{base64url, json};

/// A well-formed compact JWS. Nothing in it is verified.
#[derive(Debug)]
pub struct Jws<'a> {
    compact: &'a str,
    signing_input: &'a str,
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The members of the JOSE header that the filter acts on.
#[derive(Debug, Clone)]
pub struct Header {
    /// `alg`, as written: whether it is known and allowed is decided later.
    pub algorithm: String,
    /// `kid`, only ever compared with the keys of one issuer.
    pub key_id: Option<String>,
    /// `typ`, as written: each provider has its own list.
    pub kind: Option<String>,
    /// What a load balancer says about itself and its token.
    pub origin: Option<Box<Origin>>,
}

/// What a token says in its header that others say in their claims. Only a provider that demands a
/// `signer` looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `signer`: who made the token. Without it there is no such thing.
    pub signer: String,
    /// `iss`, where it is a text.
    pub issuer: Option<String>,
    /// `client`: for whom the caller signed in, where it is a text.
    pub client: Option<String>,
    /// `exp`, where it counts whole seconds.
    pub expires: Option<u64>,
}

/// Why a text is not a token that the filter reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three canonical base64url parts with a JSON header that the filter understands.
    #[error("not a compact JWS that this filter reads")]
    Malformed,
    /// Longer than the configured bound, or its header longer than 4 KiB.
    #[error("the token or its header is too large")]
    TooLarge,
}

impl<'a> Jws<'a> {
    /// Reads a compact JWS of at most `size_limit` bytes (RFC 7515 section 7.1).
    ///
    /// # Errors
    /// As soon as one rule is broken; the error never repeats the text.
    pub fn parse(compact: &'a str, size_limit: usize) -> Result<Self, TokenError> {
        Self::parse_with(compact, size_limit, base64url::decode)
    }

    /// The same for a token whose three parts have all of their padding. The signature is over the text
    /// as it stands, padding included.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_padded(compact: &'a str, size_limit: usize) -> Result<Self, TokenError> {
        Self::parse_with(compact, size_limit, base64url::decode_padded)
    }

    fn parse_with(
        compact: &'a str,
        size_limit: usize,
        decode: fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Self, TokenError> {
        if compact.len() > size_limit {
            return Err(TokenError::TooLarge);
        }
        let (signing_input, signature) = compact.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenError::Malformed)?;
        // A third dot would stay inside the payload, where the decoder refuses it.
        if header.len() > HEADER_LIMIT.div_ceil(3) * 4 {
            return Err(TokenError::TooLarge);
        }
        let decode = |part: &str| decode(part.as_bytes()).ok_or(TokenError::Malformed);
        Ok(Self {
            compact,
            signing_input,
            header: Header::parse(&decode(header)?)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// The whole text.
    #[must_use]
    pub const fn compact(&self) -> &'a str {
        self.compact
    }

    /// What the signature is over.
    #[must_use]
    pub const fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    /// The JOSE header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The decoded payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The decoded signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

impl Header {
    fn parse(text: &[u8]) -> Result<Self, TokenError> {
        let members = json::parse_object(text).map_err(|_refused| TokenError::Malformed)?;
        if REFUSED_MEMBERS
            .iter()
            .any(|name| members.contains_key(*name))
        {
            return Err(TokenError::Malformed);
        }
        let algorithm = optional_text(&members, "alg")?.ok_or(TokenError::Malformed)?;
        let key_id = optional_text(&members, "kid")?;
        if key_id.as_ref().is_some_and(|id| id.len() > KEY_ID_LIMIT) {
            return Err(TokenError::Malformed);
        }
        Ok(Self {
            algorithm,
            key_id,
            kind: optional_text(&members, "typ")?,
            origin: Origin::read(&members).map(Box::new),
        })
    }

    /// About how many bytes of memory its texts take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let origin = self.origin.as_ref().map_or(0, |origin| {
            let texts = [&origin.issuer, &origin.client].into_iter().flatten();
            size_of::<Origin>() + origin.signer.len() + texts.map(String::len).sum::<usize>()
        });
        let texts = [&self.key_id, &self.kind].into_iter().flatten();
        origin + texts.map(String::len).sum::<usize>()
    }
}

impl Origin {
    /// Members of another type are as good as absent: tokens of other issuers may have them.
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name)?.as_str().map(String::from);
        Some(Self {
            signer: text("signer")?,
            issuer: text("iss"),
            client: text("client"),
            expires: members.get("exp").and_then(Value::as_u64),
        })
    }
}

fn optional_text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, TokenError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenError::Malformed),
    }
}

/// Bytes of the decoded header. A header names an algorithm and a key; what is larger carries baggage.
const HEADER_LIMIT: usize = 4 * 1024;
/// Bytes of a `kid`.
pub(crate) const KEY_ID_LIMIT: usize = 256;
/// Members that change what is signed (`b64`, `crit`, `zip`), or that bring a key of the sender's own
/// choice (`jku`, `jwk`, `x5c`, `x5u`). The filter obeys none of them, so it refuses them all.
const REFUSED_MEMBERS: [&str; 8] = ["b64", "crit", "enc", "jku", "jwk", "x5c", "x5u", "zip"];

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    fn check(header: &str) -> Result<(), TokenError> {
        let text = format!("{}.e30.AA", base64url::encode(header.as_bytes()));
        Jws::parse(&text, 16 * 1024).map(|_jws| ())
    }

    #[test]
    fn headers_that_change_the_rules_are_refused() {
        let long_id = format!(
            r#"{{"alg":"RS256","kid":"{}"}}"#,
            "k".repeat(KEY_ID_LIMIT + 1)
        );
        let huge = format!(
            r#"{{"alg":"RS256","x":"{}"}}"#,
            "x".repeat(HEADER_LIMIT + 1)
        );
        let cases: &[(&str, &str, Result<(), TokenError>)] = &[
            ("plain", r#"{"alg":"RS256"}"#, Ok(())),
            (
                "with type and key",
                r#"{"alg":"RS256","typ":"JWT","kid":"1"}"#,
                Ok(()),
            ),
            (
                "access token type",
                r#"{"alg":"RS256","typ":"application/AT+jwt"}"#,
                Ok(()),
            ),
            ("unknown member", r#"{"alg":"RS256","x5t":"abc"}"#, Ok(())),
            (
                "type is no text",
                r#"{"alg":"RS256","typ":["JWT"]}"#,
                Err(TokenError::Malformed),
            ),
            ("no alg", r#"{"typ":"JWT"}"#, Err(TokenError::Malformed)),
            ("alg is no text", r#"{"alg":1}"#, Err(TokenError::Malformed)),
            (
                "two alg",
                r#"{"alg":"RS256","alg":"none"}"#,
                Err(TokenError::Malformed),
            ),
            (
                "crit",
                r#"{"alg":"RS256","crit":["exp"]}"#,
                Err(TokenError::Malformed),
            ),
            (
                "empty crit",
                r#"{"alg":"RS256","crit":[]}"#,
                Err(TokenError::Malformed),
            ),
            (
                "b64",
                r#"{"alg":"RS256","b64":true}"#,
                Err(TokenError::Malformed),
            ),
            (
                "jku",
                r#"{"alg":"RS256","jku":"https://evil"}"#,
                Err(TokenError::Malformed),
            ),
            (
                "own key",
                r#"{"alg":"RS256","jwk":{}}"#,
                Err(TokenError::Malformed),
            ),
            (
                "compressed",
                r#"{"alg":"RS256","zip":"DEF"}"#,
                Err(TokenError::Malformed),
            ),
            ("long kid", &long_id, Err(TokenError::Malformed)),
            ("huge", &huge, Err(TokenError::TooLarge)),
        ];
        for (name, header, want) in cases {
            assert_eq!(check(header), *want, "{name}");
        }
    }

    #[test]
    fn only_three_canonical_parts_are_a_token() {
        // eyJhbGciOiJSUzI1NiJ9 is {"alg":"RS256"}.
        let cases: &[(&str, &str, bool)] = &[
            ("plain", "eyJhbGciOiJSUzI1NiJ9.e30.AA", true),
            (
                "empty signature has the form",
                "eyJhbGciOiJSUzI1NiJ9.e30.",
                true,
            ),
            ("empty", "", false),
            ("two parts", "eyJhbGciOiJSUzI1NiJ9.e30", false),
            ("four parts", "eyJhbGciOiJSUzI1NiJ9.e30.AA.AA", false),
            ("five parts", "eyJhbGciOiJSUzI1NiJ9.e30.AA.AA.AA", false),
            ("padding", "eyJhbGciOiJSUzI1NiJ9.e30=.AA", false),
            ("stray bits", "eyJhbGciOiJSUzI1NiJ9.e30.AB", false),
            ("space", "eyJhbGciOiJSUzI1NiJ9.e30.AA ", false),
            (
                "JSON serialization",
                r#"{"payload":"e30","signatures":[]}"#,
                false,
            ),
        ];
        for (name, text, accepted) in cases {
            assert_eq!(Jws::parse(text, 1024).is_ok(), *accepted, "{name}");
        }
        assert_eq!(
            Jws::parse("eyJhbGciOiJSUzI1NiJ9.e30.AA", 26).map(|_jws| ()),
            Err(TokenError::TooLarge)
        );
    }

    #[test]
    fn padding_is_read_only_where_it_is_asked_for() {
        let cases: &[(&str, &str, bool, bool)] = &[
            ("all of it", "eyJhbGciOiJSUzI1NiJ9.e30=.AA==", false, true),
            ("none", "eyJhbGciOiJSUzI1NiJ9.e30.AA", true, false),
            ("some of it", "eyJhbGciOiJSUzI1NiJ9.e30=.AA", false, false),
            (
                "too much",
                "eyJhbGciOiJSUzI1NiJ9====.e30=.AA==",
                false,
                false,
            ),
            ("stray bits", "eyJhbGciOiJSUzI1NiJ9.e30=.AB==", false, false),
            (
                "four parts",
                "eyJhbGciOiJSUzI1NiJ9.e30=.AA==.AA==",
                false,
                false,
            ),
        ];
        for (name, text, plain, padded) in cases {
            assert_eq!(Jws::parse(text, 1024).is_ok(), *plain, "{name}");
            let read = Jws::parse_padded(text, 1024);
            assert_eq!(read.is_ok(), *padded, "{name}");
            if let Ok(jws) = read {
                assert_eq!(jws.signing_input(), "eyJhbGciOiJSUzI1NiJ9.e30=", "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,300}") {
            let _result = Jws::parse(&text, 200);
        }

        #[test]
        fn no_header_makes_the_parser_panic(header: Vec<u8>, payload: Vec<u8>, tail in "[.A-Za-z0-9_-]{0,20}") {
            let text = format!("{}.{}.{tail}", base64url::encode(&header), base64url::encode(&payload));
            let _result = Jws::parse(&text, 16 * 1024);
        }
    }
}
