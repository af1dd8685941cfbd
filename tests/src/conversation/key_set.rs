//! The OpenID provider is down when the gateways start, and comes back.

use std::time::Duration;

use hyper::StatusCode;
use tokio::time::Instant;

use super::{
    Chapter, Mismatch, Outcome, Step,
    verdict::{PAYMENTS, denied, get},
};
use crate::{
    conversation::verdict::open,
    deadline::eventually,
    issuer::ALICE,
    mesh::{IssuerAtStart, Mesh},
    plugin::REFRESH_SECONDS,
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
    ],
};

async fn no_keys_no_trust(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.draft(ALICE).signed(mesh.issuer.rsa())?;
    let ask = get(PAYMENTS).bearer(&token);
    denied(mesh, ask, StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable").await
}

/// Every gateway fetches for itself, so both have to accept.
async fn accepted_after_refresh(mesh: &mut Mesh) -> Result<String, Mismatch> {
    mesh.start_issuer().await?;
    let back = Instant::now();
    let token = mesh.issuer.token(ALICE).await?;
    let mut accepted_in_a_row = 0;
    eventually("the acceptance of a good token by every gateway", RECOVERY_LIMIT, async || {
        let mut exchange = open(mesh, PAYMENTS.0).await.ok()?;
        let reply = exchange.send(get(PAYMENTS).bearer(&token)).await.ok()?;
        let accepted = reply.status == StatusCode::OK;
        accepted_in_a_row = if accepted { accepted_in_a_row + 1 } else { 0 };
        (accepted_in_a_row >= 2 * mesh.gateways.len()).then_some(())
    })
    .await?;
    Ok(format!("accepted {:.1} s after the provider was back", back.elapsed().as_secs_f32()))
}

/// One refresh interval, and as long again for the fetch itself on a busy machine.
const RECOVERY_LIMIT: Duration = Duration::from_secs(2 * REFRESH_SECONDS);
