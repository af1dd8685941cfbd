//! Checks of `tcp`, of listeners and of clusters.

use std::net::SocketAddr;
use std::time::Duration;

use super::ConfigError;
use super::checks::{bounded, once};
use super::document::{ClusterTcp, ConnectionTcp, ListenerTcp};
use crate::tcp::{Dialling, Keepalive, Listening, Options};

/// Checks one listener's; `at` is the path in the document.
pub(super) fn validate_listening(
    at: &str,
    bind: SocketAddr,
    tcp: &ListenerTcp,
) -> Result<Listening, ConfigError> {
    if tcp.ipv6_only && bind.is_ipv4() {
        return Err(ConfigError::Value {
            at: format!("{at}.ipv6_only"),
            value: "true".to_owned(),
            allowed: "false (the listener is bound to an IPv4 address)",
        });
    }
    let backlog = bounded(&format!("{at}.backlog"), tcp.backlog, 1..=65_535)?;
    let connection = ConnectionTcp {
        keepalive_seconds: tcp.keepalive_seconds,
        keepalive_interval_seconds: tcp.keepalive_interval_seconds,
        keepalive_probes: tcp.keepalive_probes,
        user_timeout_seconds: tcp.user_timeout_seconds,
        not_sent_low_water_bytes: tcp.not_sent_low_water_bytes,
    };
    Ok(Listening {
        ipv6_only: tcp.ipv6_only,
        backlog: i32::try_from(backlog).unwrap_or(i32::MAX),
        defer_accept: or_off(at, "defer_accept_seconds", tcp.defer_accept_seconds, 1, 300)?,
        fast_open: or_off(at, "fast_open_queue", tcp.fast_open_queue, 1, 65_535)?,
        accepted: validate(at, &connection)?,
    })
}

/// Checks one cluster's; `at` is the path in the document.
pub(super) fn validate_dialling(at: &str, tcp: &ClusterTcp) -> Result<Dialling, ConfigError> {
    let mut seen = std::collections::HashSet::new();
    for (index, source) in tcp.source_addresses.iter().enumerate() {
        let at = format!("{at}.source_addresses[{index}]");
        once(&mut seen, &at, &source.to_string())?;
    }
    let connection = ConnectionTcp {
        keepalive_seconds: tcp.keepalive_seconds,
        keepalive_interval_seconds: tcp.keepalive_interval_seconds,
        keepalive_probes: tcp.keepalive_probes,
        user_timeout_seconds: tcp.user_timeout_seconds,
        not_sent_low_water_bytes: tcp.not_sent_low_water_bytes,
    };
    Ok(Dialling::new(
        validate(at, &connection)?,
        tcp.source_addresses.clone(),
    ))
}

fn validate(at: &str, tcp: &ConnectionTcp) -> Result<Options, ConfigError> {
    let seconds = |key, got, least, most| {
        or_off(at, key, got, least, most)
            .map(|value| value.map(|value| Duration::from_secs(value.into())))
    };
    Ok(Options {
        keepalive: validate_keepalive(at, tcp)?,
        user_timeout: seconds("user_timeout_seconds", tcp.user_timeout_seconds, 1, 86_400)?,
        not_sent_low_water: or_off(
            at,
            "not_sent_low_water_bytes",
            tcp.not_sent_low_water_bytes,
            4096,
            16 << 20,
        )?,
    })
}

fn validate_keepalive(at: &str, tcp: &ConnectionTcp) -> Result<Option<Keepalive>, ConfigError> {
    let number = |key, got, most| or_off(at, key, got, 1, most);
    let seconds = |value: u32| Duration::from_secs(value.into());
    let after = number("keepalive_seconds", tcp.keepalive_seconds, 32_767)?;
    let details = [
        (
            "keepalive_interval_seconds",
            tcp.keepalive_interval_seconds,
            32_767,
        ),
        ("keepalive_probes", tcp.keepalive_probes, 127),
    ];
    if after.is_none()
        && let Some((key, got, _most)) = details.iter().find(|(_key, got, _most)| *got != 0)
    {
        return Err(ConfigError::Value {
            at: format!("{at}.{key}"),
            value: got.to_string(),
            allowed: "0 (keepalive_seconds is 0)",
        });
    }
    let [interval, probes] = details.map(|(key, got, most)| number(key, got, most));
    let (interval, probes) = (interval?.map(seconds), probes?);
    Ok(after.map(|after| Keepalive {
        after: seconds(after),
        interval,
        probes,
    }))
}

/// 0 is off.
fn or_off(
    at: &str,
    key: &str,
    got: u64,
    least: u64,
    most: u64,
) -> Result<Option<u32>, ConfigError> {
    if got == 0 {
        return Ok(None);
    }
    let value = bounded(&format!("{at}.{key}"), got, least..=most)?;
    Ok(Some(u32::try_from(value).unwrap_or(u32::MAX)))
}
