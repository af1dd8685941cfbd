//! What allowed and denied requests have in common, whatever they are about.

use hyper::{StatusCode, header};
use serde_json::{Value, json};

use super::{Mismatch, expect, mirror::Mirror};
use crate::{
    http::{Ask, Exchange, Reply},
    mesh::Mesh,
};

/// Namespace `payments`; only its administrators may.
pub(super) const PAYMENTS: (&str, &str) = ("api.example.com", "/payments/list");
/// Namespace `orders`; only its administrators may.
pub(super) const ORDERS: (&str, &str) = ("api.example.com", "/orders/list");

/// A GET of a place.
pub(super) fn get((host, path): (&str, &str)) -> Ask {
    Ask::get(host, path)
}

/// Sends the request on a connection of its own.
pub(super) async fn open(mesh: &Mesh, host: &str) -> Result<Exchange, Mismatch> {
    Ok(Exchange::open(&mesh.downstream(host)).await?)
}

/// The request passes, and this is what the workload saw of it.
///
/// # Errors
/// [`Mismatch`] if it does not pass.
pub async fn allowed(exchange: &mut Exchange, ask: Ask) -> Result<Mirror, Mismatch> {
    let reply = exchange.send(ask).await?;
    expect(
        "the status",
        (reply.status, reply.text_if_denied()),
        (StatusCode::OK, None),
    )?;
    Ok(Mirror::of(&reply))
}

/// The request is denied with this status and, in the audit record, this reason. The answer gives
/// nothing away, and no workload hears of the request.
pub(super) async fn denied(
    mesh: &Mesh,
    ask: Ask,
    status: StatusCode,
    reason: &str,
) -> Result<String, Mismatch> {
    let mut exchange = open(mesh, "api.example.com").await?;
    denied_on(&mut exchange, mesh, ask, &[status], reason).await
}

/// The same on this connection, with any of these statuses.
///
/// # Errors
/// [`Mismatch`] if it passes, or is denied in another way.
pub async fn denied_on(
    exchange: &mut Exchange,
    mesh: &Mesh,
    ask: Ask,
    statuses: &[StatusCode],
    reason: &str,
) -> Result<String, Mismatch> {
    let before = mesh.requests_at_workloads();
    let reply = exchange.send(ask).await?;
    let decision = decision_of(&reply, statuses)?;
    let record = mesh.audit_of(&decision).await?;
    expect_denial(&record, reply.status, reason)?;
    expect(
        "the requests that reached a workload",
        mesh.requests_at_workloads(),
        before,
    )?;
    Ok(format!("{}, {reason}", reply.status.as_u16()))
}

/// The decision id of an answer that denies with one of these statuses and gives nothing away.
///
/// # Errors
/// [`Mismatch`] if it does not deny, or says more than it should.
pub fn decision_of(reply: &Reply, statuses: &[StatusCode]) -> Result<String, Mismatch> {
    if !statuses.contains(&reply.status) {
        let seen = format!("{} {}", reply.status, reply.text());
        return Err(Mismatch::differs(
            "the status",
            &seen,
            &format!("{statuses:?}"),
        ));
    }
    let decision = reply.json()["decision"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    expect("the body", reply.json(), json!({ "decision": decision }))?;
    expect(
        "a decision id stands in the body",
        decision.is_empty(),
        false,
    )?;
    let challenge = reply.headers.get(header::WWW_AUTHENTICATE);
    let challenged = challenge.is_some_and(|value| value.as_bytes().starts_with(b"Bearer"));
    expect(
        "a Bearer challenge",
        challenged,
        reply.status == StatusCode::UNAUTHORIZED,
    )?;
    Ok(decision)
}

/// The audit record of a denial says so, with this status and this reason.
///
/// # Errors
/// [`Mismatch`] if it says anything else.
pub fn expect_denial(record: &Value, status: StatusCode, reason: &str) -> Result<(), Mismatch> {
    expect("the audited decision", &record["decision"], "deny")?;
    expect("the audited status", &record["status"], status.as_u16())?;
    expect("the audited reason", &record["reason"], reason)
}
