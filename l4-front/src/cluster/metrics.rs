//! What is counted per endpoint and per cluster, read from the clusters when it is asked for: an
//! endpoint that is gone leaves nothing behind, and a connection pays for no label.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::sync::watch;

use super::Cluster;
use super::endpoint::Outcome;
use super::roster::{Report, Standing};

/// Shows the clusters that there are at the time.
#[derive(Debug)]
pub(crate) struct ClusterMetrics(pub(crate) watch::Receiver<Arc<[Arc<Cluster>]>>);

impl Collector for ClusterMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (mut reports, mut clusters) = (Vec::new(), Vec::new());
        let present = Arc::clone(&self.0.borrow());
        for cluster in present.iter() {
            clusters.push((vec![("cluster", cluster.name.clone())], cluster));
            for report in cluster.roster.report() {
                let address = report.endpoint.address.0.to_string();
                let labels = vec![("cluster", cluster.name.clone()), ("endpoint", address)];
                reports.push((labels, report));
            }
        }
        let healthy = |report: &Report| u64::from(report.standing == Standing::Healthy);
        gauge(
            &mut encoder,
            "endpoint_healthy",
            "1 if the endpoint gets connections, 0 if it is left out",
            reports
                .iter()
                .map(|(labels, report)| (labels, healthy(report))),
        )?;
        let connections = |report: &Report| report.endpoint.connections() as u64;
        gauge(
            &mut encoder,
            "endpoint_connections_active",
            "Connections to the endpoint that are open or being opened",
            reports
                .iter()
                .map(|(labels, report)| (labels, connections(report))),
        )?;
        let ejections = reports
            .iter()
            .map(|(labels, report)| (labels, report.ejections));
        counter(
            &mut encoder,
            "endpoint_ejections",
            "How often the endpoint was left out because connections to it failed",
            ejections,
        )?;
        let checks: Vec<_> = reports
            .iter()
            .flat_map(|(labels, report)| {
                let results = [
                    ("passed", report.checks.passed),
                    ("failed", report.checks.failed),
                ];
                results.map(|(result, count)| (with(labels, "result", result), count))
            })
            .collect();
        counter(
            &mut encoder,
            "health_checks",
            "Checks of the endpoint, by result",
            checks.iter().map(|(labels, count)| (labels, *count)),
        )?;
        let attempts: Vec<_> = reports
            .iter()
            .flat_map(|(labels, report)| {
                Outcome::ALL.iter().map(move |outcome| {
                    let count = report.endpoint.attempts(*outcome);
                    (with(labels, "result", outcome.label()), count)
                })
            })
            .filter(|(_labels, count)| *count > 0)
            .collect();
        counter(
            &mut encoder,
            "upstream_connect_attempts",
            "Attempts to connect to an endpoint, by result",
            attempts.iter().map(|(labels, count)| (labels, *count)),
        )?;
        let resolutions: Vec<_> = clusters
            .iter()
            .filter_map(|(labels, cluster)| Some((labels, cluster.discovery.as_ref()?)))
            .flat_map(|(labels, discovery)| {
                let counts = &discovery.counts;
                [("resolved", &counts.resolved), ("failed", &counts.failed)]
                    .map(|(result, count)| (with(labels, "result", result), count))
            })
            .collect();
        counter(
            &mut encoder,
            "dns_resolutions",
            "How often the name of a cluster was asked for, by result",
            resolutions
                .iter()
                .map(|(labels, count)| (labels, count.load(Ordering::Relaxed))),
        )?;
        let panic = |cluster: &Cluster| u64::from(cluster.roster.is_in_panic());
        gauge(
            &mut encoder,
            "cluster_panic",
            "1 while too few endpoints are healthy, so that all are tried",
            clusters
                .iter()
                .map(|(labels, cluster)| (labels, panic(cluster))),
        )?;
        let queue = |cluster: &Cluster| cluster.roster.queue().length() as u64;
        gauge(
            &mut encoder,
            "cluster_queue_length",
            "Connections that wait because every endpoint is full",
            clusters
                .iter()
                .map(|(labels, cluster)| (labels, queue(cluster))),
        )?;
        Ok(())
    }
}

type Labels = Vec<(&'static str, String)>;

fn with(labels: &Labels, name: &'static str, value: &str) -> Labels {
    let mut labels = labels.clone();
    labels.push((name, value.to_owned()));
    labels
}

fn gauge<'l>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (&'l Labels, u64)>,
) -> fmt::Result {
    let rows = rows.map(|(labels, value)| (labels, ConstGauge::new(value)));
    family(encoder, name, help, MetricType::Gauge, rows)
}

fn counter<'l>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (&'l Labels, u64)>,
) -> fmt::Result {
    let rows = rows.map(|(labels, value)| (labels, ConstCounter::new(value)));
    family(encoder, name, help, MetricType::Counter, rows)
}

fn family<'l, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    rows: impl Iterator<Item = (&'l Labels, M)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, metric) in rows {
        metric.encode(family.encode_family(labels)?)?;
    }
    Ok(())
}
