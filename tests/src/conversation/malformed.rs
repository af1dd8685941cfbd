//! Requests that no honest downstream sends. Each is refused, and whoever comes next is served.

use hyper::StatusCode;

use super::{
    Chapter, Mismatch, Outcome, Step, expect,
    verdict::{PAYMENTS, allowed, denied_on, get, open},
};
use crate::{
    error::HarnessError,
    http::{Ask, Exchange},
    issuer::ALICE,
    mesh::{IssuerAtStart, Mesh},
};

/// The steps.
pub const CHAPTER: Chapter = Chapter {
    name: "malformed requests",
    issuer: IssuerAtStart::Up,
    steps: &[
        Step {
            name: "two Authorization headers are refused, even if both are good",
            run: |mesh| Outcome::of(two_credentials(mesh)),
        },
        Step {
            name: "a token that is not UTF-8 is refused, and the gateway goes on",
            run: |mesh| Outcome::of(token_not_utf8(mesh)),
        },
        Step {
            name: "a header that is not UTF-8 does no harm to the gateway",
            run: |mesh| Outcome::of(header_not_utf8(mesh)),
        },
        Step {
            name: "a token of 40 KB is refused, and the gateway goes on",
            run: |mesh| Outcome::of(token_of_40_kb(mesh)),
        },
        Step {
            name: "a token of 60 KB is refused, and the gateway goes on",
            run: |mesh| Outcome::of(token_of_60_kb(mesh)),
        },
    ],
};

async fn two_credentials(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let ask = get(PAYMENTS).bearer(&token).bearer(&token);
    refused_and_next_served(mesh, ask, "token_ambiguous").await
}

async fn token_not_utf8(mesh: &Mesh) -> Result<String, Mismatch> {
    let ask = get(PAYMENTS).header("authorization", b"Bearer \xc3\x28\xff.\xfe.\xfd".to_vec());
    refused_and_next_served(mesh, ask, "token_malformed").await
}

async fn token_of_40_kb(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh
        .issuer
        .draft(ALICE)
        .padded_to(40_000)
        .signed(mesh.issuer.rsa())?;
    refused_and_next_served(mesh, get(PAYMENTS).bearer(&token), "token_too_large").await
}

/// Whether it is let through is the filter's business; the gateway has to survive it.
async fn header_not_utf8(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let mut exchange = open(mesh, PAYMENTS.0).await?;
    let ask = get(PAYMENTS)
        .bearer(&token)
        .header("x-note", b"caf\xe9 \xff\xfe".to_vec());
    let status = exchange.send(ask).await?.status;
    let survived = [StatusCode::OK, StatusCode::BAD_REQUEST].contains(&status);
    expect(
        "200 or 400 was answered",
        (status, survived),
        (status, true),
    )?;
    next_is_served(mesh, &mut exchange).await?;
    Ok(format!("{}, the next requests 200", status.as_u16()))
}

/// More than Envoy takes in all header fields together, so the filter is not even asked.
async fn token_of_60_kb(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh
        .issuer
        .draft(ALICE)
        .padded_to(62_000)
        .signed(mesh.issuer.rsa())?;
    let before = mesh.requests_at_workloads();
    let mut seen = Vec::new();
    for protocol in ["h2", "http/1.1"] {
        let dialer = mesh.downstream(PAYMENTS.0).speaking(&[protocol]);
        let mut exchange = Exchange::open(&dialer).await?;
        let refused = match exchange.send(get(PAYMENTS).bearer(&token)).await {
            Ok(reply) => {
                expect(
                    "the status",
                    reply.status,
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                )?;
                "431"
            }
            Err(HarnessError::Http { .. }) => "reset",
            Err(other) => return Err(other.into()),
        };
        seen.push(format!("{refused} over {protocol}"));
        next_is_served(mesh, &mut open(mesh, PAYMENTS.0).await?).await?;
    }
    let honest = mesh.requests_at_workloads() - before;
    expect(
        "the requests that reached a workload",
        honest,
        2 * HONEST_REQUESTS,
    )?;
    Ok(format!("{}, the next requests 200", seen.join(" and ")))
}

async fn refused_and_next_served(mesh: &Mesh, ask: Ask, reason: &str) -> Result<String, Mismatch> {
    let mut exchange = open(mesh, PAYMENTS.0).await?;
    let statuses = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED];
    let seen = denied_on(&mut exchange, mesh, ask, &statuses, reason).await?;
    next_is_served(mesh, &mut exchange).await?;
    Ok(format!("{seen}, the next requests 200"))
}

/// On the same connection, so by the gateway that has just seen the malformed request, and by each
/// gateway anew.
async fn next_is_served(mesh: &Mesh, exchange: &mut Exchange) -> Result<(), Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    allowed(exchange, get(PAYMENTS).bearer(&token)).await?;
    for _new_connection in 1..HONEST_REQUESTS {
        allowed(
            &mut open(mesh, PAYMENTS.0).await?,
            get(PAYMENTS).bearer(&token),
        )
        .await?;
    }
    Ok(())
}

/// One on the same connection, and two rounds over two gateways.
const HONEST_REQUESTS: usize = 5;
