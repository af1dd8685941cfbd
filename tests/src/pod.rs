//! A gateway pod that serves until it is dropped: it greets every connection with its own port and
//! then sends back what it hears. It keeps what it saw, can be told to refuse TLS or to show
//! another certificate, and tells a front's checks from its connections.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::{HandshakeKind, ServerConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    error::HarnessError,
    pki::{Identity, Pki},
    proxy_protocol,
    receiver::{self, Rewound},
};

/// A running pod.
#[derive(Debug)]
pub struct Pod {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

/// What a pod saw so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Connections for downstreams, in the order of their handshakes.
    pub connections: Vec<Connection>,
    /// The server names of checks (PROXY command LOCAL) that were made and ended in peace.
    pub checks: Vec<Option<String>>,
    /// What went wrong after a PROXY header had come.
    pub faults: Vec<String>,
    /// What downstreams said.
    pub heard: Vec<u8>,
}

/// One connection for a downstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The downstream, as the PROXY header says.
    pub source: SocketAddr,
    /// Whether the TLS session with the front was resumed.
    pub resumed: bool,
}

#[derive(Debug)]
struct State {
    port: u16,
    trusted: rustls::pki_types::CertificateDer<'static>,
    /// None: connections are closed before TLS.
    tls: Mutex<Option<Arc<ServerConfig>>>,
    seen: Mutex<Seen>,
}

impl Pod {
    /// A pod on a free port of 127.0.0.1 with the gateway's certificate.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`].
    pub async fn start(pki: &Pki) -> Result<Self, HarnessError> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), pki).await
    }

    /// The same on this address.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`].
    pub async fn start_at(address: SocketAddr, pki: &Pki) -> Result<Self, HarnessError> {
        let failed = |source| HarnessError::NoPort { source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let state = Arc::new(State {
            port: address.port(),
            trusted: pki.mesh.root(),
            tls: Mutex::default(),
            seen: Mutex::default(),
        });
        state.show(&pki.gateway);
        let serving = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            serving,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it saw so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.state.seen().clone()
    }

    /// From now on closes connections before TLS.
    pub fn refuse_tls(&self) {
        *self.state.tls() = None;
    }

    /// From now on shows this certificate.
    pub fn show(&self, identity: &Identity) {
        self.state.show(identity);
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl State {
    fn show(&self, identity: &Identity) {
        let protocols = [b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = receiver::tls_config(identity, &self.trusted, &protocols);
        *self.tls() = Some(Arc::new(
            config.expect("certificates that the harness made itself"),
        ));
    }

    fn tls(&self) -> MutexGuard<'_, Option<Arc<ServerConfig>>> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections end with the task: a pod that is dropped is gone at once.
async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _front)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            if let Err(fault) = converse(stream, &state).await {
                state.seen().faults.push(fault.to_string());
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, state: &State) -> io::Result<()> {
    let mut first = vec![0; 16 * 1024];
    let length = stream.read(&mut first).await?;
    first.truncate(length);
    let header = proxy_protocol::decode(&first);
    let skip = match &header {
        Some(header) => header.length,
        None if proxy_protocol::is_local(&first) => proxy_protocol::LOCAL_LENGTH,
        None => return Err(io::Error::other("no PROXY header")),
    };
    let Some(config) = state.tls().clone() else {
        return Ok(());
    };
    let stream = Rewound::new(first[skip..].to_vec(), stream);
    let mut tls = TlsAcceptor::from(config).accept(stream).await?;
    let session = tls.get_ref().1;
    let Some(header) = header else {
        let server_name = session.server_name().map(str::to_owned);
        let mut rest = Vec::new();
        // An end without close_notify is an error here.
        tls.read_to_end(&mut rest).await?;
        tls.shutdown().await?;
        state.seen().checks.push(server_name);
        return Ok(());
    };
    let connection = Connection {
        source: header.source,
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
    };
    state.seen().connections.push(connection);
    tls.write_all(&state.port.to_be_bytes()).await?;
    tls.flush().await?;
    let mut bytes = [0; 1024];
    loop {
        let length = tls.read(&mut bytes).await?;
        if length == 0 {
            return tls.shutdown().await;
        }
        state.seen().heard.extend_from_slice(&bytes[..length]);
        tls.write_all(&bytes[..length]).await?;
        tls.flush().await?;
    }
}

/// A health port that answers every request with the status it is told; it serves until it is
/// dropped.
#[derive(Debug)]
pub struct HealthPort {
    status: Arc<Mutex<u16>>,
    serving: JoinHandle<()>,
}

impl HealthPort {
    /// Answers 200 at first.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`].
    pub async fn start(ip: IpAddr, port: u16) -> Result<Self, HarnessError> {
        let listener = TcpListener::bind((ip, port))
            .await
            .map_err(|source| HarnessError::NoPort { source })?;
        let status = Arc::new(Mutex::new(200));
        let told = Arc::clone(&status);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _front)) = listener.accept().await {
                let status = *told.lock().unwrap_or_else(PoisonError::into_inner);
                let _peer_gone = answer(stream, status).await;
            }
        });
        Ok(Self { status, serving })
    }

    /// Answers so from now on.
    pub fn say(&self, status: u16) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

impl Drop for HealthPort {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Wants exactly what a probe of Istio's health port sends; anything else gets 400.
async fn answer(mut stream: TcpStream, status: u16) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let status = if request.starts_with(b"GET /healthz/ready HTTP/1.1\r\n") {
        status
    } else {
        400
    };
    let head = format!("HTTP/1.1 {status} so\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.shutdown().await
}
