//! What all connections of one listener share, on all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Semaphore;

use crate::access_log::AccessLog;
use crate::admission::{Admission, Refusal};
use crate::cluster::Cluster;
use crate::config::Listener;
use crate::count::Count;
use crate::metrics::{Metrics, OfListener};

/// What the listeners of one configuration have in common.
pub(crate) struct Surroundings {
    pub(crate) clusters: Arc<[Arc<Cluster>]>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: Option<AccessLog>,
    /// Of all listeners together.
    pub(crate) places: Arc<Places>,
}

/// One listener at work, as one configuration wants it. A connection keeps what it began with.
pub(crate) struct Shared {
    pub(crate) listener: Arc<Listener>,
    pub(crate) labels: OfListener,
    pub(crate) clusters: Arc<[Arc<Cluster>]>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) admission: Admission,
    /// Permits for downstream handshakes.
    pub(crate) handshakes: Arc<Semaphore>,
    places: Arc<Places>,
    /// Of all listeners together.
    all_places: Arc<Places>,
    gauge: Gauge,
}

impl Shared {
    /// `before` is what it takes the place of: what that has counted goes on to count.
    pub(crate) fn new(
        listener: Arc<Listener>,
        around: &Surroundings,
        before: Option<&Self>,
    ) -> Self {
        let labels = OfListener {
            listener: listener.name.clone(),
        };
        let limits = &listener.limits;
        let places = before.map(|before| Arc::clone(&before.places));
        let places = places.unwrap_or_else(|| Places::new(limits.connections));
        places.set_most(limits.connections);
        let handshakes = before
            .filter(|old| old.listener.limits.handshakes_in_flight == limits.handshakes_in_flight)
            .map(|before| Arc::clone(&before.handshakes))
            .unwrap_or_else(|| Arc::new(Semaphore::new(limits.handshakes_in_flight)));
        let admission = before.map(|before| &before.admission);
        Self {
            admission: Admission::new(listener.admission.clone(), admission),
            handshakes,
            places,
            clusters: Arc::clone(&around.clusters),
            metrics: Arc::clone(&around.metrics),
            access_log: around.access_log.clone(),
            all_places: Arc::clone(&around.places),
            gauge: around.metrics.active.get_or_create_owned(&labels),
            labels,
            listener,
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
    most: AtomicUsize,
    taken: Count,
}

impl Places {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: AtomicUsize::new(most),
            taken: Count::new(),
        })
    }

    /// Places that are taken stay taken, also where there are fewer now.
    pub(crate) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    fn take(self: &Arc<Self>) -> Option<Place> {
        let taken = self.taken.join(self.most.load(Ordering::Relaxed));
        taken.map(|_before| Place(Arc::clone(self)))
    }
}

struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.leave();
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
        places.set_most(1);
        assert!(places.take().is_none());
    }
}
