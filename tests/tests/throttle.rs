//! Who sends too many bad tokens gets no more of them checked; nobody else pays for it. Through the front,
//! which tells the gateways each downstream's address.

use std::net::{IpAddr, Ipv4Addr};

use e2e::{
    conversation::{
        Mismatch, expect,
        verdict::{allowed, denied_on},
    },
    http::{Ask, Exchange},
    issuer::{ALICE, BOB},
    mesh::{Mesh, Setup},
    token::with_broken_signature,
};
use hyper::{StatusCode, header};
use serde_json::json;

#[tokio::test]
async fn the_source_of_bad_tokens_is_throttled_and_nobody_else() {
    let outcome = throttled().await;
    outcome.unwrap_or_else(|mismatch| panic!("{mismatch}"));
}

async fn throttled() -> Result<(), Mismatch> {
    // Windows of an hour: nothing is forgotten within the test, however slow the machine is.
    let mesh = Mesh::start(Setup {
        plugin: |plugin| {
            plugin["limits"] = json!({
                "failures_per_source": FAILURES,
                "failure_window_seconds": 3600,
            });
        },
        ..Setup::default()
    })
    .await?;
    let known = mesh.issuer.token(ALICE).await?;
    for gateway in &mesh.gateways {
        let mut exchange = Exchange::open(&gateway.dialer_past_the_front(&mesh.pki)).await?;
        allowed(&mut exchange, payments().bearer(&known)).await?;
    }
    let broken = with_broken_signature(&mesh.issuer.token(ALICE).await?);
    exhaust(&mesh, &broken).await?;
    for _connection in 0..CONNECTIONS {
        let fresh = mesh.issuer.token(ALICE).await?;
        // A token whose signature would be found good, were it looked at.
        for token in [&broken, &fresh] {
            refused(
                &mesh,
                SHARED,
                token,
                StatusCode::TOO_MANY_REQUESTS,
                "source_throttled",
            )
            .await?;
            let reply = from(&mesh, SHARED)
                .await?
                .send(payments().bearer(token))
                .await?;
            expect("the status", reply.status, StatusCode::TOO_MANY_REQUESTS)?;
            let retry = reply.headers.get(header::RETRY_AFTER);
            let seconds = retry.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            let in_range = seconds.is_some_and(|seconds| (1..=3600).contains(&seconds));
            expect("retry-after is of 1 to 3600 seconds", in_range, true)?;
        }
    }
    for _connection in 0..CONNECTIONS {
        let mut shared = from(&mesh, SHARED).await?;
        // Who shares the address and was here before, and who brings no token at all.
        allowed(&mut shared, payments().bearer(&known)).await?;
        allowed(&mut shared, Ask::get("shop.orders.example.com", "/healthz")).await?;
        let statuses = [StatusCode::UNAUTHORIZED];
        denied_on(&mut shared, &mesh, payments(), &statuses, "token_missing").await?;
        // Another address: its good tokens pass, and its bad ones are looked at.
        let fresh = mesh.issuer.token(ALICE).await?;
        allowed(&mut from(&mesh, OTHER).await?, payments().bearer(&fresh)).await?;
        refused(
            &mesh,
            OTHER,
            &broken,
            StatusCode::UNAUTHORIZED,
            "signature_invalid",
        )
        .await?;
    }
    // What policy denies is no failure of the token: more denials than two gateways would take failures.
    let bob = mesh.issuer.token(BOB).await?;
    for _denial in 0..(FAILURES + 2) * mesh.gateways.len() {
        refused(&mesh, THIRD, &bob, StatusCode::FORBIDDEN, "rule_missing").await?;
    }
    Ok(())
}

/// Sends bad tokens until both gateways have seen as many as they take. Which gateway a connection ends at
/// is the front's choice; each looks at no more than it should.
async fn exhaust(mesh: &Mesh, broken: &str) -> Result<(), Mismatch> {
    let most = FAILURES * mesh.gateways.len();
    let mut looked_at = 0;
    for _attempt in 0..6 * most {
        let reply = from(mesh, SHARED)
            .await?
            .send(payments().bearer(broken))
            .await?;
        looked_at += usize::from(reply.status == StatusCode::UNAUTHORIZED);
    }
    expect("the bad tokens that were looked at", looked_at, most)
}

async fn from(mesh: &Mesh, address: u8) -> Result<Exchange, Mismatch> {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 1, address));
    Ok(Exchange::open(&mesh.downstream("api.example.com").from(address)).await?)
}

async fn refused(
    mesh: &Mesh,
    address: u8,
    token: &str,
    status: StatusCode,
    reason: &str,
) -> Result<(), Mismatch> {
    let mut exchange = from(mesh, address).await?;
    let ask = payments().bearer(token);
    denied_on(&mut exchange, mesh, ask, &[status], reason).await?;
    Ok(())
}

fn payments() -> Ask {
    Ask::get("api.example.com", "/payments/list")
}

/// Bad tokens that one address may send to one worker; more than [`CONNECTIONS`].
const FAILURES: usize = 10;

/// Enough for either gateway to be met.
const CONNECTIONS: usize = 8;

/// The last byte of the address that an attacker and an honest client share.
const SHARED: u8 = 1;
const OTHER: u8 = 2;
const THIRD: u8 = 3;
