//! Checks of one entry of `listeners`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::checks::{bounded, once, seconds, unsupported};
use super::document::{self, ClientAuthMode};
use super::{ConfigError, files};
use crate::cluster::{Cluster, ClusterIndex};
use crate::route::{NamePattern, Routes};
use crate::tls::downstream;

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

/// Checks one listener; `at` is its path in the document.
pub(super) fn validate(
    at: &str,
    listener: document::Listener,
    clusters: &[Cluster],
    provider: &Arc<CryptoProvider>,
) -> Result<Listener, ConfigError> {
    if listener.accept_proxy_protocol {
        return Err(unsupported(
            &format!("{at}.accept_proxy_protocol"),
            "true",
            "false",
        ));
    }
    let limits = &listener.limits;
    if let Some(limit) = limits.connections_per_source {
        let at = format!("{at}.limits.connections_per_source");
        return Err(unsupported(&at, &limit.to_string(), "leaving it out"));
    }
    if listener.timeouts.max_age_seconds != 0 {
        let found = listener.timeouts.max_age_seconds.to_string();
        return Err(unsupported(
            &format!("{at}.timeouts.max_age_seconds"),
            &found,
            "0",
        ));
    }
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
