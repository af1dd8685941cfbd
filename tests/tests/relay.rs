//! What the front does with a connection between its two handshakes and its end.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::time::Duration;

use e2e::{
    client_hello::client_hello,
    deadline::eventually,
    dialer::Dialer,
    error::HarnessError,
    front::Front,
    pki::{Authority, GATEWAY, Identity, Pki},
    ports,
    receiver::{Received, Receiver},
    run_folder::RunFolder,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::client::TlsStream;

#[tokio::test]
async fn a_downstream_that_has_said_everything_still_hears_the_answer() {
    let stage = Stage::set().await;
    let (mut downstream, mut upstream) = stage.connect().await;
    downstream.write_all(b"question").await.unwrap();
    downstream.shutdown().await.unwrap();
    let mut heard = Vec::new();
    upstream.tls.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"question");
    upstream.tls.write_all(b"answer").await.unwrap();
    upstream.tls.shutdown().await.unwrap();
    heard.clear();
    downstream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"answer");
    assert_eq!(stage.ended().await["termination"], "closed");
}

#[tokio::test]
async fn an_upstream_that_has_said_everything_still_hears_the_downstream() {
    let stage = Stage::set().await;
    let (mut downstream, mut upstream) = stage.connect().await;
    upstream.tls.write_all(b"greeting").await.unwrap();
    upstream.tls.shutdown().await.unwrap();
    let mut heard = Vec::new();
    downstream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"greeting");
    downstream.write_all(b"thanks").await.unwrap();
    downstream.shutdown().await.unwrap();
    heard.clear();
    upstream.tls.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"thanks");
    let line = stage.ended().await;
    assert_eq!(
        (&line["bytes_up"], &line["bytes_down"]),
        (&6.into(), &8.into())
    );
}

/// Without close_notify, nobody can know whether that was all (RFC 8446 section 6.1).
#[tokio::test]
async fn a_cut_upstream_does_not_look_like_a_clean_end() {
    let stage = Stage::set().await;
    let (mut downstream, mut upstream) = stage.connect().await;
    upstream.tls.write_all(b"half an answer").await.unwrap();
    upstream.tls.flush().await.unwrap();
    let mut heard = [0; 14];
    downstream.read_exact(&mut heard).await.unwrap();
    let (mut tcp, _tls) = upstream.tls.into_inner();
    tcp.shutdown().await.unwrap();
    let end = downstream.read(&mut heard).await;
    assert!(end.is_err(), "{end:?}");
    drop(downstream);
    assert_eq!(stage.ended().await["termination"], "upstream_truncated");
}

/// The kernel ends the connection in order (FIN), TLS does not.
#[tokio::test]
async fn a_cut_downstream_does_not_look_like_a_clean_end() {
    let stage = Stage::set().await;
    let (mut downstream, mut upstream) = stage.connect().await;
    downstream.write_all(b"half a question").await.unwrap();
    downstream.flush().await.unwrap();
    let mut heard = [0; 15];
    upstream.tls.read_exact(&mut heard).await.unwrap();
    let (mut tcp, _tls) = downstream.into_inner();
    tcp.shutdown().await.unwrap();
    let end = upstream.tls.read(&mut heard).await;
    assert!(end.is_err(), "{end:?}");
    drop(upstream);
    assert_eq!(stage.ended().await["termination"], "downstream_truncated");
}

#[tokio::test]
async fn a_silent_connection_is_ended_after_the_idle_timeout() {
    let stage =
        Stage::set_with(|config| config.replace("idle_seconds: 300", "idle_seconds: 1")).await;
    let (mut downstream, _upstream) = stage.connect().await;
    let start = Instant::now();
    let mut heard = Vec::new();
    let _how = timeout(LIMIT, downstream.read_to_end(&mut heard))
        .await
        .unwrap();
    assert!(
        start.elapsed() > Duration::from_millis(700),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(stage.ended().await["termination"], "idle_timeout");
}

#[tokio::test]
async fn a_connection_that_speaks_now_and_then_outlives_the_idle_timeout() {
    let stage =
        Stage::set_with(|config| config.replace("idle_seconds: 300", "idle_seconds: 2")).await;
    let (mut downstream, mut upstream) = stage.connect().await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(400)).await;
        downstream.write_all(b".").await.unwrap();
        downstream.flush().await.unwrap();
        assert_eq!(upstream.tls.read_u8().await.unwrap(), b'.');
    }
}

#[tokio::test]
async fn a_downstream_that_stops_in_its_handshake_is_ended_in_time() {
    let hello = client_hello("api.example.com");
    for (name, said, termination) in [
        ("nothing", &hello[..0], "client_hello_timeout"),
        ("half a ClientHello", &hello[..100], "client_hello_timeout"),
        ("a ClientHello", &hello, "handshake_timeout"),
    ] {
        let edit = |config: String| config.replace("handshake_seconds: 10", "handshake_seconds: 1");
        let stage = Stage::set_with(edit).await;
        let mut silent = stage.dialer().connect().await.unwrap();
        silent.write_all(said).await.unwrap();
        let mut heard = Vec::new();
        let _how = timeout(LIMIT, silent.read_to_end(&mut heard))
            .await
            .unwrap();
        assert_eq!(stage.ended().await["termination"], termination, "{name}");
    }
}

/// Such a downstream comes back, and gets an endpoint of that day.
#[tokio::test]
async fn a_connection_past_its_age_ends_cleanly_when_nothing_is_on_its_way() {
    let edit = |config: String| {
        config.replace(
            "idle_seconds: 300",
            "idle_seconds: 300, max_age_seconds: 10",
        )
    };
    let stage = Stage::set_with(edit).await;
    let (mut downstream, mut upstream) = stage.connect().await;
    let start = Instant::now();
    let mut heard = Vec::new();
    let end = timeout(2 * LIMIT, downstream.read_to_end(&mut heard)).await;
    assert_eq!(end.unwrap().unwrap(), 0, "close_notify");
    assert!(
        start.elapsed() > Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(upstream.tls.read_to_end(&mut heard).await.unwrap(), 0);
    drop(downstream);
    assert_eq!(stage.ended().await["termination"], "max_age");
}

#[tokio::test]
async fn a_half_closed_connection_has_less_time() {
    let edit = |config: String| {
        config.replace(
            "idle_seconds: 300",
            "idle_seconds: 300, half_closed_seconds: 1",
        )
    };
    let stage = Stage::set_with(edit).await;
    let (mut downstream, mut upstream) = stage.connect().await;
    downstream.shutdown().await.unwrap();
    assert_eq!(upstream.tls.read(&mut [0]).await.unwrap(), 0);
    let mut heard = Vec::new();
    let _how = timeout(LIMIT, downstream.read_to_end(&mut heard))
        .await
        .unwrap();
    assert_eq!(stage.ended().await["termination"], "half_closed_timeout");
}

#[tokio::test]
async fn a_mesh_member_that_is_not_the_gateway_is_refused() {
    let stage = Stage::set().await;
    let stranger = stage.pki.stranger.clone();
    let (stage, line) = stage.with_impostor(&stranger).await;
    assert_eq!(line["termination"], "no_endpoint", "{line}");
    drop(stage);
}

#[tokio::test]
async fn the_gateways_name_by_another_authority_is_refused() {
    let stage = Stage::set().await;
    let authority = Authority::create("impostor", &stage.folder).unwrap();
    let impostor = authority
        .issue("impostor", &[GATEWAY], &stage.folder)
        .unwrap();
    let (stage, line) = stage.with_impostor(&impostor).await;
    assert_eq!(line["termination"], "no_endpoint", "{line}");
    drop(stage);
}

/// Bytes of one protocol must not reach a peer that speaks another.
#[tokio::test]
async fn a_gateway_that_does_not_agree_to_the_protocol_is_refused() {
    for (name, spoken) in [
        ("another protocol", &["http/1.1"][..]),
        ("no protocol", &[]),
    ] {
        let mut stage = Stage::set().await;
        stage.receiver = stage.receiver.speaking(spoken);
        let line = stage.refused_upstream().await;
        assert_eq!(line["termination"], "no_endpoint", "{name}: {line}");
    }
}

/// A front before one receiver.
struct Stage {
    front: Front,
    receiver: Receiver,
    pki: Pki,
    folder: RunFolder,
}

impl Stage {
    async fn set() -> Self {
        Self::set_with(|config| config).await
    }

    async fn set_with(edit: impl FnOnce(String) -> String) -> Self {
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
            folder,
        }
    }

    fn dialer(&self) -> Dialer {
        Dialer::public(
            self.front.address(),
            "api.example.com",
            self.pki.edge.root(),
        )
        .speaking(&["h2"])
    }

    async fn connect(&self) -> (TlsStream<TcpStream>, Received) {
        let dialer = self.dialer();
        let (downstream, received) = tokio::join!(dialer.connect_tls(), self.receiver.accept());
        (
            downstream.unwrap(),
            received.unwrap_or_else(|error| panic!("{}", error.chain())),
        )
    }

    async fn with_impostor(mut self, impostor: &Identity) -> (Self, Value) {
        self.receiver = self.receiver.shown_as(impostor);
        let line = self.refused_upstream().await;
        (self, line)
    }

    /// The downstream's handshake is done before the gateway is dialled; after the refusal it gets
    /// no byte, and no clean end either. The gateway gets none of what the downstream said. The
    /// access log's line says why.
    async fn refused_upstream(&self) -> Value {
        let receive = async {
            let mut heard = Vec::new();
            while heard.is_empty() {
                match self.receiver.accept().await {
                    Ok(mut received) => {
                        let _how = received.tls.read_to_end(&mut heard).await;
                    }
                    Err(HarnessError::Connection { .. }) => (),
                    Err(other) => panic!("{}", other.chain()),
                }
            }
            heard
        };
        let ask = async {
            let mut downstream = self.dialer().connect_tls().await.unwrap();
            downstream.write_all(b"secret").await.unwrap();
            downstream.flush().await.unwrap();
            let end = timeout(LIMIT, downstream.read(&mut [0])).await.unwrap();
            assert!(end.is_err(), "{end:?}");
            self.ended().await
        };
        tokio::select! {
            line = ask => line,
            heard = receive => panic!("the gateway was told {heard:?}"),
        }
    }

    /// The access log's line about the only connection.
    async fn ended(&self) -> Value {
        eventually("the access log's line", LIMIT, async || {
            self.front.access_log().pop()
        })
        .await
        .unwrap()
    }
}

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(10);
