//! Checks one endpoint again and again, for as long as it is in service.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::cluster::roster::{Roster, Watch};
use crate::exhaustion::is_ours;
use crate::health::check::{CheckError, HealthCheck};
use crate::jitter::jittered;

/// Ends when the endpoint has left. The first check comes at once.
pub(crate) async fn watch(cluster: Arc<Cluster>, check: Arc<HealthCheck>, watch: Watch) {
    loop {
        let result = check.run(watch.address.0).await;
        let Some(interval) = take_in(&cluster.roster, &check, watch, result) else {
            return;
        };
        sleep(jittered(interval)).await;
    }
}

/// When the next check is due; `None` if the endpoint has left.
fn take_in(
    roster: &Roster,
    check: &HealthCheck,
    watch: Watch,
    result: Result<(), CheckError>,
) -> Option<Duration> {
    let is_settled = match result {
        // Nothing was asked, so nothing is known.
        Err(CheckError::Connect(error)) if is_ours(&error) => {
            roster.not_checked(watch, error)?;
            false
        }
        result => roster.checked(watch, result, &check.thresholds)?,
    };
    Some(if is_settled {
        check.interval
    } else {
        check.unhealthy_interval
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use nix::libc::{ECONNREFUSED, EMFILE};

    use super::*;
    use crate::balancer::Policy;
    use crate::cluster::plan::Rank;
    use crate::cluster::queue::QueueLimits;
    use crate::cluster::roster::{Rules, Target};
    use crate::health::Thresholds;
    use crate::health::check::Question;

    const CHECK: HealthCheck = HealthCheck {
        question: Question::Tcp,
        interval: Duration::from_secs(10),
        unhealthy_interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        thresholds: Thresholds {
            healthy_after: 1,
            unhealthy_after: 1,
        },
    };

    fn serving() -> (Roster, Watch) {
        let rules = Rules {
            policy: Policy::RoundRobin,
            panic_percent: 0,
            slow_start: Duration::ZERO,
            connections: None,
            queue: QueueLimits {
                length: 0,
                timeout: Duration::ZERO,
            },
            ejection: None,
        };
        let roster = Roster::new("gateway".to_owned(), rules, None);
        roster.update(vec![Target {
            address: SocketAddr::from(([192, 0, 2, 1], 443)).into(),
            weight: 1,
            rank: Rank::default(),
        }]);
        let watch = roster.unwatched()[0];
        (roster, watch)
    }

    fn failed(code: i32) -> Result<(), CheckError> {
        Err(CheckError::Connect(io::Error::from_raw_os_error(code)))
    }

    #[tokio::test]
    async fn a_check_that_could_not_be_made_says_why_and_decides_nothing() {
        let (roster, watch) = serving();
        for (result, failures) in [(failed(EMFILE), 0), (failed(ECONNREFUSED), 1)] {
            let next = take_in(&roster, &CHECK, watch, result);
            assert_eq!(next, Some(CHECK.unhealthy_interval));
            let checks = roster.report().remove(0).checks;
            assert_eq!(checks.failed, failures);
            assert!(checks.error.is_some());
        }
    }

    #[tokio::test]
    async fn a_watch_ends_with_its_endpoint_even_while_no_check_can_be_made() {
        let (roster, watch) = serving();
        roster.update(Vec::new());
        assert_eq!(take_in(&roster, &CHECK, watch, failed(EMFILE)), None);
    }
}
