//! `tcp` of listeners and of clusters as it is written.

use std::net::IpAddr;

use serde::Deserialize;

/// Options of connections; 0 is off.
#[derive(Debug)]
pub(in crate::config) struct ConnectionTcp {
    pub(in crate::config) keepalive_seconds: u64,
    pub(in crate::config) keepalive_interval_seconds: u64,
    pub(in crate::config) keepalive_probes: u64,
    pub(in crate::config) user_timeout_seconds: u64,
    pub(in crate::config) not_sent_low_water_bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ListenerTcp {
    pub(in crate::config) ipv6_only: bool,
    /// 1 to 65535, default 4096.
    pub(in crate::config) backlog: u64,
    /// 1 to 300; 0, the default: off.
    pub(in crate::config) defer_accept_seconds: u64,
    /// 1 to 65535; 0, the default: off.
    pub(in crate::config) fast_open_queue: u64,
    /// 1 to 32767, default 60; 0: off.
    pub(in crate::config) keepalive_seconds: u64,
    /// 1 to 32767; 0, the default: the kernel's.
    pub(in crate::config) keepalive_interval_seconds: u64,
    /// 1 to 127; 0, the default: the kernel's.
    pub(in crate::config) keepalive_probes: u64,
    /// 1 to 86400; 0, the default: off.
    pub(in crate::config) user_timeout_seconds: u64,
    /// 4096 to 16777216; 0, the default: the kernel's.
    pub(in crate::config) not_sent_low_water_bytes: u64,
}

impl Default for ListenerTcp {
    fn default() -> Self {
        Self {
            ipv6_only: false,
            backlog: 4096,
            defer_accept_seconds: 0,
            fast_open_queue: 0,
            keepalive_seconds: 60,
            keepalive_interval_seconds: 0,
            keepalive_probes: 0,
            user_timeout_seconds: 0,
            not_sent_low_water_bytes: 0,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ClusterTcp {
    /// Dialled from in turn. Default: the kernel's choice.
    pub(in crate::config) source_addresses: Vec<IpAddr>,
    /// 1 to 32767, default 60; 0: off.
    pub(in crate::config) keepalive_seconds: u64,
    /// 1 to 32767; 0, the default: the kernel's.
    pub(in crate::config) keepalive_interval_seconds: u64,
    /// 1 to 127; 0, the default: the kernel's.
    pub(in crate::config) keepalive_probes: u64,
    /// 1 to 86400; 0, the default: off.
    pub(in crate::config) user_timeout_seconds: u64,
    /// 4096 to 16777216; 0, the default: the kernel's.
    pub(in crate::config) not_sent_low_water_bytes: u64,
}

impl Default for ClusterTcp {
    fn default() -> Self {
        Self {
            source_addresses: Vec::new(),
            keepalive_seconds: 60,
            keepalive_interval_seconds: 0,
            keepalive_probes: 0,
            user_timeout_seconds: 0,
            not_sent_low_water_bytes: 0,
        }
    }
}
