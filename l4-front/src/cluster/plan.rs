//! Who can be picked, in which order: made anew whenever an endpoint comes, goes or changes its
//! health, and only read in between.
//!
//! Endpoints of one rank form a tier. The first tier that has enough usable endpoints is picked
//! from; the others follow for those connections that found no place or no answer there. If no
//! tier has enough, health is not believed any more and all endpoints are picked from: better to
//! try a sick one than to bury the last healthy one under everybody's connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::endpoint::{Endpoint, Lease};
use super::queue::Queue;
use crate::balancer::{Balancer, FULL, Policy, Pool, Seat};

/// Which endpoints come before which: lower priority first, then the own locality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Rank {
    /// 0 is used first; others are for when that fails.
    pub(crate) priority: u8,
    /// Not in the locality that is preferred, where one is.
    pub(crate) remote: bool,
}

/// An endpoint that is in service.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) weight: u16,
    pub(crate) rank: Rank,
    pub(crate) usable: bool,
}

/// One connection that looks for an endpoint.
pub(crate) struct Visit<'a> {
    pub(crate) key: u64,
    pub(crate) tried: &'a [Arc<Endpoint>],
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Pick {
    Endpoint(Lease),
    /// There are some, but they have all the connections that they may have.
    Full,
    Nobody,
}

/// What is the same for every visit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms {
    /// Connections that one endpoint may have.
    pub(crate) limit: Option<usize>,
    /// Length of the slow start in milliseconds; 0: none.
    pub(crate) slow_start: u64,
    /// Milliseconds since the roster began.
    pub(crate) now: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Plan {
    groups: Vec<Group>,
    pub(crate) panic: bool,
}

#[derive(Debug)]
struct Group {
    endpoints: Vec<Arc<Endpoint>>,
    balancer: Balancer,
}

impl Plan {
    pub(crate) fn new(
        places: &[Place],
        policy: Policy,
        panic_percent: usize,
        draws: &Arc<AtomicU64>,
    ) -> Self {
        let facts: Vec<_> = places.iter().map(|p| (p.rank, p.usable)).collect();
        let (groups, panic) = order(&facts, panic_percent);
        let group = |indices: Vec<usize>| {
            let places: Vec<&Place> = indices.iter().filter_map(|i| places.get(*i)).collect();
            let seats: Vec<Seat> = places
                .iter()
                .map(|place| Seat {
                    id: place.endpoint.address.0.to_string(),
                    weight: place.weight,
                })
                .collect();
            Group {
                endpoints: places.iter().map(|p| Arc::clone(&p.endpoint)).collect(),
                balancer: Balancer::new(policy, &seats, Arc::clone(draws)),
            }
        };
        Self {
            groups: groups.into_iter().map(group).collect(),
            panic,
        }
    }

    /// Takes a place at the endpoint whose turn it is.
    pub(crate) fn pick(&self, visit: &Visit<'_>, terms: &Terms, queue: &Arc<Queue>) -> Pick {
        let mut left = false;
        for group in &self.groups {
            let view = View {
                group,
                visit,
                terms,
            };
            // Another worker may take the last place between the look and the entry.
            for _look in &group.endpoints {
                let picked = group.balancer.pick(&view, visit.key);
                let Some(endpoint) = picked.and_then(|place| group.endpoints.get(place)) else {
                    break;
                };
                if let Some(lease) = endpoint.enter(terms.limit, queue) {
                    return Pick::Endpoint(lease);
                }
            }
            left |= group.endpoints.iter().any(|e| !visit.has_tried(e));
        }
        if left { Pick::Full } else { Pick::Nobody }
    }
}

impl Visit<'_> {
    fn has_tried(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.tried.iter().any(|tried| Arc::ptr_eq(tried, endpoint))
    }
}

/// A group as its balancer sees it for one visit.
struct View<'a> {
    group: &'a Group,
    visit: &'a Visit<'a>,
    terms: &'a Terms,
}

impl Pool for View<'_> {
    fn is_open(&self, place: usize) -> bool {
        self.group.endpoints.get(place).is_some_and(|endpoint| {
            let has_room = |limit| endpoint.connections() < limit;
            self.terms.limit.is_none_or(has_room) && !self.visit.has_tried(endpoint)
        })
    }

    fn connections(&self, place: usize) -> usize {
        let endpoint = self.group.endpoints.get(place);
        endpoint.map_or(0, |endpoint| endpoint.connections())
    }

    fn ramp(&self, place: usize) -> u32 {
        let endpoint = self.group.endpoints.get(place);
        let since = endpoint.map_or(0, |endpoint| endpoint.warming_since());
        ramp(since, self.terms)
    }
}

/// The part of its share that an endpoint gets which began at `since`.
fn ramp(since: u64, terms: &Terms) -> u32 {
    /// Enough to show soon whether it works.
    const LEAST: u64 = 100;
    let Terms {
        slow_start, now, ..
    } = *terms;
    if since == 0 || slow_start == 0 {
        return FULL;
    }
    let part = now.saturating_sub(since).saturating_mul(u64::from(FULL)) / slow_start;
    u32::try_from(part.max(LEAST)).unwrap_or(FULL).min(FULL)
}

/// The groups to pick from, by indices, and whether health was given up on.
fn order(places: &[(Rank, bool)], panic_percent: usize) -> (Vec<Vec<usize>>, bool) {
    let mut tiers = BTreeMap::<Rank, (Vec<usize>, usize)>::new();
    for (index, (rank, usable)) in places.iter().enumerate() {
        let (usables, all) = tiers.entry(*rank).or_default();
        *all += 1;
        if *usable {
            usables.push(index);
        }
    }
    let enough = tiers.values().position(|(usables, all)| {
        !usables.is_empty() && usables.len() * 100 >= all * panic_percent
    });
    let mut groups: Vec<Vec<usize>> = tiers.into_values().map(|(usables, _all)| usables).collect();
    let panic = match enough {
        Some(first) => {
            let first = groups.remove(first);
            groups.insert(0, first);
            false
        }
        None => {
            groups.insert(0, (0..places.len()).collect());
            !places.is_empty()
        }
    };
    groups.retain(|group| !group.is_empty());
    (groups, panic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Rank = Rank {
        priority: 0,
        remote: false,
    };
    const REMOTE: Rank = Rank {
        priority: 0,
        remote: true,
    };
    const BACKUP: Rank = Rank {
        priority: 1,
        remote: false,
    };

    #[test]
    fn the_first_tier_with_enough_usable_endpoints_is_picked_from() {
        let cases = [
            (
                "all are well: the own locality, then the others, then the backup",
                vec![(BACKUP, true), (REMOTE, true), (FIRST, true)],
                (vec![vec![2], vec![1], vec![0]], false),
            ),
            (
                "unusable ones are left out",
                vec![(FIRST, true), (FIRST, false), (BACKUP, true)],
                (vec![vec![0], vec![2]], false),
            ),
            (
                "one of three is too few for the tier, the backup comes first",
                vec![
                    (FIRST, false),
                    (FIRST, true),
                    (FIRST, false),
                    (BACKUP, true),
                ],
                (vec![vec![3], vec![1]], false),
            ),
            (
                "too few everywhere: all, and the usable one for a second attempt",
                vec![
                    (FIRST, false),
                    (FIRST, true),
                    (FIRST, false),
                    (BACKUP, false),
                ],
                (vec![vec![0, 1, 2, 3], vec![1]], true),
            ),
            (
                "none is usable",
                vec![(FIRST, false), (BACKUP, false)],
                (vec![vec![0, 1]], true),
            ),
            ("there is none", vec![], (vec![], false)),
        ];
        for (name, places, want) in cases {
            assert_eq!(order(&places, 50), want, "{name}");
        }
    }

    #[test]
    fn without_a_threshold_one_usable_endpoint_is_enough() {
        let places = [(FIRST, false), (FIRST, false), (FIRST, true)];
        assert_eq!(order(&places, 0), (vec![vec![2]], false));
        let places = [(FIRST, false), (FIRST, false)];
        assert_eq!(order(&places, 0), (vec![vec![0, 1]], true));
    }

    #[test]
    fn a_slow_start_grows_with_time() {
        let at = |now| Terms {
            slow_start: 10_000,
            now,
            limit: None,
        };
        for (since, now, want) in [
            (0, 5_000, FULL),
            (1_000, 1_000, 100),
            (1_000, 6_000, 500),
            (1_000, 11_000, FULL),
            (1_000, 999_000, FULL),
        ] {
            assert_eq!(ramp(since, &at(now)), want, "{since} {now}");
        }
    }
}
