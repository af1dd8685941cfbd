use proptest::prelude::*;

use super::*;

const POLICIES: [Policy; 4] = [
    Policy::RoundRobin,
    Policy::LeastConnections,
    Policy::PowerOfTwo,
    Policy::Maglev,
];

/// Endpoints as a test sets them up.
#[derive(Debug, Clone)]
struct Endpoints {
    weights: Vec<u16>,
    connections: Vec<usize>,
    closed: Vec<usize>,
    ramps: Vec<u32>,
}

impl Endpoints {
    fn of(weights: &[u16]) -> Self {
        Self {
            weights: weights.to_vec(),
            connections: vec![0; weights.len()],
            closed: Vec::new(),
            ramps: vec![FULL; weights.len()],
        }
    }

    fn balancer(&self, policy: Policy) -> Balancer {
        let ids: Vec<usize> = (0..self.weights.len()).collect();
        Balancer::new(policy, &seats(&ids, &self.weights), Arc::default())
    }

    /// How many of `count` connections each place gets; they stay open if `held`.
    fn shares(&mut self, policy: Policy, count: u64, held: bool) -> Vec<usize> {
        let balancer = self.balancer(policy);
        let mut shares = vec![0; self.weights.len()];
        for number in 0..count {
            let place = balancer.pick(self, hash(&number.to_be_bytes())).unwrap();
            shares[place] += 1;
            if held {
                self.connections[place] += 1;
            }
        }
        shares
    }
}

impl Pool for Endpoints {
    fn is_open(&self, place: usize) -> bool {
        !self.closed.contains(&place)
    }

    fn connections(&self, place: usize) -> usize {
        self.connections[place]
    }

    fn ramp(&self, place: usize) -> u32 {
        self.ramps[place]
    }
}

fn seats(ids: &[usize], weights: &[u16]) -> Vec<Seat> {
    ids.iter()
        .zip(weights)
        .map(|(id, weight)| Seat {
            id: format!("192.0.2.{id}:443"),
            weight: *weight,
        })
        .collect()
}

/// Within `percent` of what the weights say, and 2 more for the grain.
fn check_shares(shares: &[usize], weights: &[u16], percent: usize) -> Result<(), TestCaseError> {
    let total: usize = shares.iter().sum();
    let sum: usize = weights.iter().copied().map(usize::from).sum();
    for (share, weight) in shares.iter().zip(weights) {
        let want = total * usize::from(*weight) / sum;
        let slack = want * percent / 100 + 2;
        prop_assert!(
            share.abs_diff(want) <= slack,
            "{shares:?} for weights {weights:?}"
        );
    }
    Ok(())
}

#[test]
fn turns_are_spread() {
    assert_eq!(interleave(&[3, 1]), [0, 0, 1, 0]);
    assert_eq!(interleave(&[50, 50]), [0, 1], "in the smallest numbers");
    assert_eq!(interleave(&[]), [0; 0]);
}

#[test]
fn endpoints_take_turns() {
    let endpoints = Endpoints::of(&[1, 1, 1]);
    let balancer = endpoints.balancer(Policy::RoundRobin);
    let picked: Vec<_> = (0..6)
        .filter_map(|_| balancer.pick(&endpoints, 0))
        .collect();
    assert_eq!(picked, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn the_share_of_a_closed_endpoint_goes_to_all_others() {
    let mut endpoints = Endpoints::of(&[1, 1, 1]);
    endpoints.closed = vec![1];
    for policy in [Policy::RoundRobin, Policy::PowerOfTwo, Policy::Maglev] {
        let shares = endpoints.shares(policy, 3000, false);
        assert!(
            shares[0].abs_diff(shares[2]) < 150,
            "{policy:?}: {shares:?}"
        );
    }
}

#[test]
fn equally_loaded_endpoints_take_turns() {
    let endpoints = Endpoints::of(&[1, 1, 1]);
    let balancer = endpoints.balancer(Policy::LeastConnections);
    let mut picked: Vec<_> = (0..3)
        .filter_map(|_| balancer.pick(&endpoints, 0))
        .collect();
    picked.sort_unstable();
    assert_eq!(picked, [0, 1, 2]);
}

#[test]
fn the_more_loaded_of_two_is_not_picked() {
    let mut endpoints = Endpoints::of(&[1, 1]);
    endpoints.connections = vec![8, 7];
    assert_eq!(endpoints.shares(Policy::PowerOfTwo, 100, false), [0, 100]);
}

#[test]
fn nothing_is_picked_where_nothing_is_open() {
    for policy in POLICIES {
        let none = Endpoints::of(&[]);
        assert_eq!(none.balancer(policy).pick(&none, 7), None, "{policy:?}");
        let mut closed = Endpoints::of(&[3, 1]);
        closed.closed = vec![0, 1];
        assert_eq!(closed.balancer(policy).pick(&closed, 7), None, "{policy:?}");
    }
}

#[test]
fn an_endpoint_in_slow_start_gets_part_of_its_share() {
    for policy in POLICIES {
        for ramp in [100, 500] {
            let mut endpoints = Endpoints::of(&[1, 1, 1, 1]);
            endpoints.ramps[2] = ramp;
            let held = matches!(policy, Policy::LeastConnections | Policy::PowerOfTwo);
            let shares = endpoints.shares(policy, 4000, held);
            // Of its own share, or of what the shares then add up to.
            let (least, most) = (ramp as usize, 4000 * ramp as usize / (3000 + ramp as usize));
            assert!(
                (least * 3 / 4..most * 5 / 4).contains(&shares[2]),
                "{policy:?} at {ramp}: {shares:?}"
            );
        }
    }
}

#[test]
fn a_key_stays_where_it_is() {
    let mut endpoints = Endpoints::of(&[1; 5]);
    let balancer = endpoints.balancer(Policy::Maglev);
    let before: Vec<_> = (0..1000_u64)
        .map(|key| balancer.pick(&endpoints, mix(key)))
        .collect();
    endpoints.connections = vec![9, 8, 7, 6, 5];
    let again: Vec<_> = (0..1000_u64)
        .map(|key| balancer.pick(&endpoints, mix(key)))
        .collect();
    assert_eq!(before, again);
}

/// Fronts of different versions must agree: this may only change with a note to operators.
#[test]
fn hashes_are_the_same_for_ever() {
    assert_eq!(hash(b""), 0xc381_7c01_6ba4_ff30);
    assert_eq!(hash(b"pay.example.com"), 0xda4c_b701_bde9_146b);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_open_endpoint_is_found_by_every_rule(
        weights in prop::collection::vec(1_u16..=100, 1..20),
        open in any::<prop::sample::Index>(),
        key: u64,
    ) {
        let open = open.index(weights.len());
        let mut endpoints = Endpoints::of(&weights);
        endpoints.closed = (0..weights.len()).filter(|place| *place != open).collect();
        endpoints.ramps[open] = 1;
        for policy in POLICIES {
            let picked = endpoints.balancer(policy).pick(&endpoints, key);
            prop_assert_eq!(picked, Some(open), "{:?}", policy);
        }
    }

    #[test]
    fn turns_follow_weights(weights in prop::collection::vec(1_u16..20, 1..8)) {
        let total = weights.iter().copied().map(u64::from).sum();
        let shares = Endpoints::of(&weights).shares(Policy::RoundRobin, total, false);
        prop_assert_eq!(shares, weights.iter().copied().map(usize::from).collect::<Vec<_>>());
    }

    #[test]
    fn open_connections_follow_weights(weights in prop::collection::vec(1_u16..20, 1..8)) {
        let held = |policy| Endpoints::of(&weights).shares(policy, 4000, true);
        check_shares(&held(Policy::LeastConnections), &weights, 2)?;
        check_shares(&held(Policy::PowerOfTwo), &weights, 10)?;
    }

    #[test]
    fn the_least_loaded_is_picked(
        endpoints in prop::collection::vec((1_u16..=100, 0_usize..1000), 1..20)
    ) {
        let (weights, connections): (Vec<_>, Vec<_>) = endpoints.into_iter().unzip();
        let mut endpoints = Endpoints::of(&weights);
        endpoints.connections = connections;
        let balancer = endpoints.balancer(Policy::LeastConnections);
        let picked = balancer.pick(&endpoints, 0).unwrap();
        for other in 0..weights.len() {
            prop_assert!(!balancer.is_less_loaded(other, picked, &endpoints), "{other} < {picked}");
        }
    }

    #[test]
    fn keys_follow_weights(weights in prop::collection::vec(1_u16..20, 1..12)) {
        let ids: Vec<_> = (0..weights.len()).collect();
        let table = Maglev::new(&seats(&ids, &weights));
        let mut shares = vec![0; weights.len()];
        for place in table.from(0) {
            shares[place] += 1;
        }
        prop_assert_eq!(shares.iter().sum::<usize>() as u64, maglev::SIZE);
        check_shares(&shares, &weights, 2)?;
    }

    #[test]
    fn fronts_agree_whatever_the_order_of_their_endpoints(
        ids in Just((0..9).collect::<Vec<usize>>()).prop_shuffle()
    ) {
        let sorted: Vec<usize> = (0..9).collect();
        let weights: Vec<u16> = (1..10).collect();
        let shuffled: Vec<u16> = ids.iter().map(|id| weights[*id]).collect();
        let one = Maglev::new(&seats(&sorted, &weights));
        let other = Maglev::new(&seats(&ids, &shuffled));
        prop_assert!(one.from(0).eq(other.from(0).map(|place| ids[place])));
    }

    /// What was at the endpoint that left must move; hardly anything else may.
    #[test]
    fn keys_of_other_endpoints_stay_when_one_leaves(count in 2_usize..24, gone: prop::sample::Index) {
        let gone = gone.index(count);
        let ids: Vec<usize> = (0..count).collect();
        let rest: Vec<usize> = (0..count).filter(|id| *id != gone).collect();
        let before = Maglev::new(&seats(&ids, &vec![1; count]));
        let after = Maglev::new(&seats(&rest, &vec![1; count]));
        let moved = before
            .from(0)
            .zip(after.from(0))
            .filter(|(old, new)| *old != gone && ids[*old] != rest[*new])
            .count();
        prop_assert!(moved as u64 * 100 <= maglev::SIZE * 4, "{moved} entries moved");
    }
}
