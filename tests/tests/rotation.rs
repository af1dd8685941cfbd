//! The certified OpenID provider changes its signing key while the front and two gateways of two workers
//! each serve: no valid token is refused at any time, and no token of the withdrawn key passes for longer
//! than the configuration allows.

use std::time::Duration;

use e2e::{
    clock::unix_now,
    conversation::{Mismatch, expect},
    deadline::eventually,
    http::{Ask, Exchange},
    issuer::{ALICE, CAROL},
    load::Load,
    mesh::{Mesh, Setup},
};
use hyper::StatusCode;

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
    let old_load = load(&mesh, PAYMENTS, &old);
    let other_load = load(&mesh, ORDERS, &mesh.issuer.token(CAROL).await?);
    old_load.goes_on(LOAD, "200").await?;

    // The provider is away for the moment that it takes to start again; then it signs with a new key, and
    // still publishes the old one.
    mesh.issuer.rotate_beside_the_old(&mesh.folder).await?;
    let new_load = load(&mesh, PAYMENTS, &mesh.issuer.token(ALICE).await?);
    new_load.goes_on(LOAD, "200").await?;
    old_load.goes_on(LOAD, "200").await?;
    all_have_passed(old_load).await?;

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
    new_load.goes_on(LOAD, "200").await?;
    all_have_passed(new_load).await?;
    all_have_passed(other_load).await
}

/// Requests with one token. Each must pass.
fn load(mesh: &Mesh, (host, path): (&'static str, &'static str), token: &str) -> Load {
    let token = token.to_owned();
    Load::start(&mesh.downstream(host), move || {
        Ask::get(host, path).bearer(&token)
    })
}

async fn all_have_passed(load: Load) -> Result<(), Mismatch> {
    let statuses: Vec<String> = load.end().await.into_keys().collect();
    expect("what became of the load", statuses, ["200"])
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

/// Requests that pass in each phase.
const LOAD: usize = 100;

/// The plugin's `refresh_max_seconds`, a fetch, and the longest wait for another worker's.
const BOUND_SECONDS: u64 = 5 + 1 + 4;
const BOUND: Duration = Duration::from_secs(BOUND_SECONDS);
