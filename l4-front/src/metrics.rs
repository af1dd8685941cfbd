//! Counters and gauges, in the text format of Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Labels of what is counted per ended connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Ended {
    pub(crate) listener: String,
    pub(crate) termination: &'static str,
}

/// Labels of what is counted per listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfListener {
    pub(crate) listener: String,
}

/// Labels of what is counted per worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfWorker {
    pub(crate) worker: usize,
}

/// All that the front counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) accepted: Family<OfListener, Counter>,
    pub(crate) active: Family<OfListener, Gauge>,
    pub(crate) ended: Family<Ended, Counter>,
    pub(crate) refused: Family<Ended, Counter>,
    pub(crate) accept_errors: Family<OfListener, Counter>,
    pub(crate) handed_over: Family<OfListener, Counter>,
    pub(crate) worker_connections: Family<OfWorker, Gauge>,
    pub(crate) bytes_up: Family<OfListener, Counter<u64, AtomicU64>>,
    pub(crate) bytes_down: Family<OfListener, Counter<u64, AtomicU64>>,
    pub(crate) bytes_spliced: Family<OfListener, Counter<u64, AtomicU64>>,
    pub(crate) access_log_lost: Counter,
}

impl Metrics {
    /// A registry that shows these metrics under the prefix `l4_front`.
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("l4_front");
        registry.register(
            "downstream_connections_accepted",
            "Connections accepted",
            self.accepted.clone(),
        );
        registry.register(
            "downstream_connections_active",
            "Connections that are open now",
            self.active.clone(),
        );
        registry.register(
            "downstream_connections_ended",
            "Connections ended, by how they ended",
            self.ended.clone(),
        );
        registry.register(
            "downstream_connections_refused",
            "Connections closed at once because of a limit",
            self.refused.clone(),
        );
        registry.register(
            "accept_errors",
            "Failed accept(2) calls",
            self.accept_errors.clone(),
        );
        registry.register(
            "downstream_connections_handed_over",
            "Connections that a worker accepted and another one, with less to do, serves",
            self.handed_over.clone(),
        );
        registry.register(
            "worker_connections",
            "Connections that a worker serves now",
            self.worker_connections.clone(),
        );
        registry.register_with_unit(
            "relayed_up",
            "Data relayed from downstream to upstream, counted when a connection ends",
            Unit::Bytes,
            self.bytes_up.clone(),
        );
        registry.register_with_unit(
            "relayed_down",
            "Data relayed from upstream to downstream, counted when a connection ends",
            Unit::Bytes,
            self.bytes_down.clone(),
        );
        registry.register_with_unit(
            "relayed_spliced",
            "Of the data relayed both ways, what the kernel moved by splice(2)",
            Unit::Bytes,
            self.bytes_spliced.clone(),
        );
        registry.register(
            "access_log_lines_lost",
            "Access log lines dropped because the disk was too slow",
            self.access_log_lost.clone(),
        );
        registry
    }
}

/// The registry as Prometheus reads it.
pub(crate) fn render(registry: &Registry) -> String {
    let mut out = String::new();
    // Writing to a String does not fail; a partial answer would be cut at a line, not wrong.
    let _ = text::encode(&mut out, registry);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_rendered() {
        let metrics = Metrics::default();
        let labels = OfListener {
            listener: "public".to_owned(),
        };
        metrics.accepted.get_or_create(&labels).inc();
        metrics.bytes_up.get_or_create(&labels).inc_by(7);
        let text = render(&metrics.registry());
        for line in [
            "l4_front_downstream_connections_accepted_total{listener=\"public\"} 1",
            "l4_front_relayed_up_bytes_total{listener=\"public\"} 7",
            "l4_front_access_log_lines_lost_total 0",
        ] {
            assert!(text.contains(line), "{line} not in:\n{text}");
        }
    }
}
