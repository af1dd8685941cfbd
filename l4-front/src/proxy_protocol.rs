//! PROXY protocol headers: bytes out of facts, and in `decode` facts out of bytes.
//!
//! Source: haproxy, doc/proxy-protocol.txt. A fact that the front did not establish itself is not
//! in the header. Version 2 is written most significant byte first throughout.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use self::kinds::Kinds;

pub(crate) mod decode;
pub(crate) mod kinds;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command LOCAL, no addresses (section 2.2): the front speaks for itself, as in a health
/// check, and the receiver is to use the connection's own ends.
pub(crate) const LOCAL_V2: &[u8; 16] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// The same in version 1 (section 2.1).
pub(crate) const LOCAL_V1: &[u8] = b"PROXY UNKNOWN\r\n";

/// Version 2, command PROXY (section 2.2).
const VERSION_AND_COMMAND: u8 = 0x21;
const FAMILY_TCP4: u8 = 0x11;
const FAMILY_TCP6: u8 = 0x21;

const TLV_ALPN: u8 = 0x01;
const TLV_AUTHORITY: u8 = 0x02;
const TLV_CRC32C: u8 = 0x03;
const TLV_UNIQUE_ID: u8 = 0x05;
const TLV_SSL: u8 = 0x20;
const SUB_TLV_SSL_VERSION: u8 = 0x21;
const SUB_TLV_SSL_COMMON_NAME: u8 = 0x22;
const SUB_TLV_SSL_CIPHER: u8 = 0x23;
const SUB_TLV_SSL_GROUP: u8 = 0x26;
/// From the range for private use (section 2.2.8): the SPIFFE id of the downstream's certificate.
const TLV_SPIFFE_ID: u8 = 0xE0;
/// The same certificate's thumbprint. Text, because receivers may clean what is no UTF-8: Envoy does.
const TLV_CERTIFICATE_SHA256: u8 = 0xE1;

const CLIENT_SSL: u8 = 0x01;
const CLIENT_CERT_CONN: u8 = 0x02;
const CLIENT_CERT_SESS: u8 = 0x04;

/// Bytes in a whole header, in and out. Receivers read it into a buffer of their own; more than this is no
/// longer a header but an attack on it.
pub(crate) const MAX_HEADER: usize = 4096;

/// What the front knows of a downstream connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    /// The protocol negotiated with the downstream.
    pub(crate) alpn: Option<&'a [u8]>,
    /// The server name that the downstream asked for.
    pub(crate) authority: Option<&'a str>,
    /// The connection id; at most 128 bytes (section 2.2.5).
    pub(crate) unique_id: &'a str,
    pub(crate) tls: Option<TlsFacts<'a>>,
}

/// What the front knows of the downstream's TLS session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TlsFacts<'a> {
    pub(crate) version: &'a str,
    pub(crate) cipher: &'a str,
    pub(crate) group: Option<&'a str>,
    pub(crate) certificate: Option<CertificateFacts<'a>>,
}

/// What a verified client certificate says. There is no value for one that was not verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CertificateFacts<'a> {
    pub(crate) common_name: Option<&'a str>,
    pub(crate) spiffe_id: Option<&'a str>,
    /// `x5t#S256` (RFC 8705 section 3.1).
    pub(crate) thumbprint: &'a str,
    /// True if it was shown in an earlier connection of the same session.
    pub(crate) resumed: bool,
}

/// The facts do not fit a header.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the PROXY header would take {bytes} bytes, at most {MAX_HEADER} are allowed")]
pub(crate) struct HeaderTooLong {
    bytes: usize,
}

/// A version 2 header (section 2.2) with TLVs of these kinds, and a CRC32C over all of it.
///
/// # Errors
/// If the header would be larger than 4096 bytes: names in certificates are the peer's choice.
pub(crate) fn encode_v2(facts: &Facts<'_>, kinds: &Kinds) -> Result<Vec<u8>, HeaderTooLong> {
    let mut tlvs = Tlvs::default();
    let mut push = |kind, value: &[u8]| {
        if kinds.include(kind) {
            tlvs.push(kind, value);
        }
    };
    if let Some(alpn) = facts.alpn {
        push(TLV_ALPN, alpn);
    }
    if let Some(authority) = facts.authority {
        push(TLV_AUTHORITY, authority.as_bytes());
    }
    push(TLV_UNIQUE_ID, facts.unique_id.as_bytes());
    if let Some(tls) = &facts.tls {
        push(TLV_SSL, &ssl(tls));
        if let Some(certificate) = &tls.certificate {
            if let Some(id) = certificate.spiffe_id {
                push(TLV_SPIFFE_ID, id.as_bytes());
            }
            push(TLV_CERTIFICATE_SHA256, certificate.thumbprint.as_bytes());
        }
    }
    tlvs.push(TLV_CRC32C, &[0; 4]);

    let (family, addresses) = addresses(facts.source, facts.destination);
    let body = addresses.len() + tlvs.0.len();
    let bytes = SIGNATURE.len() + 4 + body;
    let length = u16::try_from(body).map_err(|_too_long| HeaderTooLong { bytes })?;
    if bytes > MAX_HEADER {
        return Err(HeaderTooLong { bytes });
    }
    let mut header = Vec::with_capacity(bytes);
    header.extend_from_slice(SIGNATURE);
    header.extend_from_slice(&[VERSION_AND_COMMAND, family]);
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(&addresses);
    header.extend_from_slice(&tlvs.0);
    // Section 2.2.3: computed over the whole header with the checksum's own bytes zero. It was
    // pushed last, so those are the last four.
    let checksum = crc32c::crc32c(&header).to_be_bytes();
    header.truncate(bytes - checksum.len());
    header.extend_from_slice(&checksum);
    Ok(header)
}

/// A version 1 header (section 2.1): one line, addresses only.
pub(crate) fn encode_v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (from, to) = same_family(source.ip(), destination.ip());
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    format!(
        "PROXY {family} {from} {to} {} {}\r\n",
        source.port(),
        destination.port()
    )
    .into_bytes()
}

#[derive(Default)]
struct Tlvs(Vec<u8>);

impl Tlvs {
    /// A value that is too long for its length field is cut in the field but not in the bytes:
    /// the whole is then far beyond [`MAX_HEADER`] and refused.
    fn push(&mut self, kind: u8, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.0.push(kind);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value);
    }
}

fn ssl(tls: &TlsFacts<'_>) -> Vec<u8> {
    let (client, verify) = match tls.certificate {
        None => (CLIENT_SSL, 1_u32),
        Some(CertificateFacts { resumed: true, .. }) => (CLIENT_SSL | CLIENT_CERT_SESS, 0),
        Some(_) => (CLIENT_SSL | CLIENT_CERT_CONN | CLIENT_CERT_SESS, 0),
    };
    // Section 2.2.6: `verify` is zero only if a certificate was presented and verified.
    let mut value = Tlvs(vec![client]);
    value.0.extend_from_slice(&verify.to_be_bytes());
    value.push(SUB_TLV_SSL_VERSION, tls.version.as_bytes());
    if let Some(name) = tls
        .certificate
        .and_then(|certificate| certificate.common_name)
    {
        value.push(SUB_TLV_SSL_COMMON_NAME, name.as_bytes());
    }
    value.push(SUB_TLV_SSL_CIPHER, tls.cipher.as_bytes());
    if let Some(group) = tls.group {
        value.push(SUB_TLV_SSL_GROUP, group.as_bytes());
    }
    value.0
}

fn addresses(source: SocketAddr, destination: SocketAddr) -> (u8, Vec<u8>) {
    let mut bytes = Vec::with_capacity(36);
    let family = match same_family(source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            bytes.extend_from_slice(&from.octets());
            bytes.extend_from_slice(&to.octets());
            FAMILY_TCP4
        }
        (from, to) => {
            bytes.extend_from_slice(&as_v6(from).octets());
            bytes.extend_from_slice(&as_v6(to).octets());
            FAMILY_TCP6
        }
    };
    bytes.extend_from_slice(&source.port().to_be_bytes());
    bytes.extend_from_slice(&destination.port().to_be_bytes());
    (family, bytes)
}

/// A dual-stack listener reports IPv4 peers as mapped IPv6; a header has one family for both ends.
fn same_family(source: IpAddr, destination: IpAddr) -> (IpAddr, IpAddr) {
    match (source.to_canonical(), destination.to_canonical()) {
        both @ ((IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_))) => both,
        (from, to) => (IpAddr::V6(as_v6(from)), IpAddr::V6(as_v6(to))),
    }
}

fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>() -> Facts<'a> {
        Facts {
            source: "192.0.2.7:40000".parse().unwrap(),
            destination: "198.51.100.1:443".parse().unwrap(),
            alpn: Some(b"h2"),
            authority: Some("pay.example.com"),
            unique_id: "0199d0a8-0000-7000-8000-000000000001",
            tls: Some(TlsFacts {
                version: "TLSv1.3",
                cipher: "TLS_AES_128_GCM_SHA256",
                group: Some("X25519"),
                certificate: None,
            }),
        }
    }

    const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

    /// A reader of its own: type, value, in order.
    fn tlvs(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut found = Vec::new();
        while let [kind, high, low, rest @ ..] = bytes {
            let (value, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            found.push((*kind, value.to_vec()));
            bytes = rest;
        }
        assert!(bytes.is_empty());
        found
    }

    #[test]
    fn the_header_is_as_specified() {
        let header = encode_v2(&facts(), &Kinds::default()).unwrap();
        assert_eq!(
            &header[..12],
            b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A"
        );
        assert_eq!(header[12..14], [0x21, 0x11]);
        assert_eq!(
            usize::from(u16::from_be_bytes([header[14], header[15]])),
            header.len() - 16
        );
        assert_eq!(
            header[16..28],
            [192, 0, 2, 7, 198, 51, 100, 1, 0x9C, 0x40, 0x01, 0xBB]
        );
        let found = tlvs(&header[28..]);
        let kinds: Vec<_> = found.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x01, 0x02, 0x05, 0x20, 0x03]);
        assert_eq!(found[0].1, b"h2");
        assert_eq!(found[1].1, b"pay.example.com");
        assert_eq!(found[2].1.len(), 36);
        assert_eq!(
            found[3].1[..5],
            [0x01, 0, 0, 0, 1],
            "no certificate: verify is not zero"
        );
        let ssl = tlvs(&found[3].1[5..]);
        assert_eq!(ssl[0], (0x21, b"TLSv1.3".to_vec()));
        assert_eq!(ssl[1], (0x23, b"TLS_AES_128_GCM_SHA256".to_vec()));
        assert_eq!(ssl[2], (0x26, b"X25519".to_vec()));
    }

    #[test]
    fn the_checksum_covers_everything() {
        let mut header = encode_v2(&facts(), &Kinds::default()).unwrap();
        let at = header.len() - 4;
        let sent = u32::from_be_bytes(header[at..].try_into().unwrap());
        header[at..].fill(0);
        assert_eq!(crc32c::crc32c(&header), sent);
        header[20] ^= 1;
        assert_ne!(crc32c::crc32c(&header), sent);
    }

    #[test]
    fn a_verified_certificate_is_handed_over() {
        let mut facts = facts();
        let tls = facts.tls.as_mut().unwrap();
        tls.certificate = Some(CertificateFacts {
            common_name: Some("alice"),
            spiffe_id: Some("spiffe://td/ns/a/sa/alice"),
            thumbprint: THUMBPRINT,
            resumed: false,
        });
        let header = encode_v2(&facts, &Kinds::default()).unwrap();
        let found = tlvs(&header[28..]);
        let ssl = &found.iter().find(|(kind, _)| *kind == 0x20).unwrap().1;
        assert_eq!(ssl[..5], [0x07, 0, 0, 0, 0]);
        assert!(tlvs(&ssl[5..]).contains(&(0x22, b"alice".to_vec())));
        assert!(found.contains(&(0xE0, b"spiffe://td/ns/a/sa/alice".to_vec())));
        assert!(found.contains(&(0xE1, THUMBPRINT.as_bytes().to_vec())));
    }

    #[test]
    fn a_certificate_without_names_is_handed_over_by_its_thumbprint() {
        let mut facts = facts();
        let tls = facts.tls.as_mut().unwrap();
        tls.certificate = Some(CertificateFacts {
            common_name: None,
            spiffe_id: None,
            thumbprint: THUMBPRINT,
            resumed: true,
        });
        let found = tlvs(&encode_v2(&facts, &Kinds::default()).unwrap()[28..]);
        let kinds: Vec<_> = found.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x01, 0x02, 0x05, 0x20, 0xE1, 0x03]);
    }

    #[test]
    fn unknown_facts_are_left_out() {
        let bare = Facts {
            alpn: None,
            authority: None,
            tls: None,
            ..facts()
        };
        let header = encode_v2(&bare, &Kinds::default()).unwrap();
        let kinds: Vec<_> = tlvs(&header[28..]).iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x05, 0x03]);
    }

    #[test]
    fn families_are_told_apart() {
        for (source, destination, family, length, line) in [
            (
                "[2001:db8::1]:1",
                "[2001:db8::2]:2",
                0x21,
                36,
                "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n",
            ),
            (
                "[::ffff:192.0.2.1]:1",
                "192.0.2.2:2",
                0x11,
                12,
                "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            ),
            (
                "192.0.2.1:1",
                "[2001:db8::2]:2",
                0x21,
                36,
                "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n",
            ),
        ] {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let (got, bytes) = addresses(source, destination);
            assert_eq!((got, bytes.len()), (family, length), "{source}");
            assert_eq!(encode_v1(source, destination), line.as_bytes());
        }
    }

    #[test]
    fn a_header_that_is_too_long_is_refused() {
        let name = "n".repeat(70_000);
        for authority in [&name[..5000], &name] {
            let facts = Facts {
                authority: Some(authority),
                ..facts()
            };
            assert!(encode_v2(&facts, &Kinds::default()).is_err());
        }
    }
}
