//! PROXY protocol headers, decoded: what a proxy in front of us says about its client.
//!
//! Both versions, by the same text as the encoder. As strict as HAProxy: what is not exactly a
//! header ends the connection, for its bytes would otherwise become the client's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{FAMILY_TCP4, FAMILY_TCP6, MAX_HEADER, SIGNATURE, TLV_CRC32C};

/// Section 2.1: the longest line of version 1, CRLF included.
const MAX_LINE: usize = 107;
const LINE_START: &[u8] = b"PROXY ";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
const VERSION: u8 = 0x20;
const COMMAND_LOCAL: u8 = 0x00;
const COMMAND_PROXY: u8 = 0x01;

/// What a whole header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Bytes of the header; what follows is the client's.
    pub(crate) used: usize,
    /// Source and destination of the client's connection. `None`: the proxy speaks for itself (a
    /// health check), the ends of its own connection count.
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
}

/// Why the first bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the PROXY header's checksum is wrong")]
    Checksum,
    #[error("the PROXY header is for an address family or a transport other than TCP")]
    Family,
    #[error("the first bytes are not those of a PROXY header")]
    NoHeader,
    #[error("the PROXY header is malformed")]
    Malformed,
    #[error("the PROXY header is larger than {MAX_HEADER} bytes")]
    TooLong,
    #[error("the PROXY header is of an unknown version or command")]
    Version,
}

/// Reads the header at the front of `bytes`; `None` if it is not whole.
///
/// # Errors
/// As soon as one byte rules it out.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Decoded>, DecodeError> {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(got, wanted)| got == wanted);
    if begins(LINE_START) {
        decode_v1(bytes)
    } else if begins(SIGNATURE) {
        decode_v2(bytes)
    } else {
        Err(DecodeError::NoHeader)
    }
}

/// Section 2.1.
fn decode_v1(bytes: &[u8]) -> Result<Option<Decoded>, DecodeError> {
    let looked_at = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = looked_at.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MAX_LINE {
            Ok(None)
        } else {
            Err(DecodeError::TooLong)
        };
    };
    let line = looked_at.get(LINE_START.len()..end);
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let line = line.ok_or(DecodeError::Malformed)?;
    let decoded = |addresses| Decoded {
        used: end + 2,
        addresses,
    };
    let mut words = line.split(' ');
    let family = words.next().unwrap_or_default();
    // What follows it is to be ignored.
    if family == "UNKNOWN" {
        return Ok(Some(decoded(None)));
    }
    let mut ip = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse().ok().map(IpAddr::V4),
            "TCP6" => word.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (from, to) = (ip(), ip());
    let (from_port, to_port) = (words.next().and_then(port), words.next().and_then(port));
    match (from.zip(from_port), to.zip(to_port), words.next()) {
        (Some(from), Some(to), None) => Ok(Some(decoded(Some((from.into(), to.into()))))),
        _ => Err(DecodeError::Malformed),
    }
}

/// In decimal, without sign and leading zeros.
fn port(word: &str) -> Option<u16> {
    let number: u16 = word.parse().ok()?;
    (number.to_string() == word).then_some(number)
}

/// Section 2.2.
fn decode_v2(bytes: &[u8]) -> Result<Option<Decoded>, DecodeError> {
    let command = match bytes.get(SIGNATURE.len()) {
        None => return Ok(None),
        Some(byte) if byte & 0xF0 != VERSION => return Err(DecodeError::Version),
        Some(byte) => byte & 0x0F,
    };
    if !matches!(command, COMMAND_LOCAL | COMMAND_PROXY) {
        return Err(DecodeError::Version);
    }
    let Some(&[family, high, low]) = bytes.get(FIXED - 3..FIXED) else {
        return Ok(None);
    };
    let used = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if used > MAX_HEADER {
        return Err(DecodeError::TooLong);
    }
    let Some(header) = bytes.get(..used) else {
        return Ok(None);
    };
    let body = &header[FIXED..];
    let (addresses, tlvs) = match (command, family) {
        // Whatever it says about addresses is to be ignored.
        (COMMAND_LOCAL, _) => {
            return Ok(Some(Decoded {
                used,
                addresses: None,
            }));
        }
        (_, FAMILY_TCP4) => body.split_first_chunk::<12>().map(|(addresses, tlvs)| {
            let (from, rest) = addresses.split_at(4);
            let (to, ports) = rest.split_at(4);
            ((v4(from), v4(to), ports), tlvs)
        }),
        (_, FAMILY_TCP6) => body.split_first_chunk::<36>().map(|(addresses, tlvs)| {
            let (from, rest) = addresses.split_at(16);
            let (to, ports) = rest.split_at(16);
            ((v6(from), v6(to), ports), tlvs)
        }),
        _ => return Err(DecodeError::Family),
    }
    .ok_or(DecodeError::Malformed)?;
    check_tlvs(header, tlvs)?;
    let (from, to, ports) = addresses;
    let &[from_high, from_low, to_high, to_low] = ports else {
        return Err(DecodeError::Malformed);
    };
    Ok(Some(Decoded {
        used,
        addresses: Some((
            (from, u16::from_be_bytes([from_high, from_low])).into(),
            (to, u16::from_be_bytes([to_high, to_low])).into(),
        )),
    }))
}

fn v4(bytes: &[u8]) -> IpAddr {
    let octets = bytes.first_chunk::<4>().copied().unwrap_or_default();
    Ipv4Addr::from(octets).into()
}

fn v6(bytes: &[u8]) -> IpAddr {
    let octets = bytes.first_chunk::<16>().copied().unwrap_or_default();
    Ipv6Addr::from(octets).into()
}

/// The TLVs must fill the header, and the checksum, if there is one, must be right (section
/// 2.2.3). What else they say was established by somebody else and is not handed on.
fn check_tlvs(header: &[u8], mut tlvs: &[u8]) -> Result<(), DecodeError> {
    while let Some((&[kind, high, low], rest)) = tlvs.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, after) = rest
            .split_at_checked(length)
            .ok_or(DecodeError::Malformed)?;
        if kind == TLV_CRC32C {
            let sent = value.first_chunk::<4>().filter(|_| value.len() == 4);
            let sent = *sent.ok_or(DecodeError::Malformed)?;
            let before = header.len() - rest.len();
            let computed = crc32c::crc32c(&header[..before]);
            let computed = crc32c::crc32c_append(computed, &[0; 4]);
            let computed = crc32c::crc32c_append(computed, after);
            if computed.to_be_bytes() != sent {
                return Err(DecodeError::Checksum);
            }
        }
        tlvs = after;
    }
    if tlvs.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::kinds::Kinds;
    use super::super::{Facts, encode_v1, encode_v2};
    use super::*;

    fn addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
        let v4 = any::<((Ipv4Addr, u16), (Ipv4Addr, u16))>()
            .prop_map(|(from, to)| (from.into(), to.into()));
        let v6 = any::<((Ipv6Addr, u16), (Ipv6Addr, u16))>()
            .prop_map(|(from, to)| (from.into(), to.into()));
        // A mapped address is written as the IPv4 address that it is.
        prop_oneof![v4, v6].prop_filter("mapped", |(from, to): &(SocketAddr, SocketAddr)| {
            from.ip() == from.ip().to_canonical() && to.ip() == to.ip().to_canonical()
        })
    }

    fn v2(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let facts = Facts {
            source: from,
            destination: to,
            alpn: Some(b"h2"),
            authority: Some("pay.example.com"),
            unique_id: "0199d0a8-0000-7000-8000-000000000001",
            tls: None,
        };
        encode_v2(&facts, &Kinds::default()).unwrap()
    }

    fn raw_v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, body].concat()
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_and_every_part_of_it_needs_more(
            (from, to) in addresses(),
            version_2 in any::<bool>(),
        ) {
            let mut bytes = if version_2 { v2(from, to) } else { encode_v1(from, to) };
            let used = bytes.len();
            for end in 0..used {
                prop_assert_eq!(decode(&bytes[..end]), Ok(None), "after {} bytes", end);
            }
            bytes.extend([0x16, 3, 1]);
            prop_assert_eq!(decode(&bytes), Ok(Some(Decoded { used, addresses: Some((from, to)) })));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let _ = decode(&[LINE_START, &bytes].concat());
            let _ = decode(&raw_v2(0x21, FAMILY_TCP4, &bytes));
            let _ = decode(&raw_v2(0x21, FAMILY_TCP6, &bytes));
        }

        #[test]
        fn damaged_addresses_do_not_pass_the_checksum(at in 16_usize..28, bit in 0_u32..8) {
            let mut bytes = v2("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(decode(&bytes), Err(DecodeError::Checksum));
        }
    }

    #[test]
    fn a_proxy_that_speaks_for_itself_has_no_client() {
        for (name, bytes) in [
            ("LOCAL", raw_v2(0x20, 0, &[])),
            ("LOCAL with junk", raw_v2(0x20, 0x99, &[1, 2, 3])),
            ("UNKNOWN", b"PROXY UNKNOWN\r\n".to_vec()),
            ("UNKNOWN with junk", b"PROXY UNKNOWN a b c\r\n".to_vec()),
        ] {
            let used = bytes.len();
            let addresses = None;
            assert_eq!(
                decode(&bytes),
                Ok(Some(Decoded { used, addresses })),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        use DecodeError::*;
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 100]].concat();
        let cases: &[(&str, &[u8], DecodeError)] = &[
            ("tls", &[0x16], NoHeader),
            ("http", b"GET", NoHeader),
            ("lower case", b"proxy", NoHeader),
            ("version 3", &raw_v2(0x31, 0x11, &[]), Version),
            ("command 2", &raw_v2(0x22, 0x11, &[]), Version),
            ("udp", &raw_v2(0x21, 0x12, &[0; 12]), Family),
            ("unix", &raw_v2(0x21, 0x31, &[0; 216]), Family),
            ("unspecified", &raw_v2(0x21, 0, &[]), Family),
            ("short", &raw_v2(0x21, 0x11, &[0; 11]), Malformed),
            ("stray byte", &raw_v2(0x21, 0x11, &[0; 13]), Malformed),
            (
                "tlv over the end",
                &raw_v2(0x21, 0x11, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1]),
                Malformed,
            ),
            (
                "too long",
                &[SIGNATURE.as_slice(), &[0x21, 0x11, 0xFF, 0]].concat(),
                TooLong,
            ),
            ("endless line", &long, TooLong),
            ("udp line", b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", Malformed),
            ("mixed", b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n", Malformed),
            ("zeros", b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", Malformed),
            ("port", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", Malformed),
            (
                "signed port",
                b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
                Malformed,
            ),
            (
                "two spaces",
                b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
                Malformed,
            ),
            (
                "one word more",
                b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
                Malformed,
            ),
            ("nothing", b"PROXY \r\n", Malformed),
        ];
        for (name, bytes, want) in cases {
            assert_eq!(decode(bytes), Err(*want), "{name}");
        }
    }
}
