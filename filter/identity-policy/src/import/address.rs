//! Networks: what two lists have in common, and what is outside one.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Reads a network or an address; bits after the prefix are cut off, as Envoy does.
pub(crate) fn read(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_no_address) => text.parse::<IpNet>().ok()?.trunc(),
    };
    let is_mapped =
        matches!(network, IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some());
    (!is_mapped).then_some(network)
}

/// As the configuration writes it.
pub(crate) fn write(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// The addresses that are in both.
pub(crate) fn common(one: &[IpNet], two: &[IpNet]) -> Vec<IpNet> {
    let mut found = Vec::new();
    for a in one {
        for b in two {
            if b.contains(a) {
                found.push(*a);
            } else if a.contains(b) {
                found.push(*b);
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The addresses that are in none: a rule names where a client is, not where it is not.
pub(crate) fn outside(networks: &[IpNet]) -> Vec<IpNet> {
    let mut open = vec![IpNet::V6(Ipv6Net::default()), IpNet::V4(Ipv4Net::default())];
    let mut found = Vec::new();
    while let Some(network) = open.pop() {
        if networks.iter().any(|taken| taken.contains(&network)) {
            continue;
        }
        let is_met = networks.iter().any(|taken| network.contains(taken));
        let halves = if is_met {
            network.subnets(network.prefix_len() + 1).ok()
        } else {
            None
        };
        match halves {
            Some(halves) => open.extend(halves.collect::<Vec<_>>().into_iter().rev()),
            None => found.push(network),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| read(text).unwrap()).collect()
    }

    #[test]
    fn what_is_outside_is_all_the_rest() {
        let blocks = networks(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
        let rest = outside(&blocks);
        for (address, want) in [
            ("9.255.255.255", true),
            ("10.1.2.3", false),
            ("11.0.0.0", true),
            ("192.0.2.6", true),
            ("192.0.2.7", false),
            ("255.255.255.255", true),
            ("2001:db8::1", false),
            ("2001:db9::1", true),
            ("::1", true),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(
                rest.iter().any(|network| network.contains(&address)),
                want,
                "{address}"
            );
        }
        assert_eq!(outside(&networks(&["0.0.0.0/0", "::/0"])), []);
        assert_eq!(outside(&[]), networks(&["0.0.0.0/0", "::/0"]));
    }

    #[test]
    fn what_is_common_is_the_narrower() {
        let one = networks(&["10.0.0.0/8", "192.0.2.0/24"]);
        let two = networks(&["10.1.0.0/16", "192.0.0.0/16", "::/0"]);
        assert_eq!(
            common(&one, &two),
            networks(&["10.1.0.0/16", "192.0.2.0/24"])
        );
    }
}
