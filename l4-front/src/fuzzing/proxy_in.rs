//! PROXY headers as they come in: one answer however the bytes are cut, and what was read can be written again.

use std::net::SocketAddr;

use crate::proxy_protocol::decode::{Decoded, decode};
use crate::proxy_protocol::kinds::Kinds;
use crate::proxy_protocol::{Facts, MAX_HEADER, encode_v1, encode_v2};

/// `data` is what a trusted proxy sends first.
pub fn check(data: &[u8]) {
    let whole = decode(data);
    // All cuts up to the first that settles it, and some after it.
    let settles = (0..=data.len()).find(|end| decode(&data[..*end]) != Ok(None));
    let Some(settles) = settles else {
        assert_eq!(whole, Ok(None));
        assert!(data.len() < MAX_HEADER, "it waits for ever longer headers");
        return;
    };
    for end in (settles..=data.len()).take(64) {
        assert_eq!(decode(&data[..end]), whole, "after {end} bytes");
    }
    let Ok(Some(decoded)) = whole else {
        return;
    };
    // What stands behind the header is the client's, and nothing of it is waited for.
    assert_eq!(settles, decoded.used);
    assert!(decoded.used <= MAX_HEADER);
    if let Some(ends) = decoded.addresses {
        is_written_again(data, decoded.used, ends);
    }
}

fn is_written_again(data: &[u8], used: usize, (source, destination): (SocketAddr, SocketAddr)) {
    let facts = Facts {
        source,
        destination,
        alpn: None,
        authority: None,
        unique_id: "0",
        tls: None,
    };
    let v2 = encode_v2(&facts, &Kinds::default());
    for header in [v2.unwrap(), encode_v1(source, destination)] {
        let again = decode(&header).unwrap().unwrap();
        assert_eq!(again.used, header.len());
        assert_eq!(
            canonical(again),
            canonical(Decoded {
                used: again.used,
                addresses: Some((source, destination))
            })
        );
        // An IPv4 address has one spelling, in version 2 every address has one.
        let is_v4 = source.is_ipv4() && destination.is_ipv4();
        if header.starts_with(b"PROXY") && data.starts_with(b"PROXY") && is_v4 {
            assert_eq!(header, &data[..used]);
        }
        let is_mapped = source.ip() != source.ip().to_canonical()
            || destination.ip() != destination.ip().to_canonical();
        if header.starts_with(b"\r\n") && data.starts_with(b"\r\n") && !is_mapped {
            let end = 16 + if is_v4 { 12 } else { 36 };
            assert_eq!(header[..14], data[..14], "signature, command, family");
            assert_eq!(header[16..end], data[16..end], "addresses");
        }
    }
}

/// A mapped IPv4 address is one, whichever way it is written.
fn canonical(decoded: Decoded) -> Option<[(std::net::IpAddr, u16); 2]> {
    let end = |address: SocketAddr| (address.ip().to_canonical(), address.port());
    decoded.addresses.map(|(from, to)| [end(from), end(to)])
}
