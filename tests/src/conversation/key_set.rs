//! The OpenID provider is down when the gateways start, comes back, and changes its key.

use hyper::StatusCode;
use tokio::time::Instant;

use super::{
    Chapter, Mismatch, Outcome, Step,
    verdict::{PAYMENTS, allowed, denied, get, open},
};
use crate::{
    issuer::ALICE,
    mesh::{IssuerAtStart, Mesh},
};

/// The steps.
pub const CHAPTER: Chapter = Chapter {
    name: "the key set",
    issuer: IssuerAtStart::Down,
    steps: &[
        Step {
            name: "while the OpenID provider is down, a good token is not taken on trust",
            run: |mesh| Outcome::of(no_keys_no_trust(mesh)),
        },
        Step {
            name: "once the provider is back, its tokens are accepted without a restart",
            run: |mesh| Outcome::of(accepted_after_refresh(mesh)),
        },
        Step {
            name: "a new signing key is taken up, and what the old one signed is denied",
            run: |mesh| Outcome::of(key_is_rotated(mesh)),
        },
    ],
};

async fn no_keys_no_trust(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.draft(ALICE).signed(mesh.issuer.rsa())?;
    let ask = get(PAYMENTS).bearer(&token);
    denied(
        mesh,
        ask,
        StatusCode::SERVICE_UNAVAILABLE,
        "keys_unavailable",
    )
    .await
}

async fn accepted_after_refresh(mesh: &mut Mesh) -> Result<String, Mismatch> {
    mesh.start_issuer().await?;
    let back = Instant::now();
    mesh.keys_are_known().await?;
    let token = mesh.issuer.token(ALICE).await?;
    let mut exchange = open(mesh, PAYMENTS.0).await?;
    allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await?;
    Ok(format!(
        "accepted {:.1} s after the provider was back",
        back.elapsed().as_secs_f32()
    ))
}

/// The old token is known to both gateways as a good one when its key goes.
async fn key_is_rotated(mesh: &mut Mesh) -> Result<String, Mismatch> {
    let old = mesh.issuer.token(ALICE).await?;
    for _gateway in 0..mesh.gateways.len() {
        allowed(
            &mut open(mesh, PAYMENTS.0).await?,
            get(PAYMENTS).bearer(&old),
        )
        .await?;
    }
    mesh.issuer.rotate(&mesh.folder).await?;
    let rotated = Instant::now();
    mesh.keys_are_known().await?;
    let seconds = rotated.elapsed().as_secs_f32();
    let mut seen = String::new();
    for _gateway in 0..mesh.gateways.len() {
        let ask = get(PAYMENTS).bearer(&old);
        seen = denied(mesh, ask, StatusCode::UNAUTHORIZED, "key_unknown").await?;
    }
    Ok(format!(
        "new key accepted after {seconds:.1} s; old key: {seen}"
    ))
}
