//! Checks of one entry of `listeners`.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;

use super::checks::bounded;
use super::document::{self, RouteTls};
use super::timeouts::{self, Timeouts};
use super::{ConfigError, admission, tcp, tls};
use crate::admission::Rules;
use crate::cluster::{Cluster, ClusterIndex};
use crate::route::{Mode, NamePattern, Routes, Target};
use crate::tcp::Listening;

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
    pub(crate) tcp: Listening,
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
        .map(|tls| tls::validate(&format!("{at}.tls"), tls, &routes, provider));
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
        tcp: tcp::validate_listening(&format!("{at}.tcp"), listener.bind, &listener.tcp)?,
        name: listener.name,
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
            Some(names) => tls::validate_alpn(&format!("{at}.alpn"), names)?,
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
