//! Bytes and protocols arrive as they were sent.

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    Chapter, Mismatch, Outcome, Step, expect,
    verdict::{PAYMENTS, allowed, get, open},
};
use crate::{
    conversation::attribution::logged_by_gateway,
    http::{Ask, Exchange},
    issuer::ALICE,
    mesh::{IssuerAtStart, Mesh},
    pattern::Pattern,
    websocket::WebSocket,
    workload::WEBSOCKET_GREETING,
};

/// The steps.
pub const CHAPTER: Chapter = Chapter {
    name: "transport",
    issuer: IssuerAtStart::Up,
    steps: &[
        Step {
            name: "an HTTP/2 downstream reaches the gateway as HTTP/2",
            run: |mesh| Outcome::of(protocol_is_kept(mesh, "h2", "HTTP/2")),
        },
        Step {
            name: "an HTTP/1.1 downstream reaches the gateway as HTTP/1.1",
            run: |mesh| Outcome::of(protocol_is_kept(mesh, "http/1.1", "HTTP/1.1")),
        },
        Step {
            name: "an upload of 64 MiB arrives unchanged",
            run: |mesh| Outcome::of(upload(mesh)),
        },
        Step {
            name: "a download of 64 MiB arrives unchanged",
            run: |mesh| Outcome::of(download(mesh)),
        },
        Step {
            name: "two hundred connections at once are all served",
            run: |mesh| Outcome::of(many_at_once(mesh)),
        },
        Step {
            name: "a WebSocket speaks both ways",
            run: |mesh| Outcome::of(websocket(mesh)),
        },
    ],
};

async fn protocol_is_kept(mesh: &Mesh, offered: &str, arrived: &str) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let dialer = mesh.downstream(PAYMENTS.0).speaking(&[offered]);
    let mut exchange = Exchange::open(&dialer).await?;
    expect("the negotiated protocol", exchange.protocol(), offered)?;
    let mirror = allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await?;
    let line = logged_by_gateway(mesh, mirror.value("x-connection-id")?).await?;
    expect(
        "the protocol in the gateway's log",
        &line["protocol"],
        arrived,
    )?;
    Ok(format!("{offered} arrived as {arrived}"))
}

async fn upload(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let sum = Pattern::of(BULK_BYTES).sha256();
    for protocol in ["h2", "http/1.1"] {
        let dialer = mesh.downstream(PAYMENTS.0).speaking(&[protocol]);
        let ask = Ask::post(PAYMENTS.0, "/payments/upload", Pattern::of(BULK_BYTES)).bearer(&token);
        let reply = Exchange::open(&dialer).await?.send(ask).await?;
        expect(
            "the length at the workload",
            &reply.json()["length"],
            BULK_BYTES,
        )?;
        expect(
            "the sum at the workload",
            &reply.json()["sha256"],
            sum.as_str(),
        )?;
    }
    Ok(format!("sha256 {}... over h2 and http/1.1", &sum[..12]))
}

async fn download(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let sum = Pattern::of(BULK_BYTES).sha256();
    for protocol in ["h2", "http/1.1"] {
        let dialer = mesh.downstream(PAYMENTS.0).speaking(&[protocol]);
        let path = format!("/payments/download?bytes={BULK_BYTES}");
        let ask = Ask::get(PAYMENTS.0, &path).bearer(&token);
        let reply = Exchange::open(&dialer).await?.send(ask).await?;
        expect("the length at the downstream", reply.length, BULK_BYTES)?;
        expect("the sum at the downstream", &reply.sha256, &sum)?;
    }
    Ok(format!("sha256 {}... over h2 and http/1.1", &sum[..12]))
}

async fn many_at_once(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let start = Instant::now();
    let one = async || {
        let mut exchange = open(mesh, PAYMENTS.0).await?;
        allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await
    };
    let asked = std::iter::repeat_with(one).take(CONNECTIONS_AT_ONCE);
    for answer in join_all(asked).await {
        expect("the workload", answer?.workload(), "payments")?;
    }
    Ok(format!(
        "{CONNECTIONS_AT_ONCE} of them in {:.1} s",
        start.elapsed().as_secs_f32()
    ))
}

async fn websocket(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    let dialer = mesh.downstream(PAYMENTS.0).speaking(&["http/1.1"]);
    let mut socket = WebSocket::open(&dialer, PAYMENTS.0, "/payments/ws", &token).await?;
    expect(
        "what the workload says first",
        socket.hear().await?,
        WEBSOCKET_GREETING,
    )?;
    let long = "long ".repeat(50_000);
    for text in ["first", "second", &long] {
        socket.say(text).await?;
        expect("the echo", socket.hear().await?, text)?;
    }
    Ok("greeted, three messages echoed".to_owned())
}

/// Less than half of what the front takes into handshakes at a time.
const CONNECTIONS_AT_ONCE: usize = 200;

/// Many times what any buffer on the way holds.
const BULK_BYTES: u64 = 64 << 20;
