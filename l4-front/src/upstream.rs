//! The way to an endpoint: connect, PROXY header, TLS; on failure the next endpoint.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cluster::{Cluster, EndpointAddr, ServerNamePolicy};
use crate::leg::{Leg, LegError};
use crate::listener::tune;
use crate::metrics::{Metrics, OfAttempt};
use crate::tls::session::Session;

/// What every attempt with TLS for one downstream connection has in common.
pub(crate) struct Wish<'a> {
    /// The PROXY header; may be empty.
    pub(crate) header: &'a [u8],
    /// What the downstream asked for.
    pub(crate) server_name: Option<&'a str>,
    /// What was negotiated with the downstream: the only thing that is offered.
    pub(crate) alpn: Option<&'a [u8]>,
}

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    #[error(
        "the endpoint answers with the application protocol {}, the downstream speaks {}",
        name(got),
        name(wanted)
    )]
    Alpn {
        got: Option<Vec<u8>>,
        wanted: Option<Vec<u8>>,
    },
    #[error("connect: {0}")]
    Connect(std::io::Error),
    #[error("connect: no answer in time")]
    ConnectTimeout,
    #[error("handshake: {0}")]
    Handshake(#[from] LegError),
    #[error("handshake: not finished in time")]
    HandshakeTimeout,
    #[error("the cluster has no TLS, and nothing is sent in clear")]
    NoTls,
    #[error("the server name cannot be forwarded")]
    ServerName,
}

impl AttemptError {
    /// The label in the metrics.
    const fn label(&self) -> &'static str {
        match self {
            Self::Alpn { .. } => "alpn_mismatch",
            Self::Connect(_) => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::Handshake(_) => "handshake_failed",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::NoTls => "no_tls",
            Self::ServerName => "server_name",
        }
    }
}

/// How far the attempts got. `error` is the last failure.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    pub(crate) made: u32,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) error: Option<AttemptError>,
}

/// What is opened at an endpoint.
pub(crate) trait Open: Sync {
    /// An open connection.
    type Opened: Send;

    /// One attempt.
    fn open(
        &self,
        cluster: &Cluster,
        endpoint: EndpointAddr,
    ) -> impl Future<Output = Result<Self::Opened, AttemptError>> + Send;
}

/// With TLS, behind the PROXY header.
impl Open for Wish<'_> {
    type Opened = Leg;

    async fn open(&self, cluster: &Cluster, endpoint: EndpointAddr) -> Result<Leg, AttemptError> {
        open_tls(cluster, endpoint, self).await
    }
}

/// TCP alone: the downstream's own TLS goes there.
pub(crate) struct Bare;

impl Open for Bare {
    type Opened = TcpStream;

    async fn open(
        &self,
        cluster: &Cluster,
        endpoint: EndpointAddr,
    ) -> Result<TcpStream, AttemptError> {
        connect(cluster, endpoint).await
    }
}

/// Opens a connection to one of the cluster's endpoints; `None` if no attempt succeeded.
///
/// No byte of the downstream's data has been sent when an attempt fails, so the next one loses and
/// repeats nothing.
pub(crate) async fn dial<O: Open>(
    cluster: &Cluster,
    wish: &O,
    metrics: &Metrics,
    attempts: &mut Attempts,
) -> Option<O::Opened> {
    for endpoint in cluster.attempts() {
        attempts.made += 1;
        attempts.endpoint = Some(endpoint.0);
        let result = wish.open(cluster, endpoint).await;
        let label = result
            .as_ref()
            .map_or_else(AttemptError::label, |_opened| "connected");
        let labels = OfAttempt {
            cluster: cluster.name.clone(),
            endpoint: endpoint.0.to_string(),
            result: label,
        };
        metrics.attempts.get_or_create(&labels).inc();
        match result {
            Ok(opened) => return Some(opened),
            Err(error) => attempts.error = Some(error),
        }
    }
    None
}

async fn connect(cluster: &Cluster, endpoint: EndpointAddr) -> Result<TcpStream, AttemptError> {
    let socket = timeout(cluster.connect_timeout, TcpStream::connect(endpoint.0))
        .await
        .map_err(|_elapsed| AttemptError::ConnectTimeout)?
        .map_err(AttemptError::Connect)?;
    tune(&socket);
    Ok(socket)
}

async fn open_tls(
    cluster: &Cluster,
    endpoint: EndpointAddr,
    wish: &Wish<'_>,
) -> Result<Leg, AttemptError> {
    let tls = cluster.tls.as_ref().ok_or(AttemptError::NoTls)?;
    let name = match (&tls.server_name, wish.server_name) {
        (ServerNamePolicy::Fixed(name), _) => name.clone(),
        (ServerNamePolicy::Forward, Some(name)) => {
            ServerName::try_from(name.to_owned()).map_err(|_invalid| AttemptError::ServerName)?
        }
        // An address is not sent as a server name (RFC 6066 section 3), so none is sent, as none
        // was received.
        (ServerNamePolicy::Forward, None) => ServerName::from(endpoint.0.ip()),
    };
    let socket = connect(cluster, endpoint).await?;
    let session =
        Session::upstream(Arc::clone(&tls.config), name, wish.alpn).map_err(LegError::from)?;
    let mut leg = Leg::new(socket, session);
    if !leg.outgoing.append(wish.header) {
        return Err(LegError::from(crate::tls::session::TlsError::OutputFull).into());
    }
    let handshake = timeout(cluster.connect_timeout, leg.handshake()).await;
    match handshake {
        Err(_elapsed) => return Err(AttemptError::HandshakeTimeout),
        Ok(Err(error)) => {
            let _ = timeout(cluster.connect_timeout, leg.give_up()).await;
            return Err(error.into());
        }
        Ok(Ok(())) => {}
    }
    let got = leg.session.facts().alpn;
    if got.as_deref() == wish.alpn {
        Ok(leg)
    } else {
        Err(AttemptError::Alpn {
            got,
            wanted: wish.alpn.map(<[u8]>::to_vec),
        })
    }
}

fn name(protocol: &Option<Vec<u8>>) -> String {
    protocol.as_ref().map_or_else(
        || "none".to_owned(),
        |protocol| String::from_utf8_lossy(protocol).into_owned(),
    )
}
