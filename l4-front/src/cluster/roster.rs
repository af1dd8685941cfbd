//! The endpoints of one cluster while it serves: who is in service, who leaves, how they are.
//!
//! Connections only read the plan and count in the endpoints, without a lock. Whatever changes the
//! plan (checks, ejections, discovery) does so under one, makes a new plan and swaps it in.

use std::collections::HashMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use rustls::client::Resumption;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::EndpointAddr;
use super::ejection::{Ejection, EjectionRules};
use super::endpoint::Endpoint;
use super::plan::{Pick, Place, Plan, Rank, Terms, Visit};
use super::queue::{Queue, QueueLimits};
use crate::balancer::Policy;
use crate::health::{Health, Verdict};

mod checks;

/// Endpoints of one cluster: a pick may look at each of them.
pub(crate) const MOST_ENDPOINTS: usize = 1000;

/// Server names for which an endpoint's sessions are kept. The names are the downstreams' choice.
const SESSION_NAMES: usize = 64;

/// An endpoint as the configuration or discovery names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: EndpointAddr,
    /// 1 to 100.
    pub(crate) weight: u16,
    pub(crate) rank: Rank,
}

/// What the configuration says about all endpoints of a cluster.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    /// Of a tier's endpoints, in percent: with fewer usable ones it is not relied on.
    pub(crate) panic_percent: usize,
    pub(crate) slow_start: Duration,
    /// Connections that one endpoint may have.
    pub(crate) connections: Option<usize>,
    pub(crate) queue: QueueLimits,
    pub(crate) ejection: Option<EjectionRules>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Roster {
    cluster: String,
    rules: Rules,
    tls: Option<Arc<ClientConfig>>,
    plan: ArcSwap<Plan>,
    queue: Arc<Queue>,
    draws: Arc<AtomicU64>,
    began: Instant,
    members: Mutex<Members>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Members {
    /// How many there have ever been.
    serial: u64,
    in_service: Vec<Member>,
    /// Not in service any more, but with connections that live on.
    leaving: Vec<Arc<Endpoint>>,
}

#[derive(Debug)]
struct Member {
    target: Target,
    endpoint: Arc<Endpoint>,
    ejection: Ejection,
    ejections: u64,
    health: Health,
    checks: Checks,
    /// Tells this time in service from others of the same endpoint.
    serial: u64,
    is_watched: bool,
}

/// Results of the checks of one endpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checks {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Why the last one failed; `None` if it passed.
    pub(crate) error: Option<String>,
}

/// One endpoint to be checked while it is in service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    pub(crate) address: EndpointAddr,
    serial: u64,
}

/// How an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Gets connections.
    Healthy,
    /// Left out because its checks fail.
    Unhealthy,
    /// Left out because connections to it failed.
    Ejected,
    /// Not in service any more; its last connections live on.
    Draining,
}

/// One endpoint, for operators.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) standing: Standing,
    pub(crate) weight: u16,
    pub(crate) priority: u8,
    pub(crate) ejections: u64,
    pub(crate) checks: Checks,
}

impl Roster {
    pub(crate) fn new(cluster: String, rules: Rules, tls: Option<Arc<ClientConfig>>) -> Self {
        let draws = Arc::default();
        Self {
            cluster,
            plan: ArcSwap::from_pointee(Plan::new(&[], rules.policy, 0, &draws)),
            queue: Arc::new(Queue::new(rules.queue)),
            draws,
            began: Instant::now(),
            members: Mutex::default(),
            changed: Notify::new(),
            rules,
            tls,
        }
    }

    pub(crate) const fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// A place at the endpoint whose turn it is.
    pub(crate) fn pick(&self, visit: &Visit<'_>) -> Pick {
        let slow_start = milliseconds(self.rules.slow_start);
        let terms = Terms {
            limit: self.rules.connections,
            slow_start,
            now: if slow_start == 0 { 0 } else { self.now() },
        };
        self.plan.load().pick(visit, &terms, &self.queue)
    }

    /// Makes these the endpoints in service. Who was there before keeps its state by its address;
    /// who is named no more gets no new connections and drains.
    pub(crate) fn update(&self, targets: Vec<Target>) {
        let mut members = self.members();
        let same = members.in_service.iter().map(|member| &member.target);
        if same.eq(&targets) {
            return;
        }
        let is_first = members.in_service.is_empty() && members.leaving.is_empty();
        let mut before: HashMap<EndpointAddr, Member> = members
            .in_service
            .drain(..)
            .map(|member| (member.target.address, member))
            .collect();
        let mut in_service = Vec::with_capacity(targets.len());
        for target in targets {
            if let Some(member) = before.remove(&target.address) {
                in_service.push(Member { target, ..member });
                continue;
            }
            let returning = members
                .leaving
                .iter()
                .position(|endpoint| endpoint.address == target.address);
            let endpoint = match returning {
                Some(index) => members.leaving.swap_remove(index),
                None => Arc::new(self.endpoint(target.address)),
            };
            if !is_first {
                // Others have their share already; this one is to grow into its own.
                self.warm_up(&endpoint);
                tracing::info!(cluster = self.cluster, endpoint = %target.address.0, "endpoint joined");
            }
            members.serial += 1;
            in_service.push(Member {
                target,
                endpoint,
                ejection: Ejection::default(),
                ejections: 0,
                health: Health::default(),
                checks: Checks::default(),
                serial: members.serial,
                is_watched: false,
            });
        }
        members.in_service = in_service;
        for member in before.into_values() {
            tracing::info!(
                cluster = self.cluster,
                endpoint = %member.target.address.0,
                connections = member.endpoint.connections(),
                "endpoint left, its connections drain"
            );
            members.leaving.push(member.endpoint);
        }
        self.replan(&mut members);
    }

    /// The endpoints in service, as they were named.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let members = self.members();
        members
            .in_service
            .iter()
            .map(|m| m.target.clone())
            .collect()
    }

    /// An attempt to reach this endpoint failed, and it is to blame.
    pub(crate) fn failed(&self, endpoint: &Arc<Endpoint>, reason: &str) {
        let Some(rules) = &self.rules.ejection else {
            return;
        };
        if endpoint.fail() < rules.failures {
            return;
        }
        let mut members = self.members();
        let all = members.in_service.len();
        let ejected = members.in_service.iter().filter(|m| m.is_ejected()).count();
        let Some(member) = members
            .in_service
            .iter_mut()
            .find(|member| Arc::ptr_eq(&member.endpoint, endpoint))
            .filter(|member| !member.is_ejected() && rules.allow_one_more(all, ejected))
        else {
            return;
        };
        let period = member.ejection.begin(rules, Instant::now());
        member.ejections += 1;
        tracing::warn!(
            cluster = self.cluster,
            endpoint = %endpoint.address.0,
            seconds = period.as_secs(),
            reason,
            "endpoint ejected"
        );
        self.replan(&mut members);
    }

    /// Ends the ejections that are due and forgets who has drained. Gives when to come again.
    pub(crate) fn review(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut members = self.members();
        let mut returned = false;
        for member in &mut members.in_service {
            if member.ejection.end_if_due(now) {
                returned = true;
                // It is on probation: its next failure ejects it again.
                let failures = self.rules.ejection.map_or(0, |rules| rules.failures - 1);
                member.endpoint.set_failures(failures);
                self.warm_up(&member.endpoint);
                let endpoint = member.target.address.0;
                tracing::info!(cluster = self.cluster, %endpoint, "endpoint is no longer ejected");
            }
        }
        if returned {
            self.replan(&mut members);
        }
        let ends = members.in_service.iter().filter_map(|m| m.ejection.until());
        ends.min()
    }

    /// Ends when this time has come or the endpoints or their state have changed.
    pub(crate) async fn changed_or(&self, due: Option<Instant>) {
        let wait = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = wait => {}
            () = self.changed.notified() => {}
        }
    }

    /// All endpoints, those that drain included.
    pub(crate) fn report(&self) -> Vec<Report> {
        let mut members = self.members();
        members
            .leaving
            .retain(|endpoint| endpoint.connections() > 0);
        let serving = members.in_service.iter().map(|member| Report {
            endpoint: Arc::clone(&member.endpoint),
            standing: member.standing(),
            weight: member.target.weight,
            priority: member.target.rank.priority,
            ejections: member.ejections,
            checks: member.checks.clone(),
        });
        let leaving = members.leaving.iter().map(|endpoint| Report {
            endpoint: Arc::clone(endpoint),
            standing: Standing::Draining,
            weight: 0,
            priority: 0,
            ejections: 0,
            checks: Checks::default(),
        });
        serving.chain(leaving).collect()
    }

    /// True while health is not believed because too few endpoints are usable.
    pub(crate) fn is_in_panic(&self) -> bool {
        self.plan.load().panic
    }

    fn replan(&self, members: &mut MutexGuard<'_, Members>) {
        members
            .leaving
            .retain(|endpoint| endpoint.connections() > 0);
        let places: Vec<Place> = members.in_service.iter().map(Member::place).collect();
        let panic_percent = self.rules.panic_percent;
        let plan = Plan::new(&places, self.rules.policy, panic_percent, &self.draws);
        let (before, after) = (self.is_in_panic(), plan.panic);
        if after && !before {
            let cluster = &self.cluster;
            tracing::warn!(cluster, "too few endpoints are healthy, all are tried");
        } else if before && !after {
            tracing::info!(cluster = self.cluster, "enough endpoints are healthy again");
        }
        self.plan.store(Arc::new(plan));
        self.queue.all_changed();
        self.changed.notify_one();
    }

    fn endpoint(&self, address: EndpointAddr) -> Endpoint {
        let tls = self.tls.as_ref().map(|tls| {
            let mut tls = ClientConfig::clone(tls);
            tls.resumption = Resumption::in_memory_sessions(SESSION_NAMES);
            Arc::new(tls)
        });
        Endpoint::new(address, tls)
    }

    fn warm_up(&self, endpoint: &Endpoint) {
        endpoint.set_warming_since(self.now().max(1));
    }

    fn now(&self) -> u64 {
        milliseconds(self.began.elapsed())
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        // What is in it is whole at any time.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    const fn is_ejected(&self) -> bool {
        self.ejection.until().is_some()
    }

    fn standing(&self) -> Standing {
        if self.health.verdict() == Verdict::Unhealthy {
            Standing::Unhealthy
        } else if self.is_ejected() {
            Standing::Ejected
        } else {
            Standing::Healthy
        }
    }

    fn place(&self) -> Place {
        Place {
            endpoint: Arc::clone(&self.endpoint),
            weight: self.target.weight,
            rank: self.target.rank,
            usable: self.standing() == Standing::Healthy,
        }
    }
}

impl From<SocketAddr> for EndpointAddr {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
