//! Opens TCP and TLS connections exactly as told: from this source address, with these first bytes,
//! this server name, these protocols, this certificate. It reports how the peer refused.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{error::HarnessError, pki::Identity};

/// How a connection is to be opened.
#[derive(Debug, Clone)]
pub struct Dialer {
    target: SocketAddr,
    source: Option<IpAddr>,
    first_bytes: Vec<u8>,
    server_name: ServerName<'static>,
    protocols: Vec<Vec<u8>>,
    trust: Trust,
    identity: Option<Identity>,
    sessions: Option<Arc<OnceLock<Arc<ClientConfig>>>>,
}

/// What the peer's certificate is held against.
#[derive(Debug, Clone)]
enum Trust {
    /// This root and the server name.
    Name(CertificateDer<'static>),
    /// This root alone: a mesh certificate holds a SPIFFE id and no host name.
    Mesh(CertificateDer<'static>),
}

impl Dialer {
    /// To a public server, verified by this root and by the server name.
    #[must_use]
    pub fn public(target: SocketAddr, server_name: &str, root: CertificateDer<'static>) -> Self {
        Self::new(target, server_name, Trust::Name(root))
    }

    /// To a mesh member, verified by this root.
    #[must_use]
    pub fn mesh(target: SocketAddr, server_name: &str, root: CertificateDer<'static>) -> Self {
        Self::new(target, server_name, Trust::Mesh(root))
    }

    fn new(target: SocketAddr, server_name: &str, trust: Trust) -> Self {
        Self {
            target,
            source: None,
            first_bytes: Vec::new(),
            server_name: server_name_of(server_name),
            protocols: Vec::new(),
            trust,
            identity: None,
            sessions: None,
        }
    }

    /// Binds this address before it connects.
    #[must_use]
    pub fn from(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Sends this before the ClientHello.
    #[must_use]
    pub fn saying_first(mut self, bytes: Vec<u8>) -> Self {
        self.first_bytes = bytes;
        self
    }

    /// Sends this SNI.
    #[must_use]
    pub fn named(mut self, server_name: &str) -> Self {
        self.server_name = server_name_of(server_name);
        self
    }

    /// Offers these protocols (ALPN).
    #[must_use]
    pub fn speaking(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        self
    }

    /// Shows this certificate when asked for one.
    #[must_use]
    pub fn as_identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Resumes the TLS session of its last connection where it can.
    #[must_use]
    pub fn resuming(mut self) -> Self {
        self.sessions = Some(Arc::default());
        self
    }

    /// The peer's address.
    #[must_use]
    pub fn target(&self) -> SocketAddr {
        self.target
    }

    /// A TCP connection; the first bytes are already on their way.
    ///
    /// # Errors
    /// [`HarnessError::Connection`].
    pub async fn connect(&self) -> Result<TcpStream, HarnessError> {
        within_limit(self.target, self.tcp()).await
    }

    /// A TLS connection.
    ///
    /// # Errors
    /// [`HarnessError::Connection`]; see [`alert`] for how the peer refused.
    pub async fn connect_tls(&self) -> Result<TlsStream<TcpStream>, HarnessError> {
        within_limit(self.target, async {
            let config = self.shared_tls_config().map_err(io::Error::other)?;
            let stream = self.tcp().await?;
            TlsConnector::from(config)
                .connect(self.server_name.clone(), stream)
                .await
        })
        .await
    }

    async fn tcp(&self) -> io::Result<TcpStream> {
        let socket = if self.target.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let mut stream = socket.connect(self.target).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&self.first_bytes).await?;
        Ok(stream)
    }

    /// A configuration holds its sessions: one that is made anew has none to resume.
    fn shared_tls_config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        let Some(sessions) = &self.sessions else {
            return self.tls_config().map(Arc::new);
        };
        if let Some(config) = sessions.get() {
            return Ok(config.clone());
        }
        let config = Arc::new(self.tls_config()?);
        Ok(sessions.get_or_init(|| config).clone())
    }

    fn tls_config(&self) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?;
        let builder = match &self.trust {
            Trust::Name(root) => builder.with_root_certificates(roots(root)?),
            Trust::Mesh(root) => {
                let verifier = Arc::new(ChainOnly::new(root)?);
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(verifier)
            }
        };
        let mut config = match &self.identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.key())?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.protocols);
        Ok(config)
    }
}

/// The TLS alert by which the peer refused, if that is what happened.
#[must_use]
pub fn alert(error: &io::Error) -> Option<AlertDescription> {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::AlertReceived(description)) => Some(*description),
        Some(_) | None => None,
    }
}

async fn within_limit<T>(
    peer: SocketAddr,
    dial: impl Future<Output = io::Result<T>>,
) -> Result<T, HarnessError> {
    timeout(DIAL_LIMIT, dial)
        .await
        .unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| HarnessError::Connection { peer, source })
}

fn roots(root: &CertificateDer<'static>) -> Result<RootCertStore, rustls::Error> {
    let mut store = RootCertStore::empty();
    store.add(root.clone())?;
    Ok(store)
}

fn server_name_of(name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).expect("a constant of the harness, and a valid name")
}

/// Verifies the chain to the root and the handshake's signature, and takes any name.
#[derive(Debug)]
struct ChainOnly {
    inner: Arc<WebPkiServerVerifier>,
}

impl ChainOnly {
    fn new(root: &CertificateDer<'static>) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots(root)?), provider)
            .build()
            .map(|inner| Self { inner })
            .map_err(|error| rustls::Error::General(error.to_string()))
    }
}

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::{CertificateError::NotValidForNameContext, Error::InvalidCertificate};
        match self
            .inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
        {
            Err(InvalidCertificate(NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Loopback: a handshake that takes longer has stopped.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
