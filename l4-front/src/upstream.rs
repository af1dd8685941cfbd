//! The way to an endpoint: connect, PROXY header, TLS; on failure the next endpoint.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cluster::endpoint::{Endpoint, Lease, Outcome};
use crate::cluster::queue::Refused;
use crate::cluster::{Cluster, NoLease, ServerNamePolicy};
use crate::exhaustion::is_ours;
use crate::leg::{Leg, LegError};
use crate::tls::session::Session;

/// What every attempt with TLS for one downstream connection has in common.
pub(crate) struct Wish<'a> {
    pub(crate) downstream: SocketAddr,
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
    #[error(transparent)]
    NoLease(NoLease),
    #[error("the cluster has no TLS, and nothing is sent in clear")]
    NoTls,
    #[error("the server name cannot be forwarded")]
    ServerName,
}

/// Whose fault a failed attempt is.
enum Blame {
    Downstream,
    Endpoint,
    Front,
    /// The downstream chooses server name and protocol, so it can make an endpoint refuse. Only if
    /// another endpoint then accepts the same, the one that refused is to blame: else a stranger
    /// could have endpoints ejected.
    Unclear,
}

impl AttemptError {
    const fn outcome(&self) -> Outcome {
        match self {
            Self::Alpn { .. } => Outcome::AlpnMismatch,
            Self::Connect(_) => Outcome::ConnectFailed,
            Self::ConnectTimeout => Outcome::ConnectTimeout,
            Self::Handshake(_) => Outcome::HandshakeFailed,
            Self::HandshakeTimeout => Outcome::HandshakeTimeout,
            Self::NoLease(_) | Self::NoTls => Outcome::NoTls,
            Self::ServerName => Outcome::ServerName,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Connect(error) if is_ours(error) => Blame::Front,
            Self::Connect(_) | Self::ConnectTimeout | Self::HandshakeTimeout => Blame::Endpoint,
            Self::Alpn { .. } | Self::Handshake(_) => Blame::Unclear,
            Self::NoLease(_) | Self::NoTls | Self::ServerName => Blame::Downstream,
        }
    }

    /// How a connection ends because of it, for the access log.
    pub(crate) const fn termination(&self) -> &'static str {
        match self {
            Self::NoLease(NoLease::Queue(Refused::QueueFull)) => "queue_full",
            Self::NoLease(NoLease::Queue(Refused::Timeout)) => "queue_timeout",
            _ => "no_endpoint",
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

/// Opens a connection to one of the cluster's endpoints, TLS and PROXY header included; `None` if
/// no attempt succeeded. The lease is to be held as long as the connection.
///
/// No byte of the downstream's data has been sent when an attempt fails, so the next one loses and
/// repeats nothing.
pub(crate) async fn dial_tls(
    cluster: &Cluster,
    wish: &Wish<'_>,
    attempts: &mut Attempts,
) -> Option<(Leg, Lease)> {
    let key = cluster.hash_key.hash(wish.downstream, wish.server_name);
    let mut dial = Dial::new(cluster, key, attempts);
    while let Some(lease) = dial.next().await {
        match open_tls(cluster, lease.endpoint(), wish).await {
            Ok(leg) => {
                dial.succeeded(&lease);
                return Some((leg, lease));
            }
            Err(error) => dial.failed(&lease, error),
        }
    }
    None
}

/// The same without TLS and header: the downstream's own TLS goes there.
pub(crate) async fn dial_tcp(
    cluster: &Cluster,
    downstream: SocketAddr,
    server_name: Option<&str>,
    attempts: &mut Attempts,
) -> Option<(TcpStream, Lease)> {
    let key = cluster.hash_key.hash(downstream, server_name);
    let mut dial = Dial::new(cluster, key, attempts);
    while let Some(lease) = dial.next().await {
        match connect(cluster, lease.endpoint()).await {
            Ok(socket) => {
                dial.succeeded(&lease);
                return Some((socket, lease));
            }
            Err(error) => dial.failed(&lease, error),
        }
    }
    None
}

/// One endpoint after the other, and what is learned about them.
struct Dial<'a> {
    cluster: &'a Cluster,
    key: u64,
    attempts: &'a mut Attempts,
    tried: Vec<Arc<Endpoint>>,
    /// Endpoints that refused, until it is clear who is to blame.
    refusals: Vec<(Arc<Endpoint>, String)>,
}

impl<'a> Dial<'a> {
    const fn new(cluster: &'a Cluster, key: u64, attempts: &'a mut Attempts) -> Self {
        Self {
            cluster,
            key,
            attempts,
            tried: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// The endpoint to try next.
    async fn next(&mut self) -> Option<Lease> {
        if self.tried.len() >= self.cluster.connect_attempts {
            return None;
        }
        match self.cluster.lease(self.key, &self.tried).await {
            Ok(lease) => {
                self.attempts.made += 1;
                self.attempts.endpoint = Some(lease.endpoint().address.0);
                Some(lease)
            }
            Err(error) => {
                // What the last endpoint said tells more than that there is no other.
                self.attempts
                    .error
                    .get_or_insert(AttemptError::NoLease(error));
                None
            }
        }
    }

    fn succeeded(&mut self, lease: &Lease) {
        lease.endpoint().count(Outcome::Connected);
        lease.endpoint().succeed();
        for (endpoint, error) in self.refusals.drain(..) {
            self.cluster.roster.failed(&endpoint, &error);
        }
    }

    fn failed(&mut self, lease: &Lease, error: AttemptError) {
        let endpoint = lease.endpoint();
        endpoint.count(error.outcome());
        self.tried.push(Arc::clone(endpoint));
        match error.blame() {
            Blame::Endpoint => self.cluster.roster.failed(endpoint, &error.to_string()),
            Blame::Unclear => self
                .refusals
                .push((Arc::clone(endpoint), error.to_string())),
            Blame::Downstream | Blame::Front => {}
        }
        self.attempts.error = Some(error);
    }
}

async fn connect(cluster: &Cluster, endpoint: &Endpoint) -> Result<TcpStream, AttemptError> {
    let connecting = cluster.dialling.connect(endpoint.address.0);
    timeout(cluster.connect_timeout, connecting)
        .await
        .map_err(|_elapsed| AttemptError::ConnectTimeout)?
        .map_err(AttemptError::Connect)
}

async fn open_tls(
    cluster: &Cluster,
    endpoint: &Endpoint,
    wish: &Wish<'_>,
) -> Result<Leg, AttemptError> {
    let (Some(tls), Some(config)) = (&cluster.tls, &endpoint.tls) else {
        return Err(AttemptError::NoTls);
    };
    let name = match (&tls.server_name, wish.server_name) {
        (ServerNamePolicy::Fixed(name), _) => name.clone(),
        (ServerNamePolicy::Forward, Some(name)) => {
            ServerName::try_from(name.to_owned()).map_err(|_invalid| AttemptError::ServerName)?
        }
        // An address is not sent as a server name (RFC 6066 section 3), so none is sent, as none
        // was received.
        (ServerNamePolicy::Forward, None) => ServerName::from(endpoint.address.0.ip()),
    };
    let socket = connect(cluster, endpoint).await?;
    let session = Session::upstream(Arc::clone(config), name, wish.alpn).map_err(LegError::from)?;
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
