//! l4-front: the gateway is known by its SPIFFE id.

use std::fmt::Write;

use e2e::{error::HarnessError, pki, process::Process, tools};

use super::{Gateways, Material, Places};
use crate::cpu::start_on_first;

pub(super) fn start(
    places: &Places,
    to: &Gateways,
    material: &Material<'_>,
) -> Result<Process, HarnessError> {
    let (mut listeners, mut clusters) = (String::new(), String::new());
    let pki = material.pki;
    for (name, bind, gateway) in places.terminating(to) {
        let group = match name {
            "hybrid" => "X25519MLKEM768",
            _ => "X25519",
        };
        // Writing to a string cannot fail.
        let _ = write!(
            listeners,
            r#"
- name: {name}
  bind: "{bind}"
  tls:
    certificates: [{{ certificate: "{certificate}", private_key: "{key}" }}]
    alpn: [h2]
    versions: ["1.3"]
    ciphers: [TLS_AES_128_GCM_SHA256]
    groups: [{group}]
  routes: [{{ sni: ["*.example.com"], cluster: {name} }}]"#,
            certificate = pki.public.certificate.display(),
            key = pki.public.private_key.display(),
        );
        let _ = write!(
            clusters,
            r#"
- name: {name}
  endpoints: [{{ address: "{gateway}" }}]
  tls:
    ca: "{ca}"
    spiffe_id: {gateway_id}
    certificate: "{certificate}"
    private_key: "{key}""#,
            ca = pki.mesh.certificate().display(),
            gateway_id = pki::GATEWAY,
            certificate = pki.front.certificate.display(),
            key = pki.front.private_key.display(),
        );
    }
    let text = format!(
        r#"workers: 1
listeners:{listeners}
- name: passed
  bind: "{bind}"
  routes: [{{ sni: ["*.example.com"], cluster: passed }}]
clusters:{clusters}
- name: passed
  endpoints: [{{ address: "{gateway}" }}]
"#,
        bind = places.passed,
        gateway = to.passed,
    );
    let config = material.folder.write("bench-front.yaml", &text)?;
    let config = config.to_string_lossy();
    let arguments = ["run", "--config", &config, "--log-level", "error"];
    start_on_first("l4-front", &tools::front()?, &arguments, material.folder)
}
