//! Counters and gauges, in the text format of Prometheus.

use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::process_log;

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

/// Labels of what is counted per attempt to load the configuration again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfReload {
    pub(crate) result: &'static str,
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
    pub(crate) access_log_failures: Counter,
    config_generation: Gauge,
    config_last_reload_successful: Gauge,
    config_last_success: Gauge<u64, AtomicU64>,
    config_reloads: Family<OfReload, Counter>,
}

impl Metrics {
    /// A configuration is at work since `now`; the first one is no reload.
    pub(crate) fn config_applied(&self, generation: u64, now: SystemTime) {
        if generation > 1 {
            let applied = OfReload { result: "applied" };
            self.config_reloads.get_or_create(&applied).inc();
        }
        self.config_generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.config_last_reload_successful.set(1);
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        self.config_last_success
            .set(since.map_or(0, |since| since.as_secs()));
    }

    /// A configuration was bad, and the one before goes on.
    pub(crate) fn config_refused(&self) {
        let refused = OfReload { result: "refused" };
        self.config_reloads.get_or_create(&refused).inc();
        self.config_last_reload_successful.set(0);
    }

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
            "Access log lines dropped because the disk was full or too slow",
            self.access_log_lost.clone(),
        );
        registry.register(
            "access_log_write_errors",
            "Failed attempts to write to the access log",
            self.access_log_failures.clone(),
        );
        registry.register(
            "log_lines_lost",
            "Lines of the log on standard error that could not be written whole",
            process_log::lost(),
        );
        registry.register(
            "config_generation",
            "Configurations that this process has put to work",
            self.config_generation.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "1 if the last attempt to load the configuration succeeded, else 0",
            self.config_last_reload_successful.clone(),
        );
        registry.register_with_unit(
            "config_last_reload_success_timestamp",
            "When the configuration at work was put to work, since 1970",
            Unit::Seconds,
            self.config_last_success.clone(),
        );
        registry.register(
            "config_reloads",
            "Attempts to load the configuration again, by result",
            self.config_reloads.clone(),
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
