//! The configuration: a YAML file becomes a [`Config`] that cannot be half right.
//!
//! Everything that can be checked without binding a port is checked here, the certificates and
//! keys that the file names included.

mod document;
mod error;
mod files;

use std::collections::HashSet;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use document::{AccessLogFormat, Balance, CertificateFiles, ClientAuthMode, Document};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

pub use self::error::ConfigError;
use crate::balancer::RoundRobin;
use crate::cluster::{Cluster, ClusterIndex, EndpointAddr, ProxyProtocol, ServerNamePolicy};
use crate::route::{NamePattern, Routes};
use crate::tls::{downstream, upstream};

/// A validated configuration.
#[derive(Debug)]
pub struct Config {
    pub(crate) workers: usize,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) access_log: Option<PathBuf>,
    pub(crate) drain: Duration,
}

/// A validated listener.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) bind: SocketAddr,
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) limits: Limits,
    pub(crate) handshake_timeout: Duration,
    pub(crate) idle_timeout: Duration,
}

/// How much a listener takes on at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) handshakes_in_flight: usize,
}

impl Config {
    /// Reads and checks the file at `path`, and every file that it names.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path in the document.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = files::read("--config", path)?;
        let document: Document =
            serde_yaml_ng::from_slice(&text).map_err(|source| ConfigError::Yaml {
                path: path.to_owned(),
                source,
            })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        validate(document, &provider)
    }
}

fn validate(document: Document, provider: &Arc<CryptoProvider>) -> Result<Config, ConfigError> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = match document.workers {
        None => cores,
        Some(workers) => bounded("workers", workers, 1..=512)?,
    };
    if document.listeners.is_empty() {
        return Err(ConfigError::Empty {
            at: "listeners".to_owned(),
        });
    }
    if document.clusters.is_empty() {
        return Err(ConfigError::Empty {
            at: "clusters".to_owned(),
        });
    }
    let mut names = HashSet::new();
    let mut clusters = Vec::new();
    for (index, cluster) in document.clusters.into_iter().enumerate() {
        let at = format!("clusters[{index}]");
        once(&mut names, &format!("{at}.name"), &cluster.name)?;
        clusters.push(validate_cluster(&at, cluster, provider)?);
    }
    let (mut names, mut binds) = (HashSet::new(), HashSet::new());
    let mut listeners = Vec::new();
    for (index, listener) in document.listeners.into_iter().enumerate() {
        let at = format!("listeners[{index}]");
        once(&mut names, &format!("{at}.name"), &listener.name)?;
        once(
            &mut binds,
            &format!("{at}.bind"),
            &listener.bind.to_string(),
        )?;
        listeners.push(validate_listener(&at, listener, &clusters, provider)?);
    }
    if let Some(log) = &document.access_log {
        only(
            "access_log.format",
            log.format,
            AccessLogFormat::Json,
            "json",
        )?;
    }
    let drain = document.shutdown.drain_seconds;
    Ok(Config {
        workers,
        admin: document.admin.map(|admin| admin.bind),
        listeners,
        clusters,
        access_log: document.access_log.map(|log| log.path),
        drain: seconds("shutdown.drain_seconds", drain, 0..=3600)?,
    })
}

fn validate_listener(
    at: &str,
    listener: document::Listener,
    clusters: &[Cluster],
    provider: &Arc<CryptoProvider>,
) -> Result<Listener, ConfigError> {
    only(
        &format!("{at}.accept_proxy_protocol"),
        listener.accept_proxy_protocol,
        false,
        "false",
    )?;
    let limits = &listener.limits;
    if let Some(limit) = limits.connections_per_source {
        return Err(unsupported(
            &format!("{at}.limits.connections_per_source"),
            &limit,
            "leaving it out",
        ));
    }
    only(
        &format!("{at}.timeouts.max_age_seconds"),
        listener.timeouts.max_age_seconds,
        0,
        "0",
    )?;
    let tls = listener.tls.ok_or_else(|| ConfigError::Unsupported {
        at: format!("{at}.tls"),
        found: "a listener without it (pass-through)".to_owned(),
        allowed: "a listener with it",
    })?;
    let routes = Arc::new(validate_routes(at, &listener.routes, clusters)?);
    let at_tls = format!("{at}.tls");
    if tls.certificates.is_empty() {
        return Err(ConfigError::Empty {
            at: format!("{at_tls}.certificates"),
        });
    }
    let mut certificates = Vec::new();
    for (index, files) in tls.certificates.iter().enumerate() {
        let at = format!("{at_tls}.certificates[{index}]");
        certificates.push(files::load_pair(&at, files, provider)?.certificate);
    }
    let alpn = validate_alpn(&format!("{at_tls}.alpn"), tls.alpn)?;
    let verifier = validate_client_auth(&at_tls, tls.client_auth, provider)?;
    let server_config = downstream::server_config(
        Arc::clone(provider),
        certificates,
        Arc::clone(&routes),
        verifier,
        alpn,
    )
    .map_err(|source| ConfigError::Tls {
        at: at_tls.clone(),
        path: PathBuf::new(),
        source,
    })?;
    let timeouts = format!("{at}.timeouts");
    Ok(Listener {
        bind: listener.bind,
        tls: Arc::new(server_config),
        routes,
        limits: Limits {
            connections: bounded(
                &format!("{at}.limits.connections"),
                limits.connections,
                1..=10_000_000,
            )?,
            handshakes_in_flight: bounded(
                &format!("{at}.limits.handshakes_in_flight"),
                limits.handshakes_in_flight,
                1..=1_000_000,
            )?,
        },
        handshake_timeout: seconds(
            &format!("{timeouts}.handshake_seconds"),
            listener.timeouts.handshake_seconds,
            1..=300,
        )?,
        idle_timeout: seconds(
            &format!("{timeouts}.idle_seconds"),
            listener.timeouts.idle_seconds,
            1..=86_400,
        )?,
        name: listener.name,
    })
}

fn validate_routes(
    at: &str,
    routes: &[document::Route],
    clusters: &[Cluster],
) -> Result<Routes, ConfigError> {
    if routes.is_empty() {
        return Err(ConfigError::Empty {
            at: format!("{at}.routes"),
        });
    }
    let mut table = Routes::default();
    for (index, route) in routes.iter().enumerate() {
        let at = format!("{at}.routes[{index}]");
        let cluster = clusters
            .iter()
            .position(|cluster| cluster.name == route.cluster)
            .map(ClusterIndex)
            .ok_or_else(|| ConfigError::UnknownCluster {
                at: format!("{at}.cluster"),
                name: route.cluster.clone(),
                known: clusters
                    .iter()
                    .map(|c| c.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })?;
        let at = format!("{at}.sni");
        let duplicate = |value: &str| ConfigError::Duplicate {
            at: at.clone(),
            value: value.to_owned(),
        };
        match &route.sni {
            None if table.add_default(cluster) => {}
            None => return Err(duplicate("the default route")),
            Some(names) if names.is_empty() => return Err(ConfigError::Empty { at }),
            Some(names) => {
                for name in names {
                    let pattern = NamePattern::parse(name).ok_or_else(|| ConfigError::Value {
                        at: at.clone(),
                        value: name.clone(),
                        allowed: "a host name or *. before a host name",
                    })?;
                    if !table.add(pattern, cluster) {
                        return Err(duplicate(name));
                    }
                }
            }
        }
    }
    Ok(table)
}

fn validate_alpn(at: &str, alpn: Vec<String>) -> Result<Vec<Vec<u8>>, ConfigError> {
    let mut seen = HashSet::new();
    for protocol in &alpn {
        once(&mut seen, at, protocol)?;
        if !(1..=255).contains(&protocol.len()) {
            return Err(ConfigError::Value {
                at: at.to_owned(),
                value: protocol.clone(),
                allowed: "a protocol name of 1 to 255 bytes (RFC 7301)",
            });
        }
    }
    Ok(alpn.into_iter().map(String::into_bytes).collect())
}

fn validate_client_auth(
    at: &str,
    client_auth: Option<document::ClientAuth>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
    let at = format!("{at}.client_auth.ca");
    let Some(auth) = client_auth.filter(|auth| auth.mode != ClientAuthMode::None) else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let path = auth.ca.ok_or_else(|| ConfigError::Missing {
        at: at.clone(),
        needed: "the authority that client certificates must chain to",
    })?;
    let roots = files::load_roots(&at, &path)?;
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = match auth.mode {
        ClientAuthMode::Optional => builder.allow_unauthenticated(),
        ClientAuthMode::Required | ClientAuthMode::None => builder,
    };
    builder.build().map_err(|error| ConfigError::Tls {
        at,
        path,
        source: rustls::Error::General(error.to_string()),
    })
}

fn validate_cluster(
    at: &str,
    cluster: document::Cluster,
    provider: &Arc<CryptoProvider>,
) -> Result<Cluster, ConfigError> {
    if cluster.dns.is_some() {
        return Err(unsupported(&format!("{at}.dns"), &"discovery", "endpoints"));
    }
    if cluster.health_check.is_some() {
        return Err(unsupported(
            &format!("{at}.health_check"),
            &"a check",
            "leaving it out",
        ));
    }
    only(
        &format!("{at}.balance"),
        cluster.balance,
        Balance::RoundRobin,
        "round_robin",
    )?;
    let endpoints = cluster.endpoints.unwrap_or_default();
    let mut seen = HashSet::new();
    let mut weights = Vec::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let at = format!("{at}.endpoints[{index}]");
        once(
            &mut seen,
            &format!("{at}.address"),
            &endpoint.address.to_string(),
        )?;
        let weight: usize = bounded(&format!("{at}.weight"), endpoint.weight, 1..=100)?;
        weights.push(u16::try_from(weight).unwrap_or(u16::MAX));
    }
    let balancer = RoundRobin::new(&weights).ok_or_else(|| ConfigError::Empty {
        at: format!("{at}.endpoints"),
    })?;
    let tls = cluster.tls.ok_or_else(|| ConfigError::Missing {
        at: format!("{at}.tls"),
        needed: "TLS to the gateway (nothing is sent in clear)",
    })?;
    let at_connect = format!("{at}.connect");
    Ok(Cluster {
        endpoints: endpoints
            .iter()
            .map(|endpoint| EndpointAddr(endpoint.address))
            .collect(),
        balancer,
        proxy_protocol: match cluster.proxy_protocol {
            document::ProxyProtocol::None => ProxyProtocol::None,
            document::ProxyProtocol::V1 => ProxyProtocol::V1,
            document::ProxyProtocol::V2 => ProxyProtocol::V2,
        },
        server_name: validate_server_name(&format!("{at}.tls.server_name"), &tls.server_name)?,
        tls: Arc::new(validate_cluster_tls(&format!("{at}.tls"), tls, provider)?),
        connect_timeout: seconds(
            &format!("{at_connect}.timeout_seconds"),
            cluster.connect.timeout_seconds,
            1..=60,
        )?,
        connect_attempts: bounded(
            &format!("{at_connect}.attempts"),
            cluster.connect.attempts,
            1..=10,
        )?,
        name: cluster.name,
    })
}

fn validate_server_name(at: &str, name: &str) -> Result<ServerNamePolicy, ConfigError> {
    if name == "forward" {
        return Ok(ServerNamePolicy::Forward);
    }
    match ServerName::try_from(name.to_owned()) {
        Ok(name @ ServerName::DnsName(_)) => Ok(ServerNamePolicy::Fixed(name)),
        _ => Err(ConfigError::Value {
            at: at.to_owned(),
            value: name.to_owned(),
            allowed: "forward or a host name",
        }),
    }
}

fn validate_cluster_tls(
    at: &str,
    tls: document::ClusterTls,
    provider: &Arc<CryptoProvider>,
) -> Result<rustls::ClientConfig, ConfigError> {
    if let Some(id) = &tls.spiffe_id {
        let path = id
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.split_once('/'));
        if !path.is_some_and(|(domain, path)| !domain.is_empty() && !path.is_empty()) {
            return Err(ConfigError::Value {
                at: format!("{at}.spiffe_id"),
                value: id.clone(),
                allowed: "spiffe://TRUST-DOMAIN/PATH",
            });
        }
    }
    let roots = files::load_roots(&format!("{at}.ca"), &tls.ca)?;
    let files = CertificateFiles {
        certificate: tls.certificate,
        private_key: tls.private_key,
    };
    let pair = files::load_pair(at, &files, provider)?;
    if pair.certificate.names.spiffe_id().is_none() {
        return Err(ConfigError::NoSpiffeId {
            at: format!("{at}.certificate"),
            path: files.certificate,
        });
    }
    upstream::client_config(provider, roots, tls.spiffe_id, pair.chain, pair.key).map_err(
        |source| ConfigError::Tls {
            at: format!("{at}.certificate"),
            path: files.certificate,
            source,
        },
    )
}

fn bounded(at: &str, got: u64, range: RangeInclusive<u64>) -> Result<usize, ConfigError> {
    match usize::try_from(got) {
        Ok(value) if range.contains(&got) => Ok(value),
        _ => Err(ConfigError::Bounds {
            at: at.to_owned(),
            got,
            least: *range.start(),
            most: *range.end(),
        }),
    }
}

fn seconds(at: &str, got: u64, range: RangeInclusive<u64>) -> Result<Duration, ConfigError> {
    bounded(at, got, range).map(|_in_range| Duration::from_secs(got))
}

fn once(seen: &mut HashSet<String>, at: &str, value: &str) -> Result<(), ConfigError> {
    if seen.insert(value.to_owned()) {
        Ok(())
    } else {
        Err(ConfigError::Duplicate {
            at: at.to_owned(),
            value: value.to_owned(),
        })
    }
}

fn only<T: PartialEq + Debug>(
    at: &str,
    found: T,
    supported: T,
    allowed: &'static str,
) -> Result<(), ConfigError> {
    if found == supported {
        Ok(())
    } else {
        Err(unsupported(at, &found, allowed))
    }
}

fn unsupported(at: &str, found: &dyn Debug, allowed: &'static str) -> ConfigError {
    ConfigError::Unsupported {
        at: at.to_owned(),
        found: format!("{found:?}"),
        allowed,
    }
}
