//! PROXY headers as we write them, from any facts: within their bound, read back the same, and nothing in them but
//! the facts.

use std::net::SocketAddr;

use super::draw::Draw;
use crate::proxy_protocol::decode::{DecodeError, Decoded, decode};
use crate::proxy_protocol::kinds::{Kind, Kinds};
use crate::proxy_protocol::{CertificateFacts, Facts, MAX_HEADER, TlsFacts, encode_v1, encode_v2};

/// The facts are drawn from `data`.
pub fn check(data: &[u8]) {
    let mut draw = Draw(data);
    let (source, destination) = (draw.address(), draw.address());
    let damaged = draw.number();
    let alpn = draw.maybe(|draw| draw.text());
    let (authority, unique_id) = (draw.maybe(|draw| draw.text()), draw.text());
    let encrypted = draw.yes();
    let (version, cipher, group) = (draw.text(), draw.text(), draw.maybe(|draw| draw.text()));
    let verified = draw.yes();
    let (name, id) = (
        draw.maybe(|draw| draw.text()),
        draw.maybe(|draw| draw.text()),
    );
    let (thumbprint, resumed) = (draw.text(), draw.yes());
    let kept = draw.maybe(|draw| kinds(draw.number()));
    let certificate = verified.then_some(CertificateFacts {
        common_name: name.as_deref(),
        spiffe_id: id.as_deref(),
        thumbprint: &thumbprint,
        resumed,
    });
    let facts = Facts {
        source,
        destination,
        alpn: alpn.as_deref().map(str::as_bytes),
        authority: authority.as_deref(),
        unique_id: &unique_id,
        tls: encrypted.then_some(TlsFacts {
            version: &version,
            cipher: &cipher,
            group: group.as_deref(),
            certificate,
        }),
    };
    let line = encode_v1(source, destination);
    assert!(line.len() <= LONGEST_LINE);
    is_read_back(&line, &facts);
    let mut wanted = tlvs(&facts);
    if let Some((_, numbers)) = &kept {
        wanted.retain(|(number, _)| *number == 0x03 || numbers.contains(number));
    }
    let (is_v4, _) = ends(&facts);
    let bytes = 16 + if is_v4 { 12 } else { 36 } + size(&wanted);
    let kinds = kept.map_or_else(Kinds::default, |(kinds, _)| Kinds::only(kinds));
    match encode_v2(&facts, &kinds) {
        Err(refused) => assert!(bytes > MAX_HEADER, "{refused}"),
        Ok(header) => {
            assert_eq!(header.len(), bytes);
            assert!(bytes <= MAX_HEADER);
            is_read_back(&header, &facts);
            assert_eq!(read_tlvs(&header[bytes - size(&wanted)..], &header), wanted);
            survives_damage(header, damaged.into(), &facts);
        }
    }
}

/// The kinds of TLVs whose bit is set, and their numbers.
fn kinds(bits: u16) -> (Vec<Kind>, Vec<u8>) {
    [
        (Kind::Alpn, 0x01),
        (Kind::Authority, 0x02),
        (Kind::UniqueId, 0x05),
        (Kind::Ssl, 0x20),
        (Kind::SpiffeId, 0xE0),
        (Kind::CertificateSha256, 0xE1),
    ]
    .into_iter()
    .enumerate()
    .filter(|(place, _)| bits >> place & 1 == 1)
    .map(|(_, kind)| kind)
    .unzip()
}

/// Section 2.1 of the specification.
const LONGEST_LINE: usize = 107;

/// Whether both ends are written as IPv4, and the ends as the gateway will see them.
fn ends(facts: &Facts<'_>) -> (bool, (SocketAddr, SocketAddr)) {
    let canonical = |end: SocketAddr| SocketAddr::from((end.ip().to_canonical(), end.port()));
    let (from, to) = (canonical(facts.source), canonical(facts.destination));
    (from.is_ipv4() && to.is_ipv4(), (from, to))
}

fn is_read_back(header: &[u8], facts: &Facts<'_>) {
    for end in 0..header.len() {
        assert_eq!(decode(&header[..end]), Ok(None), "after {end} bytes");
    }
    let followed = [header, &[0x16, 3, 1]].concat();
    for bytes in [header, &followed] {
        let read = decode(bytes).unwrap().unwrap();
        assert_eq!(read.used, header.len());
        assert_eq!(canonical(read), Some(ends(facts).1));
    }
}

fn canonical(decoded: Decoded) -> Option<(SocketAddr, SocketAddr)> {
    let end = |address: SocketAddr| SocketAddr::from((address.ip().to_canonical(), address.port()));
    decoded.addresses.map(|(from, to)| (end(from), end(to)))
}

/// Types and values, in their order; the checksum's value is its own affair.
type Tlvs = Vec<(u8, Vec<u8>)>;

/// What must be in the header, written down a second time.
fn tlvs(facts: &Facts<'_>) -> Tlvs {
    let mut wanted = Tlvs::new();
    let mut add =
        |kind, value: Option<&[u8]>| wanted.extend(value.map(|value| (kind, value.to_vec())));
    add(0x01, facts.alpn);
    add(0x02, facts.authority.map(str::as_bytes));
    add(0x05, Some(facts.unique_id.as_bytes()));
    if let Some(tls) = &facts.tls {
        let certificate = tls.certificate.as_ref();
        let (client, verify) = match certificate.map(|certificate| certificate.resumed) {
            None => (1, 1),
            Some(false) => (7, 0),
            Some(true) => (5, 0),
        };
        let mut ssl = vec![client, 0, 0, 0, verify];
        let name = certificate.and_then(|certificate| certificate.common_name);
        for (kind, value) in [
            (0x21, Some(tls.version)),
            (0x22, name),
            (0x23, Some(tls.cipher)),
            (0x26, tls.group),
        ] {
            if let Some(value) = value {
                let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
                ssl.push(kind);
                ssl.extend(length.to_be_bytes());
                ssl.extend(value.as_bytes());
            }
        }
        add(0x20, Some(&ssl));
        let id = certificate.and_then(|certificate| certificate.spiffe_id);
        add(0xE0, id.map(str::as_bytes));
        add(
            0xE1,
            certificate.map(|certificate| certificate.thumbprint.as_bytes()),
        );
    }
    add(0x03, Some(&[0; 4]));
    wanted
}

fn size(tlvs: &Tlvs) -> usize {
    tlvs.iter().map(|(_, value)| 3 + value.len()).sum()
}

/// A reader of its own, which checks the checksum in its own way.
fn read_tlvs(mut bytes: &[u8], header: &[u8]) -> Tlvs {
    let mut found = Tlvs::new();
    while let [kind, high, low, rest @ ..] = bytes {
        let (value, rest) = rest.split_at(u16::from_be_bytes([*high, *low]).into());
        let mut value = value.to_vec();
        if *kind == 0x03 {
            let mut cleared = header.to_vec();
            let at = header.len() - rest.len() - 4;
            cleared[at..at + 4].fill(0);
            assert_eq!(crc32c::crc32c(&cleared).to_be_bytes(), *value);
            value.fill(0);
        }
        found.push((*kind, value));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    found
}

/// One bit that was turned over never makes another client of this one.
fn survives_damage(mut header: Vec<u8>, chance: usize, facts: &Facts<'_>) {
    let bits = header.len() * 8;
    let bit = chance % bits;
    header[bit / 8] ^= 1 << (bit % 8);
    match decode(&header) {
        Ok(Some(read)) if read.addresses.is_some() => {
            assert_eq!(canonical(read), Some(ends(facts).1))
        }
        // The command became LOCAL, or the length one that is waited for.
        Ok(Some(_) | None) => assert!((12..16).contains(&(bit / 8)), "bit {bit}"),
        Err(error) => assert!(error != DecodeError::NoHeader || bit / 8 < 12, "bit {bit}"),
    }
}
