//! The OpenID provider is down when the gateways start, comes back, changes its key, and is replaced by
//! something that gives no keys.

use hyper::StatusCode;
use tokio::{task::JoinSet, time::Instant};

use super::{
    Chapter, Mismatch, Outcome, Step,
    verdict::{PAYMENTS, allowed, denied, get, open},
};
use crate::{
    issuer::{ALICE, KEY_SET},
    key_server::Answer,
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
            name: "a request that came while the provider was down waits for it, and is let in",
            run: |mesh| Outcome::of(waits_for_the_first_keys(mesh)),
        },
        Step {
            name: "a new signing key is taken up with the first token that names it, under load; what the old one signed is denied",
            run: |mesh| Outcome::of(key_is_rotated(mesh)),
        },
        Step {
            name: "garbage, redirects, huge, packed and late answers in place of keys leave the last good ones",
            run: |mesh| Outcome::of(last_good_keys_stay(mesh)),
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

/// The request is sent first, then the provider starts.
async fn waits_for_the_first_keys(mesh: &mut Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.draft(ALICE).signed(mesh.issuer.rsa())?;
    let mut exchange = open(mesh, PAYMENTS.0).await?;
    let waiting = tokio::spawn(async move {
        let asked = Instant::now();
        let answer = allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await;
        (answer.map(|_mirror| ()), asked.elapsed())
    });
    mesh.start_issuer().await?;
    let (answer, waited) = waiting
        .await
        .map_err(|_panicked| Mismatch::differs("the request", "a panic", "an answer"))?;
    answer?;
    mesh.keys_are_known().await?;
    Ok(format!("let in after {:.1} s", waited.as_secs_f32()))
}

/// The old token is known to both gateways as a good one when its key goes. Nobody sends a token of the
/// new key before the load does, and none of its requests is turned away.
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
    let new = mesh.issuer.token(ALICE).await?;
    let mut load = JoinSet::new();
    for _connection in 0..LOAD_CONNECTIONS {
        let (mut exchange, new) = (open(mesh, PAYMENTS.0).await?, new.clone());
        load.spawn(async move {
            for _request in 0..LOAD_REQUESTS {
                allowed(&mut exchange, get(PAYMENTS).bearer(&new)).await?;
            }
            Ok::<_, Mismatch>(())
        });
    }
    for outcome in load.join_all().await {
        outcome?;
    }
    let seconds = rotated.elapsed().as_secs_f32();
    let mut seen = String::new();
    for _gateway in 0..mesh.gateways.len() {
        let ask = get(PAYMENTS).bearer(&old);
        seen = denied(mesh, ask, StatusCode::UNAUTHORIZED, "key_unknown").await?;
    }
    let requests = LOAD_CONNECTIONS * LOAD_REQUESTS;
    Ok(format!(
        "{requests} requests with the new key within {seconds:.1} s, none denied; old key: {seen}"
    ))
}

async fn last_good_keys_stay(mesh: &mut Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let hostile = mesh.issuer.replace_by_hostile().await?;
    let wanted = Answer::hostile().len() * mesh.gateways.len();
    let fetches = hostile.was_asked(KEY_SET, wanted).await?;
    for _gateway in 0..mesh.gateways.len() {
        allowed(
            &mut open(mesh, PAYMENTS.0).await?,
            get(PAYMENTS).bearer(&token),
        )
        .await?;
    }
    drop(hostile);
    mesh.start_issuer().await?;
    mesh.keys_are_known().await?;
    Ok(format!("still accepted after {fetches} spoilt answers"))
}

/// Connections that present the new key at the same time; each gateway gets some.
const LOAD_CONNECTIONS: usize = 8;

/// Requests on each of them.
const LOAD_REQUESTS: usize = 25;
