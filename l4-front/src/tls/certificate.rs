//! What a certificate says about its holder: names, SPIFFE id, common name; and what it is known by.
//!
//! Reads only; whether a certificate may be believed is decided by the verifiers.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names in one certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// DNS names of the subject alternative name extension, in lower case.
    pub(crate) dns: Vec<String>,
    /// URIs of the subject alternative name extension, byte for byte.
    pub(crate) uris: Vec<String>,
    /// The subject's last common name.
    pub(crate) common_name: Option<String>,
}

impl Names {
    /// Reads the names; `None` if this is no X.509 certificate.
    pub(crate) fn parse(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let mut names = Self {
            common_name: certificate
                .subject()
                .iter_common_name()
                .last()
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
            ..Self::default()
        };
        if let Some(alternative) = certificate.subject_alternative_name().ok()? {
            for name in &alternative.value.general_names {
                match name {
                    GeneralName::DNSName(name) => names.dns.push(name.to_ascii_lowercase()),
                    GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
                    _ => {}
                }
            }
        }
        Some(names)
    }

    /// The SPIFFE id, if this is an X509-SVID: exactly one URI, and that one is a SPIFFE id
    /// (X509-SVID section 2: more than one URI must be refused).
    pub(crate) fn spiffe_id(&self) -> Option<&str> {
        match self.uris.as_slice() {
            [uri] if uri.starts_with("spiffe://") => Some(uri),
            _ => None,
        }
    }

    /// True if `name`, in lower case, stands in the certificate as it is.
    pub(crate) fn are_exactly(&self, name: &str) -> bool {
        self.dns.iter().any(|dns| dns == name)
    }

    /// True if the certificate is for `name`: by its exact name, or by a wildcard that stands for
    /// one whole leftmost label (RFC 6125 section 6.4.3). `name` is in lower case.
    pub(crate) fn cover(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_label, parent)| parent);
        self.dns
            .iter()
            .any(|dns| dns == name || (parent.is_some() && dns.strip_prefix("*.") == parent))
    }
}

/// The SHA-256 digest of the whole certificate in base64url, 43 bytes: `x5t#S256` of a token that
/// is bound to it (RFC 8705 section 3.1).
pub(crate) fn thumbprint(certificate: &CertificateDer<'_>) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn names(dns: &[&str], uris: &[&str]) -> Names {
        let mut params =
            rcgen::CertificateParams::new(dns.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
                .unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "somebody");
        for uri in uris {
            let uri = rcgen::SanType::URI((*uri).try_into().unwrap());
            params.subject_alt_names.push(uri);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        Names::parse(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn names_are_read() {
        let names = names(&["Pay.Example.com"], &["spiffe://td/ns/a/sa/b"]);
        assert_eq!(names.dns, ["pay.example.com"]);
        assert_eq!(names.common_name.as_deref(), Some("somebody"));
        assert_eq!(names.spiffe_id(), Some("spiffe://td/ns/a/sa/b"));
    }

    #[test]
    fn two_uris_are_no_spiffe_id() {
        assert_eq!(
            names(&[], &["spiffe://td/a", "spiffe://td/b"]).spiffe_id(),
            None
        );
        assert_eq!(names(&[], &["https://td/a"]).spiffe_id(), None);
        assert_eq!(names(&[], &[]).spiffe_id(), None);
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        let names = names(&["*.example.com", "example.org"], &[]);
        for (name, want) in [
            ("a.example.com", true),
            ("example.com", false),
            ("a.b.example.com", false),
            ("example.org", true),
            ("a.example.org", false),
            ("com", false),
        ] {
            assert_eq!(names.cover(name), want, "{name}");
        }
    }

    /// RFC 8705, appendix A.
    #[test]
    fn the_thumbprint_is_that_of_the_specification() {
        let certificate = CertificateDer::from_pem_slice(
            b"-----BEGIN CERTIFICATE-----\n\
            MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx\n\
            ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG\n\
            SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ\n\
            /Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID\n\
            SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV\n\
            bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=\n\
            -----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert_eq!(
            thumbprint(&certificate),
            "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
        );
    }

    #[test]
    fn junk_is_no_certificate() {
        assert_eq!(
            Names::parse(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])),
            None
        );
    }
}
