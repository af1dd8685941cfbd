//! A gateway of our own: it takes the front's connections apart and keeps what came first, where a
//! real gateway would only use it. It can also be a gateway that the front must refuse.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::CertificateDer,
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    error::HarnessError,
    pki::{Identity, Pki},
    proxy_protocol::{self, Header},
};

/// Listens where a gateway would.
#[derive(Debug)]
pub struct Receiver {
    listener: TcpListener,
    address: SocketAddr,
    identity: Identity,
    trusted: CertificateDer<'static>,
    protocols: Vec<Vec<u8>>,
}

impl Receiver {
    /// A receiver with the gateway's certificate, which speaks HTTP/2 and HTTP/1.1 and demands a
    /// mesh certificate.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`] if no port can be bound.
    pub async fn start(pki: &Pki) -> Result<Self, HarnessError> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), pki).await
    }

    /// The same at this address.
    ///
    /// # Errors
    /// As above.
    pub async fn start_at(address: SocketAddr, pki: &Pki) -> Result<Self, HarnessError> {
        let failed = |source| HarnessError::NoPort { source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        Ok(Self {
            address: listener.local_addr().map_err(failed)?,
            listener,
            identity: pki.gateway.clone(),
            trusted: pki.mesh.root(),
            protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        })
    }

    /// The same with another certificate.
    #[must_use]
    pub fn shown_as(mut self, identity: &Identity) -> Self {
        self.identity = identity.clone();
        self
    }

    /// The same with these protocols only; none of them: it ignores ALPN.
    #[must_use]
    pub fn speaking(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes the next connection: its first bytes in one read, then its TLS handshake.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] if the front breaks off, [`HarnessError::Answer`] if there is
    /// no PROXY header, [`HarnessError::Deadline`] if nobody comes.
    pub async fn accept(&self) -> Result<Received, HarnessError> {
        within_limit(self.take_next()).await
    }

    /// Takes the next connection of somebody who has read the PROXY header and kept it: its TLS
    /// handshake alone.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Deadline`].
    pub async fn accept_tls(&self) -> Result<TlsStream<Rewound>, HarnessError> {
        within_limit(async { self.handshake(Vec::new(), self.arrival().await?).await }).await
    }

    async fn take_next(&self) -> Result<Received, HarnessError> {
        self.receive(self.arrival().await?).await
    }

    /// Takes the next connection as it is.
    ///
    /// # Errors
    /// [`HarnessError::Connection`].
    pub async fn arrival(&self) -> Result<TcpStream, HarnessError> {
        let accepted = self.listener.accept().await;
        let (stream, _peer) = accepted.map_err(|source| HarnessError::Connection {
            peer: self.address,
            source,
        })?;
        Ok(stream)
    }

    /// Takes such a connection apart.
    ///
    /// # Errors
    /// As [`Receiver::accept`], and without its deadline.
    pub async fn receive(&self, mut stream: TcpStream) -> Result<Received, HarnessError> {
        let peer = stream.peer_addr().unwrap_or(self.address);
        let failed = |source| HarnessError::Connection { peer, source };
        let mut first_read = vec![0; FIRST_READ_BYTES];
        let length = stream.read(&mut first_read).await.map_err(failed)?;
        first_read.truncate(length);
        let header = proxy_protocol::decode(&first_read).ok_or_else(|| HarnessError::Answer {
            peer: peer.to_string(),
            got: format!("{first_read:02x?}"),
            expected: "a whole PROXY header",
        })?;
        let after_header = first_read[header.length..].to_vec();
        Ok(Received {
            header,
            tls: self.handshake(after_header.clone(), stream).await?,
            after_header,
        })
    }

    async fn handshake(
        &self,
        already_read: Vec<u8>,
        stream: TcpStream,
    ) -> Result<TlsStream<Rewound>, HarnessError> {
        let peer = stream.peer_addr().unwrap_or(self.address);
        let failed = |source| HarnessError::Connection { peer, source };
        let config = tls_config(&self.identity, &self.trusted, &self.protocols)
            .map_err(|error| failed(io::Error::other(error)))?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let tls = acceptor.accept(Rewound::new(already_read, stream)).await;
        tls.map_err(failed)
    }
}

async fn within_limit<T>(
    accepted: impl Future<Output = Result<T, HarnessError>>,
) -> Result<T, HarnessError> {
    timeout(ACCEPT_LIMIT, accepted)
        .await
        .unwrap_or_else(|_late| {
            Err(HarnessError::Deadline {
                what: "a connection of the front".to_owned(),
                within: ACCEPT_LIMIT,
                log_tail: String::new(),
            })
        })
}

/// A gateway's TLS: it shows `identity` and demands a certificate of the authority `trusted`.
pub(crate) fn tls_config(
    identity: &Identity,
    trusted: &CertificateDer<'static>,
    protocols: &[Vec<u8>],
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain(), identity.key())?;
    config.alpn_protocols = protocols.to_vec();
    Ok(config)
}

/// A connection of the front, taken apart.
#[derive(Debug)]
pub struct Received {
    /// What stood before TLS.
    pub header: Header,
    /// What came in the same read, after the header.
    pub after_header: Vec<u8>,
    /// The rest, after the handshake.
    pub tls: TlsStream<Rewound>,
}

impl Received {
    /// The server name that the front asked for.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.tls.get_ref().1.server_name()
    }

    /// The protocol that was agreed on with the front.
    #[must_use]
    pub fn protocol(&self) -> Option<String> {
        let protocol = self.tls.get_ref().1.alpn_protocol();
        protocol.map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// Whether one whole TLS record, a handshake, came along with the header.
    #[must_use]
    pub fn has_whole_client_hello(&self) -> bool {
        const HANDSHAKE: u8 = 22;
        match self.after_header.split_first_chunk::<5>() {
            Some((&[HANDSHAKE, _major, _minor, high, low], record)) => {
                record.len() == usize::from(u16::from_be_bytes([high, low]))
            }
            _ => false,
        }
    }
}

/// A connection of which some bytes are already read, and are read once more.
pub struct Rewound(Box<dyn Duplex>);

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Rewound {
    pub(crate) fn new(already_read: Vec<u8>, stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self(Box::new(tokio::io::join(
            io::Cursor::new(already_read).chain(read),
            write,
        )))
    }
}

impl fmt::Debug for Rewound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Rewound")
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// More than a header and a ClientHello can take together.
const FIRST_READ_BYTES: usize = 64 * 1024;

/// Loopback: a front that has not come by then does not come.
const ACCEPT_LIMIT: Duration = Duration::from_secs(10);
