//! Who may come in, and how many: networks, proxies that are believed, limits for one source.
//!
//! It judges addresses; connections in all and handshakes are counted in `shared`.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::address::{Networks, SourcePrefix};
use crate::source::{OpenOfSource, OpenPerSource, Rate, RatePerSource};

/// The rules of one listener, as they are configured.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Empty: everyone.
    pub(crate) allow: Networks,
    /// Goes before `allow`.
    pub(crate) deny: Networks,
    pub(crate) proxies: Option<TrustedProxies>,
    pub(crate) prefix: SourcePrefix,
    pub(crate) open_per_source: Option<u32>,
    pub(crate) rate_per_source: Option<Rate>,
}

/// Whose PROXY headers are believed.
#[derive(Debug, Clone)]
pub(crate) struct TrustedProxies {
    pub(crate) sources: Networks,
    pub(crate) others: Others,
}

/// What becomes of connections that come from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// They are refused.
    Refuse,
    /// They are clients, and a PROXY header of theirs is none.
    Direct,
}

/// Why a connection is closed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    ConnectionLimit,
    DeniedSource,
    NoDescriptor,
    SourceLimit,
    SourceRate,
    TotalLimit,
    UntrustedProxy,
}

impl Refusal {
    /// The label in metrics and logs.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::ConnectionLimit => "connection_limit",
            Self::DeniedSource => "denied_source",
            Self::NoDescriptor => "no_descriptor",
            Self::SourceLimit => "source_limit",
            Self::SourceRate => "source_rate",
            Self::TotalLimit => "total_limit",
            Self::UntrustedProxy => "untrusted_proxy",
        }
    }
}

/// How a connection came.
pub(crate) enum Arrival {
    /// From its client.
    Direct(Admitted),
    /// From a proxy: its PROXY header says who the client is, and [`Admission::admit`] judges it.
    Proxied,
}

/// Counts a connection of a source while held.
#[must_use = "dropping it ends the count"]
pub(crate) struct Admitted {
    _open: Option<OpenOfSource>,
}

/// The rules at work.
pub(crate) struct Admission {
    rules: Rules,
    open: Option<Arc<OpenPerSource>>,
    rate: Option<Arc<RatePerSource>>,
}

impl Admission {
    /// What `before` has counted goes on to count, unless the rules now count something else.
    pub(crate) fn new(rules: Rules, before: Option<&Self>) -> Self {
        let before = before.filter(|before| before.rules.prefix == rules.prefix);
        let open = rules.open_per_source.map(|limit| {
            let open = before.and_then(|before| before.open.clone());
            open.inspect(|open| open.set_limit(limit))
                .unwrap_or_else(|| OpenPerSource::new(limit))
        });
        let rate = rules.rate_per_source.map(|rate| {
            before
                .filter(|before| before.rules.rate_per_source == Some(rate))
                .and_then(|before| before.rate.clone())
                .unwrap_or_else(|| Arc::new(RatePerSource::new(rate)))
        });
        Self { rules, open, rate }
    }

    /// Judges the peer of a socket.
    pub(crate) fn arrive(&self, peer: IpAddr, now: Instant) -> Result<Arrival, Refusal> {
        if let Some(proxies) = &self.rules.proxies {
            if proxies.sources.contain(peer) {
                return Ok(Arrival::Proxied);
            }
            if proxies.others == Others::Refuse {
                return Err(Refusal::UntrustedProxy);
            }
        }
        self.admit(peer, now).map(Arrival::Direct)
    }

    /// Judges a client.
    pub(crate) fn admit(&self, client: IpAddr, now: Instant) -> Result<Admitted, Refusal> {
        let Rules { allow, deny, .. } = &self.rules;
        if deny.contain(client) || !(allow.0.is_empty() || allow.contain(client)) {
            return Err(Refusal::DeniedSource);
        }
        let source = self.rules.prefix.of(client);
        if let Some(rate) = &self.rate
            && !rate.admit(source, now)
        {
            return Err(Refusal::SourceRate);
        }
        let open = match &self.open {
            None => None,
            Some(open) => Some(open.admit(source).ok_or(Refusal::SourceLimit)?),
        };
        Ok(Admitted { _open: open })
    }

    /// For a proxy that speaks for itself.
    pub(crate) const fn admit_proxy() -> Admitted {
        Admitted { _open: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            allow: Networks::default(),
            deny: Networks::default(),
            proxies: None,
            prefix: SourcePrefix { ipv4: 32, ipv6: 64 },
            open_per_source: None,
            rate_per_source: None,
        }
    }

    fn networks(text: &str) -> Networks {
        Networks(text.split(' ').map(|net| net.parse().unwrap()).collect())
    }

    fn refusal(admission: &Admission, address: &str) -> Option<Refusal> {
        admission
            .admit(address.parse().unwrap(), Instant::now())
            .err()
    }

    #[tokio::test]
    async fn deny_goes_before_allow_and_no_list_allows_all() {
        let denied = Some(Refusal::DeniedSource);
        let open = Admission::new(rules(), None);
        assert_eq!(refusal(&open, "198.51.100.1"), None);
        let closed = Admission::new(
            Rules {
                allow: networks("192.0.2.0/24 2001:db8::/32"),
                deny: networks("192.0.2.128/25"),
                ..rules()
            },
            None,
        );
        for (address, want) in [
            ("192.0.2.1", None),
            ("192.0.2.200", denied),
            ("198.51.100.1", denied),
            ("2001:db8::1", None),
            ("::1", denied),
        ] {
            assert_eq!(refusal(&closed, address), want, "{address}");
        }
    }

    #[tokio::test]
    async fn one_prefix_is_one_source() {
        let admission = Admission::new(
            Rules {
                open_per_source: Some(1),
                ..rules()
            },
            None,
        );
        let now = Instant::now();
        let _open = admission.admit("2001:db8::1".parse().unwrap(), now).ok();
        let limit = Some(Refusal::SourceLimit);
        assert_eq!(refusal(&admission, "2001:db8::ffff"), limit);
        assert_eq!(refusal(&admission, "2001:db8:0:1::1"), None);
    }

    #[tokio::test]
    async fn headers_are_believed_from_trusted_proxies_alone() {
        let now = Instant::now();
        let at = |others| {
            Admission::new(
                Rules {
                    proxies: Some(TrustedProxies {
                        sources: networks("10.0.0.0/8"),
                        others,
                    }),
                    deny: networks("10.0.0.0/8"),
                    ..rules()
                },
                None,
            )
        };
        let arrive = |admission: &Admission, peer: &str| match admission
            .arrive(peer.parse().unwrap(), now)
        {
            Ok(Arrival::Direct(_)) => "direct",
            Ok(Arrival::Proxied) => "proxied",
            Err(refusal) => refusal.label(),
        };
        let refusing = at(Others::Refuse);
        assert_eq!(arrive(&refusing, "10.1.1.1"), "proxied");
        assert_eq!(arrive(&refusing, "192.0.2.1"), "untrusted_proxy");
        assert_eq!(arrive(&at(Others::Direct), "192.0.2.1"), "direct");
        let nobody = Admission::new(rules(), None);
        assert_eq!(arrive(&nobody, "10.1.1.1"), "direct");
    }

    #[tokio::test]
    async fn new_rules_go_on_with_what_was_counted() {
        let limited = |limit, ipv4| Rules {
            open_per_source: Some(limit),
            prefix: SourcePrefix { ipv4, ipv6: 64 },
            ..rules()
        };
        let before = Admission::new(limited(2, 32), None);
        let (now, client) = (Instant::now(), "192.0.2.1".parse().unwrap());
        let _open = before.admit(client, now).ok();
        let limit = Some(Refusal::SourceLimit);
        let fewer = Admission::new(limited(1, 32), Some(&before));
        assert_eq!(refusal(&fewer, "192.0.2.1"), limit);
        assert_eq!(refusal(&fewer, "192.0.2.2"), None);
        let more = Admission::new(limited(2, 32), Some(&fewer));
        let _second = more.admit(client, now).ok();
        assert_eq!(refusal(&more, "192.0.2.1"), limit);
        let others = Admission::new(limited(2, 24), Some(&more));
        assert_eq!(
            refusal(&others, "192.0.2.1"),
            None,
            "counted by another prefix"
        );

        let paced = || Rules {
            rate_per_source: Some(Rate {
                per_second: 1.0,
                burst: 1.0,
            }),
            ..rules()
        };
        let before = Admission::new(paced(), None);
        assert_eq!(refusal(&before, "192.0.2.1"), None);
        let same = Admission::new(paced(), Some(&before));
        assert_eq!(refusal(&same, "192.0.2.1"), Some(Refusal::SourceRate));
    }
}
