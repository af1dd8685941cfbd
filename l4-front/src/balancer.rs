//! Which endpoint is next. Pure: it knows indices and weights, not addresses.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Round robin by weight, shared by all workers.
///
/// Invariant: `turns` is not empty, and each endpoint stands in it once per unit of its weight.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    turns: Vec<usize>,
    endpoints: usize,
    next: AtomicUsize,
}

impl RoundRobin {
    /// `weights` are those of the endpoints, in order, each at least 1; `None` if there are none.
    pub(crate) fn new(weights: &[u16]) -> Option<Self> {
        let turns = interleave(weights);
        if turns.is_empty() {
            return None;
        }
        Some(Self {
            turns,
            endpoints: weights.len(),
            next: AtomicUsize::new(0),
        })
    }

    /// Every endpoint once: the one whose turn it is, then the others in the order of their turns.
    pub(crate) fn order(&self) -> impl Iterator<Item = usize> + '_ {
        let start = self.next.fetch_add(1, Ordering::Relaxed) % self.turns.len();
        let mut seen = vec![false; self.endpoints];
        let (before, from) = self.turns.split_at(start);
        from.iter().chain(before).copied().filter(move |index| {
            seen.get_mut(*index)
                .is_some_and(|seen| !std::mem::replace(seen, true))
        })
    }
}

/// Spreads the turns: the endpoint that is furthest behind its share comes next, so that weights
/// 3 and 1 give `a a b a` and not `a a a b`.
fn interleave(weights: &[u16]) -> Vec<usize> {
    let total: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
    let mut credit = vec![0_i64; weights.len()];
    (0..total)
        .filter_map(|_| {
            for (credit, weight) in credit.iter_mut().zip(weights) {
                *credit += i64::from(*weight);
            }
            // `max_by_key` takes the last of equals; reversed, that is the first endpoint.
            let (index, most) = credit
                .iter_mut()
                .enumerate()
                .rev()
                .max_by_key(|(_, credit)| **credit)?;
            *most -= total;
            Some(index)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn endpoints_take_turns() {
        let balancer = RoundRobin::new(&[1, 1, 1]).unwrap();
        let first: Vec<_> = (0..6).filter_map(|_| balancer.order().next()).collect();
        assert_eq!(first, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn the_others_follow_for_the_case_of_failure() {
        let balancer = RoundRobin::new(&[1, 1, 1]).unwrap();
        let _first = balancer.order();
        assert_eq!(balancer.order().collect::<Vec<_>>(), [1, 2, 0]);
    }

    #[test]
    fn turns_are_spread() {
        assert_eq!(interleave(&[3, 1]), [0, 0, 1, 0]);
    }

    #[test]
    fn no_endpoints_are_no_balancer() {
        assert!(RoundRobin::new(&[]).is_none());
    }

    proptest! {
        #[test]
        fn shares_follow_weights_and_each_order_names_all(
            weights in prop::collection::vec(1_u16..20, 1..8)
        ) {
            let balancer = RoundRobin::new(&weights).unwrap();
            let total: usize = weights.iter().map(|w| usize::from(*w)).sum();
            let mut counts = vec![0_usize; weights.len()];
            for _ in 0..total {
                let order: Vec<_> = balancer.order().collect();
                counts[order[0]] += 1;
                let mut sorted = order.clone();
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..weights.len()).collect::<Vec<_>>());
            }
            let want: Vec<_> = weights.iter().map(|w| usize::from(*w)).collect();
            prop_assert_eq!(counts, want);
        }
    }
}
