//! Two sessions that talk to each other in memory: no socket, no clock.

use proptest::prelude::*;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;

use super::*;
use crate::cluster::ClusterIndex;
use crate::route::{Mode, NamePattern, Routes};
use crate::tls::certificate::Names;
use crate::tls::downstream::{self, Certificate};

const NAME: &str = "pay.example.com";

/// A client and a server that trust each other, without sockets.
pub(crate) fn pair(versions: &[&'static rustls::SupportedProtocolVersion]) -> (Session, Session) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![NAME.to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let der = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let signing = provider.key_provider.load_private_key(der).unwrap();
    let chain = vec![certificate.der().clone()];
    let server_certificate = Certificate {
        names: Names::parse(&chain[0]).unwrap(),
        key: Arc::new(rustls::sign::CertifiedKey::new(chain, signing)),
    };
    let mut routes = Routes::default();
    let target = Target {
        cluster: ClusterIndex(0),
        mode: Mode::Terminate,
    };
    assert!(routes.add(NamePattern::parse(NAME), &[], target));
    let server = downstream::server_config(
        Arc::clone(&provider),
        vec![server_certificate],
        Arc::new(routes),
        WebPkiClientVerifier::no_client_auth(),
        downstream::Offer {
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            tickets: 2,
        },
    )
    .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (
        Session::upstream(Arc::new(client), NAME.try_into().unwrap(), Some(b"h2")).unwrap(),
        Session::downstream(Arc::new(server), Buffer::default()).unwrap(),
    )
}

/// Carries what `wire` holds to `session`, at most `chunk` bytes at a time, and calls `each`
/// after every piece.
fn carry(
    wire: &mut Buffer,
    session: &mut Session,
    chunk: usize,
    mut each: impl FnMut(&mut Session),
) {
    while !wire.is_empty() {
        let space = session.space().unwrap();
        let count = chunk.min(wire.filled().len()).min(space.len());
        space[..count].copy_from_slice(&wire.filled()[..count]);
        session.received(count);
        wire.consume(count);
        each(session);
    }
}

fn shake_hands(client: &mut Session, server: &mut Session, chunk: usize) {
    let (mut up, mut down) = (Buffer::default(), Buffer::default());
    let (mut client_done, mut server_done) = (client.handshake(&mut up).unwrap(), false);
    while !(client_done && server_done) {
        carry(&mut up, server, chunk, |s| {
            server_done = s.handshake(&mut down).unwrap()
        });
        carry(&mut down, client, chunk, |c| {
            client_done = c.handshake(&mut up).unwrap()
        });
    }
    carry(&mut up, server, chunk, |s| {
        assert!(s.handshake(&mut down).unwrap())
    });
    carry(&mut down, client, chunk, |c| {
        assert!(c.handshake(&mut up).unwrap())
    });
}

fn send(from: &mut Session, to: &mut Session, data: &[u8], chunk: usize) -> Vec<u8> {
    let (mut wire, mut answers, mut got) = (Buffer::default(), Buffer::default(), Vec::new());
    from.seal(data, &mut wire).unwrap();
    carry(&mut wire, to, chunk, |to| {
        let opened = to.open(&mut answers, |data| {
            got.extend_from_slice(data);
            Ok(())
        });
        assert_eq!(opened.unwrap(), Opened::NeedsInput);
        // Sealing must be possible at any time, with part of a record waiting too.
        to.seal(b"meanwhile", &mut answers).unwrap();
    });
    let mut echoed = Vec::new();
    carry(&mut answers, from, chunk, |from| {
        let opened = from.open(&mut Buffer::default(), |data| {
            echoed.extend_from_slice(data);
            Ok(())
        });
        assert_eq!(opened.unwrap(), Opened::NeedsInput);
    });
    assert!(echoed.chunks(9).all(|echo| echo == b"meanwhile"));
    got
}

#[test]
fn the_handshake_settles_what_both_sides_see() {
    for (version, want) in [
        (&rustls::version::TLS13, "TLSv1.3"),
        (&rustls::version::TLS12, "TLSv1.2"),
    ] {
        let (mut client, mut server) = pair(&[version]);
        shake_hands(&mut client, &mut server, usize::MAX);
        let facts = server.facts();
        assert_eq!(facts.version, Some(want));
        assert_eq!(facts.alpn.as_deref(), Some(&b"h2"[..]));
        assert!(facts.cipher.unwrap().starts_with("TLS_"));
        let hello = server.hello().unwrap();
        assert_eq!(hello.server_name.as_deref(), Some(NAME));
        assert_eq!(
            hello.target.map(|target| target.mode),
            Some(Mode::Terminate)
        );
        assert_eq!(client.facts().alpn.as_deref(), Some(&b"h2"[..]));
    }
}

#[test]
fn close_notify_is_told_apart_from_silence() {
    let (mut client, mut server) = pair(&[&rustls::version::TLS13]);
    shake_hands(&mut client, &mut server, usize::MAX);
    let mut wire = Buffer::default();
    client.seal(b"last words", &mut wire).unwrap();
    client.close(&mut wire).unwrap();
    let (mut got, mut opened) = (Vec::new(), None);
    carry(&mut wire, &mut server, usize::MAX, |server| {
        opened = Some(server.open(&mut Buffer::default(), |data| {
            got.extend_from_slice(data);
            Ok(())
        }));
    });
    assert_eq!(opened.unwrap().unwrap(), Opened::PeerClosed);
    assert_eq!(got, b"last words");
    // The other direction is still open (RFC 8446 section 6.1).
    assert_eq!(
        send_one_way(&mut server, &mut client, b"goodbye"),
        b"goodbye"
    );
}

fn send_one_way(from: &mut Session, to: &mut Session, data: &[u8]) -> Vec<u8> {
    let (mut wire, mut got) = (Buffer::default(), Vec::new());
    from.seal(data, &mut wire).unwrap();
    carry(&mut wire, to, usize::MAX, |to| {
        let opened = to.open(&mut Buffer::default(), |data| {
            got.extend_from_slice(data);
            Ok(())
        });
        assert_eq!(opened.unwrap(), Opened::NeedsInput);
    });
    got
}

#[test]
fn a_damaged_record_ends_the_session_with_an_alert() {
    let (mut client, mut server) = pair(&[&rustls::version::TLS13]);
    shake_hands(&mut client, &mut server, usize::MAX);
    let (mut wire, mut answer) = (Buffer::default(), Buffer::default());
    client.seal(b"data", &mut wire).unwrap();
    *wire.filled_mut().last_mut().unwrap() ^= 1;
    carry(&mut wire, &mut server, usize::MAX, |server| {
        let opened = server.open(&mut answer, |_| Err(TlsError::Unsettled));
        assert!(matches!(opened, Err(TlsError::Protocol(_))), "{opened:?}");
    });
    assert!(!answer.is_empty(), "bad_record_mac is queued");
}

#[test]
fn what_is_no_client_hello_is_refused_and_nothing_panics() {
    for junk in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x16, 3, 1, 0xFF, 0xFF],
        &[0; 64],
    ] {
        let (_, mut server) = pair(&[&rustls::version::TLS13]);
        server.space().unwrap()[..junk.len()].copy_from_slice(junk);
        server.received(junk.len());
        assert!(
            !matches!(server.handshake(&mut Buffer::default()), Ok(true)),
            "{junk:?}"
        );
        assert_eq!(server.hello(), None);
    }
}

#[test]
fn data_that_comes_with_the_handshake_is_kept() {
    let (mut client, mut server) = pair(&[&rustls::version::TLS13]);
    let (mut up, mut down) = (Buffer::default(), Buffer::default());
    assert!(!client.handshake(&mut up).unwrap());
    carry(&mut up, &mut server, usize::MAX, |s| {
        assert!(!s.handshake(&mut down).unwrap())
    });
    carry(&mut down, &mut client, usize::MAX, |c| {
        assert!(c.handshake(&mut up).unwrap())
    });
    client.seal(b"in a hurry", &mut up).unwrap();
    client.close(&mut up).unwrap();
    carry(&mut up, &mut server, usize::MAX, |s| {
        assert!(s.handshake(&mut down).unwrap())
    });
    assert_eq!(server.take_early(), (b"in a hurry".to_vec(), true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_split_of_the_stream_gives_the_same_bytes(
        data in prop::collection::vec(any::<u8>(), 0..40_000),
        chunk in 1_usize..20_000,
        tls13 in any::<bool>(),
    ) {
        let version =
            if tls13 { &rustls::version::TLS13 } else { &rustls::version::TLS12 };
        let (mut client, mut server) = pair(&[version]);
        shake_hands(&mut client, &mut server, chunk);
        // Each piece is answered; small pieces of much data would only make the test slow.
        let chunk = chunk.max(data.len() / 64 + 1);
        prop_assert_eq!(&send(&mut client, &mut server, &data, chunk), &data);
        prop_assert_eq!(&send(&mut server, &mut client, &data, chunk), &data);
    }
}
