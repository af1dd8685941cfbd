//! Every request can be told apart in every log, and traced to the address that it came from.

use serde_json::Value;

use super::{
    Chapter, Mismatch, Outcome, Step, expect,
    verdict::{PAYMENTS, allowed, get, open},
};
use crate::{
    deadline::eventually,
    http::Exchange,
    issuer::ALICE,
    mesh::{DOWNSTREAM, IssuerAtStart, LOG_LIMIT, Mesh},
    pki::PARTNER,
};

/// The steps.
pub const CHAPTER: Chapter = Chapter {
    name: "attribution",
    issuer: IssuerAtStart::Up,
    steps: &[
        Step {
            name: "the workload and the logs see the downstream's address, not the front's",
            run: |mesh| Outcome::of(address_is_kept(mesh)),
        },
        Step {
            name: "one connection id stands in all logs and in the request",
            run: |mesh| Outcome::of(one_connection_id(mesh)),
        },
        Step {
            name: "a downstream's certificate is named in the logs of both gates",
            run: |mesh| Outcome::of(certificate_is_named(mesh)),
        },
        Step {
            name: "the audit record says who, what and why, and holds no token",
            run: |mesh| Outcome::of(audit_record(mesh)),
        },
    ],
};

async fn address_is_kept(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let mut exchange = open(mesh, PAYMENTS.0).await?;
    let mirror = allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await?;
    let downstream = exchange.local();
    drop(exchange);
    let seen = mirror.value("x-forwarded-for")?;
    expect("x-forwarded-for", seen, DOWNSTREAM.to_string().as_str())?;
    let line = logged_by_front(mesh, mirror.value("x-connection-id")?).await?;
    expect(
        "the front's downstream",
        &line["downstream"],
        downstream.to_string().as_str(),
    )?;
    let line = logged_by_gateway(mesh, mirror.value("x-connection-id")?).await?;
    expect(
        "the gateway's downstream",
        &line["downstream"],
        downstream.to_string().as_str(),
    )?;
    Ok(format!("x-forwarded-for: {seen}"))
}

async fn one_connection_id(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let mut exchange = open(mesh, PAYMENTS.0).await?;
    let first = allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await?;
    let second = allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await?;
    let other = allowed(
        &mut open(mesh, PAYMENTS.0).await?,
        get(PAYMENTS).bearer(&token),
    )
    .await?;
    drop(exchange);
    let id = first.value("x-connection-id")?;
    expect("the id is a UUID of version 7", is_uuid_v7(id), true)?;
    expect(
        "the id of the same connection",
        second.value("x-connection-id")?,
        id,
    )?;
    let other_id = other.value("x-connection-id")?;
    expect(
        "the id of another connection is another",
        other_id != id,
        true,
    )?;
    let record = mesh.audit_of(first.value("x-identity-decision")?).await?;
    expect("the audited connection id", &record["connection_id"], id)?;
    let gateway = logged_by_gateway(mesh, id).await?;
    expect(
        "the gateway's x-connection-id",
        &gateway["x_connection_id"],
        id,
    )?;
    expect(
        "the front's connection id",
        &logged_by_front(mesh, id).await?["connection_id"],
        id,
    )?;
    Ok(id.to_owned())
}

async fn certificate_is_named(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let dialer = mesh.downstream(PAYMENTS.0).as_identity(&mesh.pki.partner);
    let mut exchange = Exchange::open(&dialer).await?;
    let mirror = allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await?;
    drop(exchange);
    let id = mirror.value("x-connection-id")?;
    let line = logged_by_front(mesh, id).await?;
    expect(
        "the front's client_spiffe_id",
        &line["client_spiffe_id"],
        PARTNER,
    )?;
    let line = logged_by_gateway(mesh, id).await?;
    expect(
        "the gateway's downstream_spiffe_id",
        &line["downstream_spiffe_id"],
        PARTNER,
    )?;
    Ok(PARTNER.to_owned())
}

async fn audit_record(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let mut exchange = open(mesh, PAYMENTS.0).await?;
    let mirror = allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await?;
    let record = mesh.audit_of(mirror.value("x-identity-decision")?).await?;
    let facts = [
        ("decision", "allow"),
        ("provider", "people"),
        ("workload", "spiffe://cluster.local/ns/people/sa/alice"),
        ("namespace", "payments"),
        ("rule", "payments-admin"),
        ("method", "GET"),
        ("host", PAYMENTS.0),
        ("path", PAYMENTS.1),
    ];
    for (member, expected) in facts {
        expect(&format!("the audited {member}"), &record[member], expected)?;
    }
    expect(
        "the audited request id",
        &record["request_id"],
        mirror.value("x-request-id")?,
    )?;
    let gateway = logged_by_gateway(mesh, mirror.value("x-connection-id")?).await?;
    let in_access_log = gateway["allowed"].as_str().unwrap_or_default();
    let in_access_log: Value = serde_json::from_str(in_access_log).unwrap_or_default();
    for member in [
        "decision_id",
        "subject",
        "workload",
        "roles",
        "grants",
        "rule",
    ] {
        expect(
            &format!("the {member} in the gateway's access log"),
            &in_access_log[member],
            &record[member],
        )?;
    }
    let parts: Vec<&str> = token.split('.').collect();
    for record in mesh.audit() {
        let text = record.to_string();
        let leaks = parts.iter().any(|part| text.contains(part));
        expect("a part of the token stands in the audit", leaks, false)?;
    }
    Ok(format!("{} by rule {}", record["decision"], record["rule"]))
}

/// The gateway's line about a request on this connection.
pub(super) async fn logged_by_gateway(mesh: &Mesh, id: &str) -> Result<Value, Mismatch> {
    let what = format!("a gateway's log line about connection {id}");
    let line = eventually(&what, LOG_LIMIT, async || {
        mesh.gateway_log()
            .into_iter()
            .find(|line| line["connection_id"] == id)
    });
    Ok(line.await?)
}

/// The front's line about this connection; it comes once the connection has ended.
async fn logged_by_front(mesh: &Mesh, id: &str) -> Result<Value, Mismatch> {
    let what = format!("the front's log line about connection {id}");
    let line = eventually(&what, LOG_LIMIT, async || {
        mesh.front
            .access_log()
            .into_iter()
            .find(|line| line["connection_id"] == id)
    });
    Ok(line.await?)
}

/// RFC 9562 section 5.7, as text.
fn is_uuid_v7(id: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    let well_formed = id.char_indices().all(|(at, letter)| {
        if dashes.contains(&at) {
            letter == '-'
        } else {
            letter.is_ascii_hexdigit()
        }
    });
    well_formed && id.len() == 36 && id.as_bytes()[14] == b'7'
}
