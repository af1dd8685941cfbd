//! Health checks of the endpoints in service: who is to be checked, and what came of it.

use std::fmt::Display;

use super::{Roster, Watch};
use crate::health::{Thresholds, Verdict};

impl Roster {
    /// The endpoints in service that nobody checks yet; the caller is to do it.
    pub(crate) fn unwatched(&self) -> Vec<Watch> {
        let mut members = self.members();
        let unwatched = members.in_service.iter_mut().filter(|m| !m.is_watched);
        unwatched
            .map(|member| {
                member.is_watched = true;
                Watch {
                    address: member.target.address,
                    serial: member.serial,
                }
            })
            .collect()
    }

    /// Takes in the result of a check. True if nothing speaks against the endpoint; `None` if it
    /// has left, and is not to be checked any more.
    pub(crate) fn checked<E: Display>(
        &self,
        watch: Watch,
        result: Result<(), E>,
        thresholds: &Thresholds,
    ) -> Option<bool> {
        let mut members = self.members();
        let mut serving = members.in_service.iter_mut();
        let member = serving.find(|member| member.serial == watch.serial)?;
        let first = member.health.verdict() == Verdict::Unchecked;
        let changed = member.health.record(result.is_ok(), thresholds);
        let settled = member.health.is_settled();
        let endpoint = watch.address.0;
        match result {
            Ok(()) => {
                member.checks.passed += 1;
                member.checks.error = None;
                if changed && !first {
                    tracing::info!(cluster = self.cluster, %endpoint, "endpoint is healthy");
                    self.warm_up(&member.endpoint);
                }
            }
            Err(error) => {
                member.checks.failed += 1;
                if changed {
                    tracing::warn!(cluster = self.cluster, %endpoint, %error, "endpoint is unhealthy");
                }
                member.checks.error = Some(error.to_string());
            }
        }
        if changed {
            self.replan(&mut members);
        }
        Some(settled)
    }

    /// Takes in why a check could not be made, which tells nothing about the endpoint. `None` if it
    /// has left, and is not to be checked any more.
    pub(crate) fn not_checked<E: Display>(&self, watch: Watch, error: E) -> Option<()> {
        let mut members = self.members();
        let mut serving = members.in_service.iter_mut();
        let member = serving.find(|member| member.serial == watch.serial)?;
        member.checks.error = Some(error.to_string());
        Some(())
    }
}
