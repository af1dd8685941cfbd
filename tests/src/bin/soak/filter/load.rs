//! The senders: connections that are kept open, each with one request at a time, and a tally of what came back.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use e2e::{
    deadline::eventually,
    error::HarnessError,
    http::{Ask, Exchange, Reply},
    random::Random,
};
use hyper::StatusCode;
use tokio::{task::JoinSet, time::timeout};

use super::{
    classes::{Class, Era, Expected},
    material::{Good, Material},
};
use crate::tally::Tally;

/// What all senders share.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total: u64,
    seed: u64,
    gateway: SocketAddr,
    material: Arc<Material>,
    sent: AtomicU64,
    is_given_up: AtomicBool,
    era: Mutex<Era>,
}

/// The running senders.
#[derive(Debug)]
pub(crate) struct Senders(JoinSet<Result<Vec<Tally>, HarnessError>>);

impl Load {
    /// So many requests to this gateway.
    pub(crate) fn new(total: u64, seed: u64, gateway: SocketAddr, material: Arc<Material>) -> Self {
        let shared = Shared {
            total,
            seed,
            gateway,
            material,
            sent: AtomicU64::new(0),
            is_given_up: AtomicBool::new(false),
            era: Mutex::new(Era::Old),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How many requests have been sent.
    pub(crate) fn sent(&self) -> u64 {
        self.shared
            .sent
            .load(Ordering::Relaxed)
            .min(self.shared.total)
    }

    /// How many are to be sent.
    pub(crate) fn total(&self) -> u64 {
        self.shared.total
    }

    /// True when something broke that makes the rest worthless.
    pub(crate) fn is_given_up(&self) -> bool {
        self.shared.is_given_up.load(Ordering::Relaxed)
    }

    /// What is sent.
    pub(crate) fn material(&self) -> &Material {
        &self.shared.material
    }

    /// From now on requests are made for this era.
    pub(crate) fn begin(&self, era: Era) {
        *self
            .shared
            .era
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = era;
    }

    /// Waits until the gateway has its first keys.
    pub(crate) async fn is_ready(&self) -> Result<(), HarnessError> {
        self.is_believed(&self.material().lasting[0]).await
    }

    /// Waits until the gateway has the key of this token.
    pub(crate) async fn is_believed(&self, good: &Good) -> Result<(), HarnessError> {
        eventually(
            "a gateway with the provider's keys",
            KEYS_LIMIT,
            async || {
                let mut exchange = Exchange::open_clear(self.shared.gateway).await.ok()?;
                let ask = Ask::get("pay.example.com", "/payments/1").bearer(&good.token);
                let reply = exchange.send(ask).await.ok()?;
                (reply.status == StatusCode::OK).then_some(())
            },
        )
        .await
    }

    /// Starts so many senders, and a few that hang up.
    pub(crate) fn start(&self, connections: u64) -> Senders {
        let mut senders = JoinSet::new();
        for number in 0..connections {
            let shared = Arc::clone(&self.shared);
            senders.spawn(async move { shared.send(number).await });
        }
        let shared = Arc::clone(&self.shared);
        senders.spawn(async move { shared.hang_up().await });
        Senders(senders)
    }
}

impl Senders {
    /// What became of all requests, by class.
    pub(crate) async fn ended(mut self) -> Result<Vec<Tally>, HarnessError> {
        let mut all = vec![Tally::default(); Class::ALL.len()];
        while let Some(done) = self.0.join_next().await {
            let tallies = done.unwrap_or_else(|broken| {
                Err(HarnessError::Answer {
                    peer: "a sender".to_owned(),
                    got: broken.to_string(),
                    expected: "that it ends by itself",
                })
            })?;
            for (sum, tally) in all.iter_mut().zip(tallies) {
                sum.add(tally);
            }
        }
        Ok(all)
    }
}

impl Shared {
    async fn send(&self, number: u64) -> Result<Vec<Tally>, HarnessError> {
        let mut random = Random::new(self.seed.wrapping_mul(1000).wrapping_add(number));
        let mut tallies = vec![Tally::default(); Class::ALL.len()];
        let mut open = None;
        while !self.is_given_up.load(Ordering::Relaxed)
            && self.sent.fetch_add(1, Ordering::Relaxed) < self.total
        {
            let index = Class::pick(&mut random);
            let era = *self.era.lock().unwrap_or_else(PoisonError::into_inner);
            let (ask, expected) = Class::ALL[index].0.ask(&mut random, era, &self.material);
            let mut exchange = match open.take() {
                // New connections come all the time too.
                Some(exchange) if random.below(500) > 0 => exchange,
                _ => Exchange::open_clear(self.gateway).await?,
            };
            let tally = &mut tallies[index];
            tally.sent += 1;
            let problem = match exchange.send(ask).await {
                Ok(reply) => {
                    tally.passed += u64::from(reply.status == StatusCode::OK);
                    let ends = reply.headers.get("connection");
                    if ends.is_none_or(|connection| connection != "close") {
                        open = Some(exchange);
                    }
                    problem(&reply, &expected)
                }
                Err(error) => Some(error.chain()),
            };
            if let Some(problem) = problem {
                tally.is_wrong(problem);
                if tally.wrong > WRONG_LIMIT {
                    self.is_given_up.store(true, Ordering::Relaxed);
                }
            }
        }
        Ok(tallies)
    }

    /// Opens a connection, asks for something that has to wait for a key, and is gone before the answer.
    async fn hang_up(&self) -> Result<Vec<Tally>, HarnessError> {
        while !self.is_given_up.load(Ordering::Relaxed)
            && self.sent.load(Ordering::Relaxed) < self.total
        {
            let mut exchange = Exchange::open_clear(self.gateway).await?;
            let ask = Ask::get("pay.example.com", "/").bearer(&self.material.unknown_key);
            let _gone = timeout(PATIENCE, exchange.send(ask)).await;
        }
        Ok(Vec::new())
    }
}

/// What is wrong with an answer.
fn problem(reply: &Reply, expected: &Expected) -> Option<String> {
    let seen = |name: &str| {
        let value = reply.headers.get(name)?.to_str().ok()?;
        (value != "-").then(|| value.to_owned())
    };
    let passed_as = |subject: Option<&String>| {
        let roles = subject.map(|_| "admin".to_owned());
        reply.status == StatusCode::OK
            && seen("x-seen-subject").as_ref() == subject
            && seen("x-seen-roles") == roles
    };
    let is_right = match expected {
        Expected::Pass(subject) => passed_as(subject.as_ref()),
        Expected::Denied(status) => reply.status == *status,
        Expected::PassOrDenied(subject, status) => {
            passed_as(Some(subject)) || reply.status == *status
        }
    };
    (!is_right).then(|| {
        let (subject, roles) = (seen("x-seen-subject"), seen("x-seen-roles"));
        let status = reply.status;
        let body = reply.text();
        format!("{status}, subject {subject:?}, roles {roles:?}, {body:?} instead of {expected:?}")
    })
}

/// Two fetches and the longest pause between them.
const KEYS_LIMIT: Duration = Duration::from_secs(60);
/// Of those who hang up.
const PATIENCE: Duration = Duration::from_millis(100);
/// Wrong answers of one class to one sender: more of them say nothing new.
const WRONG_LIMIT: u64 = 100;
