//! Tells the service manager that the process makes progress, as long as it does: every worker has
//! answered since the last time. A process of which one thread hangs is ended and started anew.

use std::time::Duration;

use tokio::time::{Instant, interval_at, timeout};

use crate::service_manager::Notifier;
use crate::worker::Pulse;

/// Runs until the workers take no more orders: a manager that has been told of the end does not
/// wait for this any more.
pub(crate) async fn keep(every: Duration, pulse: Pulse, notifier: Notifier) {
    let mut times = interval_at(Instant::now(), every);
    loop {
        times.tick().await;
        match timeout(every, pulse.beat()).await {
            Ok(true) => notifier.alive(),
            Ok(false) => return,
            Err(_elapsed) => tracing::error!("a worker does not answer, the watchdog is not told"),
        }
    }
}
