//! A network that drops what is sent to an endpoint, and to a downstream, and says nothing of it.

use std::process::Stdio;

use e2e::haproxy::HaProxy;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    namespace,
    stage::{Stage, greeted, read_to_end},
};

/// In a network namespace of its own, which ends with the process: what its firewall drops is
/// answered by nobody.
#[test]
fn in_a_black_hole_connections_end_in_time_and_another_endpoint_serves_the_next() {
    let test = "in_a_black_hole_connections_end_in_time_and_another_endpoint_serves_the_next";
    namespace::run(&format!("black_hole::{test}"), "--net", black_hole());
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
