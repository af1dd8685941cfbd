//! Hellos of a real client, cut in every way; and rustls' own reading of them as the judge.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::server::Acceptor;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// The records of a ClientHello as rustls writes it.
fn written(name: &'static str, alpn: &[&str]) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let mut client = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn read(input: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    HelloReader::default().read(input)
}

/// The same message in records of `size` bytes.
fn fragmented(hello: &[u8], size: usize) -> Vec<u8> {
    hello[RECORD_HEADER..]
        .chunks(size)
        .flat_map(|piece| {
            let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
            [&[22, 3, 1], length.as_slice(), piece].concat()
        })
        .collect()
}

/// A ClientHello with these extensions and nothing else of interest.
fn with_extensions(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, value) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        list.extend(*value);
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend(u16::try_from(list.len()).unwrap().to_be_bytes());
    body.extend(list);
    in_record(&body)
}

fn in_record(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let record = (length + 4).to_be_bytes();
    [&[22, 3, 1], record.as_slice(), &[1, 0, high, low], body].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let list = (length + 3).to_be_bytes();
    [list.as_slice(), &[0], length.to_be_bytes().as_slice(), name].concat()
}

/// What rustls makes of it.
fn judged(mut input: &[u8]) -> Option<ClientHello> {
    let mut acceptor = Acceptor::default();
    while !input.is_empty() {
        acceptor.read_tls(&mut input).ok()?;
        match acceptor.accept() {
            Err(_) => return None,
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                return Some(ClientHello {
                    server_name: hello.server_name().map(str::to_owned),
                    alpn: hello
                        .alpn()
                        .into_iter()
                        .flatten()
                        .map(<[u8]>::to_vec)
                        .collect(),
                });
            }
        }
    }
    None
}

#[test]
fn name_and_protocols_are_read() {
    let hello = read(&written("pay.example.com", &["h2", "http/1.1"])).unwrap();
    let want = ClientHello {
        server_name: Some("pay.example.com".to_owned()),
        alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    assert_eq!(hello, Some(want));
}

#[test]
fn what_is_not_offered_is_none() {
    let nothing = Ok(Some(ClientHello::default()));
    assert_eq!(
        read(&written("192.0.2.1", &[])),
        nothing,
        "no name for an address"
    );
    assert_eq!(read(&with_extensions(&[])), nothing);
    let without_extensions = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 0x01, 1, 0]].concat();
    assert_eq!(read(&in_record(&without_extensions)), nothing);
}

#[test]
fn names_are_lower_case() {
    let hello = read(&with_extensions(&[(0, &sni(b"Pay.EXAMPLE.com"))])).unwrap();
    assert_eq!(
        hello.unwrap().server_name.as_deref(),
        Some("pay.example.com")
    );
}

#[test]
fn malformed_hellos_are_refused() {
    let long = vec![b'a'; 300];
    let cases: &[(&str, Vec<u8>)] = &[
        (
            "two server names",
            with_extensions(&[(0, &sni(b"a.b")), (0, &sni(b"a.b"))]),
        ),
        (
            "two alpn",
            with_extensions(&[(16, &[0, 2, 1, b'x']), (16, &[0, 2, 1, b'x'])]),
        ),
        ("empty name", with_extensions(&[(0, &sni(b""))])),
        ("no names", with_extensions(&[(0, &[0, 0])])),
        ("no dns name", with_extensions(&[(0, &sni(b"a b"))])),
        ("zero byte", with_extensions(&[(0, &sni(b"a\0b"))])),
        ("not utf-8", with_extensions(&[(0, &sni(b"\xff.example"))])),
        ("too long a name", with_extensions(&[(0, &sni(&long))])),
        (
            "another type of name",
            with_extensions(&[(0, &[0, 4, 1, 0, 1, b'a'])]),
        ),
        (
            "a second name",
            with_extensions(&[(0, &[0, 8, 0, 0, 1, b'a', 0, 0, 1, b'b'])]),
        ),
        (
            "name over the end",
            with_extensions(&[(0, &[0, 4, 0, 0, 9, b'a'])]),
        ),
        (
            "bytes after the list",
            with_extensions(&[(0, &[0, 4, 0, 0, 1, b'a', 9])]),
        ),
        ("no protocols", with_extensions(&[(16, &[0, 0])])),
        ("empty protocol", with_extensions(&[(16, &[0, 1, 0])])),
        (
            "protocol over the end",
            with_extensions(&[(16, &[0, 2, 2, b'x'])]),
        ),
        ("nothing in it", in_record(&[])),
    ];
    for (name, input) in cases {
        assert!(
            matches!(read(input), Err(HelloError::Malformed(_))),
            "{name}: {:?}",
            read(input)
        );
    }
}

#[test]
fn other_protocols_are_refused_at_their_first_bytes() {
    let cases: &[(&str, &[u8])] = &[
        ("http", b"G"),
        ("sslv2", &[0x80, 0x2e, 0x01]),
        ("alert", &[21]),
        ("version 2", &[22, 2]),
        ("server hello", &[22, 3, 3, 0, 1, 2]),
    ];
    for (name, input) in cases {
        assert_eq!(read(input), Err(HelloError::NotTls), "{name}");
    }
    assert_eq!(
        read(&[22, 3, 1, 0, 0]),
        Err(HelloError::Malformed("an empty record"))
    );
}

#[test]
fn size_is_bounded() {
    assert_eq!(read(&[22, 3, 1, 0x40, 0x01]), Err(HelloError::TooLarge));
    assert_eq!(
        read(&[22, 3, 1, 0, 4, 1, 1, 0, 0]),
        Err(HelloError::TooLarge),
        "said in the message's header"
    );
    let mut drip = [&[22, 3, 1, 0, 4, 1, 0, 0x30, 0][..]].concat();
    while drip.len() < MAX_BYTES {
        assert_eq!(read(&drip), Ok(None));
        drip.extend([22, 3, 1, 0, 1, 0]);
    }
    assert_eq!(read(&drip), Err(HelloError::TooLarge));
}

#[test]
fn every_prefix_needs_more() {
    let hello = written("pay.example.com", &["h2"]);
    let mut reader = HelloReader::default();
    for end in 0..hello.len() {
        assert_eq!(reader.read(&hello[..end]), Ok(None), "after {end} bytes");
    }
    assert!(reader.read(&hello).unwrap().is_some());
}

#[test]
fn data_behind_the_hello_is_not_looked_at() {
    let hello = written("pay.example.com", &["h2"]);
    let followed = [&hello, &[0xFF; 100][..]].concat();
    assert_eq!(read(&followed), read(&hello));
}

proptest! {
    /// Whatever the records and the reads look like.
    #[test]
    fn every_split_reads_the_same(size in 1_usize..600, cuts in prop::collection::vec(1_usize..400, 1..20)) {
        let whole = written("pay.example.com", &["h2", "http/1.1"]);
        let input = fragmented(&whole, size);
        let mut reader = HelloReader::default();
        let (mut end, mut cuts) = (0, cuts.iter().cycle());
        while end < input.len() {
            prop_assert_eq!(reader.read(&input[..end]), Ok(None));
            end = (end + cuts.next().unwrap()).min(input.len());
        }
        prop_assert_eq!(reader.read(&input), read(&whole));
    }

    /// Two readers that disagree about a name would send a client where it did not want to go.
    #[test]
    fn where_rustls_reads_something_it_is_the_same(
        flips in prop::collection::vec((0_usize..400, any::<u8>()), 0..4),
    ) {
        let mut input = written("pay.example.com", &["h2", "http/1.1"]);
        for (at, value) in flips {
            let length = input.len();
            input[at % length] = value;
        }
        if let (Some(theirs), Ok(Some(ours))) = (judged(&input), read(&input)) {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn no_bytes_are_too_strange(input in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&input);
        let _ = read(&[&[22, 3, 1, 1, 0x80, 1, 0, 1, 0x7c][..], &input].concat());
    }
}
