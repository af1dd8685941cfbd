//! Spreads what many workers would otherwise do in the same moment.
//!
//! No secret depends on it: a generator of a few instructions is enough (SplitMix64).

use core::time::Duration;

/// A source of delays.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// `seed` must differ between workers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A time from nothing up to `most`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        // In 1/256: fine enough to spread workers, and it cannot overflow.
        let part = u32::from(self.number().to_le_bytes()[0]);
        most / 256 * part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_spread_and_bounded() {
        let most = Duration::from_secs(10);
        let mut jitter = Jitter::new(7);
        let delays: alloc::vec::Vec<_> = (0..1000).map(|_| jitter.up_to(most)).collect();
        assert!(delays.iter().all(|delay| *delay < most));
        assert!(delays.iter().any(|delay| *delay < most / 8));
        assert!(delays.iter().any(|delay| *delay > most / 8 * 7));
        assert_ne!(Jitter::new(1).number(), Jitter::new(2).number());
    }
}
