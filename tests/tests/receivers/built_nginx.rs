//! An nginx with room for 4096 bytes of a header takes every one that the front writes, and reads from
//! it what the front was told. It keeps the header, writes down what it read, and hands on the rest.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use e2e::{dialer::Dialer, pki::PARTNER, proxy_protocol};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use self::stage::{NAME, Stage, filled_up, header_length, id_of};

mod stage;

#[tokio::test]
async fn nginx_reads_who_the_client_is_and_what_was_settled_with_it() {
    for from in [V4, V6] {
        for version in ["1.2", "1.3"] {
            let edit = |config: String| {
                let versions = format!("    versions: [\"{version}\"]\n    alpn:");
                config.replace("    alpn:", &versions)
            };
            let stage = Stage::set(from, edit).await;
            let visit = stage.visit(&stage.dialer()).await;
            let told = visit.about_tls(OVER_TLS, &format!("TLSv{version}"), None);
            assert_eq!(visit.seen, visit.expected(told), "{from}, {version}");
        }
    }
}

#[tokio::test]
async fn nginx_reads_whose_certificate_the_client_has() {
    for from in [V4, V6] {
        let stage = Stage::set(from, |config| config).await;
        let dialer = stage.dialer().as_identity(&stage.pki.partner).resuming();
        for client in [
            OVER_TLS | SHOWN_NOW | OF_THE_SESSION,
            OVER_TLS | OF_THE_SESSION,
        ] {
            let visit = stage.visit(&dialer).await;
            let mut told = visit.about_tls(client, "TLSv1.3", Some(PARTNER));
            told["spiffe_id"] = json!(PARTNER);
            told["certificate_sha256"] = json!(stage.pki.partner.thumbprint());
            assert_eq!(visit.seen, visit.expected(told), "{from}, {client}");
        }
    }
}

/// Names in certificates are the client's choice: one makes the header as long as it may be, and one
/// with a character more is refused by the front.
#[tokio::test]
async fn nginx_takes_the_longest_header_that_the_front_writes() {
    for from in [V4, V6] {
        let stage = Stage::set(from, |config| config).await;
        let visit = stage.visit(&stage.dialer_with_id_of(100)).await;
        let longest = LONGEST_HEADER - header_length(&visit.seen) + 100;

        let visit = stage.visit(&stage.dialer_with_id_of(longest)).await;
        assert_eq!(header_length(&visit.seen), LONGEST_HEADER, "{from}");
        assert_eq!(visit.seen["spiffe_id"], id_of(longest), "{from}");
        assert_eq!(visit.seen["unique_id"], visit.connection["connection_id"]);

        let mut refused = stage
            .dialer_with_id_of(longest + 1)
            .connect_tls()
            .await
            .unwrap();
        refused.read_u8().await.unwrap_err();
        drop(refused);
        let connection = stage.connection(2).await;
        assert_eq!(connection["termination"], "header_too_long", "{from}");
    }
}

#[tokio::test]
async fn nginx_reads_the_addresses_in_a_header_of_version_1() {
    for from in [V4, V6] {
        let stage = Stage::set(from, |config| {
            config.replace("proxy_protocol: v2", "proxy_protocol: v1")
        })
        .await;
        let dialer = stage.dialer().as_identity(&stage.pki.partner);
        let visit = stage.visit(&dialer).await;
        assert_eq!(visit.seen, visit.expected(json!({})), "{from}");
    }
}

#[tokio::test]
async fn nginx_reads_the_name_that_a_client_asked_for_whose_tls_passes_through() {
    for from in [V4, V6] {
        let stage = Stage::set(from, |config| {
            let (begin, rest) = config.split_once("  tls:\n    ca:").unwrap();
            let (_tls_of_the_front, end) = rest.split_once("  connect:").unwrap();
            let begin = begin.replace(
                "cluster: gateway }",
                "cluster: gateway, tls: pass_through }",
            );
            format!("{begin}  connect:{end}")
        })
        .await;
        let dialer = Dialer::mesh(stage.front.address(), NAME, stage.pki.mesh.root())
            .speaking(&["h2"])
            .as_identity(&stage.pki.front);
        let visit = stage.visit(&dialer).await;
        let told = json!({
            "authority": NAME, "unique_id": visit.connection["connection_id"],
        });
        assert_eq!(visit.seen, visit.expected(told), "{from}");
    }
}

/// In a health check the front speaks for itself.
#[tokio::test]
async fn nginx_takes_a_header_that_names_nobody() {
    for version in ["v1", "v2"] {
        let stage = Stage::set(V4, |config| {
            let check = format!(
                "proxy_protocol: {version}\n  \
                 health_check: {{ kind: tls, server_name: {NAME} }}"
            );
            config.replace("proxy_protocol: v2", &check)
        })
        .await;
        let mut checked = stage.receiver.accept_tls().await.unwrap();
        checked.read_to_end(&mut Vec::new()).await.unwrap();
        drop(checked);
        let nobody = filled_up(json!({ "status": "200" }));
        assert_eq!(stage.seen(0).await, nobody, "{version}");
    }
}

/// It looks once at what is there. The front writes header and ClientHello at once, so this can only
/// happen where the network's packets are smaller than the header.
#[tokio::test]
async fn nginx_refuses_a_header_of_which_a_part_is_not_there_yet() {
    let stage = Stage::set(V4, |config| config).await;
    let (source, destination) = ("192.0.2.7:1", "192.0.2.8:2");
    let header = proxy_protocol::encode(
        source.parse().unwrap(),
        destination.parse().unwrap(),
        &[(proxy_protocol::AUTHORITY, NAME.as_bytes())],
    );
    let (most, last) = header.split_at(header.len() - 1);
    let mut stream = TcpStream::connect(stage.nginx_address).await.unwrap();
    stream.write_all(most).await.unwrap();
    assert_eq!(stage.seen(0).await["status"], "400");
    let _refused = stream.write_all(last).await;
    let log = fs::read_to_string(stage.nginx.log()).unwrap();
    assert!(log.contains("header is too large"), "{log}");
}

/// Section 2.2.6: `PP2_CLIENT_SSL`, `PP2_CLIENT_CERT_CONN` and `PP2_CLIENT_CERT_SESS`.
const OVER_TLS: u8 = 0x01;
const SHOWN_NOW: u8 = 0x02;
const OF_THE_SESSION: u8 = 0x04;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

const LONGEST_HEADER: usize = 4096;
