//! How many bad tokens one source may send before its tokens are no longer looked at.
//!
//! A signature check is the dearest thing that a stranger can make the filter do. The table has a fixed
//! size, so strangers cannot make it grow either; who has more addresses than it has places makes it forget
//! others, and pays with as many bad requests. A token that is remembered as verified is never refused here.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::time::UnixTime;

/// How many failures one source may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// At once, and in each window.
    pub failures: u32,
    /// The window.
    pub window_seconds: u32,
}

/// A network address as far as it tells two senders apart: all of IPv4, and the /64 of IPv6, because
/// whoever has one address there has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(u128);

impl Source {
    /// Reads an address with a port, as the gateway writes it: `192.0.2.1:5`, `[2001:db8::1]:5`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match address(text)? {
            IpAddr::V4(address) => Self(u128::from(address.to_bits())),
            IpAddr::V6(address) => Self(1 << 64 | address.to_bits() >> 64),
        })
    }
}

/// The address in an address with a port.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let address: SocketAddr = text.parse().ok()?;
    // `::ffff:192.0.2.1` is the IPv4 address in it.
    Some(address.ip().to_canonical())
}

/// The failures of the sources that had some lately.
#[derive(Debug)]
pub struct Throttle {
    /// Microseconds in which one failure is forgotten.
    interval: u64,
    window: u64,
    seed: u64,
    /// [`SETS`] times [`WAYS`] places.
    places: Vec<Place>,
}

/// Invariant: an unused place has `clear_at` 0.
#[derive(Debug, Clone, Copy)]
struct Place {
    source: Source,
    /// When all failures of the source are forgotten, in microseconds since the epoch.
    clear_at: u64,
}

impl Throttle {
    /// Nobody has failed yet. `seed` keeps strangers from choosing addresses that share a set.
    #[must_use]
    pub fn new(allowance: Allowance, seed: u64) -> Self {
        let window = u64::from(allowance.window_seconds.max(1)).saturating_mul(1_000_000);
        let unused = Place {
            source: Source(0),
            clear_at: 0,
        };
        Self {
            interval: (window / u64::from(allowance.failures.max(1))).max(1),
            window,
            seed,
            places: vec![unused; SETS * WAYS],
        }
    }

    /// Whether tokens of this source are to be looked at.
    ///
    /// # Errors
    /// When it has used up its failures: the whole seconds until one more is allowed.
    pub fn check(&self, source: Source, now: UnixTime) -> Result<(), u64> {
        let now = micros(now);
        let clear_at = self
            .set(source)
            .iter()
            .find(|place| place.source == source)
            .map_or(0, |place| place.clear_at);
        let wait = clear_at
            .saturating_sub(now)
            .saturating_add(self.interval)
            .saturating_sub(self.window);
        // A wall clock that went back must not lock anybody out for longer than the window.
        if wait == 0 || wait > self.window {
            Ok(())
        } else {
            Err(wait.div_ceil(1_000_000))
        }
    }

    /// A token of this source was bad.
    pub fn on_failure(&mut self, source: Source, now: UnixTime) {
        let (now, interval) = (micros(now), self.interval);
        let latest = now.saturating_add(self.window);
        let set = self.set_mut(source);
        // A source that is not there takes the place of the one that is forgotten first.
        let place = match set.iter().position(|place| place.source == source) {
            Some(known) => set.get_mut(known),
            None => set.iter_mut().min_by_key(|place| place.clear_at),
        };
        if let Some(place) = place {
            let before = if place.source == source {
                place.clear_at
            } else {
                0
            };
            *place = Place {
                source,
                clear_at: before.max(now).saturating_add(interval).min(latest),
            };
        }
    }

    fn set(&self, source: Source) -> &[Place] {
        let first = self.first(source);
        self.places.get(first..first + WAYS).unwrap_or_default()
    }

    fn set_mut(&mut self, source: Source) -> &mut [Place] {
        let first = self.first(source);
        self.places.get_mut(first..first + WAYS).unwrap_or_default()
    }

    /// Mixes as splitmix64 does: every bit of the address and of the seed moves every bit of the result.
    fn first(&self, source: Source) -> usize {
        let mut mixed = self.seed;
        for half in [source.0, source.0 >> 64] {
            let [a, b, c, d, e, f, g, h, ..] = half.to_le_bytes();
            mixed ^= u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
        }
        let [low, high, ..] = mixed.to_le_bytes();
        usize::from(u16::from_le_bytes([low, high])) % SETS * WAYS
    }
}

const fn micros(now: UnixTime) -> u64 {
    now.millis().saturating_mul(1000)
}

/// Sources that are remembered: `SETS * WAYS`, 128 KiB of memory.
const SETS: usize = 1024;
/// Places among which a source may stand.
const WAYS: usize = 4;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const START: u64 = 1_800_000_000_000;

    fn at(millis: u64) -> UnixTime {
        UnixTime::from_millis(START + millis)
    }

    fn throttle() -> Throttle {
        Throttle::new(
            Allowance {
                failures: 10,
                window_seconds: 60,
            },
            7,
        )
    }

    fn source(text: &str) -> Source {
        Source::parse(text).unwrap()
    }

    #[test]
    fn a_source_is_one_ipv4_address_or_one_ipv6_network() {
        assert_eq!(source("192.0.2.1:5"), source("192.0.2.1:6"));
        assert_ne!(source("192.0.2.1:5"), source("192.0.2.2:5"));
        assert_eq!(source("[2001:db8::1]:5"), source("[2001:db8::ffff:1:1]:6"));
        assert_ne!(source("[2001:db8::1]:5"), source("[2001:db8:0:1::1]:5"));
        assert_eq!(source("[::ffff:192.0.2.1]:5"), source("192.0.2.1:5"));
        assert_ne!(source("[::c000:201]:5"), source("192.0.2.1:5"));
        for text in ["", "192.0.2.1", "/run/a.sock", "a:1", "192.0.2.1:66000"] {
            assert_eq!(Source::parse(text), None, "{text}");
        }
    }

    #[test]
    fn failures_are_counted_then_forgotten_one_by_one() {
        let (mut throttle, source) = (throttle(), source("192.0.2.1:5"));
        for failure in 0..10 {
            assert_eq!(throttle.check(source, at(0)), Ok(()), "failure {failure}");
            throttle.on_failure(source, at(0));
        }
        assert_eq!(throttle.check(source, at(0)), Err(6));
        assert_eq!(throttle.check(source, at(5_999)), Err(1));
        assert_eq!(throttle.check(source, at(6_000)), Ok(()));
        throttle.on_failure(source, at(6_000));
        assert_eq!(throttle.check(source, at(6_000)), Err(6));
        assert_eq!(throttle.check(source, at(66_000)), Ok(()));
        for failure in 0..9 {
            throttle.on_failure(source, at(66_000));
            assert_eq!(
                throttle.check(source, at(66_000)),
                Ok(()),
                "failure {failure}"
            );
        }
    }

    #[test]
    fn one_source_does_not_pay_for_another() {
        let mut throttle = throttle();
        for _failure in 0..100 {
            throttle.on_failure(source("192.0.2.1:5"), at(0));
        }
        assert!(throttle.check(source("192.0.2.1:9"), at(0)).is_err());
        assert_eq!(throttle.check(source("192.0.2.2:5"), at(0)), Ok(()));
        assert_eq!(
            throttle.check(source("192.0.2.1:5"), at(60_000)),
            Ok(()),
            "the wait is bounded"
        );
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out() {
        let (mut throttle, source) = (throttle(), source("192.0.2.1:5"));
        for _failure in 0..100 {
            throttle.on_failure(source, at(10_000_000));
        }
        assert_eq!(throttle.check(source, at(0)), Ok(()));
    }

    #[test]
    fn many_sources_never_make_the_table_grow_and_the_busiest_stay() {
        let (mut throttle, busy) = (throttle(), source("203.0.113.1:1"));
        for _failure in 0..10 {
            throttle.on_failure(busy, at(0));
        }
        let size = throttle.places.len();
        for number in 0..20_000_u32 {
            let [a, b, c, _] = number.to_le_bytes();
            throttle.on_failure(source(&format!("10.{c}.{b}.{a}:1")), at(0));
        }
        assert_eq!(throttle.places.len(), size);
        assert!(
            throttle.check(busy, at(0)).is_err(),
            "one failure each does not push it out"
        );
    }

    #[test]
    fn places_take_what_the_documentation_says() {
        assert_eq!(SETS * WAYS * size_of::<Place>(), 128 * 1024);
    }
}
