//! What all connections of one listener share, on all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Semaphore;

use crate::access_log::AccessLog;
use crate::cluster::Cluster;
use crate::config::Listener;
use crate::metrics::{Metrics, OfListener};

/// One listener at work.
pub(crate) struct Shared {
    pub(crate) listener: Listener,
    pub(crate) clusters: Arc<[Cluster]>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: Option<AccessLog>,
    /// Permits for downstream handshakes.
    pub(crate) handshakes: Semaphore,
    active: Arc<AtomicUsize>,
    gauge: Gauge,
}

impl Shared {
    pub(crate) fn new(
        listener: Listener,
        clusters: Arc<[Cluster]>,
        metrics: Arc<Metrics>,
        access_log: Option<AccessLog>,
    ) -> Self {
        let labels = OfListener {
            listener: listener.name.clone(),
        };
        let gauge = metrics.active.get_or_create_owned(&labels);
        let handshakes = Semaphore::new(listener.limits.handshakes_in_flight);
        let active = Arc::default();
        Self {
            listener,
            clusters,
            metrics,
            access_log,
            handshakes,
            active,
            gauge,
        }
    }

    /// A place for one more connection; `None` if the listener is full.
    pub(crate) fn admit(&self) -> Option<Active> {
        let active = Active {
            count: Arc::clone(&self.active),
            gauge: self.gauge.clone(),
        };
        self.gauge.inc();
        let others = self.active.fetch_add(1, Ordering::Relaxed);
        // Dropping the guard takes this connection back out of the count.
        (others < self.listener.limits.connections).then_some(active)
    }
}

/// Counts an open connection while held: no early return and no cancelled task can leak it.
#[must_use = "dropping the guard ends the count"]
pub(crate) struct Active {
    count: Arc<AtomicUsize>,
    gauge: Gauge,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}
