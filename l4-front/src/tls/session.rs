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
use rustls::{CertificateError, ClientConfig, CommonState, Error, HandshakeKind, ServerConfig};

use crate::buffer::{Buffer, READ_MAX};
use crate::route::Target;
use crate::tls::downstream::{HelloSlot, NoCertificate};

/// Why a TLS connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("the peer's handshake message is larger than {READ_MAX} bytes")]
    MessageTooLarge,
    #[error("the output buffer is full")]
    OutputFull,
    #[error("tls: {}", in_words(.0))]
    Protocol(#[from] Error),
    #[error("the session was used out of order")]
    Unsettled,
}

/// rustls shows a verifier's own reasons as they stand in its code.
fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(reason)) => {
            format!("invalid peer certificate: {reason}")
        }
        other => other.to_string(),
    }
}

/// What [`Session::open`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// All that was there is opened; more must be read.
    NeedsInput,
    /// The peer sent close_notify (RFC 8446 section 6.1): nothing follows, nothing is missing.
    PeerClosed,
}

/// Boxed: a session is moved from one step of a connection to the next, and each of these would
/// otherwise keep room for a copy.
enum Connection {
    Downstream(Box<UnbufferedServerConnection>),
    Upstream(Box<UnbufferedClientConnection>),
}

/// One TLS connection, as server (downstream) or as client (upstream).
pub(crate) struct Session {
    connection: Connection,
    incoming: Buffer,
    /// Data that came along with the peer's last handshake message.
    early: Vec<u8>,
    ended: bool,
    hello: Option<Hello>,
}

/// What a downstream's ClientHello asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    /// In lower case (RFC 6066 section 3).
    pub(crate) server_name: Option<String>,
    /// Where its route leads.
    pub(crate) target: Option<Target>,
    /// Why there is no certificate for it although it has a route.
    pub(crate) no_certificate: Option<NoCertificate>,
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
    /// The server's side, towards a downstream from which `incoming` has been read already.
    pub(crate) fn downstream(
        config: Arc<ServerConfig>,
        incoming: Buffer,
    ) -> Result<Self, TlsError> {
        let connection = Box::new(UnbufferedServerConnection::new(config)?);
        Ok(Self {
            incoming,
            ..Self::new(Connection::Downstream(connection))
        })
    }

    /// The client's side, towards an endpoint. `alpn` is all that is offered.
    pub(crate) fn upstream(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        alpn: Option<&[u8]>,
    ) -> Result<Self, TlsError> {
        let offered = alpn.map(<[u8]>::to_vec).into_iter().collect();
        let connection = UnbufferedClientConnection::new_with_alpn(config, name, offered)?;
        Ok(Self::new(Connection::Upstream(Box::new(connection))))
    }

    fn new(connection: Connection) -> Self {
        Self {
            connection,
            incoming: Buffer::default(),
            early: Vec::new(),
            ended: false,
            hello: None,
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
                .map(|suite| iana_name(suite.suite().as_str())),
            group: state
                .negotiated_key_exchange_group()
                .map(|group| iana_name(group.name().as_str())),
            alpn: state.alpn_protocol().map(<[u8]>::to_vec),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// What the downstream asked for; `None` if its ClientHello has not been read, or could not be.
    pub(crate) const fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
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
                if let hello @ Some(_) = slot.take() {
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
pub(crate) fn iana_name(name: Option<&str>) -> String {
    let name = name.unwrap_or("unknown");
    name.strip_prefix("TLS13_")
        .map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}

#[cfg(test)]
pub(crate) mod tests;
