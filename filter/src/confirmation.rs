//! For whom a token is good: the client certificate that its `cnf` binds it to (RFC 7800, RFC 8705 section 3).
//!
//! The front has checked that the client holds the certificate's key; the gateway tells which certificate
//! it was. Nothing that a client can write, such as a header, stands in for that.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::base64url;
use crate::claims::Claims;
use crate::verify::Refusal;

/// The connection that a request came over.
pub trait Connection: fmt::Debug {
    /// The thumbprint of the client certificate that the front verified, as the front wrote it. Asked
    /// for only about a token that is bound to one: it costs a host call.
    fn certificate_sha256(&self) -> Option<String>;

    /// The SPIFFE id of that certificate, whole. Asked for only where the configuration does.
    fn spiffe_id(&self) -> Option<String>;
}

/// The SHA-256 digest of a whole certificate (RFC 8705 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Reads canonical base64url without padding.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let digest = base64url::decode(text.as_bytes())?;
        digest.try_into().ok().map(Self)
    }

    /// Whether the client of this connection has shown the certificate.
    ///
    /// # Errors
    /// It has shown another one, or none that the front verified.
    pub(crate) fn check(self, connection: &dyn Connection) -> Result<(), Refusal> {
        let shown = connection
            .certificate_sha256()
            .and_then(|text| Self::parse(&text))
            .ok_or(Refusal::CertificateMissing)?;
        if shown == self {
            Ok(())
        } else {
            Err(Refusal::CertificateMismatch)
        }
    }
}

/// What a provider's tokens may be bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confirmations {
    /// Whether a token that is not bound to a certificate is refused.
    pub certificate_required: bool,
    /// Members of `cnf` that somebody else checks, such as `jkt`.
    pub checked_elsewhere: Vec<String>,
}

impl Confirmations {
    /// The certificate that the token is bound to; nothing for a token that may come over any connection.
    ///
    /// A token that is bound in a way that nobody checks is no bearer token, so it is refused. Members
    /// beside one that is checked do not matter (RFC 7800 section 3.1).
    ///
    /// # Errors
    /// When `cnf` is not what the specifications say, or not what the provider's tokens have.
    pub(crate) fn certificate(&self, claims: &Claims) -> Result<Option<Thumbprint>, Refusal> {
        let Some(confirmation) = claims.top("cnf") else {
            return if self.certificate_required {
                Err(Refusal::Unbound)
            } else {
                Ok(None)
            };
        };
        let members = confirmation.as_object().ok_or(Refusal::Malformed)?;
        if let Some(thumbprint) = members.get(CERTIFICATE) {
            let text = thumbprint.as_str().ok_or(Refusal::Malformed)?;
            return Thumbprint::parse(text).map(Some).ok_or(Refusal::Malformed);
        }
        if self.certificate_required {
            Err(Refusal::Unbound)
        } else if members
            .keys()
            .any(|name| self.checked_elsewhere.contains(name))
        {
            Ok(None)
        } else {
            Err(Refusal::Confirmation)
        }
    }
}

/// The member of `cnf` with a certificate's thumbprint.
pub const CERTIFICATE: &str = "x5t#S256";

/// 32 bytes in base64url.
const TEXT_BYTES: usize = 43;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    /// RFC 8705 appendix A.
    const BOUND: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
    const OTHER: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v4";

    #[derive(Debug)]
    struct Shown(Option<&'static str>);

    impl Connection for Shown {
        fn certificate_sha256(&self) -> Option<String> {
            self.0.map(Into::into)
        }

        fn spiffe_id(&self) -> Option<String> {
            None
        }
    }

    fn certificate(
        confirmations: &Confirmations,
        cnf: &str,
    ) -> Result<Option<Thumbprint>, Refusal> {
        let claims = Claims::parse(format!(r#"{{"sub":"a"{cnf}}}"#).as_bytes()).unwrap();
        confirmations.certificate(&claims)
    }

    #[test]
    fn only_the_canonical_text_is_a_thumbprint() {
        assert!(Thumbprint::parse(BOUND).is_some());
        for (name, text) in [
            ("empty", ""),
            ("stray bits", "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v1"),
            ("too short", "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v"),
            ("too long", "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0A"),
            ("padding", "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0="),
            (
                "standard alphabet",
                "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y/v0",
            ),
            ("white space", " A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v"),
            ("not ascii", "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5é"),
            (
                "hexadecimal",
                "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd",
            ),
        ] {
            assert_eq!(Thumbprint::parse(text), None, "{name}");
        }
    }

    #[test]
    fn a_token_is_bound_as_cnf_says() {
        let bound = format!(r#","cnf":{{"x5t#S256":"{BOUND}"}}"#);
        let among_others = format!(r#","cnf":{{"x5t#S256":"{BOUND}","jkt":"a","kid":1}}"#);
        let thumbprint = Thumbprint::parse(BOUND);
        let by_default = Confirmations::default();
        let required = Confirmations {
            certificate_required: true,
            ..Confirmations::default()
        };
        let elsewhere = Confirmations {
            checked_elsewhere: ["jkt".into()].into(),
            ..Confirmations::default()
        };
        let refused = Err(Refusal::Confirmation);
        let cases = [
            // cnf, by default, where a certificate is required, where jkt is checked elsewhere
            ("", Ok(None), Err(Refusal::Unbound), Ok(None)),
            (&bound, Ok(thumbprint), Ok(thumbprint), Ok(thumbprint)),
            (
                &among_others,
                Ok(thumbprint),
                Ok(thumbprint),
                Ok(thumbprint),
            ),
            (
                r#","cnf":{"jkt":"a"}"#,
                refused,
                Err(Refusal::Unbound),
                Ok(None),
            ),
            (
                r#","cnf":{"jkt":"a","kid":"b"}"#,
                refused,
                Err(Refusal::Unbound),
                Ok(None),
            ),
            (
                r#","cnf":{"kid":"b"}"#,
                refused,
                Err(Refusal::Unbound),
                refused,
            ),
            (
                r#","cnf":{"x5t#s256":"b"}"#,
                refused,
                Err(Refusal::Unbound),
                refused,
            ),
            (r#","cnf":{}"#, refused, Err(Refusal::Unbound), refused),
        ];
        for (cnf, want, want_required, want_elsewhere) in cases {
            assert_eq!(certificate(&by_default, cnf), want, "{cnf}");
            assert_eq!(certificate(&required, cnf), want_required, "{cnf}");
            assert_eq!(certificate(&elsewhere, cnf), want_elsewhere, "{cnf}");
        }
        let malformed = [
            r#","cnf":null"#,
            r#","cnf":"x5t#S256""#,
            r#","cnf":["x5t#S256"]"#,
            r#","cnf":{"x5t#S256":null}"#,
            r#","cnf":{"x5t#S256":["A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"]}"#,
            r#","cnf":{"x5t#S256":"","jkt":"a"}"#,
        ];
        for cnf in malformed {
            for confirmations in [&by_default, &required, &elsewhere] {
                assert_eq!(
                    certificate(confirmations, cnf),
                    Err(Refusal::Malformed),
                    "{cnf}"
                );
            }
        }
    }

    #[test]
    fn only_the_certificate_of_the_connection_will_do() {
        let bound = Thumbprint::parse(BOUND).unwrap();
        let missing = Err(Refusal::CertificateMissing);
        for (shown, want) in [
            (Some(BOUND), Ok(())),
            (Some(OTHER), Err(Refusal::CertificateMismatch)),
            (None, missing),
            (Some(""), missing),
            (
                Some("A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0="),
                missing,
            ),
        ] {
            assert_eq!(bound.check(&Shown(shown)), want, "{shown:?}");
        }
    }
}
