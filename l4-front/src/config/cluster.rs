//! Checks of one entry of `clusters`.

use std::collections::HashSet;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;

use super::checks::{bounded, once, seconds, unsupported};
use super::document::{self, Balance, CertificateFiles};
use super::{ConfigError, files};
use crate::balancer::RoundRobin;
use crate::cluster::{Cluster, EndpointAddr, ProxyProtocol, ServerNamePolicy, UpstreamTls};
use crate::tls::upstream;

/// Checks one cluster; `at` is its path in the document.
pub(super) fn validate(
    at: &str,
    cluster: document::Cluster,
    provider: &Arc<CryptoProvider>,
) -> Result<Cluster, ConfigError> {
    if cluster.dns.is_some() {
        return Err(unsupported(
            &format!("{at}.dns"),
            "discovery by DNS",
            "endpoints",
        ));
    }
    if cluster.health_check.is_some() {
        let at = format!("{at}.health_check");
        return Err(unsupported(&at, "an active health check", "leaving it out"));
    }
    let balance = match cluster.balance {
        Balance::RoundRobin => None,
        Balance::LeastConnections => Some("least_connections"),
        Balance::Maglev => Some("maglev"),
        Balance::PowerOfTwo => Some("power_of_two"),
    };
    if let Some(found) = balance {
        return Err(unsupported(&format!("{at}.balance"), found, "round_robin"));
    }
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
    let tls = cluster
        .tls
        .map(|tls| validate_tls(&format!("{at}.tls"), tls, provider));
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
        tls: tls.transpose()?,
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

fn validate_tls(
    at: &str,
    tls: document::ClusterTls,
    provider: &Arc<CryptoProvider>,
) -> Result<UpstreamTls, ConfigError> {
    let server_name = validate_server_name(&format!("{at}.server_name"), &tls.server_name)?;
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
    let config = upstream::client_config(provider, roots, tls.spiffe_id, pair.chain, pair.key)
        .map_err(|source| ConfigError::Tls {
            at: format!("{at}.certificate"),
            path: files.certificate,
            source,
        })?;
    Ok(UpstreamTls {
        server_name,
        config: Arc::new(config),
    })
}
