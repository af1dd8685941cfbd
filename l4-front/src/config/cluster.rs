//! Checks of one entry of `clusters`.

mod dns;
mod endpoints;
mod health_check;
mod proxy;
mod rules;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;

use self::health_check::Surroundings;
use super::checks::{bounded, seconds};
use super::document::{self, Balance, CertificateFiles};
use super::{ConfigError, files, tcp};
use crate::cluster::roster::Roster;
use crate::cluster::{Cluster, HashKey, ServerNamePolicy, UpstreamTls};
use crate::discovery::Discovery;
use crate::tls::upstream;

/// Checks one cluster; `at` is its path in the document.
pub(super) fn validate(
    at: &str,
    cluster: document::Cluster,
    provider: &Arc<CryptoProvider>,
) -> Result<Cluster, ConfigError> {
    let targets = endpoints::validate(at, &cluster)?;
    let discovery = validate_dns(at, &cluster)?;
    let rules = rules::validate(at, &cluster)?;
    let hash_key = validate_hash_key(&format!("{at}.hash"), &cluster)?;
    let proxy = proxy::validate(at, &cluster)?;
    let tls = cluster
        .tls
        .map(|tls| validate_tls(&format!("{at}.tls"), tls, provider))
        .transpose()?;
    let (tls, client_config) = tls.unzip();
    let client_config = client_config.map(Arc::new);
    let (proxy_protocol, proxy_tlvs) = proxy;
    let around = Surroundings {
        config: client_config.as_ref(),
        server_name: tls.as_ref().map(|tls: &UpstreamTls| &tls.server_name),
        proxy_protocol,
    };
    let check = cluster.health_check.as_ref();
    let check =
        check.map(|check| health_check::validate(&format!("{at}.health_check"), check, &around));
    let health_check = check.transpose()?.map(Arc::new);
    let roster = Roster::new(cluster.name.clone(), rules, client_config);
    roster.update(targets);
    let at_connect = format!("{at}.connect");
    Ok(Cluster {
        roster,
        hash_key,
        proxy_protocol,
        proxy_tlvs,
        health_check,
        discovery,
        tls,
        dialling: tcp::validate_dialling(&format!("{at}.tcp"), &cluster.tcp)?,
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

fn validate_dns(at: &str, cluster: &document::Cluster) -> Result<Option<Discovery>, ConfigError> {
    let Some(dns) = &cluster.dns else {
        return Ok(None);
    };
    if cluster.prefer_locality.is_some() {
        return Err(ConfigError::Unsupported {
            at: format!("{at}.prefer_locality"),
            found: "a locality beside dns, whose records hold none,".to_owned(),
            allowed: "leaving it out",
        });
    }
    dns::validate(&format!("{at}.dns"), dns).map(Some)
}

fn validate_hash_key(at: &str, cluster: &document::Cluster) -> Result<HashKey, ConfigError> {
    match cluster.hash {
        Some(_) if cluster.balance != Balance::Maglev => Err(ConfigError::Unsupported {
            at: at.to_owned(),
            found: "a hash without balance: maglev".to_owned(),
            allowed: "leaving it out",
        }),
        Some(document::HashKey::ServerName) => Ok(HashKey::ServerName),
        Some(document::HashKey::ClientAddress) | None => Ok(HashKey::Address),
    }
}

fn validate_server_name(at: &str, name: &str) -> Result<ServerNamePolicy, ConfigError> {
    if name == "forward" {
        return Ok(ServerNamePolicy::Forward);
    }
    validate_host_name(at, name, "forward or a host name").map(ServerNamePolicy::Fixed)
}

fn validate_host_name(
    at: &str,
    name: &str,
    allowed: &'static str,
) -> Result<ServerName<'static>, ConfigError> {
    match ServerName::try_from(name.to_owned()) {
        Ok(name @ ServerName::DnsName(_)) => Ok(name),
        _ => Err(ConfigError::Value {
            at: at.to_owned(),
            value: name.to_owned(),
            allowed,
        }),
    }
}

fn validate_tls(
    at: &str,
    tls: document::ClusterTls,
    provider: &Arc<CryptoProvider>,
) -> Result<(UpstreamTls, rustls::ClientConfig), ConfigError> {
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
    Ok((UpstreamTls { server_name }, config))
}
