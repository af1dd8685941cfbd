//! Checks of how a cluster's endpoints are picked, filled and left out.

use std::time::Duration;

use crate::balancer::Policy;
use crate::cluster::ejection::EjectionRules;
use crate::cluster::queue::QueueLimits;
use crate::cluster::roster::Rules;
use crate::config::ConfigError;
use crate::config::checks::{bounded, seconds};
use crate::config::document::{self, Balance};

pub(super) fn validate(at: &str, cluster: &document::Cluster) -> Result<Rules, ConfigError> {
    let (connections, queue) = validate_limits(&format!("{at}.limits"), cluster)?;
    let slow_start = cluster.slow_start_seconds;
    Ok(Rules {
        policy: match cluster.balance {
            Balance::LeastConnections => Policy::LeastConnections,
            Balance::Maglev => Policy::Maglev,
            Balance::PowerOfTwo => Policy::PowerOfTwo,
            Balance::RoundRobin => Policy::RoundRobin,
        },
        panic_percent: bounded(
            &format!("{at}.panic_percent"),
            cluster.panic_percent,
            0..=100,
        )?,
        slow_start: seconds(&format!("{at}.slow_start_seconds"), slow_start, 0..=3600)?,
        connections,
        queue,
        ejection: validate_ejection(&format!("{at}.ejection"), &cluster.ejection)?,
    })
}

fn validate_limits(
    at: &str,
    cluster: &document::Cluster,
) -> Result<(Option<usize>, QueueLimits), ConfigError> {
    let Some(limits) = &cluster.limits else {
        // Without a limit no endpoint is ever full, so nobody waits.
        let queue = QueueLimits {
            length: 0,
            timeout: Duration::ZERO,
        };
        return Ok((None, queue));
    };
    let connections = bounded(
        &format!("{at}.connections_per_endpoint"),
        limits.connections_per_endpoint,
        1..=1_000_000,
    )?;
    let queue = QueueLimits {
        length: bounded(
            &format!("{at}.queue_length"),
            limits.queue_length,
            0..=100_000,
        )?,
        timeout: seconds(
            &format!("{at}.queue_timeout_seconds"),
            limits.queue_timeout_seconds,
            1..=300,
        )?,
    };
    Ok((Some(connections), queue))
}

fn validate_ejection(
    at: &str,
    ejection: &document::Ejection,
) -> Result<Option<EjectionRules>, ConfigError> {
    let failures = bounded(
        &format!("{at}.consecutive_failures"),
        ejection.consecutive_failures,
        0..=100,
    )?;
    let base = ejection.base_seconds;
    let rules = EjectionRules {
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        base: seconds(&format!("{at}.base_seconds"), base, 1..=3600)?,
        most: seconds(
            &format!("{at}.max_seconds"),
            ejection.max_seconds,
            base..=86_400,
        )?,
        most_percent: bounded(&format!("{at}.max_percent"), ejection.max_percent, 1..=100)?,
    };
    Ok((failures > 0).then_some(rules))
}
