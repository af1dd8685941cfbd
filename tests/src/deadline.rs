//! Waiting for something to become true: looks again and again, never longer than allowed.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::HarnessError;

/// Looks until `look` finds something and hands that over.
///
/// # Errors
/// [`HarnessError::Deadline`] with `what` if nothing was found within `within`.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> Result<T, HarnessError> {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(HarnessError::Deadline {
                what: what.to_owned(),
                within,
                log_tail: String::new(),
            });
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Short beside the start of any process, long beside one look.
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);
