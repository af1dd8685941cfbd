//! Clusters: endpoints that are interchangeable, and how they are reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::balancer::RoundRobin;

/// Place of a cluster in [`crate::config::Config::clusters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClusterIndex(pub(crate) usize);

/// Where a gateway pod listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndpointAddr(pub(crate) SocketAddr);

/// What stands before the ClientHello on an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ProxyProtocol {
    /// Nothing: the gateway sees the front as its client.
    None,
    /// Version 1: addresses only.
    V1,
    /// Version 2 with all that the front knows.
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
    pub(crate) config: Arc<ClientConfig>,
}

/// A validated cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) endpoints: Vec<EndpointAddr>,
    pub(crate) balancer: RoundRobin,
    pub(crate) proxy_protocol: ProxyProtocol,
    /// `None`: the downstream's own TLS goes to the endpoints.
    pub(crate) tls: Option<UpstreamTls>,
    /// For one attempt: TCP connect, and again for the TLS handshake.
    pub(crate) connect_timeout: Duration,
    /// Endpoints tried for one downstream connection; at least 1.
    pub(crate) connect_attempts: usize,
}

impl Cluster {
    /// The endpoints to try for one connection, in order, each at most once.
    pub(crate) fn attempts(&self) -> impl Iterator<Item = EndpointAddr> + '_ {
        self.balancer
            .order()
            .take(self.connect_attempts)
            .filter_map(|index| self.endpoints.get(index).copied())
    }
}
