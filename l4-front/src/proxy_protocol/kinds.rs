//! Which TLVs a receiver is to get. Receivers with a small buffer refuse a header that is larger than
//! it, whatever is in there.

use super::{
    TLV_ALPN, TLV_AUTHORITY, TLV_CERTIFICATE_SHA256, TLV_SPIFFE_ID, TLV_SSL, TLV_UNIQUE_ID,
};

/// A kind of TLV that can be left out. The checksum cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Alpn,
    Authority,
    CertificateSha256,
    SpiffeId,
    Ssl,
    UniqueId,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::Alpn => TLV_ALPN,
            Self::Authority => TLV_AUTHORITY,
            Self::CertificateSha256 => TLV_CERTIFICATE_SHA256,
            Self::SpiffeId => TLV_SPIFFE_ID,
            Self::Ssl => TLV_SSL,
            Self::UniqueId => TLV_UNIQUE_ID,
        }
    }
}

/// All by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kinds(Option<Vec<Kind>>);

impl Kinds {
    pub(crate) const fn only(kinds: Vec<Kind>) -> Self {
        Self(Some(kinds))
    }

    pub(super) fn include(&self, number: u8) -> bool {
        self.0
            .as_ref()
            .is_none_or(|kinds| kinds.iter().any(|kind| kind.number() == number))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CertificateFacts, Facts, TlsFacts, encode_v2};
    use super::*;

    /// The kinds in a header over IPv4, in order.
    fn found(kinds: &Kinds) -> Vec<u8> {
        let facts = Facts {
            source: "192.0.2.7:40000".parse().unwrap(),
            destination: "198.51.100.1:443".parse().unwrap(),
            alpn: Some(b"h2"),
            authority: Some("pay.example.com"),
            unique_id: "0199d0a8-0000-7000-8000-000000000001",
            tls: Some(TlsFacts {
                version: "TLSv1.3",
                cipher: "TLS_AES_128_GCM_SHA256",
                group: Some("X25519MLKEM768"),
                certificate: Some(CertificateFacts {
                    common_name: Some("somebody"),
                    spiffe_id: Some("spiffe://td/ns/a/sa/b"),
                    thumbprint: "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0",
                    resumed: false,
                }),
            }),
        };
        let header = encode_v2(&facts, kinds).unwrap();
        let (mut rest, mut found) = (&header[28..], Vec::new());
        while let [kind, high, low, more @ ..] = rest {
            found.push(*kind);
            rest = &more[usize::from(u16::from_be_bytes([*high, *low]))..];
        }
        found
    }

    #[test]
    fn what_is_not_wanted_is_left_out_and_the_checksum_stays() {
        let all = [0x01, 0x02, 0x05, 0x20, 0xE0, 0xE1, 0x03];
        assert_eq!(found(&Kinds::default()), all);
        assert_eq!(found(&Kinds::only(Vec::new())), [0x03]);
        for (kind, number) in [
            (Kind::Alpn, 0x01),
            (Kind::Authority, 0x02),
            (Kind::UniqueId, 0x05),
            (Kind::Ssl, 0x20),
            (Kind::SpiffeId, 0xE0),
            (Kind::CertificateSha256, 0xE1),
        ] {
            assert_eq!(found(&Kinds::only(vec![kind])), [number, 0x03]);
        }
    }
}
