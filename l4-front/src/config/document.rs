//! The configuration file as it is written: every key, its type and its default.
//!
//! Nothing here is checked beyond its type; `config.rs` turns a document into a `Config`.

mod cluster;
mod process;
mod tcp;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub(super) use self::cluster::{
    Balance, CheckKind, Cluster, ClusterTls, Dns, Ejection, HashKey, HealthCheck, ProxyProtocol,
    Records, Tlv,
};
pub(super) use self::process::{Sandbox, Upgrade};
pub(super) use self::tcp::{ClusterTcp, ConnectionTcp, ListenerTcp};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// Threads that relay; 1 to 512. Default: one per core.
    pub(super) workers: Option<u64>,
    /// Each worker stays on one processor. Default: no.
    #[serde(default)]
    pub(super) pin_workers: bool,
    #[serde(default)]
    pub(super) limits: TotalLimits,
    pub(super) admin: Option<Admin>,
    pub(super) listeners: Vec<Listener>,
    pub(super) clusters: Vec<Cluster>,
    pub(super) access_log: Option<AccessLog>,
    #[serde(default)]
    pub(super) reload: Reload,
    #[serde(default)]
    pub(super) shutdown: Shutdown,
    /// Absent: no other process can take the place of this one.
    pub(super) upgrade: Option<Upgrade>,
    /// Absent: the file system is what the user of the process may see of it.
    pub(super) sandbox: Option<Sandbox>,
}

/// Of all listeners together.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TotalLimits {
    /// Open downstream connections; 1 to 10000000. Default: what the listeners allow.
    pub(super) connections: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) bind: SocketAddr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) bind: SocketAddr,
    #[serde(default)]
    pub(super) accept_proxy_protocol: bool,
    /// Needed with `accept_proxy_protocol`.
    pub(super) trusted_proxies: Option<TrustedProxies>,
    /// Absent: everyone.
    pub(super) allow: Option<Vec<String>>,
    #[serde(default)]
    pub(super) deny: Vec<String>,
    pub(super) tls: Option<ListenerTls>,
    pub(super) routes: Vec<Route>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) timeouts: Timeouts,
    #[serde(default)]
    pub(super) tcp: ListenerTcp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustedProxies {
    pub(super) sources: Vec<String>,
    #[serde(default)]
    pub(super) others: Others,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Others {
    #[default]
    Refuse,
    Direct,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerTls {
    pub(super) certificates: Vec<CertificateFiles>,
    #[serde(default = "ListenerTls::default_alpn")]
    pub(super) alpn: Vec<String>,
    #[serde(default = "ListenerTls::default_versions")]
    pub(super) versions: Vec<TlsVersion>,
    /// IANA names of those that are accepted. Default: all that there are.
    pub(super) ciphers: Option<Vec<String>>,
    /// The same for key exchange groups.
    pub(super) groups: Option<Vec<String>>,
    /// Given to a client after its handshake; 0 to 8, default 2. 0: no session is resumed.
    #[serde(default = "ListenerTls::default_session_tickets")]
    pub(super) session_tickets: u64,
    pub(super) client_auth: Option<ClientAuth>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

impl ListenerTls {
    fn default_versions() -> Vec<TlsVersion> {
        vec![TlsVersion::Tls12, TlsVersion::Tls13]
    }

    fn default_session_tickets() -> u64 {
        2
    }

    fn default_alpn() -> Vec<String> {
        vec!["h2".to_owned(), "http/1.1".to_owned()]
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateFiles {
    pub(super) certificate: PathBuf,
    pub(super) private_key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientAuth {
    pub(super) mode: ClientAuthMode,
    pub(super) ca: Option<PathBuf>,
    /// What the authority has revoked.
    pub(super) crl: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientAuthMode {
    None,
    Optional,
    Required,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    /// Absent: the default route.
    pub(super) sni: Option<Vec<String>>,
    /// Only for clients that offer one of these protocols. Absent: for all.
    pub(super) alpn: Option<Vec<String>>,
    /// Default: terminate if the listener has `tls`, else pass_through.
    pub(super) tls: Option<RouteTls>,
    pub(super) cluster: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RouteTls {
    Terminate,
    PassThrough,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Open downstream connections; 1 to 10000000, default 20000.
    pub(super) connections: u64,
    /// Of one source; 1 to 1000000. Default: none but `connections`.
    pub(super) connections_per_source: Option<u64>,
    /// New connections of one source. Default: as many as it likes.
    pub(super) connection_rate_per_source: Option<ConnectionRate>,
    pub(super) source_prefix: SourcePrefix,
    /// Downstream TLS handshakes at the same time; 1 to 1000000, default 512.
    pub(super) handshakes_in_flight: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionRate {
    /// 1 to 1000000.
    pub(super) per_second: u64,
    /// At once after a pause; 1 to 1000000, default: `per_second`.
    pub(super) burst: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SourcePrefix {
    /// Bits; 8 to 32, default 32.
    pub(super) ipv4: u64,
    /// Bits; 16 to 128, default 64.
    pub(super) ipv6: u64,
}

impl Default for SourcePrefix {
    fn default() -> Self {
        Self { ipv4: 32, ipv6: 64 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_source: None,
            connection_rate_per_source: None,
            source_prefix: SourcePrefix::default(),
            handshakes_in_flight: 512,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Timeouts {
    /// From accept to the end of the ClientHello; 1 s to `handshake_seconds`, default 5 or that.
    pub(super) client_hello_seconds: Option<u64>,
    /// From accept to the end of the downstream handshake; 1 to 300 s, default 10.
    pub(super) handshake_seconds: u64,
    /// Without a byte in either direction; 1 to 86400 s, default 300.
    pub(super) idle_seconds: u64,
    /// The same once one direction has ended; 1 to 86400 s, default 60.
    pub(super) half_closed_seconds: u64,
    /// From accept; 0 or 10 to 2592000 s, default 0: no maximum.
    pub(super) max_age_seconds: u64,
    /// By how much a connection's own maximum is at most shorter; 0 to 50 %, default 10.
    pub(super) max_age_jitter_percent: u64,
}

impl Timeouts {
    pub(super) const CLIENT_HELLO: Duration = Duration::from_secs(5);
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            client_hello_seconds: None,
            handshake_seconds: 10,
            idle_seconds: 300,
            half_closed_seconds: 60,
            max_age_seconds: 0,
            max_age_jitter_percent: 10,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessLog {
    pub(super) path: PathBuf,
    #[serde(default)]
    pub(super) format: AccessLogFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AccessLogFormat {
    #[default]
    Json,
    Line,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Shutdown {
    /// How long open connections may last after SIGTERM; 0 to 3600 s, default 30.
    pub(super) drain_seconds: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_seconds: 30 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Reload {
    /// How often to look whether the files have changed; 0 to 3600 s, default 5; 0: only SIGHUP.
    pub(super) watch_seconds: u64,
}

impl Default for Reload {
    fn default() -> Self {
        Self { watch_seconds: 5 }
    }
}
