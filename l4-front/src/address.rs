//! Networks, and what counts as one source.

use std::net::IpAddr;

use ipnet::IpNet;

/// A list of networks. An IPv4 address in its IPv6 form is the IPv4 address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Networks(pub(crate) Vec<IpNet>);

impl Networks {
    /// True if one of them holds `address`.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// How much of an address tells one source from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourcePrefix {
    /// Bits of an IPv4 address, at most 32.
    pub(crate) ipv4: u8,
    /// Bits of an IPv6 address, at most 128.
    pub(crate) ipv6: u8,
}

impl SourcePrefix {
    /// The source that `address` belongs to.
    pub(crate) fn of(self, address: IpAddr) -> IpAddr {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() {
            self.ipv4
        } else {
            self.ipv6
        };
        // More bits than there are: the whole address.
        IpNet::new(address, bits).map_or(address, |network| network.network())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_know_their_addresses() {
        let networks = Networks(vec![
            "192.0.2.0/24".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ]);
        for (address, want) in [
            ("192.0.2.9", true),
            ("::ffff:192.0.2.9", true),
            ("192.0.3.9", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(
                networks.contain(address.parse().unwrap()),
                want,
                "{address}"
            );
        }
    }

    #[test]
    fn one_source_is_one_prefix() {
        let prefix = SourcePrefix { ipv4: 24, ipv6: 64 };
        for (address, want) in [
            ("192.0.2.9", "192.0.2.0"),
            ("::ffff:192.0.2.9", "192.0.2.0"),
            ("2001:db8::1:2:3:4", "2001:db8::"),
        ] {
            let (address, want): (IpAddr, IpAddr) =
                (address.parse().unwrap(), want.parse().unwrap());
            assert_eq!(prefix.of(address), want);
        }
    }
}
