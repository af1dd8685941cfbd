//! Clusters: endpoints that are interchangeable, and how they are reached.
//!
//! What a cluster is told by the configuration stands in [`Cluster`] and never changes. What
//! changes while it serves (which endpoints there are, how they are) is its [`Roster`]'s.

pub(crate) mod ejection;
pub(crate) mod endpoint;
pub(crate) mod metrics;
pub(crate) mod plan;
pub(crate) mod queue;
pub(crate) mod roster;
pub(crate) mod status;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::task::JoinSet;

use self::endpoint::{Endpoint, Lease};
use self::plan::{Pick, Visit};
use self::queue::Refused;
use self::roster::Roster;
use crate::balancer;
use crate::discovery::Discovery;
use crate::health::check::HealthCheck;
use crate::health::watch::watch;
use crate::proxy_protocol::kinds::Kinds;
use crate::tcp::Dialling;

/// Place of a cluster in [`crate::config::Config::clusters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClusterIndex(pub(crate) usize);

/// Where a gateway pod listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EndpointAddr(pub(crate) SocketAddr);

/// What stands before the ClientHello on an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ProxyProtocol {
    /// Nothing: the gateway sees the front as its client.
    None,
    /// Version 1: addresses only.
    V1,
    /// Version 2, with what else the front knows.
    #[default]
    V2,
}

/// The server name towards the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerNamePolicy {
    /// What the downstream asked for.
    Forward,
    /// Always this one.
    Fixed(ServerName<'static>),
}

/// The front's own TLS towards the endpoints.
#[derive(Debug)]
pub(crate) struct UpstreamTls {
    pub(crate) server_name: ServerNamePolicy,
}

/// What connections are told apart by where the same is to go to the same endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashKey {
    /// The downstream's address, without its port.
    Address,
    /// The server name that the downstream asks for.
    ServerName,
}

impl HashKey {
    /// The hash of one connection. Without a server name all connections have the same.
    pub(crate) fn hash(self, downstream: SocketAddr, server_name: Option<&str>) -> u64 {
        match self {
            Self::ServerName => balancer::hash(server_name.unwrap_or_default().as_bytes()),
            Self::Address => match downstream.ip().to_canonical() {
                IpAddr::V4(address) => balancer::hash(&address.octets()),
                IpAddr::V6(address) => balancer::hash(&address.octets()),
            },
        }
    }
}

/// A validated cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) roster: Roster,
    pub(crate) hash_key: HashKey,
    pub(crate) proxy_protocol: ProxyProtocol,
    /// What version 2 says beside the addresses.
    pub(crate) proxy_tlvs: Kinds,
    /// `None`: the downstream's own TLS goes to the endpoints.
    pub(crate) tls: Option<UpstreamTls>,
    pub(crate) dialling: Dialling,
    /// For one attempt: TCP connect, and again for the TLS handshake.
    pub(crate) connect_timeout: Duration,
    /// Endpoints tried for one downstream connection; at least 1.
    pub(crate) connect_attempts: usize,
    pub(crate) health_check: Option<Arc<HealthCheck>>,
    /// `None`: the endpoints are those of the configuration.
    pub(crate) discovery: Option<Discovery>,
}

/// Why there is no endpoint for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoLease {
    #[error("every endpoint that is left has all the connections it may have")]
    Full,
    #[error("no endpoint is known, or none is left to try")]
    NoEndpoint,
    #[error(transparent)]
    Queue(#[from] Refused),
}

impl Cluster {
    /// An endpoint for one connection, other than those that were tried; `key` is its hash.
    ///
    /// Before its first attempt a connection waits in the queue if all endpoints are full. It does
    /// so once: each who waits can then use whatever becomes free, and takes turns with the others.
    pub(crate) async fn lease(&self, key: u64, tried: &[Arc<Endpoint>]) -> Result<Lease, NoLease> {
        let visit = Visit { key, tried };
        let queue = self.roster.queue();
        if !tried.is_empty() || !queue.is_used() {
            match self.roster.pick(&visit) {
                Pick::Endpoint(lease) => return Ok(lease),
                Pick::Nobody => return Err(NoLease::NoEndpoint),
                Pick::Full if !tried.is_empty() => return Err(NoLease::Full),
                Pick::Full => {}
            }
        }
        let served = queue.wait(|| match self.roster.pick(&visit) {
            Pick::Endpoint(lease) => Some(Ok(lease)),
            Pick::Nobody => Some(Err(NoLease::NoEndpoint)),
            Pick::Full => None,
        });
        served.await?
    }
}

/// What a cluster does beside its connections: it finds its endpoints, checks them, and ends
/// ejections. Never returns; dropped, it takes everything with it.
pub(crate) async fn keep(cluster: Arc<Cluster>) {
    let discover = async {
        if let Some(discovery) = &cluster.discovery {
            discovery.run(&cluster.name, &cluster.roster).await;
        }
    };
    tokio::join!(discover, watch_over(&cluster));
}

async fn watch_over(cluster: &Arc<Cluster>) {
    let mut checks = JoinSet::new();
    loop {
        let due = cluster.roster.review();
        while checks.try_join_next().is_some() {}
        if let Some(check) = &cluster.health_check {
            for endpoint in cluster.roster.unwatched() {
                checks.spawn(watch(Arc::clone(cluster), Arc::clone(check), endpoint));
            }
        }
        cluster.roster.changed_or(due).await;
    }
}
