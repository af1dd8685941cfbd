//! A gateway dies, and the front is asked to go.

use std::time::Duration;

use http_body_util::channel::Channel;
use hyper::body::Bytes;
use tokio::time::Instant;

use super::{
    Chapter, Mismatch, Outcome, Step, expect,
    verdict::{PAYMENTS, allowed, get, open},
};
use crate::{
    deadline::eventually,
    http::Ask,
    issuer::ALICE,
    mesh::{IssuerAtStart, Mesh},
    pattern::{Pattern, Sum},
};

/// The steps.
pub const CHAPTER: Chapter = Chapter {
    name: "failures",
    issuer: IssuerAtStart::Up,
    steps: &[
        Step {
            name: "one gateway is killed, and every new connection is served by the other",
            run: |mesh| Outcome::of(one_gateway_is_enough(mesh)),
        },
        Step {
            name: "SIGTERM lets the front finish a request in flight, and it exits with 0",
            run: |mesh| Outcome::of(front_drains(mesh)),
        },
    ],
};

async fn one_gateway_is_enough(mesh: &mut Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    mesh.gateways[0].kill();
    let start = Instant::now();
    for _connection in 0..CONNECTIONS {
        allowed(
            &mut open(mesh, PAYMENTS.0).await?,
            get(PAYMENTS).bearer(&token),
        )
        .await?;
    }
    Ok(format!(
        "{CONNECTIONS} of {CONNECTIONS} in {:.1} s",
        start.elapsed().as_secs_f32()
    ))
}

/// The upload is half done when the signal comes. That it is under way shows at the workload.
async fn front_drains(mesh: &mut Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let mut exchange = open(mesh, PAYMENTS.0).await?;
    let (mut body, piped) = Channel::new(1);
    let ask = Ask::post(PAYMENTS.0, "/payments/upload", piped).bearer(&token);
    let (mut sum, before) = (Sum::default(), mesh.requests_at_workloads());
    let mut blocks = Pattern::of(UPLOAD_BYTES);
    let speak = async {
        send(&mut body, &mut sum, blocks.next()).await;
        eventually("the request at the workload", STEP_LIMIT, async || {
            (mesh.requests_at_workloads() > before).then_some(())
        })
        .await?;
        mesh.front.process().terminate()?;
        let dialer = mesh.downstream(PAYMENTS.0);
        eventually("the closing of the front's port", STEP_LIMIT, async || {
            dialer.connect().await.is_err().then_some(())
        })
        .await?;
        for block in blocks {
            send(&mut body, &mut sum, Some(block)).await;
        }
        drop(body);
        Ok(sum.hex())
    };
    let (reply, sum) = tokio::join!(exchange.send(ask), speak);
    let (reply, sum): (_, Result<String, Mismatch>) = (reply?, sum);
    expect(
        "the sum at the workload",
        &reply.json()["sha256"],
        sum?.as_str(),
    )?;
    drop(exchange);
    let status = mesh.front.process().ended(STEP_LIMIT).await?;
    expect("the front's exit code", status.code(), Some(0))?;
    Ok(format!("{}, exit code 0", reply.status.as_u16()))
}

async fn send(
    body: &mut http_body_util::channel::Sender<Bytes, std::convert::Infallible>,
    sum: &mut Sum,
    block: Option<Bytes>,
) {
    let block = block.unwrap_or_default();
    sum.add(&block);
    let _receiver_is_told_by_the_reply = body.send_data(block).await;
}

/// Enough for either of two gateways to have been picked many times.
const CONNECTIONS: usize = 40;

/// More than the first block, so that part of it comes after the signal.
const UPLOAD_BYTES: u64 = 1 << 20;

/// For each thing that is waited for here.
const STEP_LIMIT: Duration = Duration::from_secs(10);
