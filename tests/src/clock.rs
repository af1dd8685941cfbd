//! The one place where the harness reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Whole seconds since 1970, as tokens count them (RFC 7519 section 2, NumericDate).
#[must_use]
pub fn unix_now() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the wall clock in the harness"
    )]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
