//! Routes whose TLS ends at the endpoint: what the endpoint gets, and what the front refuses.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use e2e::{
    client_hello::{client_hello, in_records},
    deadline::eventually,
    dialer::Dialer,
    front::Front,
    haproxy::HaProxy,
    pki::{GATEWAY, Pki},
    ports,
    proxy_protocol::{self, AUTHORITY, CRC32C, Header, UNIQUE_ID},
    receiver::{Received, Receiver},
    run_folder::RunFolder,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

#[tokio::test]
async fn the_endpoint_gets_the_clients_own_tls_behind_the_header() {
    let stage = Stage::set().await;
    let (downstream, received) = stage.connect().await;
    assert_eq!(received.server_name(), Some(THROUGH));
    assert_eq!(received.protocol().as_deref(), Some("h2"));
    assert!(received.has_whole_client_hello());
    let header = &received.header;
    assert_eq!(header.source, downstream.get_ref().0.local_addr().unwrap());
    assert_eq!(header.destination, stage.front.address());
    assert_eq!(header.text(AUTHORITY), Some(THROUGH));
    assert!(header.checksum_is_right);
    let mut kinds: Vec<u8> = header.tlvs.iter().map(|(kind, _)| *kind).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [AUTHORITY, CRC32C, UNIQUE_ID],
        "the front settled nothing about TLS"
    );
    let id = header.text(UNIQUE_ID).unwrap().to_owned();
    drop(downstream);
    drop(received);
    let line = stage.ended().await;
    assert_eq!(line["connection_id"], id.as_str());
    assert_eq!(line["sni"], THROUGH);
    assert_eq!(line["cluster"], "through");
    assert_eq!(line["tls_version"], Value::Null);
}

#[tokio::test]
async fn other_names_of_the_same_listener_are_terminated() {
    let stage = Stage::set().await;
    let dialer = Dialer::public(
        stage.front.address(),
        "api.example.com",
        stage.pki.edge.root(),
    )
    .speaking(&["h2"]);
    let (downstream, received) = tokio::join!(dialer.connect_tls(), stage.receiver.accept());
    let (mut downstream, mut received) = (downstream.unwrap(), received.unwrap());
    assert_eq!(
        received.header.text(proxy_protocol::ALPN),
        Some("h2"),
        "the front's own finding"
    );
    downstream.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    received.tls.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn much_data_passes_both_ways_and_the_kernel_moves_it() {
    let stage = Stage::set().await;
    let (downstream, received) = stage.connect().await;
    let data: Vec<u8> = (0_u32..16 << 20)
        .map(|n| (n >> 7).to_le_bytes()[0])
        .collect();
    let (mut from_client, mut to_client) = tokio::io::split(downstream);
    let (mut from_endpoint, mut to_endpoint) = tokio::io::split(received.tls);
    let (mut up, mut down) = (vec![0; data.len()], vec![0; data.len()]);
    let all = tokio::try_join!(
        say(&mut to_client, &data),
        say(&mut to_endpoint, &data),
        async { from_endpoint.read_exact(&mut up).await.map(|_| ()) },
        async { from_client.read_exact(&mut down).await.map(|_| ()) },
    );
    all.unwrap();
    assert!(up == data && down == data);
    drop((from_client, to_client, from_endpoint, to_endpoint));
    let line = stage.ended().await;
    assert!(line["bytes_up"].as_u64().unwrap() > 16 << 20, "{line}");
    let name = "l4_front_relayed_spliced_bytes_total{listener=\"public\"}";
    let spliced = stage.front.metric(name).await.unwrap();
    assert!(spliced > 30 << 20, "{spliced} bytes are spliced");
}

/// RFC 8446 section 5.1: a handshake message may be spread over records; TCP may cut anywhere.
#[tokio::test]
async fn a_client_hello_in_pieces_is_routed_and_arrives_unchanged() {
    let (stage, endpoint) = Stage::with_plain_endpoint(|config| config).await;
    for (record, segment) in [(1, 97), (40, 1000), (5000, 1), (5000, 5000)] {
        let hello = in_records(&client_hello(THROUGH), record);
        let mut downstream = stage.connect_tcp().await;
        for piece in hello.chunks(segment) {
            downstream.write_all(piece).await.unwrap();
            // The kernel sends each piece by itself.
            tokio::task::yield_now().await;
        }
        let (mut upstream, _peer) = endpoint.accept().await.unwrap();
        let (header, rest) = read_header(&mut upstream, hello.len()).await;
        assert_eq!(header.text(AUTHORITY), Some(THROUGH), "records of {record}");
        assert_eq!(rest, hello, "records of {record}");
    }
}

#[tokio::test]
async fn what_is_refused_is_told_why() {
    let (stage, _endpoint) = Stage::with_plain_endpoint(without_tls).await;
    let unnamed = [0x15, 3, 3, 0, 2, 2, 112];
    let malformed = [0x15, 3, 3, 0, 2, 2, 50];
    let cases: [(&str, Vec<u8>, &[u8], &str); 3] = [
        ("no route", client_hello("other.org"), &unnamed, "no_route"),
        (
            "http",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            &malformed,
            "handshake_failed",
        ),
        (
            "endless",
            [&[22, 3, 1, 0, 4, 1, 0xFF, 0xFF, 0xFF][..], &[0; 100]].concat(),
            &malformed,
            "handshake_failed",
        ),
    ];
    for (name, said, answer, termination) in cases {
        let mut downstream = stage.connect_tcp().await;
        downstream.write_all(&said).await.unwrap();
        let mut heard = Vec::new();
        let read = downstream.read_to_end(&mut heard);
        timeout(LIMIT, read).await.unwrap().unwrap();
        assert_eq!(heard, answer, "{name}");
        drop(downstream);
        assert_eq!(stage.ended().await["termination"], termination, "{name}");
    }
}

/// Slowloris: each byte comes in time, the ClientHello never does.
#[tokio::test]
async fn a_client_hello_that_drips_is_ended_in_time() {
    let edit = |config: String| {
        config.replace(
            "idle_seconds: 300",
            "idle_seconds: 300, client_hello_seconds: 1",
        )
    };
    let (stage, _endpoint) = Stage::with_plain_endpoint(edit).await;
    let hello = client_hello(THROUGH);
    let (mut from_front, mut to_front) = stage.connect_tcp().await.into_split();
    let drip = async {
        for byte in hello {
            if to_front.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the whole ClientHello was taken");
    };
    let mut heard = Vec::new();
    tokio::select! {
        () = drip => {}
        _end = from_front.read_to_end(&mut heard) => {}
    }
    assert!(heard.is_empty());
    assert_eq!(stage.ended().await["termination"], "client_hello_timeout");
}

#[tokio::test]
async fn a_reset_of_the_endpoint_reaches_the_client_as_one() {
    let (stage, endpoint) = Stage::with_plain_endpoint(|config| config).await;
    let hello = client_hello(THROUGH);
    let mut downstream = stage.connect_tcp().await;
    downstream.write_all(&hello).await.unwrap();
    let (mut upstream, _peer) = endpoint.accept().await.unwrap();
    let (_header, _rest) = read_header(&mut upstream, hello.len()).await;
    upstream.set_zero_linger().unwrap();
    drop(upstream);
    let error = downstream.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(stage.ended().await["termination"], "upstream_reset");
}

/// A real client and a strict judge of the header, with the front between them.
#[tokio::test]
async fn curl_reaches_haproxy_through_the_front() {
    let folder = RunFolder::create().unwrap();
    let mut pki = Pki::create(&folder).unwrap();
    pki.gateway = pki
        .mesh
        .issue("named-gateway", &[GATEWAY, THROUGH], &folder)
        .unwrap();
    let haproxy = HaProxy::start(&pki, &folder).await.unwrap();
    let address = ports::free().unwrap();
    let edit = |config| with_route(config, haproxy.address());
    let front = Front::start_with(address, &[haproxy.address()], &pki, &folder, edit)
        .await
        .unwrap_or_else(|error| panic!("{}", error.chain()));
    let port = front.address().port();
    for (option, protocol) in [("--http2", "h2"), ("--http1.1", "http/1.1")] {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", option, "--cacert"])
            .arg(pki.mesh.certificate())
            .arg("--cert")
            .arg(&pki.front.certificate)
            .arg("--key")
            .arg(&pki.front.private_key)
            .args(["--resolve", &format!("{THROUGH}:{port}:127.0.0.1")])
            .arg(format!("https://{THROUGH}:{port}/"))
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        for line in [
            "source 127.0.0.1:",
            &format!("destination {}\n", front.address()),
            &format!("authority {THROUGH}\n"),
            &format!("sni {THROUGH}\nalpn {protocol}\nversion TLSv1.3\n"),
        ] {
            assert!(said.contains(line), "{line:?} not in {said}");
        }
    }
}

/// A front with a route through to one endpoint, and another that ends TLS.
struct Stage<Endpoint = Receiver> {
    front: Front,
    receiver: Endpoint,
    pki: Pki,
    /// Lines of the access log that were looked at.
    seen: AtomicUsize,
    _folder: RunFolder,
}

impl Stage {
    async fn set() -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        let receiver = Receiver::start(&pki).await.unwrap();
        let edit = |config| with_route(config, receiver.address());
        let front = started(&pki, receiver.address(), &folder, edit).await;
        Self {
            front,
            receiver,
            pki,
            seen: AtomicUsize::new(0),
            _folder: folder,
        }
    }

    async fn connect(&self) -> (TlsStream<TcpStream>, Received) {
        let dialer = Dialer::mesh(self.front.address(), THROUGH, self.pki.mesh.root())
            .speaking(&["h2"])
            .as_identity(&self.pki.front);
        let (downstream, received) = tokio::join!(dialer.connect_tls(), self.receiver.accept());
        (
            downstream.unwrap(),
            received.unwrap_or_else(|error| panic!("{}", error.chain())),
        )
    }
}

impl Stage<()> {
    /// Before an endpoint that takes bytes as they come.
    async fn with_plain_endpoint(edit: fn(String) -> String) -> (Self, TcpListener) {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        let endpoint = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = endpoint.local_addr().unwrap();
        let edit = |config| edit(with_route(config, address));
        let front = started(&pki, address, &folder, edit).await;
        let stage = Self {
            front,
            receiver: (),
            pki,
            seen: AtomicUsize::new(0),
            _folder: folder,
        };
        (stage, endpoint)
    }

    async fn connect_tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.front.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

impl<Endpoint> Stage<Endpoint> {
    /// The access log's next line.
    async fn ended(&self) -> Value {
        let next = self.seen.fetch_add(1, Ordering::Relaxed);
        eventually("the access log's line", LIMIT, async || {
            self.front.access_log().into_iter().nth(next)
        })
        .await
        .unwrap()
    }
}

async fn started(
    pki: &Pki,
    endpoint: SocketAddr,
    folder: &RunFolder,
    edit: impl FnOnce(String) -> String,
) -> Front {
    let address = ports::free().unwrap();
    Front::start_with(address, &[endpoint], pki, folder, edit)
        .await
        .unwrap_or_else(|error| panic!("{}", error.chain()))
}

fn with_route(config: String, endpoint: SocketAddr) -> String {
    let route =
        format!("  routes:\n  - {{ sni: [\"{THROUGH}\"], cluster: through, tls: pass_through }}\n");
    let cluster =
        format!("clusters:\n- {{ name: through, endpoints: [{{ address: \"{endpoint}\" }}] }}\n");
    config
        .replace("  routes:\n", &route)
        .replace("clusters:\n", &cluster)
}

/// Leaves the listener nothing but the route through.
fn without_tls(config: String) -> String {
    let (before, rest) = config.split_once("  tls:\n").unwrap();
    let (_tls, after) = rest.split_once("  routes:\n").unwrap();
    let after: String = after
        .split_inclusive('\n')
        .filter(|line| !line.contains("*.example.com"))
        .collect();
    format!("{before}  routes:\n{after}")
}

async fn say(stream: &mut (impl AsyncWriteExt + Unpin), data: &[u8]) -> std::io::Result<()> {
    stream.write_all(data).await?;
    stream.flush().await
}

async fn read_header(upstream: &mut TcpStream, payload: usize) -> (Header, Vec<u8>) {
    let mut bytes = Vec::new();
    let whole = async {
        loop {
            upstream.read_buf(&mut bytes).await.unwrap();
            if let Some(header) = proxy_protocol::decode(&bytes)
                && bytes.len() >= header.length + payload
            {
                return header;
            }
        }
    };
    let header = timeout(LIMIT, whole).await.unwrap();
    let rest = bytes.split_off(header.length);
    (header, rest)
}

const THROUGH: &str = "through.example.com";

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(10);
