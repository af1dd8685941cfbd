//! One TLS connection without its socket, over rustls' unbuffered API.
//!
//! Invariant: between two calls the session is *settled*: rustls has looked at every byte of
//! `incoming`, and what is left there is part of a record or of a handshake message. Only then can
//! data be sealed without opening any, and only then do the offsets that rustls keeps into
//! `incoming` stay true. Hence `incoming` lives here, each call passes all of it, and
//! [`Session::open`] does not stop before the end.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, HandshakeKind, ServerConfig};

use crate::buffer::{Buffer, READ_MAX};
use crate::tls::downstream::HelloSlot;

/// Why a TLS connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("the peer's handshake message is larger than {READ_MAX} bytes")]
    MessageTooLarge,
    #[error("the output buffer is full")]
    OutputFull,
    #[error("tls: {0}")]
    Protocol(#[from] rustls::Error),
    #[error("the session was used out of order")]
    Unsettled,
}

/// What [`Session::open`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// All that was there is opened; more must be read.
    NeedsInput,
    /// The peer sent close_notify (RFC 8446 section 6.1): nothing follows, nothing is missing.
    PeerClosed,
}

enum Connection {
    Downstream(UnbufferedServerConnection),
    Upstream(UnbufferedClientConnection),
}

/// One TLS connection, as server (downstream) or as client (upstream).
pub(crate) struct Session {
    connection: Connection,
    incoming: Buffer,
    /// Data that came along with the peer's last handshake message.
    early: Vec<u8>,
    ended: bool,
    hello: Hello,
}

/// What a downstream's ClientHello asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Hello {
    /// It has not been read, or could not be.
    #[default]
    Unread,
    /// It carries no server name.
    Unnamed,
    /// The server name in lower case (RFC 6066 section 3).
    Named(String),
}

impl Hello {
    /// The server name, if there is one.
    pub(crate) fn server_name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Unread | Self::Unnamed => None,
        }
    }
}

/// What is known about the session once its handshake is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SessionFacts {
    /// `TLSv1.2` or `TLSv1.3`, the names that PROXY receivers know.
    pub(crate) version: Option<&'static str>,
    /// IANA name of the cipher suite.
    pub(crate) cipher: Option<String>,
    /// Name of the key exchange group.
    pub(crate) group: Option<String>,
    /// The negotiated application protocol (RFC 7301).
    pub(crate) alpn: Option<Vec<u8>>,
    /// True if the session was resumed: certificates were shown in an earlier connection.
    pub(crate) resumed: bool,
}

impl Session {
    /// The server's side, towards a downstream.
    pub(crate) fn downstream(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self::new(Connection::Downstream(
            UnbufferedServerConnection::new(config)?,
        )))
    }

    /// The client's side, towards an endpoint. `alpn` is all that is offered.
    pub(crate) fn upstream(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        alpn: Option<&[u8]>,
    ) -> Result<Self, TlsError> {
        let offered = alpn.map(<[u8]>::to_vec).into_iter().collect();
        let connection = UnbufferedClientConnection::new_with_alpn(config, name, offered)?;
        Ok(Self::new(Connection::Upstream(connection)))
    }

    fn new(connection: Connection) -> Self {
        Self {
            connection,
            incoming: Buffer::default(),
            early: Vec::new(),
            ended: false,
            hello: Hello::Unread,
        }
    }

    /// Room for the next read from the socket; at most [`READ_MAX`] bytes.
    ///
    /// # Errors
    /// If the buffer is full and rustls still waits for the end of a message.
    pub(crate) fn space(&mut self) -> Result<&mut [u8], TlsError> {
        let unread = self.incoming.filled().len();
        let room = READ_MAX.saturating_sub(unread);
        match self.incoming.space().get_mut(..room) {
            Some(space) if !space.is_empty() => Ok(space),
            _ => Err(TlsError::MessageTooLarge),
        }
    }

    /// Declares `count` bytes of [`Session::space`] read. [`Session::open`] must follow.
    pub(crate) fn received(&mut self, count: usize) {
        self.incoming.fill(count);
        self.incoming.release_if_empty();
    }

    /// Takes the handshake as far as the bytes received so far allow; true once it is done.
    ///
    /// What must be sent is appended to `outgoing`, the alert too if this fails.
    pub(crate) fn handshake(&mut self, outgoing: &mut Buffer) -> Result<bool, TlsError> {
        let mut early = std::mem::take(&mut self.early);
        let opened = self.open(outgoing, |data| {
            early.extend_from_slice(data);
            Ok(())
        });
        self.early = early;
        self.ended |= opened? == Opened::PeerClosed;
        Ok(!self.state().is_handshaking())
    }

    /// Data and end of stream that arrived with the handshake: to be relayed first.
    pub(crate) fn take_early(&mut self) -> (Vec<u8>, bool) {
        (std::mem::take(&mut self.early), self.ended)
    }

    /// Opens every whole record received so far and hands the data to `sink`. The session's own
    /// answers (a key update, an alert) are appended to `outgoing`.
    ///
    /// At most [`READ_MAX`] bytes are received between two calls, which bounds what `sink` gets.
    pub(crate) fn open(
        &mut self,
        outgoing: &mut Buffer,
        mut sink: impl FnMut(&[u8]) -> Result<(), TlsError>,
    ) -> Result<Opened, TlsError> {
        loop {
            match self.advance(outgoing, &mut sink, None) {
                Ok(Step::Again | Step::Written) => {}
                Ok(Step::Settled) => return Ok(Opened::NeedsInput),
                Ok(Step::PeerClosed) => {
                    // RFC 8446 section 6.1: what follows a closure alert is ignored.
                    self.incoming.clear();
                    return Ok(Opened::PeerClosed);
                }
                Err(error) => {
                    self.queue_alert(outgoing);
                    return Err(error);
                }
            }
        }
    }

    /// Appends `data` to `outgoing` as records.
    pub(crate) fn seal(&mut self, data: &[u8], outgoing: &mut Buffer) -> Result<(), TlsError> {
        if data.is_empty() {
            return Ok(());
        }
        self.write(Write::Data(data), outgoing)
    }

    /// Appends close_notify to `outgoing`: the peer learns that it has got everything.
    pub(crate) fn close(&mut self, outgoing: &mut Buffer) -> Result<(), TlsError> {
        self.write(Write::CloseNotify, outgoing)
    }

    /// What the handshake settled on.
    pub(crate) fn facts(&self) -> SessionFacts {
        let state = self.state();
        SessionFacts {
            version: match state.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => Some("TLSv1.2"),
                Some(rustls::ProtocolVersion::TLSv1_3) => Some("TLSv1.3"),
                _ => None,
            },
            cipher: state
                .negotiated_cipher_suite()
                .map(|suite| name_of(suite.suite().as_str())),
            group: state
                .negotiated_key_exchange_group()
                .map(|group| name_of(group.name().as_str())),
            alpn: state.alpn_protocol().map(<[u8]>::to_vec),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// What the downstream asked for.
    pub(crate) const fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The peer's verified certificate chain, leaf first.
    pub(crate) fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.state().peer_certificates()
    }

    fn state(&self) -> &CommonState {
        match &self.connection {
            Connection::Downstream(connection) => connection,
            Connection::Upstream(connection) => connection,
        }
    }

    fn write(&mut self, write: Write<'_>, outgoing: &mut Buffer) -> Result<(), TlsError> {
        let mut refuse = |_: &[u8]| Err(TlsError::Unsettled);
        loop {
            match self.advance(outgoing, &mut refuse, Some(write))? {
                Step::Written => return Ok(()),
                Step::Again => {}
                Step::PeerClosed | Step::Settled => return Err(TlsError::Unsettled),
            }
        }
    }

    /// After an error rustls has an alert ready for the peer; it is best effort by nature.
    fn queue_alert(&mut self, outgoing: &mut Buffer) {
        let mut ignore = |_: &[u8]| Ok(());
        // While there is output, a step encodes it and does not look at the input, which must not
        // be looked at again after an error.
        while self.state().wants_write() {
            if self.advance(outgoing, &mut ignore, None).is_err() {
                break;
            }
        }
    }

    fn advance(
        &mut self,
        outgoing: &mut Buffer,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), TlsError>,
        write: Option<Write<'_>>,
    ) -> Result<Step, TlsError> {
        let incoming = self.incoming.filled_mut();
        let (discard, step) = match &mut self.connection {
            Connection::Downstream(connection) => {
                let slot = HelloSlot::open();
                let status = connection.process_tls_records(incoming);
                if let Some(hello) = slot.take() {
                    self.hello = hello;
                }
                settle(status, outgoing, sink, write)
            }
            Connection::Upstream(connection) => settle(
                connection.process_tls_records(incoming),
                outgoing,
                sink,
                write,
            ),
        };
        self.incoming.consume(discard);
        step
    }
}

#[derive(Clone, Copy)]
enum Write<'a> {
    Data(&'a [u8]),
    CloseNotify,
}

enum Step {
    /// Something was done and more may follow.
    Again,
    /// All input is used up.
    Settled,
    Written,
    PeerClosed,
}

/// Does what one state of rustls asks for; gives the bytes to drop from the input.
fn settle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Buffer,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), TlsError>,
    write: Option<Write<'_>>,
) -> (usize, Result<Step, TlsError>) {
    let UnbufferedStatus {
        mut discard, state, ..
    } = status;
    let step = match state {
        Err(error) => Err(error.into()),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                None => break Ok(Step::Again),
                Some(Err(error)) => break Err(error.into()),
                Some(Ok(record)) => {
                    discard = discard.saturating_add(record.discard);
                    if let Err(error) = sink(record.payload) {
                        break Err(error);
                    }
                }
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => match data.encode(outgoing.space()) {
            Ok(count) => {
                outgoing.fill(count);
                Ok(Step::Again)
            }
            Err(_too_small) => Err(TlsError::OutputFull),
        },
        // The bytes stand in `outgoing`, in order, and nothing else is sent before them.
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match write {
            None => Ok(Step::Settled),
            Some(Write::Data(data)) => written(traffic.encrypt(data, outgoing.space()), outgoing),
            Some(Write::CloseNotify) => {
                written(traffic.queue_close_notify(outgoing.space()), outgoing)
            }
        },
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Ok(Step::Settled),
        // Early data is never offered, so rustls cannot report any.
        Ok(_) => Err(TlsError::Unsettled),
    };
    outgoing.release_if_empty();
    (discard, step)
}

fn written<E>(result: Result<usize, E>, outgoing: &mut Buffer) -> Result<Step, TlsError> {
    match result {
        Ok(count) => {
            outgoing.fill(count);
            Ok(Step::Written)
        }
        Err(_too_small_or_exhausted) => Err(TlsError::OutputFull),
    }
}

/// rustls prefixes its own names: `TLS13_AES_128_GCM_SHA256` is `TLS_AES_128_GCM_SHA256` at IANA.
fn name_of(name: Option<&str>) -> String {
    let name = name.unwrap_or("unknown");
    name.strip_prefix("TLS13_")
        .map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::RootCertStore;
    use rustls::server::WebPkiClientVerifier;

    use super::*;
    use crate::cluster::ClusterIndex;
    use crate::route::{NamePattern, Routes};
    use crate::tls::certificate::Names;
    use crate::tls::downstream::{self, Certificate};

    const NAME: &str = "pay.example.com";

    /// A client and a server that trust each other, without sockets.
    fn pair(versions: &[&'static rustls::SupportedProtocolVersion]) -> (Session, Session) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let der = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let signing = provider.key_provider.load_private_key(der).unwrap();
        let chain = vec![certificate.der().clone()];
        let server_certificate = Certificate {
            names: Names::parse(&chain[0]).unwrap(),
            key: Arc::new(rustls::sign::CertifiedKey::new(chain, signing)),
        };
        let mut routes = Routes::default();
        assert!(routes.add(NamePattern::parse(NAME).unwrap(), ClusterIndex(0)));
        let server = downstream::server_config(
            Arc::clone(&provider),
            vec![server_certificate],
            Arc::new(routes),
            WebPkiClientVerifier::no_client_auth(),
            vec![b"h2".to_vec(), b"http/1.1".to_vec()],
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
            Session::downstream(Arc::new(server)).unwrap(),
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
            carry(&mut up, server, chunk, |s| server_done = s.handshake(&mut down).unwrap());
            carry(&mut down, client, chunk, |c| client_done = c.handshake(&mut up).unwrap());
        }
        carry(&mut up, server, chunk, |s| assert!(s.handshake(&mut down).unwrap()));
        carry(&mut down, client, chunk, |c| assert!(c.handshake(&mut up).unwrap()));
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
        for (version, want) in
            [(&rustls::version::TLS13, "TLSv1.3"), (&rustls::version::TLS12, "TLSv1.2")]
        {
            let (mut client, mut server) = pair(&[version]);
            shake_hands(&mut client, &mut server, usize::MAX);
            let facts = server.facts();
            assert_eq!(facts.version, Some(want));
            assert_eq!(facts.alpn.as_deref(), Some(&b"h2"[..]));
            assert!(facts.cipher.unwrap().starts_with("TLS_"));
            assert_eq!(server.hello().server_name(), Some(NAME));
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
        assert_eq!(send_one_way(&mut server, &mut client, b"goodbye"), b"goodbye");
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
        for junk in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xFF, 0xFF], &[0; 64]] {
            let (_, mut server) = pair(&[&rustls::version::TLS13]);
            server.space().unwrap()[..junk.len()].copy_from_slice(junk);
            server.received(junk.len());
            assert!(!matches!(server.handshake(&mut Buffer::default()), Ok(true)), "{junk:?}");
            assert_eq!(*server.hello(), Hello::Unread);
        }
    }

    #[test]
    fn data_that_comes_with_the_handshake_is_kept() {
        let (mut client, mut server) = pair(&[&rustls::version::TLS13]);
        let (mut up, mut down) = (Buffer::default(), Buffer::default());
        assert!(!client.handshake(&mut up).unwrap());
        carry(&mut up, &mut server, usize::MAX, |s| assert!(!s.handshake(&mut down).unwrap()));
        carry(&mut down, &mut client, usize::MAX, |c| assert!(c.handshake(&mut up).unwrap()));
        client.seal(b"in a hurry", &mut up).unwrap();
        client.close(&mut up).unwrap();
        carry(&mut up, &mut server, usize::MAX, |s| assert!(s.handshake(&mut down).unwrap()));
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
}
