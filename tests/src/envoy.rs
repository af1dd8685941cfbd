//! A gateway of a run: the real Envoy, configured as istiod configures an ingress gateway with the
//! hand-over contract of Sallyport: PROXY protocol v2 demanded, TLS only with the front's SPIFFE
//! id, the identity filter before the router.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::PathBuf,
    time::Duration,
};

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    dialer::Dialer,
    error::HarnessError,
    http::{Ask, Exchange},
    issuer, log,
    pki::{self, Pki},
    plugin, ports,
    process::Process,
    proxy_protocol,
    run_folder::RunFolder,
    tools,
};

/// What a gateway stands between.
#[derive(Debug)]
pub struct Surroundings<'run> {
    /// The certificates.
    pub pki: &'run Pki,
    /// Who answers when the filter fetches keys: the cluster [`plugin::ISSUER_CLUSTER`].
    pub keys: SocketAddr,
    /// The filter's configuration.
    pub plugin: &'run Value,
    /// Envoy's worker threads, each with a VM of its own.
    pub workers: usize,
    /// Edits Envoy's own configuration.
    pub bootstrap: fn(&mut Value),
    /// The workload of the namespace `payments`.
    pub payments: SocketAddr,
    /// The workload of the namespace `orders`.
    pub orders: SocketAddr,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
    access_log: PathBuf,
}

impl Gateway {
    /// Starts a gateway and waits until it takes requests.
    ///
    /// # Errors
    /// [`HarnessError::ToolMissing`], [`HarnessError::NotBuilt`], [`HarnessError::Ended`] or
    /// [`HarnessError::Deadline`].
    pub async fn start(
        name: &str,
        around: &Surroundings<'_>,
        folder: &RunFolder,
    ) -> Result<Self, HarnessError> {
        let (address, admin) = (ports::free()?, ports::free()?);
        let access_log = folder.file(&format!("{name}-access.jsonl"));
        let mut bootstrap = json!({
            "admin": { "address": socket_address(admin) },
            "static_resources": {
                "listeners": [listener(address, &access_log, around)?],
                "clusters": [
                    workload_cluster("payments", around.payments),
                    workload_cluster("orders", around.orders),
                    issuer_cluster(around),
                ],
            },
        });
        (around.bootstrap)(&mut bootstrap);
        let config = folder.write(&format!("{name}.json"), &format!("{bootstrap:#}"))?;
        let config = config.to_string_lossy();
        let arguments = [
            "--config-path",
            &config,
            "--concurrency",
            &around.workers.to_string(),
            "--disable-hot-restart",
            "--log-level",
            "warning",
            "--file-flush-interval-msec",
            "50",
        ];
        let mut process = Process::start(name, &tools::envoy()?, &arguments, folder)?;
        process
            .ready_when(START_LIMIT, async || says_ready(admin).await)
            .await?;
        Ok(Self {
            process,
            address,
            admin,
            access_log,
        })
    }

    /// A gateway that somebody else has configured and started, Istio's agent.
    pub(crate) fn started_by_another(
        process: Process,
        address: SocketAddr,
        admin: SocketAddr,
        access_log: PathBuf,
    ) -> Self {
        Self {
            process,
            address,
            admin,
            access_log,
        }
    }

    /// Waits until it takes connections.
    ///
    /// # Errors
    /// [`HarnessError::Ended`] or [`HarnessError::Deadline`], with the end of its log.
    pub async fn takes_connections(&mut self, within: Duration) -> Result<(), HarnessError> {
        let address = self.address;
        let taken = async || TcpStream::connect(address).await.is_ok();
        self.process.ready_when(within, taken).await
    }

    /// Where the front connects.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// To this gateway as only the front may speak to it: with a PROXY header and the front's
    /// certificate. A part of it is to be taken away where a refusal is to be seen.
    #[must_use]
    pub fn dialer_past_the_front(&self, pki: &Pki) -> Dialer {
        self.dialer_for(pki, DOWNSTREAM)
    }

    /// The same for a downstream at this address.
    #[must_use]
    pub fn dialer_for(&self, pki: &Pki, source: Ipv4Addr) -> Dialer {
        self.dialer_without_credentials(pki)
            .saying_first(header_for(source))
            .as_identity(&pki.front)
    }

    /// To this gateway with nothing that it asks for.
    #[must_use]
    pub fn dialer_without_credentials(&self, pki: &Pki) -> Dialer {
        Dialer::mesh(self.address, "api.example.com", pki.mesh.root()).speaking(&["http/1.1"])
    }

    /// Envoy's own admin port.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The access log so far: one object for each request that has ended.
    #[must_use]
    pub fn access_log(&self) -> Vec<Value> {
        log::json_lines(&self.access_log)
    }

    /// The filter's audit records so far.
    #[must_use]
    pub fn audit(&self) -> Vec<Value> {
        log::audit_records(self.process.log())
    }

    /// Everything that it, and who started it, has printed.
    #[must_use]
    pub fn log(&self) -> String {
        log::text_of(self.process.log())
    }

    /// Ends the gateway as a crash would.
    pub fn kill(&mut self) {
        self.process.kill_with_children();
    }
}

/// A PROXY header as the front sends it.
#[must_use]
pub fn honest_header() -> Vec<u8> {
    header_for(DOWNSTREAM)
}

fn header_for(source: Ipv4Addr) -> Vec<u8> {
    let id = b"00000000-0000-7000-8000-000000000000";
    proxy_protocol::encode(
        SocketAddrV4::new(source, 4711),
        SocketAddrV4::new([192, 0, 2, 1].into(), 443),
        &[(proxy_protocol::UNIQUE_ID, id)],
    )
}

async fn says_ready(admin: SocketAddr) -> bool {
    let asked = async {
        let mut exchange = Exchange::open_clear(admin).await?;
        exchange.send(Ask::get(&admin.to_string(), "/ready")).await
    };
    asked
        .await
        .is_ok_and(|reply| reply.status == StatusCode::OK)
}

fn listener(
    address: SocketAddr,
    access_log: &PathBuf,
    around: &Surroundings<'_>,
) -> Result<Value, HarnessError> {
    Ok(json!({
        "name": "gateway",
        "address": socket_address(address),
        "listener_filters": [proxy_protocol(), {
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": {
                "@type": format!("{LISTENER_FILTERS}.tls_inspector.v3.TlsInspector"),
            },
        }],
        "filter_chains": [{
            "transport_socket": only_the_front(around.pki),
            "filters": [connection_manager(access_log, around)?],
        }],
    }))
}

/// Demanded from every connection; the TLVs go to filter state, where HTTP filters can read them.
fn proxy_protocol() -> Value {
    let keep = |tlv: u8, key: &str| json!({ "tlv_type": tlv, "on_tlv_present": { "key": key } });
    json!({
        "name": "envoy.filters.listener.proxy_protocol",
        "typed_config": {
            "@type": format!("{LISTENER_FILTERS}.proxy_protocol.v3.ProxyProtocol"),
            "disallowed_versions": ["V1"],
            "tlv_location": "FILTER_STATE",
            "rules": [
                keep(0x05, "unique_id"),
                keep(0x02, "authority"),
                keep(0xE0, "spiffe_id"),
                keep(0xE1, "certificate_sha256"),
            ],
        },
    })
}

/// The gateway's side of mutual TLS: of all mesh members, only the front may speak.
fn only_the_front(pki: &Pki) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("{TLS}.DownstreamTlsContext"),
            "require_client_certificate": true,
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": { "tls_minimum_protocol_version": "TLSv1_3" },
                "tls_certificates": [{
                    "certificate_chain": { "filename": pki.gateway.certificate },
                    "private_key": { "filename": pki.gateway.private_key },
                }],
                "validation_context": {
                    "trusted_ca": { "filename": pki.mesh.certificate() },
                    "match_typed_subject_alt_names": [
                        { "san_type": "URI", "matcher": { "exact": pki::FRONT } },
                    ],
                },
            },
        },
    })
}

fn connection_manager(
    access_log: &PathBuf,
    around: &Surroundings<'_>,
) -> Result<Value, HarnessError> {
    Ok(json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": format!("{NETWORK_FILTERS}.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "gateway",
            "codec_type": "AUTO",
            "use_remote_address": true,
            "normalize_path": true,
            "upgrade_configs": [{ "upgrade_type": "websocket" }],
            "access_log": [{
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": format!("{ACCESS_LOGGERS}.file.v3.FileAccessLog"),
                    "path": access_log,
                    "log_format": { "json_format": access_log_fields() },
                },
            }],
            "http_filters": [identity_filter(around.plugin)?, {
                "name": "envoy.filters.http.router",
                "typed_config": { "@type": format!("{HTTP_FILTERS}.router.v3.Router") },
            }],
            "route_config": routes(),
        },
    }))
}

fn access_log_fields() -> Value {
    json!({
        "connection_id": format!("%FILTER_STATE({TLV_STATE}:FIELD:unique_id)%"),
        "downstream_spiffe_id": format!("%FILTER_STATE({TLV_STATE}:FIELD:spiffe_id)%"),
        "allowed": "%FILTER_STATE(wasm.sallyport.allow:PLAIN)%",
        "x_connection_id": "%REQ(X-CONNECTION-ID)%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "protocol": "%PROTOCOL%",
        "method": "%REQ(:METHOD)%",
        "host": "%REQ(:AUTHORITY)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "downstream": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "front": "%DOWNSTREAM_PEER_URI_SAN%",
        "server_name": "%REQUESTED_SERVER_NAME%",
        "upstream": "%UPSTREAM_HOST%",
    })
}

/// As a WasmPlugin of phase AUTHN ends up in a gateway: fails closed, its configuration a string of
/// JSON.
fn identity_filter(plugin: &Value) -> Result<Value, HarnessError> {
    let configuration = plugin.to_string();
    Ok(json!({
        "name": "envoy.filters.http.wasm",
        "typed_config": {
            "@type": format!("{HTTP_FILTERS}.wasm.v3.Wasm"),
            "config": {
                "name": "identity",
                "root_id": "identity",
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": tools::filter()? } },
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration,
                },
            },
        },
    }))
}

/// Hosts that no namespace claims have a route as well, so it is the filter alone that keeps
/// requests from it.
fn routes() -> Value {
    let to = |prefix: &str, cluster: &str| {
        let route = json!({ "cluster": cluster, "timeout": "0s" });
        json!({ "match": { "prefix": prefix }, "route": route })
    };
    json!({
        "name": "hosts",
        "ignore_port_in_host_matching": true,
        "virtual_hosts": [
            { "name": "api", "domains": ["api.example.com"],
              "routes": [to("/payments", "payments"), to("/orders", "orders")] },
            { "name": "orders", "domains": ["*.orders.example.com"],
              "routes": [to("/", "orders")] },
            { "name": "everything-else", "domains": ["*"], "routes": [to("/", "payments")] },
        ],
    })
}

fn workload_cluster(name: &str, workload: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": load_assignment(name, workload),
    })
}

fn issuer_cluster(around: &Surroundings<'_>) -> Value {
    json!({
        "name": plugin::ISSUER_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": load_assignment(plugin::ISSUER_CLUSTER, around.keys),
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": format!("{TLS}.UpstreamTlsContext"),
                "sni": issuer::HOST,
                "common_tls_context": {
                    "validation_context": {
                        "trusted_ca": { "filename": around.pki.provider.certificate() },
                        "match_typed_subject_alt_names": [
                            { "san_type": "DNS", "matcher": { "exact": issuer::HOST } },
                        ],
                    },
                },
            },
        },
    })
}

fn load_assignment(cluster: &str, endpoint: SocketAddr) -> Value {
    json!({
        "cluster_name": cluster,
        "endpoints": [{ "lb_endpoints": [
            { "endpoint": { "address": socket_address(endpoint) } },
        ] }],
    })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({
        "socket_address": { "address": address.ip().to_string(), "port_value": address.port() },
    })
}

const LISTENER_FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.listener";
const NETWORK_FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.network";
const HTTP_FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.http";
const ACCESS_LOGGERS: &str = "type.googleapis.com/envoy.extensions.access_loggers";
const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

/// The filter state object that the proxy_protocol listener filter keeps TLVs in.
const TLV_STATE: &str = "envoy.network.proxy_protocol.tlv";

/// Of documentation (RFC 5737): nobody has it.
const DOWNSTREAM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

/// V8 compiles the filter without a baseline tier, once in the canary and once in the worker.
const START_LIMIT: Duration = Duration::from_secs(60);
