//! One entry of `clusters` as it is written.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::tcp::ClusterTcp;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Cluster {
    pub(in crate::config) name: String,
    pub(in crate::config) endpoints: Option<Vec<Endpoint>>,
    pub(in crate::config) dns: Option<Dns>,
    #[serde(default)]
    pub(in crate::config) balance: Balance,
    /// With `balance: maglev` only. Default: `client_address`.
    pub(in crate::config) hash: Option<HashKey>,
    /// The locality whose endpoints come first.
    pub(in crate::config) prefer_locality: Option<String>,
    /// In which a new endpoint grows into its share; 0 to 3600 s, default 0: at once.
    #[serde(default)]
    pub(in crate::config) slow_start_seconds: u64,
    /// With fewer usable endpoints of a rank, in percent, it is not relied on; 0 to 100,
    /// default 25.
    #[serde(default = "Cluster::default_panic_percent")]
    pub(in crate::config) panic_percent: u64,
    pub(in crate::config) limits: Option<Limits>,
    #[serde(default)]
    pub(in crate::config) ejection: Ejection,
    #[serde(default)]
    pub(in crate::config) proxy_protocol: ProxyProtocol,
    /// With `proxy_protocol: v2` only. Default: all.
    pub(in crate::config) proxy_tlvs: Option<Vec<Tlv>>,
    pub(in crate::config) tls: Option<ClusterTls>,
    #[serde(default)]
    pub(in crate::config) connect: Connect,
    #[serde(default)]
    pub(in crate::config) tcp: ClusterTcp,
    pub(in crate::config) health_check: Option<HealthCheck>,
}

impl Cluster {
    const fn default_panic_percent() -> u64 {
        25
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Endpoint {
    pub(in crate::config) address: SocketAddr,
    /// Share of the connections; 1 to 100, default 1.
    #[serde(default = "Endpoint::default_weight")]
    pub(in crate::config) weight: u64,
    /// Others than 0 are for when those before do not suffice; 0 to 9, default 0.
    #[serde(default)]
    pub(in crate::config) priority: u64,
    pub(in crate::config) locality: Option<String>,
}

impl Endpoint {
    const fn default_weight() -> u64 {
        1
    }
}

/// What each endpoint of a cluster takes on at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Limits {
    /// Connections that one endpoint may have; 1 to 1000000.
    pub(in crate::config) connections_per_endpoint: u64,
    /// Connections that may wait when all endpoints are full; 0 to 100000, default 128.
    #[serde(default = "Limits::default_queue_length")]
    pub(in crate::config) queue_length: u64,
    /// How long one may wait; 1 to 300 s, default 5.
    #[serde(default = "Limits::default_queue_timeout_seconds")]
    pub(in crate::config) queue_timeout_seconds: u64,
}

impl Limits {
    const fn default_queue_length() -> u64 {
        128
    }

    const fn default_queue_timeout_seconds() -> u64 {
        5
    }
}

/// When an endpoint is left out because connections to it fail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Ejection {
    /// 0 to 100, default 5; 0: never.
    pub(in crate::config) consecutive_failures: u64,
    /// The first time, twice as long each time after; 1 to 3600 s, default 10.
    pub(in crate::config) base_seconds: u64,
    /// Never longer; `base_seconds` to 86400 s, default 300.
    pub(in crate::config) max_seconds: u64,
    /// Of the endpoints; 1 to 100, default 50.
    pub(in crate::config) max_percent: u64,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            base_seconds: 10,
            max_seconds: 300,
            max_percent: 50,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum HashKey {
    ClientAddress,
    ServerName,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Balance {
    #[default]
    RoundRobin,
    LeastConnections,
    PowerOfTwo,
    Maglev,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ProxyProtocol {
    None,
    V1,
    #[default]
    V2,
}

/// The checksum is always there.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Tlv {
    Alpn,
    Authority,
    CertificateSha256,
    SpiffeId,
    Ssl,
    UniqueId,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ClusterTls {
    pub(in crate::config) ca: PathBuf,
    /// `forward`, or a fixed name. Default: forward.
    #[serde(default = "ClusterTls::default_server_name")]
    pub(in crate::config) server_name: String,
    pub(in crate::config) spiffe_id: Option<String>,
    pub(in crate::config) certificate: PathBuf,
    pub(in crate::config) private_key: PathBuf,
}

impl ClusterTls {
    fn default_server_name() -> String {
        "forward".to_owned()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Connect {
    /// For one attempt to connect, and again for its handshake; 1 to 60 s, default 2.
    pub(in crate::config) timeout_seconds: u64,
    /// Endpoints tried for one connection; 1 to 10, default 3.
    pub(in crate::config) attempts: u64,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            timeout_seconds: 2,
            attempts: 3,
        }
    }
}

/// How endpoints are asked whether they are well.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct HealthCheck {
    pub(in crate::config) kind: CheckKind,
    /// 1 to 3600 s, default 5.
    #[serde(default = "HealthCheck::default_interval_seconds")]
    pub(in crate::config) interval_seconds: u64,
    /// Of an endpoint that is not plainly healthy; 1 s to `interval_seconds`, default 1.
    #[serde(default = "HealthCheck::default_unhealthy_interval_seconds")]
    pub(in crate::config) unhealthy_interval_seconds: u64,
    /// For one whole check; 1 to 60 s, default 2.
    #[serde(default = "HealthCheck::default_timeout_seconds")]
    pub(in crate::config) timeout_seconds: u64,
    /// Failed checks in a row; 1 to 100, default 3.
    #[serde(default = "HealthCheck::default_unhealthy_after")]
    pub(in crate::config) unhealthy_after: u64,
    /// Passed checks in a row; 1 to 100, default 2.
    #[serde(default = "HealthCheck::default_healthy_after")]
    pub(in crate::config) healthy_after: u64,
    /// With `kind: tls` only. Default: the cluster's fixed server name.
    pub(in crate::config) server_name: Option<String>,
    /// With `kind: http` only; default 15021, Istio's health port.
    pub(in crate::config) port: Option<u64>,
    /// With `kind: http` only; default `/healthz/ready`.
    pub(in crate::config) path: Option<String>,
}

impl HealthCheck {
    const fn default_interval_seconds() -> u64 {
        5
    }

    const fn default_unhealthy_interval_seconds() -> u64 {
        1
    }

    const fn default_timeout_seconds() -> u64 {
        2
    }

    const fn default_unhealthy_after() -> u64 {
        3
    }

    const fn default_healthy_after() -> u64 {
        2
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum CheckKind {
    Http,
    Tcp,
    Tls,
}

/// Where endpoints are found by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Dns {
    pub(in crate::config) name: String,
    #[serde(default)]
    pub(in crate::config) records: Records,
    /// Of all endpoints; not with `records: srv`, which say it themselves.
    pub(in crate::config) port: Option<u64>,
    /// Default: those of the system.
    pub(in crate::config) name_servers: Option<Vec<SocketAddr>>,
    /// 1 to 3600 s, default 5.
    #[serde(default = "Dns::default_min_ttl_seconds")]
    pub(in crate::config) min_ttl_seconds: u64,
    /// `min_ttl_seconds` to 86400 s, default 300.
    #[serde(default = "Dns::default_max_ttl_seconds")]
    pub(in crate::config) max_ttl_seconds: u64,
    /// For one resolution; 1 to 60 s, default 5.
    #[serde(default = "Dns::default_timeout_seconds")]
    pub(in crate::config) timeout_seconds: u64,
}

impl Dns {
    const fn default_min_ttl_seconds() -> u64 {
        5
    }

    const fn default_max_ttl_seconds() -> u64 {
        300
    }

    const fn default_timeout_seconds() -> u64 {
        5
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Records {
    /// A and AAAA.
    #[default]
    Addresses,
    Ipv4,
    Ipv6,
    Srv,
}
