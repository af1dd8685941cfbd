//! Envoy's tcp_proxy: the gateway is known by its name, which Envoy also asks for as a fixed one. Its PROXY header is of
//! version 2, without TLVs.

use std::net::SocketAddr;

use e2e::{error::HarnessError, pki::Identity, process::Process, tools};
use serde_json::{Value, json};

use super::{Gateways, Material, Places};
use crate::{cpu::start_on_first, front::load::NAME};

pub(super) fn start(
    places: &Places,
    to: &Gateways,
    material: &Material<'_>,
) -> Result<Process, HarnessError> {
    let (mut listeners, mut clusters) = (Vec::new(), Vec::new());
    for (name, bind, gateway) in places.terminating(to) {
        let group = match name {
            "hybrid" => "X25519MLKEM768",
            _ => "X25519",
        };
        listeners.push(json!({
            "name": name,
            "address": socket_address(bind),
            "filter_chains": [{
                "transport_socket": downstream(material, group),
                "filters": [tcp_proxy(name)],
            }],
        }));
        clusters.push(cluster(name, gateway, &upstream(material, group)));
    }
    listeners.push(json!({
        "name": "passed",
        "address": socket_address(places.passed),
        "listener_filters": [{
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": {
                "@type": format!("{TYPE}.filters.listener.tls_inspector.v3.TlsInspector"),
            },
        }],
        "filter_chains": [{
            "filter_chain_match": { "server_names": ["*.example.com"] },
            "filters": [tcp_proxy("passed")],
        }],
    }));
    let raw = json!({
        "name": "envoy.transport_sockets.raw_buffer",
        "typed_config": { "@type": format!("{TYPE}.transport_sockets.raw_buffer.v3.RawBuffer") },
    });
    clusters.push(cluster("passed", to.passed, &raw));
    let bootstrap = json!({
        "static_resources": { "listeners": listeners, "clusters": clusters },
    });
    let text = format!("{bootstrap:#}");
    let config = material.folder.write("bench-envoy.json", &text)?;
    let config = config.to_string_lossy();
    let arguments = [
        "--config-path",
        &config,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "error",
    ];
    start_on_first("envoy", &tools::envoy()?, &arguments, material.folder)
}

fn tcp_proxy(cluster: &str) -> Value {
    json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": format!("{TYPE}.filters.network.tcp_proxy.v3.TcpProxy"),
            "stat_prefix": cluster,
            "cluster": cluster,
        },
    })
}

fn downstream(material: &Material<'_>, group: &str) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("{TYPE}.transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {
                "tls_params": tls_params(group),
                "alpn_protocols": ["h2"],
                "tls_certificates": [certificate(&material.pki.public)],
            },
        },
    })
}

fn upstream(material: &Material<'_>, group: &str) -> Value {
    let pki = material.pki;
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("{TYPE}.transport_sockets.tls.v3.UpstreamTlsContext"),
            "sni": NAME,
            "max_session_keys": 128,
            "common_tls_context": {
                "tls_params": tls_params(group),
                "alpn_protocols": ["h2"],
                "tls_certificates": [certificate(&pki.front)],
                "validation_context": {
                    "trusted_ca": { "filename": pki.mesh.certificate() },
                    "match_typed_subject_alt_names": [
                        { "san_type": "DNS", "matcher": { "exact": NAME } },
                    ],
                },
            },
        },
    })
}

fn tls_params(group: &str) -> Value {
    json!({
        "tls_minimum_protocol_version": "TLSv1_3",
        "tls_maximum_protocol_version": "TLSv1_3",
        "ecdh_curves": [group],
    })
}

fn certificate(identity: &Identity) -> Value {
    json!({
        "certificate_chain": { "filename": identity.certificate },
        "private_key": { "filename": identity.private_key },
    })
}

/// The breakers are opened wide: by default, 1024 connections are the most.
fn cluster(name: &str, gateway: SocketAddr, inner: &Value) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "circuit_breakers": { "thresholds": [{ "max_connections": 16000, "max_pending_requests": 16000 }] },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [
                { "endpoint": { "address": socket_address(gateway) } },
            ] }],
        },
        "transport_socket": {
            "name": "envoy.transport_sockets.upstream_proxy_protocol",
            "typed_config": {
                "@type": format!("{TYPE}.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"),
                "config": { "version": "V2" },
                "transport_socket": inner,
            },
        },
    })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({
        "socket_address": { "address": address.ip().to_string(), "port_value": address.port() },
    })
}

const TYPE: &str = "type.googleapis.com/envoy.extensions";
