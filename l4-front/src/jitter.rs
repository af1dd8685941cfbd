//! Spreads what would otherwise happen at the same moment everywhere.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// `period`, more or less up to a tenth.
pub(crate) fn jittered(period: Duration) -> Duration {
    // Each `RandomState` has keys of its own; this is chance enough for a timer.
    spread(period, RandomState::new().hash_one(()))
}

fn spread(period: Duration, roll: u64) -> Duration {
    let thousandths = 900 + u32::try_from(roll % 201).unwrap_or_default();
    period * thousandths / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_a_tenth_to_both_sides() {
        let all: Vec<u128> = (0..201)
            .map(|roll| spread(Duration::from_secs(10), roll).as_millis())
            .collect();
        assert_eq!((all[0], all[100], all[200]), (9_000, 10_000, 11_000));
        let period = Duration::from_secs(10);
        assert!((0..100).any(|_| jittered(period) != jittered(period)));
    }
}
