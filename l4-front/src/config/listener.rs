//! Checks of one entry of `listeners`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::checks::{bounded, once};
use super::document::{self, ClientAuthMode, RouteTls};
use super::timeouts::{self, Timeouts};
use super::{ConfigError, admission, files};
use crate::admission::Rules;
use crate::cluster::{Cluster, ClusterIndex};
use crate::route::{Mode, NamePattern, Routes, Target};
use crate::tls::downstream;

/// A validated listener.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) bind: SocketAddr,
    /// `None`: every route passes through.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) admission: Rules,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
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
    let admission = admission::validate(at, &listener)?;
    let limits = &listener.limits;
    let default_mode = match listener.tls {
        Some(_) => Mode::Terminate,
        None => Mode::PassThrough,
    };
    let routes = Arc::new(validate_routes(
        at,
        &listener.routes,
        default_mode,
        clusters,
    )?);
    let tls = listener
        .tls
        .map(|tls| validate_tls(&format!("{at}.tls"), tls, &routes, provider));
    Ok(Listener {
        bind: listener.bind,
        tls: tls.transpose()?.map(Arc::new),
        routes,
        admission,
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
        timeouts: timeouts::validate(&format!("{at}.timeouts"), &listener.timeouts)?,
        name: listener.name,
    })
}

fn validate_tls(
    at: &str,
    tls: document::ListenerTls,
    routes: &Arc<Routes>,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, ConfigError> {
    if tls.certificates.is_empty() {
        return Err(ConfigError::Empty {
            at: format!("{at}.certificates"),
        });
    }
    let mut certificates = Vec::new();
    for (index, files) in tls.certificates.iter().enumerate() {
        let at = format!("{at}.certificates[{index}]");
        certificates.push(files::load_pair(&at, files, provider)?.certificate);
    }
    let alpn = validate_alpn(&format!("{at}.alpn"), tls.alpn)?;
    let verifier = validate_client_auth(at, tls.client_auth, provider)?;
    downstream::server_config(
        Arc::clone(provider),
        certificates,
        Arc::clone(routes),
        verifier,
        alpn,
    )
    .map_err(|source| ConfigError::Tls {
        at: at.to_owned(),
        path: PathBuf::new(),
        source,
    })
}

fn validate_routes(
    at: &str,
    routes: &[document::Route],
    default_mode: Mode,
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
        let (index, cluster) = clusters
            .iter()
            .enumerate()
            .find(|(_, cluster)| cluster.name == route.cluster)
            .ok_or_else(|| ConfigError::UnknownCluster {
                at: format!("{at}.cluster"),
                name: route.cluster.clone(),
                known: clusters
                    .iter()
                    .map(|c| c.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })?;
        let target = Target {
            cluster: ClusterIndex(index),
            mode: validate_mode(&at, route.tls, default_mode, cluster)?,
        };
        let alpn = match &route.alpn {
            None => Vec::new(),
            Some(names) if names.is_empty() => {
                let at = format!("{at}.alpn");
                return Err(ConfigError::Empty { at });
            }
            Some(names) => validate_alpn(&format!("{at}.alpn"), names.clone())?,
        };
        let at = format!("{at}.sni");
        let duplicate = |value: &str| ConfigError::Duplicate {
            at: at.clone(),
            value: value.to_owned(),
        };
        match &route.sni {
            None if table.add(None, &alpn, target) => {}
            None => return Err(duplicate("the default route")),
            Some(names) if names.is_empty() => return Err(ConfigError::Empty { at }),
            Some(names) => {
                for name in names {
                    let pattern = NamePattern::parse(name).ok_or_else(|| ConfigError::Value {
                        at: at.clone(),
                        value: name.clone(),
                        allowed: "a host name or *. before a host name",
                    })?;
                    if !table.add(Some(pattern), &alpn, target) {
                        return Err(duplicate(name));
                    }
                }
            }
        }
    }
    Ok(table)
}

/// What is written must be possible: TLS ends where the certificates are, and nothing is sent to an
/// endpoint in clear or encrypted twice.
fn validate_mode(
    at: &str,
    asked: Option<RouteTls>,
    default: Mode,
    cluster: &Cluster,
) -> Result<Mode, ConfigError> {
    let mode = match asked {
        None => default,
        Some(RouteTls::PassThrough) => Mode::PassThrough,
        Some(RouteTls::Terminate) if default == Mode::PassThrough => {
            return Err(ConfigError::Value {
                at: format!("{at}.tls"),
                value: "terminate".to_owned(),
                allowed: "pass_through (the listener has no tls)",
            });
        }
        Some(RouteTls::Terminate) => Mode::Terminate,
    };
    let allowed = match (mode, &cluster.tls) {
        (Mode::Terminate, Some(_)) | (Mode::PassThrough, None) => return Ok(mode),
        (Mode::Terminate, None) => {
            "a cluster with tls (the route ends the client's TLS, and nothing is sent in clear)"
        }
        (Mode::PassThrough, Some(_)) => {
            "a cluster without tls (the route passes the client's own TLS through)"
        }
    };
    Err(ConfigError::Value {
        at: format!("{at}.cluster"),
        value: cluster.name.clone(),
        allowed,
    })
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
