//! Checks of what says who may come in: `allow`, `deny`, `trusted_proxies`, limits for one source.

use ipnet::IpNet;

use super::ConfigError;
use super::checks::bounded;
use super::document::{self, Listener};
use crate::address::{Networks, SourcePrefix};
use crate::admission::{Others, Rules, TrustedProxies};
use crate::source::Rate;

/// Checks one listener's rules; `at` is its path in the document.
pub(super) fn validate(at: &str, listener: &Listener) -> Result<Rules, ConfigError> {
    let limits = format!("{at}.limits");
    let written = &listener.limits;
    let open_per_source = match written.connections_per_source {
        None => None,
        Some(got) => Some(number(&format!("{limits}.connections_per_source"), got)?),
    };
    let rate_at = format!("{limits}.connection_rate_per_source");
    let rate_per_source = match &written.connection_rate_per_source {
        None => None,
        Some(rate) => {
            let burst = rate.burst.unwrap_or(rate.per_second);
            Some(Rate {
                per_second: number(&format!("{rate_at}.per_second"), rate.per_second)?.into(),
                burst: number(&format!("{rate_at}.burst"), burst)?.into(),
            })
        }
    };
    let prefix = |family: &str, got, least, most| {
        bounded(
            &format!("{limits}.source_prefix.{family}"),
            got,
            least..=most,
        )
        .map(|bits| u8::try_from(bits).unwrap_or(u8::MAX))
    };
    let allow = match &listener.allow {
        None => Networks::default(),
        Some(none) if none.is_empty() => {
            let at = format!("{at}.allow");
            return Err(ConfigError::Empty { at });
        }
        Some(some) => networks(&format!("{at}.allow"), some)?,
    };
    Ok(Rules {
        allow,
        deny: networks(&format!("{at}.deny"), &listener.deny)?,
        proxies: proxies(at, listener)?,
        prefix: SourcePrefix {
            ipv4: prefix("ipv4", written.source_prefix.ipv4, 8, 32)?,
            ipv6: prefix("ipv6", written.source_prefix.ipv6, 16, 128)?,
        },
        open_per_source,
        rate_per_source,
    })
}

/// A header decides who a client is, so it is believed only from those who are named.
fn proxies(at: &str, listener: &Listener) -> Result<Option<TrustedProxies>, ConfigError> {
    let at_proxies = format!("{at}.trusted_proxies");
    match (listener.accept_proxy_protocol, &listener.trusted_proxies) {
        (false, None) => Ok(None),
        (true, None) => Err(ConfigError::Missing {
            at: at_proxies,
            needed: "whose PROXY headers are to be believed (sources)",
        }),
        (false, Some(_)) => Err(ConfigError::Missing {
            at: format!("{at}.accept_proxy_protocol"),
            needed: "true beside trusted_proxies",
        }),
        (true, Some(proxies)) => {
            let at = format!("{at_proxies}.sources");
            if proxies.sources.is_empty() {
                return Err(ConfigError::Empty { at });
            }
            Ok(Some(TrustedProxies {
                sources: networks(&at, &proxies.sources)?,
                others: match proxies.others {
                    document::Others::Refuse => Others::Refuse,
                    document::Others::Direct => Others::Direct,
                },
            }))
        }
    }
}

fn networks(at: &str, written: &[String]) -> Result<Networks, ConfigError> {
    let network = |(index, text): (usize, &String)| {
        let parsed = text
            .parse::<IpNet>()
            .ok()
            .or_else(|| text.parse().ok().map(|ip: std::net::IpAddr| ip.into()));
        parsed
            .filter(|network| *network == network.trunc())
            .ok_or_else(|| ConfigError::Value {
                at: format!("{at}[{index}]"),
                value: text.clone(),
                allowed: "an address or a network without host bits, such as 10.0.0.0/8",
            })
    };
    let networks: Result<_, _> = written.iter().enumerate().map(network).collect();
    networks.map(Networks)
}

fn number(at: &str, got: u64) -> Result<u32, ConfigError> {
    bounded(at, got, 1..=1_000_000).map(|value| u32::try_from(value).unwrap_or(u32::MAX))
}
