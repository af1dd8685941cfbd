//! The endpoints of all clusters as JSON, for operators.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::Cluster;
use super::roster::{Report, Standing};

#[derive(Serialize)]
struct ClusterStatus<'a> {
    name: &'a str,
    /// True while health is not believed because too few endpoints are usable.
    panic: bool,
    queue_length: usize,
    /// `null`: the endpoints are those of the configuration.
    dns: Option<DnsStatus<'a>>,
    endpoints: Vec<EndpointStatus>,
}

#[derive(Serialize)]
struct DnsStatus<'a> {
    name: &'a str,
    resolved: u64,
    failed: u64,
}

#[derive(Serialize)]
struct EndpointStatus {
    address: SocketAddr,
    state: Standing,
    weight: u16,
    priority: u8,
    connections: usize,
    ejections: u64,
    checks_passed: u64,
    checks_failed: u64,
    /// Why the last check failed.
    check_error: Option<String>,
}

/// One document with all of them.
pub(crate) fn render(clusters: &[Arc<Cluster>]) -> String {
    let clusters: Vec<_> = clusters
        .iter()
        .map(|cluster| ClusterStatus::of(cluster))
        .collect();
    // Names, numbers and addresses: there is nothing that JSON cannot hold.
    let document = serde_json::json!({ "clusters": clusters });
    format!("{document:#}\n")
}

impl<'a> ClusterStatus<'a> {
    fn of(cluster: &'a Cluster) -> Self {
        let reports = cluster.roster.report();
        Self {
            name: &cluster.name,
            panic: cluster.roster.is_in_panic(),
            queue_length: cluster.roster.queue().length(),
            dns: cluster.discovery.as_ref().map(|discovery| DnsStatus {
                name: &discovery.name,
                resolved: discovery.counts.resolved.load(Ordering::Relaxed),
                failed: discovery.counts.failed.load(Ordering::Relaxed),
            }),
            endpoints: reports.into_iter().map(EndpointStatus::from).collect(),
        }
    }
}

impl From<Report> for EndpointStatus {
    fn from(report: Report) -> Self {
        Self {
            address: report.endpoint.address.0,
            state: report.standing,
            weight: report.weight,
            priority: report.priority,
            connections: report.endpoint.connections(),
            ejections: report.ejections,
            checks_passed: report.checks.passed,
            checks_failed: report.checks.failed,
            check_error: report.checks.error,
        }
    }
}
