//! The certified OpenID provider changes its signing key while the front and two gateways of two workers
//! each serve: no valid token is refused at any time, and no token of the withdrawn key passes for longer
//! than the configuration allows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use e2e::{
    clock::unix_now,
    conversation::{Mismatch, expect, verdict::allowed},
    deadline::eventually,
    dialer::Dialer,
    http::{Ask, Exchange},
    issuer::{ALICE, CAROL},
    mesh::{Mesh, Setup},
};
use hyper::StatusCode;
use tokio::task::JoinHandle;

#[tokio::test]
async fn a_key_is_rotated_under_load() {
    let outcome = rotated().await;
    outcome.unwrap_or_else(|mismatch| panic!("{mismatch}"));
}

async fn rotated() -> Result<(), Mismatch> {
    let setup = Setup {
        workers: 2,
        ..Setup::default()
    };
    let mut mesh = Mesh::start(setup).await?;
    let old = mesh.issuer.token(ALICE).await?;
    let old_load = Load::start(&mesh, PAYMENTS, &old);
    let other_load = Load::start(&mesh, ORDERS, &mesh.issuer.token(CAROL).await?);
    old_load.has_passed(LOAD).await?;

    // The provider is away for the moment that it takes to start again; then it signs with a new key, and
    // still publishes the old one.
    mesh.issuer.rotate_beside_the_old(&mesh.folder).await?;
    let new_load = Load::start(&mesh, PAYMENTS, &mesh.issuer.token(ALICE).await?);
    new_load.has_passed(LOAD).await?;
    old_load.has_passed(LOAD).await?;
    old_load.end().await?;

    mesh.issuer.withdraw_old_keys(&mesh.folder).await?;
    let bound = unix_now() + BOUND_SECONDS;
    eventually("the end of the old key", 4 * BOUND, async || {
        let asked = unix_now();
        let refused = refused_everywhere(&mesh, &old).await.ok()?;
        (refused || asked > bound).then_some(())
    })
    .await?;
    expect(
        "the old key is gone in time",
        refused_everywhere(&mesh, &old).await?,
        true,
    )?;
    new_load.has_passed(LOAD).await?;
    new_load.end().await?;
    other_load.end().await
}

/// Requests with one token, on connections of their own, until they are to end. Each must pass.
struct Load {
    passed: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    connections: Vec<JoinHandle<Result<(), Mismatch>>>,
}

impl Load {
    fn start(mesh: &Mesh, (host, path): (&'static str, &'static str), token: &str) -> Self {
        let (passed, ends) = (Arc::default(), Arc::default());
        let run = |_connection| {
            let dialer = mesh.downstream(host);
            let ask = move |token: &str| Ask::get(host, path).bearer(token);
            tokio::spawn(run(
                dialer,
                ask,
                token.to_owned(),
                Arc::clone(&passed),
                Arc::clone(&ends),
            ))
        };
        Self {
            connections: (0..CONNECTIONS).map(run).collect(),
            passed,
            ends,
        }
    }

    /// Waits until so many more have passed.
    async fn has_passed(&self, more: usize) -> Result<(), Mismatch> {
        let wanted = self.passed.load(Ordering::SeqCst) + more;
        eventually("requests of the load", LOAD_LIMIT, async || {
            let is_broken = self.connections.iter().any(JoinHandle::is_finished);
            (is_broken || self.passed.load(Ordering::SeqCst) >= wanted).then_some(())
        })
        .await?;
        Ok(())
    }

    /// Every one of them has passed.
    async fn end(self) -> Result<(), Mismatch> {
        self.ends.store(true, Ordering::SeqCst);
        for connection in self.connections {
            let outcome = connection.await;
            outcome.map_err(|_panicked| Mismatch::differs("the load", "a panic", "its end"))??;
        }
        Ok(())
    }
}

async fn run(
    dialer: Dialer,
    ask: impl Fn(&str) -> Ask,
    token: String,
    passed: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
) -> Result<(), Mismatch> {
    while !ends.load(Ordering::SeqCst) {
        // The kernel chooses a worker for each connection.
        let mut exchange = Exchange::open(&dialer).await?;
        for _request in 0..REQUESTS {
            allowed(&mut exchange, ask(&token)).await?;
            passed.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// On connections enough for every worker of every gateway.
async fn refused_everywhere(mesh: &Mesh, token: &str) -> Result<bool, Mismatch> {
    for _connection in 0..16 {
        let mut exchange = Exchange::open(&mesh.downstream(PAYMENTS.0)).await?;
        let reply = exchange
            .send(Ask::get(PAYMENTS.0, PAYMENTS.1).bearer(token))
            .await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(false);
        }
    }
    Ok(true)
}

const PAYMENTS: (&str, &str) = ("api.example.com", "/payments/list");
const ORDERS: (&str, &str) = ("api.example.com", "/orders/list");

/// Connections of each load at the same time, and requests on each of them.
const CONNECTIONS: usize = 2;
const REQUESTS: usize = 20;

/// Requests that pass in each phase.
const LOAD: usize = 100;
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// The plugin's `refresh_max_seconds`, a fetch, and the longest wait for another worker's.
const BOUND_SECONDS: u64 = 5 + 1 + 4;
const BOUND: Duration = Duration::from_secs(BOUND_SECONDS);
