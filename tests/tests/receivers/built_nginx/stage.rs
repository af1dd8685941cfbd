//! A front, the built nginx behind it, and a gateway behind that, for the TLS that nginx hands on.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use e2e::{
    deadline::eventually,
    dialer::Dialer,
    front::Front,
    log,
    pki::{Pki, RIVAL},
    ports,
    process::Process,
    receiver::Receiver,
    run_folder::RunFolder,
    tools,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::{GROUP, LIMIT, started};

/// See the module.
pub(crate) struct Stage {
    pub(crate) front: Front,
    pub(crate) receiver: Receiver,
    pub(crate) nginx: Process,
    pub(crate) nginx_address: SocketAddr,
    /// What nginx writes down.
    written: PathBuf,
    pub(crate) pki: Pki,
    folder: RunFolder,
}

/// A connection that is over, from all sides.
pub(crate) struct Visit {
    /// By nginx.
    pub(crate) seen: Value,
    /// By the front, in its access log.
    pub(crate) connection: Value,
    source: SocketAddr,
    destination: SocketAddr,
    /// By the client.
    cipher: String,
    group: String,
}

impl Stage {
    /// Clients come to the front by this address.
    pub(crate) async fn set(by: IpAddr, edit: impl FnOnce(String) -> String) -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        let receiver = Receiver::start(&pki).await.unwrap();
        let written = folder.file("nginx-seen.jsonl");
        let (nginx, nginx_address) = nginx(receiver.address(), &written, &folder).await;
        let address = SocketAddr::new(by, ports::free().unwrap().port());
        let front = Front::start_with(address, &[nginx_address], &pki, &folder, edit)
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        Self {
            front,
            receiver,
            nginx,
            nginx_address,
            written,
            pki,
            folder,
        }
    }

    pub(crate) fn dialer(&self) -> Dialer {
        Dialer::public(self.front.address(), NAME, self.pki.edge.root()).speaking(&["h2"])
    }

    /// As somebody whose SPIFFE id has this length.
    pub(crate) fn dialer_with_id_of(&self, length: usize) -> Dialer {
        let id = id_of(length);
        let names = [RIVAL, &id];
        let file = format!("id-of-{length}");
        let identity = self.pki.partners.issue(&file, &names, &self.folder);
        self.dialer().as_identity(&identity.unwrap())
    }

    /// There and back, one byte each way, and away.
    pub(crate) async fn visit(&self, dialer: &Dialer) -> Visit {
        let number = self.all_seen().len();
        let (downstream, upstream) = tokio::join!(dialer.connect_tls(), self.receiver.accept_tls());
        let mut upstream = upstream.unwrap_or_else(|error| panic!("{}", error.chain()));
        let mut downstream = downstream.unwrap();
        downstream.write_all(b"?").await.unwrap();
        assert_eq!(upstream.read_u8().await.unwrap(), b'?');
        upstream.write_all(b"!").await.unwrap();
        upstream.flush().await.unwrap();
        assert_eq!(downstream.read_u8().await.unwrap(), b'!');
        let source = downstream.get_ref().0.local_addr().unwrap();
        let (cipher, group) = settled(&downstream);
        drop((downstream, upstream));
        let seen = self.seen(number).await;
        let log = fs::read_to_string(self.nginx.log()).unwrap();
        assert!(!log.contains("[error]"), "{log}");
        Visit {
            seen,
            connection: self.connection(number).await,
            source,
            destination: self.front.address(),
            cipher,
            group,
        }
    }

    pub(crate) async fn seen(&self, number: usize) -> Value {
        let line = async || self.all_seen().into_iter().nth(number);
        let line = eventually("what nginx read", LIMIT, line).await;
        line.unwrap_or_else(|error| panic!("{}\n{}", error.chain(), self.nginx.log_tail()))
    }

    fn all_seen(&self) -> Vec<Value> {
        log::json_lines(&self.written)
    }

    pub(crate) async fn connection(&self, number: usize) -> Value {
        let line = async || self.front.access_log().into_iter().nth(number);
        let line = eventually("the access log's line", LIMIT, line).await;
        line.unwrap_or_else(|error| panic!("{}", error.chain()))
    }
}

impl Visit {
    /// What nginx must have read where it was told this, and nothing else but the addresses.
    pub(crate) fn expected(&self, mut told: Value) -> Value {
        told["source"] = json!(self.source.ip().to_string());
        told["source_port"] = json!(self.source.port().to_string());
        told["destination"] = json!(self.destination.ip().to_string());
        told["destination_port"] = json!(self.destination.port().to_string());
        told["status"] = json!("200");
        filled_up(told)
    }

    /// What is told where the front ends TLS: a common name only of a certificate that it verified.
    pub(crate) fn about_tls(&self, client: u8, version: &str, common_name: Option<&str>) -> Value {
        let verify = u8::from(common_name.is_none());
        let mut whole = vec![client, 0, 0, 0, verify];
        for (kind, value) in [
            (0x21, Some(version)),
            (0x22, common_name),
            (0x23, Some(&*self.cipher)),
            (GROUP, Some(&*self.group)),
        ] {
            if let Some(value) = value {
                whole.extend([kind, 0, u8::try_from(value.len()).unwrap()]);
                whole.extend(value.as_bytes());
            }
        }
        json!({
            "alpn": "h2",
            "authority": NAME,
            "unique_id": self.connection["connection_id"],
            "ssl": String::from_utf8(whole).unwrap(),
            "ssl_verify": verify.to_string(),
            "ssl_version": version,
            "ssl_cn": common_name.unwrap_or_default(),
            "ssl_cipher": self.cipher,
            "ssl_group": self.group,
        })
    }
}

/// What nginx does not find is empty.
pub(crate) fn filled_up(mut told: Value) -> Value {
    for (name, _variable) in READ {
        if told[name].is_null() {
            told[name] = json!("");
        }
    }
    told
}

/// Cipher suite and key exchange group as the client knows them, by IANA's names.
fn settled(downstream: &TlsStream<TcpStream>) -> (String, String) {
    let session = downstream.get_ref().1;
    let suite = session.negotiated_cipher_suite().unwrap().suite();
    let group = session.negotiated_key_exchange_group().unwrap().name();
    let suite = format!("{suite:?}").replace("TLS13_", "TLS_");
    (suite, format!("{group:?}"))
}

/// How long the header was from which nginx read this: each TLV has three bytes before its value.
pub(crate) fn header_length(seen: &Value) -> usize {
    let value = |name: &str| seen[name].as_str().unwrap();
    let addresses = if value("source").contains(':') {
        36
    } else {
        12
    };
    let tlvs = [
        "alpn",
        "authority",
        "unique_id",
        "ssl",
        "spiffe_id",
        "certificate_sha256",
    ];
    let tlvs: usize = tlvs.map(|name| 3 + value(name).len()).iter().sum();
    let checksum = 3 + 4;
    16 + addresses + tlvs + checksum
}

pub(crate) fn id_of(length: usize) -> String {
    format!("{:a<length$}", "spiffe://partners.example/")
}

/// It knows no TLS: what follows a header goes to the gateway as it is.
async fn nginx(gateway: SocketAddr, written: &Path, folder: &RunFolder) -> (Process, SocketAddr) {
    let address = ports::free().unwrap();
    let members = READ.map(|(name, variable)| format!("\"{name}\":\"${variable}\""));
    let config = format!(
        "daemon off;\nmaster_process off;\npid {pid};\nerror_log stderr info;\n\
         events {{ worker_connections 64; }}\nstream {{\n\
         log_format read escape=json '{{{members}}}';\naccess_log {written} read;\n\
         server {{ listen {address} proxy_protocol; proxy_pass {gateway}; }}\n}}\n",
        pid = folder.file("built-nginx.pid").display(),
        members = members.join(","),
        written = written.display(),
    );
    let config = folder.write("built-nginx.conf", &config).unwrap();
    let config = config.to_string_lossy();
    let arguments = ["-e", "stderr", "-c", &config];
    let program = tools::built_nginx().unwrap();
    started("built-nginx", &program, &arguments, folder, address).await
}

/// What nginx writes down of a connection, and its name for that.
const READ: [(&str, &str); 17] = [
    ("status", "status"),
    ("source", "proxy_protocol_addr"),
    ("source_port", "proxy_protocol_port"),
    ("destination", "proxy_protocol_server_addr"),
    ("destination_port", "proxy_protocol_server_port"),
    ("alpn", "proxy_protocol_tlv_alpn"),
    ("authority", "proxy_protocol_tlv_authority"),
    ("unique_id", "proxy_protocol_tlv_unique_id"),
    ("ssl", "proxy_protocol_tlv_ssl"),
    ("ssl_verify", "proxy_protocol_tlv_ssl_verify"),
    ("ssl_version", "proxy_protocol_tlv_ssl_version"),
    ("ssl_cn", "proxy_protocol_tlv_ssl_cn"),
    ("ssl_cipher", "proxy_protocol_tlv_ssl_cipher"),
    ("ssl_group", "proxy_protocol_tlv_ssl_0x26"),
    ("spiffe_id", "proxy_protocol_tlv_0xe0"),
    ("certificate_sha256", "proxy_protocol_tlv_0xe1"),
    // Never sent: nginx looks through all TLVs for it, to their end.
    ("network_namespace", "proxy_protocol_tlv_netns"),
];

/// The server name that clients ask for.
pub(crate) const NAME: &str = "api.example.com";
