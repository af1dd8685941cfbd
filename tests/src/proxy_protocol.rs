//! The PROXY protocol, version 2, from the harness's own reading of the text (haproxy,
//! proxy-protocol.txt, section 2.2): written for connections that go to the gateway directly, read
//! by a receiver that judges the front. It shares no code with the front, so a misreading there
//! cannot hide here.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// A header as a receiver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The downstream's address.
    pub source: SocketAddr,
    /// The address that the downstream connected to.
    pub destination: SocketAddr,
    /// Type and value of each TLV, in the order on the wire.
    pub tlvs: Vec<(u8, Vec<u8>)>,
    /// Whether a CRC32C TLV is there and right.
    pub checksum_is_right: bool,
    /// How many bytes the header takes; what follows is the downstream's.
    pub length: usize,
}

impl Header {
    /// The value of the only TLV of this type.
    #[must_use]
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        let mut found = self.tlvs.iter().filter(|(got, _)| *got == kind);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// The same as text.
    #[must_use]
    pub fn text(&self, kind: u8) -> Option<&str> {
        self.tlv(kind)
            .and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// A header for these addresses and TLVs, with the checksum.
#[must_use]
pub fn encode(source: SocketAddrV4, destination: SocketAddrV4, tlvs: &[(u8, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(source.ip().octets());
    body.extend(destination.ip().octets());
    body.extend(source.port().to_be_bytes());
    body.extend(destination.port().to_be_bytes());
    for (kind, value) in tlvs.iter().chain(&[(CRC32C, [0; 4].as_slice())]) {
        body.push(*kind);
        body.extend(be16(value.len()));
        body.extend(*value);
    }
    let mut header = SIGNATURE.to_vec();
    header.extend([VERSION_2_PROXY, TCP_OVER_IPV4]);
    header.extend(be16(body.len()));
    header.extend(body);
    let checksum = crc32c::crc32c(&header);
    let end = header.len();
    header[end - 4..].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// Reads the header at the front of `bytes`; none if it is not whole or not as the text says.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Header> {
    let rest = bytes.strip_prefix(&SIGNATURE)?;
    let (&[VERSION_2_PROXY, TCP_OVER_IPV4, high, low], rest) = rest.split_first_chunk()? else {
        return None;
    };
    let body_length = usize::from(u16::from_be_bytes([high, low]));
    let length = SIGNATURE.len() + 4 + body_length;
    let body = rest.get(..body_length)?;
    let (from, body) = body.split_first_chunk::<4>()?;
    let (to, body) = body.split_first_chunk::<4>()?;
    let (from_port, body) = body.split_first_chunk::<2>()?;
    let (to_port, tlv_bytes) = body.split_first_chunk::<2>()?;
    Some(Header {
        source: socket_address(*from, *from_port),
        destination: socket_address(*to, *to_port),
        tlvs: tlvs(tlv_bytes)?,
        checksum_is_right: checksum_is_right(&bytes[..length], length - tlv_bytes.len()),
        length,
    })
}

/// True if `bytes` begins with a header that speaks for the sender itself: command LOCAL, without
/// addresses. It takes [`LOCAL_LENGTH`] bytes.
#[must_use]
pub fn is_local(bytes: &[u8]) -> bool {
    let rest = bytes.strip_prefix(&SIGNATURE);
    rest.is_some_and(|rest| rest.starts_with(&[VERSION_2_LOCAL, 0, 0, 0]))
}

/// Bytes of a header with the command LOCAL and nothing else.
pub const LOCAL_LENGTH: usize = SIGNATURE.len() + 4;

/// Splits a run of TLVs; none if one reaches over the end. Also reads the sub-TLVs of the SSL TLV.
#[must_use]
pub fn tlvs(mut bytes: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut found = Vec::new();
    while let Some((&[kind, high, low], rest)) = bytes.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        found.push((kind, rest.get(..length)?.to_vec()));
        bytes = &rest[length..];
    }
    bytes.is_empty().then_some(found)
}

/// The checksum covers the whole header with its own value taken as zero (section 2.2.3).
fn checksum_is_right(header: &[u8], first_tlv: usize) -> bool {
    let mut at = first_tlv;
    while let Some(&[kind, high, low]) = header.get(at..at + 3) {
        let value = at + 3..at + 3 + usize::from(u16::from_be_bytes([high, low]));
        if kind == CRC32C {
            let mut zeroed = header.to_vec();
            zeroed[value.clone()].fill(0);
            return header[value] == crc32c::crc32c(&zeroed).to_be_bytes();
        }
        at = value.end;
    }
    false
}

fn socket_address(ip: [u8; 4], port: [u8; 2]) -> SocketAddr {
    (Ipv4Addr::from(ip), u16::from_be_bytes(port)).into()
}

fn be16(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// `PP2_TYPE_ALPN`.
pub const ALPN: u8 = 0x01;
/// `PP2_TYPE_AUTHORITY`: the server name that the downstream asked for.
pub const AUTHORITY: u8 = 0x02;
/// `PP2_TYPE_CRC32C`.
pub const CRC32C: u8 = 0x03;
/// `PP2_TYPE_UNIQUE_ID`: the connection id.
pub const UNIQUE_ID: u8 = 0x05;
/// `PP2_TYPE_SSL`.
pub const SSL: u8 = 0x20;
/// `PP2_SUBTYPE_SSL_VERSION`.
pub const SSL_VERSION: u8 = 0x21;
/// Ours (hand-over contract): the SPIFFE id of the downstream's certificate.
pub const SPIFFE_ID: u8 = 0xE0;
/// Ours: the SHA-256 digest of that certificate, in base64url.
pub const CERTIFICATE_SHA256: u8 = 0xE1;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_2_PROXY: u8 = 0x21;
/// Version 2, command LOCAL.
const VERSION_2_LOCAL: u8 = 0x20;
const TCP_OVER_IPV4: u8 = 0x11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let (source, destination) = (
            "192.0.2.7:4711".parse().unwrap(),
            "10.0.0.1:443".parse().unwrap(),
        );
        let mut bytes = encode(source, destination, &[(ALPN, b"h2"), (UNIQUE_ID, b"id-1")]);
        let length = bytes.len();
        bytes.extend(b"client hello");
        let header = decode(&bytes).unwrap();
        assert_eq!(header.source, SocketAddr::V4(source));
        assert_eq!(header.destination, SocketAddr::V4(destination));
        assert_eq!(header.text(UNIQUE_ID), Some("id-1"));
        assert_eq!(header.length, length);
        assert!(header.checksum_is_right);
    }

    #[test]
    fn damaged_headers_do_not_pass() {
        let whole = encode(
            "192.0.2.7:1".parse().unwrap(),
            "10.0.0.1:2".parse().unwrap(),
            &[],
        );
        for end in 0..whole.len() {
            assert_eq!(decode(&whole[..end]), None, "cut after {end} bytes");
        }
        let mut other_port = whole;
        other_port[24] ^= 1;
        assert!(!decode(&other_port).unwrap().checksum_is_right);
    }
}
