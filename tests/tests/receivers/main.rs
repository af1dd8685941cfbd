//! Other people's programs on the other side of the PROXY header: what they take, and what they would
//! have written themselves.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{fs, net::SocketAddr, time::Duration};

use e2e::{
    dialer::Dialer,
    front::Front,
    pki::{self, Pki},
    ports,
    process::Process,
    proxy_protocol::{self, Header},
    receiver::Receiver,
    run_folder::RunFolder,
    tools,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

mod built_nginx;

/// nginx 1.22 has room for 107 bytes of a header, 1.23.3 and later ones for 4096.
#[tokio::test]
async fn nginx_takes_a_header_that_is_narrowed_to_its_bound_and_no_longer_one() {
    for (tlvs, fits) in [
        ("", false),
        ("  proxy_tlvs: [alpn, authority, unique_id, ssl]\n", false),
        ("  proxy_tlvs: [authority, unique_id]\n", true),
        ("  proxy_tlvs: []\n", true),
    ] {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        let (nginx, address) = nginx(&pki, &folder).await;
        let edit = |config: String| {
            let protocol = "  proxy_protocol: v2\n";
            config.replace(protocol, &format!("{protocol}{tlvs}"))
        };
        let front = Front::start_with(ports::free().unwrap(), &[address], &pki, &folder, edit)
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        let dialer = Dialer::public(front.address(), "api.example.com", pki.edge.root());
        let mut stream = dialer.connect_tls().await.unwrap();
        let client = stream.get_ref().0.local_addr().unwrap();
        let mut said = String::new();
        let read = timeout(LIMIT, stream.read_to_string(&mut said)).await;
        assert_eq!(read.unwrap().is_ok(), fits, "{tlvs}: {said}");
        if fits {
            let to = front.address();
            assert_eq!(said, format!("{client} {to}"), "{tlvs}");
        } else {
            let log = fs::read_to_string(nginx.log()).unwrap();
            assert!(log.contains("header is too large"), "{tlvs}: {log}");
        }
    }
}

/// Both hear the same client, with the same certificate. HAProxy 2.6 knows no TLV for the key
/// exchange group.
#[tokio::test]
async fn the_tlv_about_tls_is_byte_for_byte_what_haproxy_sends() {
    let folder = RunFolder::create().unwrap();
    let pki = Pki::create(&folder).unwrap();
    let receiver = Receiver::start(&pki).await.unwrap();
    let address = ports::free().unwrap();
    let front = Front::start(address, &[receiver.address()], &pki, &folder)
        .await
        .unwrap_or_else(|error| panic!("{}", error.chain()));
    let dialer = |address| {
        Dialer::public(address, "api.example.com", pki.edge.root()).as_identity(&pki.partner)
    };
    let through_front = dialer(front.address());
    let (_downstream, received) = tokio::join!(through_front.connect_tls(), receiver.accept());
    let ours = received.unwrap_or_else(|error| panic!("{}", error.chain()));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_haproxy, address) = haproxy(&pki, &folder, listener.local_addr().unwrap()).await;
    let through_haproxy = dialer(address);
    let (_downstream, theirs) = tokio::join!(through_haproxy.connect_tls(), header(&listener));

    let theirs = ssl(&theirs);
    assert!(
        theirs
            .windows(10)
            .any(|bytes| bytes == b"\x21\0\x07TLSv1.3"),
        "{theirs:02x?}"
    );
    let ours = ssl(&ours.header);
    let (head, sub_tlvs) = ours.split_at(5);
    let mut common = head.to_vec();
    for (kind, value) in proxy_protocol::tlvs(sub_tlvs).unwrap() {
        if kind != GROUP {
            let length = u16::try_from(value.len()).unwrap().to_be_bytes();
            common.extend([&[kind], length.as_slice(), &value].concat());
        }
    }
    assert_eq!(common, theirs);
}

fn ssl(header: &Header) -> Vec<u8> {
    let mut tlvs = header.tlvs.iter();
    let found = tlvs.find(|(kind, _value)| *kind == proxy_protocol::SSL);
    found.unwrap().1.clone()
}

/// What a connection begins with.
async fn header(listener: &TcpListener) -> Header {
    let (mut stream, _peer) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    let mut bytes = Vec::new();
    loop {
        if let Some(header) = proxy_protocol::decode(&bytes) {
            let _gone = stream.shutdown().await;
            return header;
        }
        let length = timeout(LIMIT, stream.read_buf(&mut bytes)).await;
        assert!(length.unwrap().unwrap() > 0, "{bytes:02x?}");
    }
}

/// Says to everybody who the header says that he is, and where he came to.
async fn nginx(pki: &Pki, folder: &RunFolder) -> (Process, SocketAddr) {
    let address = ports::free().unwrap();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {pid};\nload_module {module};\n\
         error_log stderr info;\nevents {{ worker_connections 64; }}\nstream {{ server {{\n\
         listen {address} ssl proxy_protocol;\nssl_protocols TLSv1.3;\n\
         ssl_certificate {certificate};\nssl_certificate_key {key};\n\
         return \"$proxy_protocol_addr:$proxy_protocol_port \
         $proxy_protocol_server_addr:$proxy_protocol_server_port\";\n}} }}\n",
        pid = folder.file("nginx.pid").display(),
        module = tools::nginx_stream_module().unwrap().display(),
        certificate = pki.gateway.certificate.display(),
        key = pki.gateway.private_key.display(),
    );
    let config = folder.write("nginx.conf", &config).unwrap();
    let config = config.to_string_lossy();
    let arguments = ["-e", "stderr", "-c", &config];
    started(
        "nginx",
        &tools::nginx().unwrap(),
        &arguments,
        folder,
        address,
    )
    .await
}

/// Ends TLS as the front does, and sends a header of its own.
async fn haproxy(pki: &Pki, folder: &RunFolder, to: SocketAddr) -> (Process, SocketAddr) {
    let address = ports::free().unwrap();
    let chain = pki::read_pem(&pki.public.certificate).unwrap();
    let key = pki::read_pem(&pki.public.private_key).unwrap();
    let identity = folder
        .write_secret("haproxy.pem", &format!("{chain}{key}"))
        .unwrap();
    let config = format!(
        "global\n  maxconn 100\ndefaults\n  mode tcp\n  timeout connect 5s\n  \
         timeout client 10s\n  timeout server 10s\nlisten public\n  \
         bind {address} ssl crt {identity} ca-file {ca} verify optional\n  \
         server receiver {to} send-proxy-v2-ssl-cn proxy-v2-options ssl-cipher,cert-cn\n",
        identity = identity.display(),
        ca = pki.partners.certificate().display(),
    );
    let config = folder.write("haproxy.cfg", &config).unwrap();
    let config = config.to_string_lossy();
    let arguments = ["-db", "-f", &config];
    started(
        "haproxy",
        &tools::haproxy().unwrap(),
        &arguments,
        folder,
        address,
    )
    .await
}

async fn started(
    name: &str,
    program: &std::path::Path,
    arguments: &[&str],
    folder: &RunFolder,
    address: SocketAddr,
) -> (Process, SocketAddr) {
    let mut process = Process::start(name, program, arguments, folder).unwrap();
    // A connection would be one more that HAProxy passes on.
    let listens = async || {
        let local = format!(":{:04X} 00000000:0000 0A", address.port());
        fs::read_to_string("/proc/net/tcp").is_ok_and(|sockets| sockets.contains(&local))
    };
    process
        .ready_when(LIMIT, listens)
        .await
        .unwrap_or_else(|error| panic!("{}", error.chain()));
    (process, address)
}

/// `PP2_SUBTYPE_SSL_GROUP`.
const GROUP: u8 = 0x26;

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(20);
