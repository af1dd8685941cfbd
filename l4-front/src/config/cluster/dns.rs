//! Checks of `clusters[].dns`.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;

use crate::config::ConfigError;
use crate::config::checks::{bounded, seconds};
use crate::config::document::{self, Records};
use crate::discovery::{Counts, Discovery, Question};

pub(super) fn validate(at: &str, dns: &document::Dns) -> Result<Discovery, ConfigError> {
    let at_name = format!("{at}.name");
    if dns.name.parse::<IpAddr>().is_ok() || Name::from_ascii(&dns.name).is_err() {
        return Err(ConfigError::Value {
            at: at_name,
            value: dns.name.clone(),
            allowed: "a host name",
        });
    }
    let (servers, options) = validate_servers(&format!("{at}.name_servers"), dns)?;
    let least = dns.min_ttl_seconds;
    Ok(Discovery {
        name: dns.name.clone(),
        question: validate_question(&format!("{at}.port"), dns)?,
        servers,
        options,
        least: seconds(&format!("{at}.min_ttl_seconds"), least, 1..=3600)?,
        most: seconds(
            &format!("{at}.max_ttl_seconds"),
            dns.max_ttl_seconds,
            least..=86_400,
        )?,
        timeout: seconds(
            &format!("{at}.timeout_seconds"),
            dns.timeout_seconds,
            1..=60,
        )?,
        counts: Counts::default(),
    })
}

fn validate_question(at: &str, dns: &document::Dns) -> Result<Question, ConfigError> {
    let types: &[RecordType] = match dns.records {
        Records::Addresses => &[RecordType::A, RecordType::AAAA],
        Records::Ipv4 => &[RecordType::A],
        Records::Ipv6 => &[RecordType::AAAA],
        Records::Srv if dns.port.is_none() => return Ok(Question::Services),
        Records::Srv => {
            return Err(ConfigError::Unsupported {
                at: at.to_owned(),
                found: "a port beside records: srv, which hold one,".to_owned(),
                allowed: "leaving it out",
            });
        }
    };
    let port = dns.port.ok_or_else(|| ConfigError::Missing {
        at: at.to_owned(),
        needed: "the port of the endpoints",
    })?;
    let port = bounded(at, port, 1..=65_535)?;
    Ok(Question::Addresses {
        types,
        port: u16::try_from(port).unwrap_or_default(),
    })
}

fn validate_servers(
    at: &str,
    dns: &document::Dns,
) -> Result<(ResolverConfig, ResolverOpts), ConfigError> {
    match &dns.name_servers {
        Some(servers) if servers.is_empty() => Err(ConfigError::Empty { at: at.to_owned() }),
        Some(servers) => {
            let servers = servers.iter().copied().map(name_server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            Ok((config, ResolverOpts::default()))
        }
        None => read_system_conf().map_err(|source| ConfigError::NameServers {
            at: at.to_owned(),
            source,
        }),
    }
}

/// Asked by UDP, and by TCP where an answer is too long for that.
fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .into_iter()
        .map(|mut connection| {
            connection.port = address.port();
            connection
        })
        .collect();
    server
}
