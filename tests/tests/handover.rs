//! The hand-over contract, judged by receivers that share no code with the front.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::net::SocketAddr;

use e2e::{
    deadline::eventually,
    dialer::Dialer,
    front::Front,
    haproxy::HaProxy,
    http::{Ask, Exchange},
    mesh::LOG_LIMIT,
    pki::{PARTNER, Pki},
    ports,
    proxy_protocol::{
        ALPN, AUTHORITY, CERTIFICATE_SHA256, CRC32C, SPIFFE_ID, SSL, SSL_VERSION, UNIQUE_ID, tlvs,
    },
    receiver::{Received, Receiver},
    run_folder::RunFolder,
};
use rustls::HandshakeKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

#[tokio::test]
async fn header_and_client_hello_come_in_one_write() {
    let stage = Stage::set().await;
    for round in 0..20 {
        let (_downstream, received) = stage.connect(&stage.dialer()).await;
        assert!(
            received.has_whole_client_hello(),
            "round {round}: {:02x?}",
            received.after_header
        );
    }
}

#[tokio::test]
async fn the_header_says_what_the_front_established_and_nothing_else() {
    let stage = Stage::set().await;
    let (downstream, received) = stage.connect(&stage.dialer()).await;
    let header = &received.header;
    assert_eq!(header.source, local_address(&downstream));
    assert_eq!(header.destination, stage.front.address());
    assert_eq!(header.text(ALPN), Some("h2"));
    assert_eq!(header.text(AUTHORITY), Some("api.example.com"));
    assert!(header.checksum_is_right);
    let id = header.text(UNIQUE_ID).unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "7"), "{id}");
    let ssl = header.tlv(SSL).unwrap();
    assert_eq!(ssl[0], OVER_TLS, "the downstream showed no certificate");
    assert_ne!(ssl[1..5], [0; 4], "nothing was verified");
    let about_tls = tlvs(&ssl[5..]).unwrap();
    assert!(
        about_tls.contains(&(SSL_VERSION, b"TLSv1.3".to_vec())),
        "{about_tls:?}"
    );
    let mut kinds: Vec<u8> = header.tlvs.iter().map(|(kind, _)| *kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [ALPN, AUTHORITY, CRC32C, UNIQUE_ID, SSL]);
}

#[tokio::test]
async fn a_verified_certificate_is_handed_over_by_its_spiffe_id_and_digest() {
    let stage = Stage::set().await;
    let (_downstream, received) = stage
        .connect(&stage.dialer().as_identity(&stage.pki.partner))
        .await;
    let header = &received.header;
    assert_eq!(header.text(SPIFFE_ID), Some(PARTNER));
    let thumbprint = stage.pki.partner.thumbprint();
    assert_eq!(thumbprint.len(), 43);
    assert_eq!(header.text(CERTIFICATE_SHA256), Some(thumbprint.as_str()));
    let ssl = header.tlv(SSL).unwrap();
    assert_eq!(
        ssl[0] & (OVER_TLS | WITH_CERTIFICATE),
        OVER_TLS | WITH_CERTIFICATE
    );
    assert_eq!(ssl[1..5], [0; 4], "verified");
}

#[tokio::test]
async fn a_certificate_without_a_spiffe_id_is_handed_over_by_its_digest() {
    let stage = Stage::set().await;
    let (_downstream, received) = stage
        .connect(&stage.dialer().as_identity(&stage.pki.rival))
        .await;
    let header = &received.header;
    assert_eq!(header.text(SPIFFE_ID), None);
    assert_eq!(
        header.text(CERTIFICATE_SHA256),
        Some(stage.pki.rival.thumbprint().as_str())
    );
}

/// The certificate is not shown again, and is still the downstream's.
#[tokio::test]
async fn a_resumed_session_hands_over_the_same_certificate() {
    let stage = Stage::set().await;
    let dialer = stage.dialer().as_identity(&stage.pki.partner).resuming();
    let (mut first, mut received) = stage.connect(&dialer).await;
    // The tickets come before the first byte of the gateway.
    received.tls.write_all(b"!").await.unwrap();
    received.tls.flush().await.unwrap();
    first.read_u8().await.unwrap();
    let (second, received) = stage.connect(&dialer).await;
    assert_eq!(
        second.get_ref().1.handshake_kind(),
        Some(HandshakeKind::Resumed)
    );
    let header = &received.header;
    assert_eq!(header.text(SPIFFE_ID), Some(PARTNER));
    assert_eq!(
        header.text(CERTIFICATE_SHA256),
        Some(stage.pki.partner.thumbprint().as_str())
    );
    let ssl = header.tlv(SSL).unwrap();
    assert_eq!(
        ssl[0] & WITH_CERTIFICATE,
        0,
        "in an earlier connection of the session"
    );
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let stage = Stage::set().await;
    let dialer = stage.dialer().as_identity(&stage.pki.front);
    let refused = async {
        let mut stream = dialer.connect_tls().await.map_err(|error| error.chain())?;
        stream.read_u8().await.map_err(|error| error.to_string())
    };
    let error = refused.await.unwrap_err();
    assert!(error.contains("fatal alert"), "{error}");
}

#[tokio::test]
async fn every_connection_has_an_id_of_its_own() {
    let stage = Stage::set().await;
    let mut ids = Vec::new();
    for _connection in 0..10 {
        let (_downstream, received) = stage.connect(&stage.dialer()).await;
        ids.push(received.header.text(UNIQUE_ID).unwrap().to_owned());
    }
    let in_order = ids.clone();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 10, "{in_order:?}");
}

#[tokio::test]
async fn the_gateway_is_asked_for_what_the_downstream_asked_for() {
    let stage = Stage::set().await;
    let cases: [(&[&str], &str, Option<&str>); 4] = [
        (&["h2", "http/1.1"], "api.example.com", Some("h2")),
        (&["http/1.1"], "pay.example.com", Some("http/1.1")),
        (&["http/1.1", "h2"], "shop.orders.example.com", Some("h2")),
        (&[], "api.example.com", None),
    ];
    for (offered, name, agreed) in cases {
        let dialer = stage.dialer().speaking(offered).named(name);
        let (downstream, received) = stage.connect(&dialer).await;
        let downstream_protocol = downstream.get_ref().1.alpn_protocol();
        assert_eq!(
            downstream_protocol,
            agreed.map(str::as_bytes),
            "{offered:?}, downstream"
        );
        assert_eq!(
            received.protocol().as_deref(),
            agreed,
            "{offered:?}, gateway"
        );
        assert_eq!(received.header.text(ALPN), agreed, "{offered:?}, header");
        assert_eq!(received.server_name(), Some(name), "{offered:?}");
        assert_eq!(received.header.text(AUTHORITY), Some(name), "{offered:?}");
    }
}

/// What the downstream sends after its handshake is payload, whatever it looks like.
#[tokio::test]
async fn a_header_of_the_downstream_arrives_as_payload() {
    let stage = Stage::set().await;
    let (mut downstream, mut received) = stage.connect(&stage.dialer()).await;
    let address = |last| std::net::SocketAddrV4::new([192, 0, 2, last].into(), 443);
    let forged = e2e::proxy_protocol::encode(address(1), address(2), &[(UNIQUE_ID, b"forged")]);
    downstream.write_all(&forged).await.unwrap();
    downstream.flush().await.unwrap();
    let mut payload = vec![0; forged.len()];
    received.tls.read_exact(&mut payload).await.unwrap();
    assert_eq!(payload, forged);
    assert_eq!(received.header.source, local_address(&downstream));
}

/// A second opinion: HAProxy checks the header byte by byte, and says what it read.
#[tokio::test]
async fn haproxy_reads_the_same_from_the_header() {
    let folder = RunFolder::create().unwrap();
    let pki = Pki::create(&folder).unwrap();
    let haproxy = HaProxy::start(&pki, &folder)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let address = ports::free().unwrap();
    let front = Front::start(address, &[haproxy.address()], &pki, &folder)
        .await
        .unwrap();
    for protocol in ["h2", "http/1.1"] {
        // With all that a header can hold.
        let dialer = Dialer::public(front.address(), "api.example.com", pki.edge.root())
            .as_identity(&pki.partner)
            .speaking(&[protocol]);
        let mut exchange = Exchange::open(&dialer).await.unwrap();
        let reply = exchange
            .send(Ask::get("api.example.com", "/"))
            .await
            .unwrap();
        let said = reply.text();
        let id = said
            .lines()
            .find_map(|line| line.strip_prefix("id "))
            .unwrap();
        let expected = format!(
            "source {}\ndestination {}\nauthority api.example.com\nid {id}\n\
             sni api.example.com\nalpn {protocol}\nversion TLSv1.3\n",
            exchange.local(),
            front.address(),
        );
        assert_eq!(said, expected);
        drop(exchange);
        eventually("the front's line", LOG_LIMIT, async || {
            front
                .access_log()
                .into_iter()
                .find(|line| line["connection_id"] == *id)
        })
        .await
        .unwrap();
    }
}

/// A front before one receiver.
struct Stage {
    front: Front,
    receiver: Receiver,
    pki: Pki,
    _folder: RunFolder,
}

impl Stage {
    async fn set() -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        let receiver = Receiver::start(&pki).await.unwrap();
        let address = ports::free().unwrap();
        let front = Front::start(address, &[receiver.address()], &pki, &folder)
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        Self {
            front,
            receiver,
            pki,
            _folder: folder,
        }
    }

    fn dialer(&self) -> Dialer {
        Dialer::public(
            self.front.address(),
            "api.example.com",
            self.pki.edge.root(),
        )
        .speaking(&["h2", "http/1.1"])
    }

    async fn connect(&self, dialer: &Dialer) -> (TlsStream<TcpStream>, Received) {
        let (downstream, received) = tokio::join!(dialer.connect_tls(), self.receiver.accept());
        (
            downstream.unwrap(),
            received.unwrap_or_else(|error| panic!("{}", error.chain())),
        )
    }
}

fn local_address(stream: &TlsStream<TcpStream>) -> SocketAddr {
    stream.get_ref().0.local_addr().unwrap()
}

/// `PP2_CLIENT_SSL`.
const OVER_TLS: u8 = 0x01;
/// `PP2_CLIENT_CERT_CONN`.
const WITH_CERTIFICATE: u8 = 0x02;
