//! Checks one endpoint again and again, for as long as it is in service.

use std::sync::Arc;

use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::cluster::roster::Watch;
use crate::exhaustion::is_ours;
use crate::health::check::{CheckError, HealthCheck};
use crate::jitter::jittered;

/// Ends when the endpoint has left. The first check comes at once.
pub(crate) async fn watch(cluster: Arc<Cluster>, check: Arc<HealthCheck>, watch: Watch) {
    loop {
        let result = check.run(watch.address.0).await;
        if let Err(CheckError::Connect(error)) = &result
            && is_ours(error)
        {
            // Nothing was asked, so nothing is known.
            sleep(jittered(check.unhealthy_interval)).await;
            continue;
        }
        let Some(settled) = cluster.roster.checked(watch, result, &check.thresholds) else {
            return;
        };
        let interval = if settled {
            check.interval
        } else {
            check.unhealthy_interval
        };
        sleep(jittered(interval)).await;
    }
}
