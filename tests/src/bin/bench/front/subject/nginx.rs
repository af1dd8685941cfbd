//! nginx stream. This version sends PROXY headers of version 1 alone, and asks gateways for no protocol.
//!
//! One process without a master: what is measured is one process, and a worker would outlive its master's end.

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
    let mut servers = String::new();
    // Its OpenSSL has no hybrid key exchange: nobody asks at that place.
    for (_name, bind, gateway) in places.terminating(to) {
        // Writing to a string cannot fail.
        let _ = write!(
            servers,
            r"
  server {{
    listen {bind} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_ecdh_curve X25519;
    ssl_session_tickets on;
    ssl_alpn h2;
    proxy_pass {gateway};
    proxy_protocol on;
    proxy_ssl on;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    proxy_ssl_conf_command Curves X25519;
    proxy_ssl_certificate {front_certificate};
    proxy_ssl_certificate_key {front_key};
    proxy_ssl_trusted_certificate {ca};
    proxy_ssl_verify on;
    proxy_ssl_name $ssl_server_name;
    proxy_ssl_server_name on;
    proxy_ssl_session_reuse on;
  }}",
            certificate = pki.public.certificate.display(),
            key = pki.public.private_key.display(),
            front_certificate = pki.front.certificate.display(),
            front_key = pki.front.private_key.display(),
            ca = pki.mesh.certificate().display(),
        );
    }
    let text = format!(
        r"daemon off;
master_process off;
pid {pid};
load_module {module};
error_log stderr warn;
events {{ worker_connections 16000; }}
stream {{
  proxy_connect_timeout 2s;
  proxy_timeout 300s;
  proxy_buffer_size 64k;
  tcp_nodelay on;
{servers}
  map $ssl_preread_server_name $passed {{ ~\.example\.com$ {gateway}; }}
  server {{
    listen {bind};
    ssl_preread on;
    proxy_pass $passed;
    proxy_protocol on;
  }}
}}
",
        pid = material.folder.file("bench-nginx.pid").display(),
        module = tools::nginx_stream_module()?.display(),
        bind = places.passed,
        gateway = to.passed,
    );
    let config = material.folder.write("bench-nginx.conf", &text)?;
    let config = config.to_string_lossy();
    let arguments = ["-e", "stderr", "-c", &config];
    start_on_first("nginx", &tools::nginx()?, &arguments, material.folder)
}
