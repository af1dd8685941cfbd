//! HAProxy: splice(2) where TLS passes through, with pipes of 1 MiB; the gateway is known by its name.

use std::fmt::Write;

use e2e::{error::HarnessError, process::Process, tools};

use super::{Gateways, Material, Places};
use crate::cpu::start_on_first;

pub(super) fn start(
    places: &Places,
    to: &Gateways,
    material: &Material<'_>,
) -> Result<Process, HarnessError> {
    let pki = material.pki;
    let public = material.together("bench-public.pem", &pki.public)?;
    let front = material.together("bench-front.pem", &pki.front)?;
    let mut sections = String::new();
    // Its OpenSSL has no hybrid key exchange: nobody asks at that place.
    for (name, bind, gateway) in places.terminating(to) {
        // Writing to a string cannot fail.
        let _ = write!(
            sections,
            r"
frontend {name}
  bind {bind} ssl crt {public} alpn h2
  default_backend {name}
backend {name}
  server one {gateway} ssl verify required ca-file {ca} crt {front} sni ssl_fc_sni alpn h2 send-proxy-v2 proxy-v2-options ssl,ssl-cipher,authority,crc32c,unique-id
",
            public = public.display(),
            ca = pki.mesh.certificate().display(),
            front = front.display(),
        );
    }
    let text = format!(
        r"global
  nbthread 1
  maxconn 6000
  tune.bufsize 65536
  tune.pipesize 1048576
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-bind-curves X25519
  ssl-default-server-options ssl-min-ver TLSv1.3
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
defaults
  mode tcp
  unique-id-format %{{+X}}o\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
  timeout connect 2s
  timeout client 300s
  timeout server 300s
{sections}
frontend passed
  bind {bind}
  option splice-request
  option splice-response
  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req.ssl_hello_type 1 }}
  use_backend passed if {{ req.ssl_sni -m end .example.com }}
backend passed
  option splice-request
  option splice-response
  server one {gateway} send-proxy-v2 proxy-v2-options authority,crc32c,unique-id
",
        bind = places.passed,
        gateway = to.passed,
    );
    let config = material.folder.write("bench-haproxy.cfg", &text)?;
    let arguments = ["-db", "-f", &config.to_string_lossy()];
    start_on_first("haproxy", &tools::haproxy()?, &arguments, material.folder)
}
