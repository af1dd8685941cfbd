//! Checks of `clusters[].health_check`.

use std::sync::Arc;

use hyper::Uri;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

use super::validate_host_name;
use crate::cluster::{ProxyProtocol, ServerNamePolicy};
use crate::config::ConfigError;
use crate::config::checks::{bounded, seconds};
use crate::config::document::{self, CheckKind};
use crate::health::Thresholds;
use crate::health::check::{HealthCheck, Question};
use crate::proxy_protocol::{LOCAL_V1, LOCAL_V2};

/// What a check shares with the cluster's connections.
pub(super) struct Surroundings<'a> {
    pub(super) config: Option<&'a Arc<ClientConfig>>,
    pub(super) server_name: Option<&'a ServerNamePolicy>,
    pub(super) proxy_protocol: ProxyProtocol,
}

pub(super) fn validate(
    at: &str,
    check: &document::HealthCheck,
    around: &Surroundings<'_>,
) -> Result<HealthCheck, ConfigError> {
    let interval = check.interval_seconds;
    let in_a_row = |key: &str, value: u64| {
        let value = bounded(&format!("{at}.{key}"), value, 1..=100)?;
        Ok(u32::try_from(value).unwrap_or(u32::MAX))
    };
    Ok(HealthCheck {
        question: validate_question(at, check, around)?,
        interval: seconds(&format!("{at}.interval_seconds"), interval, 1..=3600)?,
        unhealthy_interval: seconds(
            &format!("{at}.unhealthy_interval_seconds"),
            check.unhealthy_interval_seconds,
            1..=interval,
        )?,
        timeout: seconds(
            &format!("{at}.timeout_seconds"),
            check.timeout_seconds,
            1..=60,
        )?,
        thresholds: Thresholds {
            healthy_after: in_a_row("healthy_after", check.healthy_after)?,
            unhealthy_after: in_a_row("unhealthy_after", check.unhealthy_after)?,
        },
    })
}

fn validate_question(
    at: &str,
    check: &document::HealthCheck,
    around: &Surroundings<'_>,
) -> Result<Question, ConfigError> {
    let not_with = |key: &str, given: bool, kind: &str| {
        if !given {
            return Ok(());
        }
        Err(ConfigError::Unsupported {
            at: format!("{at}.{key}"),
            found: format!("{key} without kind: {kind}"),
            allowed: "leaving it out",
        })
    };
    if check.kind != CheckKind::Http {
        not_with("port", check.port.is_some(), "http")?;
        not_with("path", check.path.is_some(), "http")?;
    }
    if check.kind != CheckKind::Tls {
        not_with("server_name", check.server_name.is_some(), "tls")?;
    }
    match check.kind {
        CheckKind::Tcp => Ok(Question::Tcp),
        CheckKind::Http => {
            let port = bounded(
                &format!("{at}.port"),
                check.port.unwrap_or(15021),
                1..=65_535,
            )?;
            let path = check.path.as_deref().unwrap_or("/healthz/ready");
            if !path.starts_with('/') || path.parse::<Uri>().is_err() {
                return Err(ConfigError::Value {
                    at: format!("{at}.path"),
                    value: path.to_owned(),
                    allowed: "a path that begins with /",
                });
            }
            Ok(Question::Http {
                port: u16::try_from(port).unwrap_or_default(),
                path: path.to_owned(),
            })
        }
        CheckKind::Tls => validate_tls(at, check, around),
    }
}

fn validate_tls(
    at: &str,
    check: &document::HealthCheck,
    around: &Surroundings<'_>,
) -> Result<Question, ConfigError> {
    let Some(config) = around.config else {
        return Err(ConfigError::Missing {
            at: format!("{at}.kind"),
            needed: "tls of the cluster, or another kind,",
        });
    };
    let at = format!("{at}.server_name");
    let server_name: ServerName<'static> = match (&check.server_name, around.server_name) {
        (Some(name), _) => validate_host_name(&at, name, "a host name")?,
        (None, Some(ServerNamePolicy::Fixed(name))) => name.clone(),
        (None, Some(ServerNamePolicy::Forward) | None) => {
            return Err(ConfigError::Missing {
                at,
                needed: "the server name to ask for (there is no downstream whose could be forwarded)",
            });
        }
    };
    let mut config = ClientConfig::clone(config);
    // A check that resumes would not look at the endpoint's certificate.
    config.resumption = Resumption::disabled();
    Ok(Question::Tls {
        config: Arc::new(config),
        server_name,
        header: match around.proxy_protocol {
            ProxyProtocol::None => &[],
            ProxyProtocol::V1 => LOCAL_V1,
            ProxyProtocol::V2 => LOCAL_V2,
        },
    })
}
