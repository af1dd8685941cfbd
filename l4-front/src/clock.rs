//! The one place where the wall clock is read.

use std::time::SystemTime;

/// Now, for log lines. Time-outs use tokio's monotonic clock.
pub(crate) fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    SystemTime::now()
}
