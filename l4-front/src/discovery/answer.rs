//! From the records of an answer to endpoints. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::cluster::plan::Rank;
use crate::cluster::roster::{MOST_ENDPOINTS, Target};

/// The largest weight of an endpoint, as in the configuration.
const MOST_WEIGHT: u64 = 100;

/// One endpoint as the records say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    pub(super) address: SocketAddr,
    /// RFC 2782: larger for a larger share, zero for a very small one.
    pub(super) weight: u16,
    /// RFC 2782: the lowest is used first.
    pub(super) priority: u16,
}

impl Service {
    /// One of several that are equal.
    pub(super) const fn plain(ip: IpAddr, port: u16) -> Self {
        Self {
            address: SocketAddr::new(ip, port),
            weight: 1,
            priority: 0,
        }
    }
}

/// The endpoints, in the order of their addresses, for servers shuffle their answers; and how many
/// are more than a cluster can have.
pub(super) fn targets(services: Vec<Service>) -> (Vec<Target>, usize) {
    let priorities: BTreeSet<u16> = services.iter().map(|service| service.priority).collect();
    let heaviest = services
        .iter()
        .map(|service| u64::from(service.weight))
        .max();
    let scale = heaviest.unwrap_or_default().max(MOST_WEIGHT);
    let targets: BTreeMap<SocketAddr, Target> = services
        .iter()
        .map(|service| {
            let weight = u64::from(service.weight) * MOST_WEIGHT / scale;
            let rank = priorities.range(..service.priority).count();
            let target = Target {
                address: service.address.into(),
                weight: u16::try_from(weight.max(1)).unwrap_or(u16::MAX),
                rank: Rank {
                    priority: u8::try_from(rank).unwrap_or(u8::MAX),
                    remote: false,
                },
            };
            (service.address, target)
        })
        .collect();
    let too_many = targets.len().saturating_sub(MOST_ENDPOINTS);
    (
        targets.into_values().take(MOST_ENDPOINTS).collect(),
        too_many,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(last: u8, weight: u16, priority: u16) -> Service {
        Service {
            address: SocketAddr::from(([192, 0, 2, last], 443)),
            weight,
            priority,
        }
    }

    /// Last number of the address, weight and priority of each.
    fn check(services: &[Service], want: &[(u8, u16, u8)]) {
        let (targets, too_many) = targets(services.to_vec());
        let got: Vec<_> = targets
            .iter()
            .map(|target| {
                let last = match target.address.0.ip() {
                    IpAddr::V4(address) => address.octets()[3],
                    IpAddr::V6(_) => 0,
                };
                (last, target.weight, target.rank.priority)
            })
            .collect();
        assert_eq!((got.as_slice(), too_many), (want, 0));
    }

    #[test]
    fn endpoints_come_in_the_order_of_their_addresses_and_once() {
        let plain = |last| Service::plain(IpAddr::from([192, 0, 2, last]), 443);
        check(
            &[plain(3), plain(1), plain(3), plain(2)],
            &[(1, 1, 0), (2, 1, 0), (3, 1, 0)],
        );
    }

    #[test]
    fn weights_are_scaled_and_never_zero() {
        check(
            &[service(1, 3, 0), service(2, 0, 0)],
            &[(1, 3, 0), (2, 1, 0)],
        );
        check(
            &[
                service(1, 60_000, 0),
                service(2, 30_000, 0),
                service(3, 1, 0),
            ],
            &[(1, 100, 0), (2, 50, 0), (3, 1, 0)],
        );
    }

    #[test]
    fn priorities_become_ranks() {
        check(
            &[service(1, 1, 20), service(2, 1, 10), service(3, 1, 20)],
            &[(1, 1, 1), (2, 1, 0), (3, 1, 1)],
        );
    }

    #[test]
    fn an_answer_is_bounded() {
        let many = (0..=u16::try_from(MOST_ENDPOINTS).unwrap()).map(|port| Service {
            address: SocketAddr::from(([192, 0, 2, 1], port)),
            ..service(1, 1, 0)
        });
        let (targets, too_many) = targets(many.collect());
        assert_eq!((targets.len(), too_many), (MOST_ENDPOINTS, 1));
    }
}
