//! A ClientHello: one answer however its bytes are cut into segments and records, and rustls' own reading of it.

use rustls::server::Acceptor;

use super::draw::Draw;
use crate::client_hello::{ClientHello, HelloError, HelloReader, MAX_BYTES};

/// The first byte says how large records are; what follows is tried as a stream, and as the body of a ClientHello.
pub fn check(data: &[u8]) {
    let mut draw = Draw(data);
    let size = usize::from(draw.byte()) + 1;
    let stream = draw.0;
    let read = in_any_segments(stream);
    agrees_with_rustls(stream, &read);
    let message = in_message(stream);
    let largest = in_records(&message, (1 << 14) - 1);
    let read = in_any_segments(&largest);
    agrees_with_rustls(&largest, &read);
    let smaller = in_records(&message, size);
    let again = in_any_segments(&smaller);
    if smaller.len() <= MAX_BYTES && largest.len() <= MAX_BYTES {
        assert_eq!(again, read, "in records of {size} bytes");
    }
}

type Read = Result<Option<ClientHello>, HelloError>;

/// What is read of it whole; cut anywhere it is the same.
fn in_any_segments(input: &[u8]) -> Read {
    let whole = HelloReader::default().read(input);
    let mut reader = HelloReader::default();
    for end in 0..=input.len() {
        let part = reader.read(&input[..end]);
        if part != Ok(None) {
            assert_eq!(part, whole, "after {end} bytes");
            return whole;
        }
        assert!(end < MAX_BYTES, "it waits for ever more");
    }
    assert_eq!(whole, Ok(None));
    whole
}

fn in_message(body: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = body.len().to_be_bytes();
    [&[1, high, middle, low], body].concat()
}

fn in_records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |piece: &[u8]| {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        [&[22, 3, 1], length.as_slice(), piece].concat()
    };
    message.chunks(size).flat_map(record).collect()
}

/// Two readers that disagree about a name would send a client where it did not want to go. Where rustls has read
/// enough, so have we; we may refuse what it takes, never wait for more of it.
fn agrees_with_rustls(input: &[u8], ours: &Read) {
    let Some(theirs) = judged(input) else {
        return;
    };
    assert_ne!(*ours, Ok(None), "rustls has read {theirs:?}");
    if let Ok(Some(hello)) = ours {
        assert_eq!(*hello, theirs);
    }
}

fn judged(mut input: &[u8]) -> Option<ClientHello> {
    let mut acceptor = Acceptor::default();
    while !input.is_empty() {
        acceptor.read_tls(&mut input).ok()?;
        if let Some(accepted) = acceptor.accept().ok()? {
            let hello = accepted.client_hello();
            let alpn = hello.alpn().into_iter().flatten();
            return Some(ClientHello {
                server_name: hello.server_name().map(str::to_owned),
                alpn: alpn.map(<[u8]>::to_vec).collect(),
            });
        }
    }
    None
}
