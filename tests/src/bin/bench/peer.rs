//! The subjects of the front's benchmark: l4-front and HAProxy, set up to do the same.

use std::{net::SocketAddr, path::Path, time::Duration};

use e2e::{
    error::HarnessError,
    pki::{self, Pki, read_pem},
    ports,
    process::Process,
    run_folder::RunFolder,
    tools,
};
use tokio::net::TcpStream;

use crate::cpu::start_on_first;

/// A running subject.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// Both bind and are ready at once.
const START_LIMIT: Duration = Duration::from_secs(20);

/// l4-front with one worker.
pub(crate) async fn l4_front(
    gateway: SocketAddr,
    pki: &Pki,
    folder: &RunFolder,
) -> Result<Subject, HarnessError> {
    let address = ports::free()?;
    let text = format!(
        r#"workers: 1
listeners:
- name: bench
  bind: "{address}"
  tls:
    certificates: [{{ certificate: "{certificate}", private_key: "{key}" }}]
    alpn: [h2]
  routes: [{{ sni: ["*.example.com"], cluster: gateway }}]
  limits: {{ connections: 4000 }}
clusters:
- name: gateway
  endpoints: [{{ address: "{gateway}" }}]
  tls:
    ca: "{ca}"
    spiffe_id: {gateway_id}
    certificate: "{front_certificate}"
    private_key: "{front_key}"
access_log: {{ path: /dev/null }}
"#,
        certificate = pki.public.certificate.display(),
        key = pki.public.private_key.display(),
        ca = pki.mesh.certificate().display(),
        gateway_id = pki::GATEWAY,
        front_certificate = pki.front.certificate.display(),
        front_key = pki.front.private_key.display(),
    );
    let config = folder.write("bench-front.yaml", &text)?;
    let arguments = [
        "run",
        "--config",
        &config.to_string_lossy(),
        "--log-level",
        "warn",
    ];
    let process = start_on_first("l4-front", &tools::front()?, &arguments, folder)?;
    ready("l4-front", process, address).await
}

/// HAProxy with one thread, verifying the gateway by name, with the same facts in the header.
pub(crate) async fn haproxy(
    gateway: SocketAddr,
    pki: &Pki,
    folder: &RunFolder,
) -> Result<Subject, HarnessError> {
    let address = ports::free()?;
    let together = |name: &str, identity: &pki::Identity| {
        let pem = read_pem(&identity.certificate)? + &read_pem(&identity.private_key)?;
        folder.write_secret(name, &pem)
    };
    let public = together("bench-public.pem", &pki.public)?;
    let front = together("bench-front.pem", &pki.front)?;
    let text = format!(
        r"global
  nbthread 1
  maxconn 4000
  tune.bufsize 65536
  ssl-default-bind-options ssl-min-ver TLSv1.2
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode tcp
  timeout connect 2s
  timeout client 300s
  timeout server 300s
frontend bench
  bind {address} ssl crt {public} alpn h2
  unique-id-format %{{+X}}o\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
  default_backend gateway
backend gateway
  server one {gateway} ssl verify required ca-file {ca} crt {front} sni ssl_fc_sni alpn h2 send-proxy-v2 proxy-v2-options ssl,ssl-cipher,authority,crc32c,unique-id
",
        public = public.display(),
        ca = pki.mesh.certificate().display(),
        front = front.display(),
    );
    let config = folder.write("bench-haproxy.cfg", &text)?;
    let arguments = ["-db", "-f", &config.to_string_lossy()];
    let program = Path::new("/usr/sbin/haproxy");
    if !program.exists() {
        return Err(HarnessError::ToolMissing {
            path: program.to_owned(),
        });
    }
    let process = start_on_first("haproxy", program, &arguments, folder)?;
    ready("haproxy", process, address).await
}

async fn ready(
    name: &'static str,
    mut process: Process,
    address: SocketAddr,
) -> Result<Subject, HarnessError> {
    process
        .ready_when(START_LIMIT, async || {
            TcpStream::connect(address).await.is_ok()
        })
        .await?;
    Ok(Subject {
        name,
        process,
        address,
    })
}
