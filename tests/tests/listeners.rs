//! Who gets in at a listener, as whom, and what happens to the others.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use e2e::{
    client_hello::client_hello,
    deadline::eventually,
    dialer::Dialer,
    front::Front,
    pki::Pki,
    ports,
    proxy_protocol::{self, UNIQUE_ID},
    receiver::{Received, Receiver},
    run_folder::RunFolder,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

/// A load balancer before the front hands over its client, and the front does.
#[tokio::test]
async fn a_trusted_proxys_header_says_who_the_client_is() {
    let stage = Stage::set(|config| with_proxies(config, "refuse")).await;
    let version_1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec();
    let version_2 = proxy_protocol::encode(
        "192.0.2.7:4711".parse().unwrap(),
        "198.51.100.1:443".parse().unwrap(),
        &[(UNIQUE_ID, b"of somebody else")],
    );
    for (name, header) in [("version 1", version_1), ("version 2", version_2)] {
        let dialer = stage.dialer(PROXY).saying_first(header);
        let (downstream, received) = stage.connect(&dialer).await;
        let header = &received.header;
        assert_eq!(header.source, "192.0.2.7:4711".parse().unwrap(), "{name}");
        assert_eq!(header.destination.to_string(), "198.51.100.1:443", "{name}");
        let id = header.text(UNIQUE_ID).unwrap().to_owned();
        assert_eq!(id.len(), 36, "{name}: the front's own");
        let peer = downstream.get_ref().0.local_addr().unwrap();
        drop((downstream, received));
        let line = stage.ended().await;
        assert_eq!(line["downstream"], "192.0.2.7:4711", "{name}");
        assert_eq!(line["proxy"], peer.to_string(), "{name}");
        assert_eq!(line["connection_id"], id.as_str(), "{name}");
    }
}

#[tokio::test]
async fn a_proxy_that_speaks_for_itself_is_served_as_itself() {
    let stage = Stage::set(|config| with_proxies(config, "refuse")).await;
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    let (downstream, received) = stage
        .connect(&stage.dialer(PROXY).saying_first(local))
        .await;
    let peer = downstream.get_ref().0.local_addr().unwrap();
    assert_eq!(received.header.source, peer);
}

#[tokio::test]
async fn a_trusted_proxy_must_send_a_header() {
    let edit = |config| {
        with_proxies(config, "refuse").replace(
            "idle_seconds: 300",
            "idle_seconds: 300, client_hello_seconds: 1",
        )
    };
    let stage = Stage::set(edit).await;
    let half = b"PROXY TCP4 192.0".to_vec();
    let cases = [
        (
            "none",
            client_hello("api.example.com"),
            "proxy_header_invalid",
        ),
        ("half a header", half, "proxy_header_timeout"),
        ("nothing", Vec::new(), "proxy_header_timeout"),
    ];
    for (name, said, termination) in cases {
        let dialer = stage.dialer(PROXY).saying_first(said);
        heard_nothing(dialer.connect().await.unwrap()).await;
        assert_eq!(stage.ended().await["termination"], termination, "{name}");
    }
}

/// What anybody could send must not decide who he is.
#[tokio::test]
async fn a_header_of_anybody_else_is_not_believed() {
    let forged = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec();
    let stage = Stage::set(|config| with_proxies(config, "refuse")).await;
    let dialer = stage.dialer(CLIENT).saying_first(forged.clone());
    assert!(dialer.connect_tls().await.is_err());
    assert_eq!(stage.refused("untrusted_proxy").await, 1);

    let stage = Stage::set(|config| with_proxies(config, "direct")).await;
    let dialer = stage.dialer(CLIENT);
    assert!(
        dialer
            .clone()
            .saying_first(forged)
            .connect_tls()
            .await
            .is_err()
    );
    assert_eq!(stage.ended().await["termination"], "handshake_failed");
    let (downstream, received) = stage.connect(&dialer).await;
    let own = downstream.get_ref().0.local_addr().unwrap();
    assert_eq!(received.header.source, own, "he is who he is");
}

#[tokio::test]
async fn lists_say_who_may_connect() {
    let edit = |config: String| {
        config.replace(
            "  routes:",
            "  allow: [127.0.0.0/24]\n  deny: [127.0.0.66]\n  routes:",
        )
    };
    let stage = Stage::set(edit).await;
    let (_downstream, _received) = stage.connect(&stage.dialer("127.0.0.1")).await;
    for (refused, source) in [(1, "127.0.0.66"), (2, "127.0.1.1")] {
        assert!(
            stage.dialer(source).connect_tls().await.is_err(),
            "{source}"
        );
        assert_eq!(stage.refused("denied_source").await, refused, "{source}");
    }
}

/// The lists are about clients, so they must hold for those that come through a proxy.
#[tokio::test]
async fn lists_hold_for_clients_of_a_proxy() {
    let edit = |config| {
        with_proxies(config, "refuse").replace("  routes:", "  deny: [192.0.2.0/24]\n  routes:")
    };
    let stage = Stage::set(edit).await;
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec();
    let dialer = stage.dialer(PROXY).saying_first(header);
    assert!(dialer.connect_tls().await.is_err());
    assert_eq!(stage.ended().await["termination"], "denied_source");
}

#[tokio::test]
async fn one_source_has_its_share_and_another_has_its_own() {
    let edit = |config: String| {
        config.replace(
            "  routes:",
            "  limits: { connections_per_source: 2 }\n  routes:",
        )
    };
    let stage = Stage::set(edit).await;
    let first = stage.connect(&stage.dialer("127.0.0.1")).await;
    let _second = stage.connect(&stage.dialer("127.0.0.1")).await;
    assert!(stage.dialer("127.0.0.1").connect_tls().await.is_err());
    assert_eq!(stage.refused("source_limit").await, 1);
    let _other = stage.connect(&stage.dialer("127.0.0.2")).await;
    drop(first);
    stage.ended().await;
    let _again = stage.connect(&stage.dialer("127.0.0.1")).await;
}

#[tokio::test]
async fn a_source_that_hurries_is_refused_and_others_are_not() {
    let edit = |config: String| {
        let rate = "  limits: { connection_rate_per_source: { per_second: 1, burst: 3 } }\n";
        config.replace("  routes:", &format!("{rate}  routes:"))
    };
    let stage = Stage::set(edit).await;
    let mut open = Vec::new();
    for _connection in 0..3 {
        open.push(stage.connect(&stage.dialer("127.0.0.1")).await);
    }
    for _connection in 0..20 {
        heard_nothing(stage.dialer("127.0.0.1").connect().await.unwrap()).await;
    }
    assert!(stage.refused("source_rate").await > 10);
    let _other = stage.connect(&stage.dialer("127.0.0.2")).await;
    let log = std::fs::read_to_string(stage.folder.file("front.log")).unwrap();
    let lines = log.lines().filter(|line| line.contains("source_rate"));
    assert!(lines.count() <= 2, "one line a worker:\n{log}");
}

#[tokio::test]
async fn all_listeners_together_have_a_limit() {
    let edit = |config: String| format!("limits: {{ connections: 1 }}\n{config}");
    let stage = Stage::set(edit).await;
    let _open = stage.connect(&stage.dialer("127.0.0.1")).await;
    assert!(stage.dialer("127.0.0.1").connect_tls().await.is_err());
    assert_eq!(stage.refused("total_limit").await, 1);
}

/// A client that waits for an answer which cannot come is worse off than one that is sent away.
#[tokio::test]
async fn without_descriptors_clients_are_sent_away_and_later_ones_are_served() {
    let mut stage = Stage::set(|config| config).await;
    let pid = stage.front.process().id().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &pid, "--nofile=48:48"])
        .status()
        .await;
    assert!(limited.unwrap().success());
    let mut open = Vec::new();
    for _connection in 0..80 {
        open.push(TcpStream::connect(stage.front.address()).await.unwrap());
    }
    let mut sent_away = 0;
    for stream in &mut open {
        let read = timeout(Duration::from_millis(100), stream.read(&mut [0])).await;
        sent_away += u32::from(read.is_ok());
    }
    assert!(sent_away >= 20, "{sent_away} of 80");
    drop(open);
    let dialer = stage.dialer(CLIENT);
    let (_downstream, _received) = eventually("a descriptor", LIMIT, async || {
        let served = timeout(Duration::from_secs(1), async {
            tokio::join!(dialer.connect_tls(), stage.receiver.accept())
        });
        match served.await {
            Ok((Ok(downstream), Ok(received))) => Some((downstream, received)),
            _ => None,
        }
    })
    .await
    .unwrap();
    assert!(stage.refused("no_descriptor").await >= 20);
}

/// The kernel's hash alone would leave one of two workers with far more than the other, now and
/// then.
#[tokio::test]
async fn no_worker_has_clearly_more_to_do_than_another() {
    let stage = Stage::set(|config| format!("pin_workers: true\n{config}")).await;
    let mut open = Vec::new();
    for _connection in 0..60 {
        open.push(stage.connect(&stage.dialer(CLIENT)).await);
        let mut loads = Vec::new();
        for worker in 0..2 {
            let name = format!("l4_front_worker_connections{{worker=\"{worker}\"}}");
            loads.push(stage.front.metric(&name).await.unwrap());
        }
        loads.sort_unstable();
        let (least, most) = (loads[0], loads[1]);
        assert_eq!(least + most, open.len() as u64);
        assert!(most <= least + 2 + least / 4, "{loads:?}");
    }
}

/// A front before one receiver.
struct Stage {
    front: Front,
    receiver: Receiver,
    pki: Pki,
    /// Lines of the access log that were looked at.
    seen: AtomicUsize,
    folder: RunFolder,
}

impl Stage {
    async fn set(edit: impl FnOnce(String) -> String) -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        let receiver = Receiver::start(&pki).await.unwrap();
        let address = ports::free().unwrap();
        let front = Front::start_with(address, &[receiver.address()], &pki, &folder, edit)
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        Self {
            front,
            receiver,
            pki,
            seen: AtomicUsize::new(0),
            folder,
        }
    }

    fn dialer(&self, source: &str) -> Dialer {
        let address: SocketAddr = self.front.address();
        Dialer::public(address, "api.example.com", self.pki.edge.root())
            .speaking(&["h2"])
            .from(source.parse::<IpAddr>().unwrap())
    }

    async fn connect(&self, dialer: &Dialer) -> (TlsStream<TcpStream>, Received) {
        let (downstream, received) = tokio::join!(dialer.connect_tls(), self.receiver.accept());
        (
            downstream.unwrap_or_else(|error| panic!("{}", error.chain())),
            received.unwrap_or_else(|error| panic!("{}", error.chain())),
        )
    }

    /// The access log's next line.
    async fn ended(&self) -> Value {
        let next = self.seen.fetch_add(1, Ordering::Relaxed);
        eventually("the access log's line", LIMIT, async || {
            self.front.access_log().into_iter().nth(next)
        })
        .await
        .unwrap()
    }

    /// How many were refused for this reason.
    async fn refused(&self, reason: &str) -> u64 {
        let name = format!(
            "l4_front_downstream_connections_refused_total\
             {{listener=\"public\",termination=\"{reason}\"}}"
        );
        self.front.metric(&name).await.unwrap()
    }
}

/// A connection that is closed, by FIN or by reset.
async fn heard_nothing(mut stream: TcpStream) {
    let mut heard = Vec::new();
    // It may be closed before all is said.
    let _ = stream.flush().await;
    let _how = timeout(LIMIT, stream.read_to_end(&mut heard))
        .await
        .unwrap();
    assert!(heard.is_empty(), "{heard:?}");
}

fn with_proxies(config: String, others: &str) -> String {
    let trusted = format!(
        "  accept_proxy_protocol: true\n  \
         trusted_proxies: {{ sources: [\"{PROXY}\"], others: {others} }}\n  routes:"
    );
    config.replace("  routes:", &trusted)
}

/// Whose headers are believed.
const PROXY: &str = "127.0.0.10";
const CLIENT: &str = "127.0.0.1";

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(10);
