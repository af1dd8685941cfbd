//! Endpoints and downstreams that fail: what the other side sees, what the access log says of it,
//! that another endpoint serves the next, and that nothing is left open.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod black_hole;
mod data;
mod dialling;
mod disk;
mod endpoint;
mod names;
mod namespace;
mod stage;

use std::time::Duration;

use e2e::{client_hello::client_hello, deadline::eventually, haproxy::HaProxy, pki};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::stage::{LIMIT, Stage, greeted, has_unread_data, read_to_end};

#[tokio::test]
async fn the_log_says_what_was_wrong_with_an_endpoint_and_another_serves_the_next() {
    for (fault, cause) in [
        ("refuses TLS", "handshake: the peer closed the connection"),
        (
            "answers in plain text",
            "corrupt message of type InvalidContentType",
        ),
        (
            "answers with an alert",
            "received fatal alert: HandshakeFailure",
        ),
        (
            "another authority",
            "invalid peer certificate: UnknownIssuer",
        ),
        (
            "an expired certificate",
            "invalid peer certificate: certificate expired",
        ),
        (
            "another SPIFFE id",
            &format!(
                "invalid peer certificate: it holds {}, expected is {}",
                pki::STRANGER,
                pki::GATEWAY
            ),
        ),
        ("drips", "handshake: not finished in time"),
        ("resets", "Connection reset by peer"),
        ("frozen", "handshake: not finished in time"),
        ("gone", "connect: Connection refused"),
    ] {
        let stage = Stage::prepare();
        let (faulty, _alive) = stage.endpoint_that(fault).await;
        let mut stage = stage.open(&[faulty], "attempts: 1", "").await;
        let before = stage.open_files().await;
        let mut served = Vec::new();
        for _visit in 0..4 {
            served.push(stage.visit().await.is_some());
        }
        assert!(
            served == [true, false, true, false] || served == [false, true, false, true],
            "{fault}: {served:?}"
        );
        let log = stage.log(4).await;
        let failed = log
            .iter()
            .filter(|line| line["endpoint"] == faulty.to_string());
        for line in failed.clone() {
            assert_eq!(line["termination"], "no_endpoint", "{fault}: {line}");
            let error = line["error"].as_str().unwrap();
            assert!(error.contains(cause), "{fault}: {error}");
        }
        assert_eq!(failed.count(), 2, "{fault}: {log:?}");
        stage.is_as(before).await;
    }
}

/// A whole second late of five, and one failure would be enough to leave it out.
#[tokio::test]
async fn an_endpoint_that_is_slow_but_in_time_is_used_as_any_other() {
    let stage = Stage::prepare();
    let (slow, _alive) = stage.endpoint_that("is late").await;
    let edit = |config: String| {
        let config = config.replace(
            "timeout_seconds: 2, attempts",
            "timeout_seconds: 5, attempts",
        );
        let balance = "  balance: round_robin\n";
        config.replace(
            balance,
            &format!("{balance}  ejection: {{ consecutive_failures: 1 }}\n"),
        )
    };
    let mut stage = stage.open_edited(&[slow], edit).await;
    let before = stage.open_files().await;
    for _visit in 0..4 {
        let (stream, _port) = greeted(&stage.dialer()).await.unwrap();
        drop(stream);
    }
    let log = stage.log(4).await;
    assert!(log.iter().all(|line| line["attempts"] == 1), "{log:?}");
    let by_slow = log
        .iter()
        .filter(|line| line["endpoint"] == slow.to_string());
    assert_eq!(by_slow.count(), 2, "{log:?}");
    let about = stage.endpoint(slow).await.unwrap();
    assert_eq!(about["state"], "healthy", "{about}");
    stage.is_as(before).await;
}

/// A process that is killed leaves a FIN; with data that it has not read, a reset.
#[tokio::test]
async fn an_endpoint_that_fails_in_mid_connection_is_named_and_another_serves_the_next() {
    for (fault, termination) in [
        ("killed", "upstream_truncated"),
        ("killed before it had read all", "upstream_reset"),
        ("frozen", "idle_timeout"),
    ] {
        let stage = Stage::prepare();
        let process = HaProxy::start(&stage.pki, &stage.folder).await.unwrap();
        let faulty = process.address();
        let mut stage = stage.open(&[faulty], "attempts: 3", "").await;
        let before = stage.open_files().await;
        let mut downstream = stage.converse_with_haproxy().await;
        if fault != "killed" {
            process.process().freeze().unwrap();
            downstream.write_all(b"GET ").await.unwrap();
            downstream.flush().await.unwrap();
            eventually("unread data", LIMIT, async || has_unread_data(faulty))
                .await
                .unwrap();
        }
        let kept = (fault == "frozen").then_some(process);
        let end = read_to_end(&mut downstream).await;
        assert!(end.is_err(), "{fault}: {end:?}");
        drop(downstream);
        let line = stage.line_with(termination).await;
        assert_eq!(line["endpoint"], faulty.to_string(), "{fault}");
        for _visit in 0..2 {
            assert!(stage.visit().await.is_some(), "{fault}");
        }
        drop(kept);
        stage.is_as(before).await;
    }
}

#[tokio::test]
async fn a_downstream_that_resets_is_named_and_its_endpoint_is_told() {
    let mut stage = Stage::prepare().open(&[], "attempts: 1", "").await;
    let before = stage.open_files().await;
    let (downstream, _port) = stage.greeted().await.unwrap();
    let (socket, _session) = downstream.into_inner();
    socket.set_zero_linger().unwrap();
    drop(socket);
    let line = stage.line_with("downstream_reset").await;
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("Connection reset by peer"), "{error}");
    eventually("the endpoint's end", LIMIT, async || {
        (!stage.good.seen().faults.is_empty()).then_some(())
    })
    .await
    .unwrap();
    assert!(stage.visit().await.is_some());
    stage.is_as(before).await;
}

/// Slowloris: each byte comes in time, the ClientHello never does. Others are served meanwhile.
#[tokio::test]
async fn a_client_hello_that_drips_is_ended_in_time_where_tls_ends() {
    let edit = "client_hello_seconds: 1";
    let mut stage = Stage::prepare().open(&[], "attempts: 1", edit).await;
    let before = stage.open_files().await;
    let stream = TcpStream::connect(stage.front.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut from_front, mut to_front) = stream.into_split();
    let drip = async {
        for byte in client_hello("api.example.com") {
            if to_front.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut heard = Vec::new();
    let watch = async {
        assert!(stage.visit().await.is_some(), "in the meantime");
        timeout(LIMIT, from_front.read_to_end(&mut heard)).await
    };
    tokio::select! {
        () = drip => {}
        end = watch => drop(end.unwrap()),
    }
    stage.line_with("client_hello_timeout").await;
    drop(from_front);
    assert!(stage.visit().await.is_some());
    stage.is_as(before).await;
}
