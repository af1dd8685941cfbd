//! Endpoints and downstreams that fail: what the other side sees, what the access log says of it,
//! that another endpoint serves the next, and that nothing is left open.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod stage;

use std::{process::Stdio, time::Duration};

use e2e::{client_hello::client_hello, deadline::eventually, haproxy::HaProxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::{sleep, timeout},
};

use crate::stage::{LIMIT, Stage, greeted, has_unread_data, read_to_end};

#[tokio::test]
async fn the_log_says_what_was_wrong_with_an_endpoint_and_another_serves_the_next() {
    for (fault, cause) in [
        ("refuses TLS", "handshake: the peer closed the connection"),
        (
            "another authority",
            "invalid peer certificate: UnknownIssuer",
        ),
        (
            "another SPIFFE id",
            "invalid peer certificate: NotValidForName",
        ),
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

/// In a network namespace of its own, which ends with the process: what its firewall drops is
/// answered by nobody.
#[test]
fn in_a_black_hole_connections_end_in_time_and_another_endpoint_serves_the_next() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test runner takes no arguments of ours"
    )]
    let inside = std::env::var(INSIDE).is_ok();
    if inside {
        return tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(black_hole());
    }
    let output = std::process::Command::new("unshare")
        .args(["--map-root-user", "--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", BLACK_HOLE])
        .env(INSIDE, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{complaint}"
    );
}

async fn black_hole() {
    rule("ip", "link set lo up").await;
    rule("nft", "add table inet faults").await;
    let chain = "add chain inet faults in { type filter hook input priority 0 ; }";
    rule("nft", chain).await;
    let stage = Stage::prepare();
    let process = HaProxy::start(&stage.pki, &stage.folder).await.unwrap();
    let faulty = process.address();
    let tcp = "tcp: { user_timeout_seconds: 1 }";
    let mut stage = stage.open_with_tcp(&[faulty], tcp).await;
    let before = stage.open_files().await;

    let mut downstream = stage.converse_with_haproxy().await;
    for end in ["dport", "sport"] {
        let port = faulty.port();
        rule(
            "nft",
            &format!("add rule inet faults in tcp {end} {port} drop"),
        )
        .await;
    }
    downstream.write_all(b"GET ").await.unwrap();
    downstream.flush().await.unwrap();
    let end = read_to_end(&mut downstream).await;
    assert!(end.is_err(), "{end:?}");
    drop(downstream);
    let line = stage.line_with("upstream_reset").await;
    assert_eq!(line["endpoint"], faulty.to_string());
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("timed out"), "{error}");
    for _visit in 0..3 {
        assert!(stage.visit().await.is_some());
    }
    let log = stage.front.access_log();
    assert!(log.iter().any(|line| line["attempts"] == 2), "{log:?}");

    // Half open: the downstream is gone, and its host says nothing of it.
    let gone = stage.dialer().from([127, 0, 0, 5].into());
    let (_downstream, _port) = greeted(&gone).await.unwrap();
    rule("nft", "add rule inet faults in ip saddr 127.0.0.5 drop").await;
    stage.line_with("idle_timeout").await;
    assert!(stage.visit().await.is_some());
    stage.is_as(before).await;
}

/// Runs a command on the namespace that the test is in.
async fn rule(program: &str, words: &str) {
    let output = Command::new(program)
        .args(words.split(' '))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program}: {error}: run ./scripts/setup"));
    assert!(output.status.success(), "{program} {words}: {output:?}");
}

const BLACK_HOLE: &str =
    "in_a_black_hole_connections_end_in_time_and_another_endpoint_serves_the_next";

/// Set where the test runs in the namespace.
const INSIDE: &str = "FAULTS_INSIDE";
