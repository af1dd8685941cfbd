//! What all connections of one listener share, on all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Semaphore;

use crate::access_log::AccessLog;
use crate::admission::{Admission, Refusal};
use crate::cluster::Cluster;
use crate::config::Listener;
use crate::metrics::{Metrics, OfListener};

/// One listener at work.
pub(crate) struct Shared {
    pub(crate) listener: Listener,
    pub(crate) clusters: Arc<[Arc<Cluster>]>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) admission: Admission,
    /// Permits for downstream handshakes.
    pub(crate) handshakes: Semaphore,
    places: Arc<Places>,
    /// Of all listeners together.
    all_places: Arc<Places>,
    gauge: Gauge,
}

impl Shared {
    pub(crate) fn new(
        listener: Listener,
        clusters: Arc<[Arc<Cluster>]>,
        metrics: Arc<Metrics>,
        access_log: Option<AccessLog>,
        all_places: Arc<Places>,
    ) -> Self {
        let labels = OfListener {
            listener: listener.name.clone(),
        };
        let gauge = metrics.active.get_or_create_owned(&labels);
        Self {
            admission: Admission::new(listener.admission.clone()),
            handshakes: Semaphore::new(listener.limits.handshakes_in_flight),
            places: Places::new(listener.limits.connections),
            listener,
            clusters,
            metrics,
            access_log,
            all_places,
            gauge,
        }
    }

    /// A place for one more connection.
    pub(crate) fn admit(&self) -> Result<Active, Refusal> {
        let place = self.places.take().ok_or(Refusal::ConnectionLimit)?;
        let of_all = self.all_places.take().ok_or(Refusal::TotalLimit)?;
        self.gauge.inc();
        Ok(Active {
            _places: [place, of_all],
            gauge: self.gauge.clone(),
        })
    }
}

/// Counts an open connection while held: no early return and no cancelled task can leak it.
#[must_use = "dropping the guard ends the count"]
pub(crate) struct Active {
    _places: [Place; 2],
    gauge: Gauge,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// A bounded number of places.
pub(crate) struct Places {
    most: usize,
    taken: AtomicUsize,
}

impl Places {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: AtomicUsize::new(0),
        })
    }

    fn take(self: &Arc<Self>) -> Option<Place> {
        let place = Place(Arc::clone(self));
        let others = self.taken.fetch_add(1, Ordering::Relaxed);
        // Dropping the place takes this one back out of the count.
        (others < self.most).then_some(place)
    }
}

struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let places = Places::new(2);
        let (one, two) = (places.take(), places.take());
        assert!(one.is_some() && two.is_some());
        assert!(places.take().is_none());
        drop(one);
        assert!(places.take().is_some());
    }
}
