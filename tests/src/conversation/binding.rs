//! Tokens that are bound to a client certificate (RFC 8705 section 3): a copy is worth nothing.

use hyper::StatusCode;
use serde_json::json;

use super::{
    Chapter, Mismatch, Outcome, Step, expect,
    verdict::{PAYMENTS, allowed, denied, denied_on, get},
};
use crate::{
    dialer::Dialer,
    envoy::Gateway,
    error::HarnessError,
    http::{Ask, Exchange},
    issuer::{ALICE, DAVE},
    mesh::{IssuerAtStart, Mesh},
    pki::Identity,
};

/// The steps.
pub const CHAPTER: Chapter = Chapter {
    name: "bound tokens",
    issuer: IssuerAtStart::Up,
    steps: &[
        Step {
            name: "a certificate-bound token passes with its certificate, and the audit says so",
            run: |mesh| Outcome::of(own_certificate(mesh)),
        },
        Step {
            name: "a copy of it with another client's certificate is denied, remembered or not",
            run: |mesh| Outcome::of(other_certificate(mesh)),
        },
        Step {
            name: "a copy of it without a certificate is denied, remembered or not",
            run: |mesh| Outcome::of(no_certificate(mesh)),
        },
        Step {
            name: "headers that name its certificate do not help a copy of it",
            run: |mesh| Outcome::of(forged_certificate(mesh)),
        },
        Step {
            name: "a token that is bound to a key (DPoP) is no bearer token",
            run: |mesh| Outcome::of(key_bound(mesh)),
        },
    ],
};

async fn own_certificate(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = bound_token(mesh).await?;
    for protocol in ["h2", "http/1.1"] {
        let dialer = client(mesh, &mesh.pki.partner).speaking(&[protocol]);
        let mut exchange = Exchange::open(&dialer).await?;
        for _request in 0..2 {
            let mirror = allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await?;
            let record = mesh.audit_of(mirror.value("x-identity-decision")?).await?;
            expect("certificate_bound", &record["certificate_bound"], true)?;
        }
    }
    let unbound = mesh.issuer.token(ALICE).await?;
    let mut exchange = Exchange::open(&client(mesh, &mesh.pki.partner)).await?;
    let mirror = allowed(&mut exchange, get(PAYMENTS).bearer(&unbound)).await?;
    let record = mesh.audit_of(mirror.value("x-identity-decision")?).await?;
    expect(
        "certificate_bound of another token",
        &record["certificate_bound"],
        false,
    )?;
    Ok("200, certificate_bound".to_owned())
}

async fn other_certificate(mesh: &Mesh) -> Result<String, Mismatch> {
    let thief = client(mesh, &mesh.pki.rival);
    copy_is_denied(mesh, &thief, |ask| ask, "certificate_mismatch").await
}

async fn no_certificate(mesh: &Mesh) -> Result<String, Mismatch> {
    let thief = mesh.downstream(PAYMENTS.0);
    copy_is_denied(mesh, &thief, |ask| ask, "certificate_missing").await
}

async fn forged_certificate(mesh: &Mesh) -> Result<String, Mismatch> {
    let thief = mesh.downstream(PAYMENTS.0);
    let thumbprint = &*mesh.pki.partner.thumbprint();
    let forge = |ask: Ask| {
        ask.header("certificate_sha256", thumbprint)
            .header("certificate-sha256", thumbprint)
            .header("x-client-certificate-sha256", thumbprint)
            .header("x-forwarded-client-cert", format!("Hash={thumbprint}"))
    };
    copy_is_denied(mesh, &thief, forge, "certificate_missing").await
}

async fn key_bound(mesh: &Mesh) -> Result<String, Mismatch> {
    let draft = mesh.issuer.draft(ALICE);
    let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let token = draft
        .with("cnf", json!({ "jkt": thumbprint }))
        .signed(mesh.issuer.rsa())?;
    let ask = get(PAYMENTS).bearer(&token);
    denied(
        mesh,
        ask,
        StatusCode::UNAUTHORIZED,
        "confirmation_unsupported",
    )
    .await
}

/// Before any gateway knows the token, and when each of them remembers it as a good one. Its holder
/// can still use it afterwards.
async fn copy_is_denied(
    mesh: &Mesh,
    thief: &Dialer,
    forge: impl Fn(Ask) -> Ask,
    reason: &str,
) -> Result<String, Mismatch> {
    let token = bound_token(mesh).await?;
    let unauthorized = [StatusCode::UNAUTHORIZED];
    let mut seen = String::new();
    for is_remembered in [false, true] {
        if is_remembered {
            remembered_everywhere(mesh, &token).await?;
        }
        for _connection in 0..2 * mesh.gateways.len() {
            let mut exchange = Exchange::open(thief).await?;
            let ask = forge(get(PAYMENTS).bearer(&token));
            seen = denied_on(&mut exchange, mesh, ask, &unauthorized, reason).await?;
        }
    }
    let mut exchange = Exchange::open(&client(mesh, &mesh.pki.partner)).await?;
    allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await?;
    Ok(seen)
}

/// Its holder uses the token until every gateway has let it in.
async fn remembered_everywhere(mesh: &Mesh, token: &str) -> Result<(), Mismatch> {
    let mut unaware: Vec<&Gateway> = mesh.gateways.iter().collect();
    for _connection in 0..CONNECTIONS_LIMIT {
        let mut exchange = Exchange::open(&client(mesh, &mesh.pki.partner)).await?;
        let mirror = allowed(&mut exchange, get(PAYMENTS).bearer(token)).await?;
        let decision = mirror.value("x-identity-decision")?;
        mesh.audit_of(decision).await?;
        unaware.retain(|gateway| {
            let records = gateway.audit();
            records
                .iter()
                .all(|record| record["decision_id"] != decision)
        });
        if unaware.is_empty() {
            return Ok(());
        }
    }
    expect(
        "the gateways that were never reached",
        unaware.len(),
        0_usize,
    )
}

fn client(mesh: &Mesh, identity: &Identity) -> Dialer {
    mesh.downstream(PAYMENTS.0).as_identity(identity)
}

/// As the OpenID provider binds it: to the certificate that it was asked with.
async fn bound_token(mesh: &Mesh) -> Result<String, HarnessError> {
    mesh.issuer.token_bound_to(DAVE, &mesh.pki.partner).await
}

/// The front takes its endpoints in turn, each of its workers for itself.
const CONNECTIONS_LIMIT: usize = 100;
