//! One public key as PEM (RFC 7468 section 13), as a load balancer's key server gives it for a `kid`.
//!
//! Exactly one block and nothing else: what two readers would read differently is no key. The key inside
//! is on one of the curves that the caller asks for, and in the one encoding that the filter itself would
//! write, so there is no reader of ASN.1 here that could be fooled.

use alloc::vec;
use alloc::vec::Vec;

use ct_codecs::{Base64, Decoder};

use crate::algorithm::Curve;
use crate::signature::PublicKey;

/// Why a document is not the key that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Not one block `PUBLIC KEY`, or not base64 inside.
    #[error("not exactly one PEM block PUBLIC KEY")]
    Malformed,
    /// It holds private key material: who publishes it has lost it.
    #[error("it holds private key material")]
    Private,
    /// More bytes than any key on a curve takes.
    #[error("longer than {SIZE_LIMIT} bytes")]
    TooLarge,
    /// Not an uncompressed point of the curve that the provider's algorithms are on.
    #[error("not a key of the curve that the provider's algorithms need")]
    Unusable,
}

/// Reads a document with one key on one of `curves`.
///
/// # Errors
/// When there is anything else in it.
pub fn parse(document: &[u8], curves: &[Curve]) -> Result<PublicKey, PemError> {
    if document.len() > SIZE_LIMIT {
        return Err(PemError::TooLarge);
    }
    let text = core::str::from_utf8(document).map_err(|_not_text| PemError::Malformed)?;
    if text.contains("PRIVATE KEY") {
        return Err(PemError::Private);
    }
    let body = text
        .trim_ascii()
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .and_then(|text| text.strip_suffix("-----END PUBLIC KEY-----"))
        .ok_or(PemError::Malformed)?;
    // A second block would bring dashes, which are no base64.
    let body: Vec<u8> = body
        .bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let mut der = vec![0; body.len() / 4 * 3 + 3];
    let der = Base64::decode(&mut der, &body, None).map_err(|_refused| PemError::Malformed)?;
    curves
        .iter()
        .find_map(|curve| key(*curve, der))
        .ok_or(PemError::Unusable)
}

/// The point stands at the end of the encoding; what stands before it follows from the curve.
fn key(curve: Curve, der: &[u8]) -> Option<PublicKey> {
    let bytes = curve.number_bytes();
    let (front, y) = der.split_at_checked(der.len().checked_sub(bytes)?)?;
    let (_front, x) = front.split_at_checked(front.len().checked_sub(bytes)?)?;
    let key = PublicKey::ec(curve, x, y).ok()?;
    (**key.spki() == *der).then_some(key)
}

/// Bytes of a document. A key on P-521 takes about 270.
const SIZE_LIMIT: usize = 2048;

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    /// Both made by OpenSSL.
    const P256: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8utJAL1Nd2A5pBZUv1qaqtDwL+TP\n\
        ZE/PepqfVPBZ3c0bK96MBjlmJskpJdnllo0h8pLa4QteeH3+Lk8NNyca6A==\n\
        -----END PUBLIC KEY-----\n";
    const P384: &str = "-----BEGIN PUBLIC KEY-----\n\
        MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE3C+m91WcGTB+l6aT2LkgEnwQarLTOiXw\n\
        nSWP7R+F3icmWBa6eIE1a7b4OnOp3QpJmPjGXxwMWE1LTXuoVm7ZH47/N3Wq5SD5\n\
        cL6PbFzm8iVx6+nPEsK7u9rg3QR4FUwM\n\
        -----END PUBLIC KEY-----\n";

    fn check(document: &str) -> Result<(), PemError> {
        parse(document.as_bytes(), &[Curve::P256]).map(|_key| ())
    }

    #[test]
    fn exactly_one_key_of_the_right_curve_is_read() {
        let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let body = P256.lines().nth(1).unwrap();
        let cases = [
            ("one key", P256.into(), Ok(())),
            (
                "line ends of another kind",
                P256.replace('\n', "\r\n"),
                Ok(()),
            ),
            ("no line end", P256.trim_end().into(), Ok(())),
            ("empty", String::new(), Err(PemError::Malformed)),
            (
                "two keys",
                format!("{P256}{P256}"),
                Err(PemError::Malformed),
            ),
            (
                "text before",
                format!("key:\n{P256}"),
                Err(PemError::Malformed),
            ),
            ("text after", format!("{P256}x"), Err(PemError::Malformed)),
            ("zero after", format!("{P256}\0"), Err(PemError::Malformed)),
            (
                "private beside it",
                format!("{P256}{private}"),
                Err(PemError::Private),
            ),
            ("private", private.into(), Err(PemError::Private)),
            (
                "another label",
                P256.replace("PUBLIC KEY", "EC PUBLIC KEY"),
                Err(PemError::Malformed),
            ),
            (
                "not base64",
                P256.replacen(body, &body.replacen('A', "!", 1), 1),
                Err(PemError::Malformed),
            ),
            (
                "shortened",
                P256.replacen(body, &body[4..], 1),
                Err(PemError::Unusable),
            ),
            ("another curve", P384.into(), Err(PemError::Unusable)),
            (
                "garbage",
                "<html>404</html>".into(),
                Err(PemError::Malformed),
            ),
            (
                "long",
                format!("{P256}{}", "\n".repeat(2048)),
                Err(PemError::TooLarge),
            ),
        ];
        for (name, document, want) in cases {
            assert_eq!(check(&document), want, "{name}");
        }
        assert!(parse(P384.as_bytes(), &[Curve::P256, Curve::P384]).is_ok());
        assert_eq!(
            parse(
                b"-----BEGIN PUBLIC KEY-----\xff-----END PUBLIC KEY-----",
                &[]
            )
            .unwrap_err(),
            PemError::Malformed
        );
    }

    #[test]
    fn a_point_beside_the_curve_is_no_key() {
        let body = P256.lines().nth(2).unwrap();
        let changed = if body.contains('B') {
            body.replacen('B', "C", 1)
        } else {
            body.replacen('A', "D", 1)
        };
        assert_ne!(changed, body);
        assert_eq!(
            check(&P256.replacen(body, &changed, 1)),
            Err(PemError::Unusable)
        );
    }
}
