//! An Envoy with a clear-text listener and whatever filters a measurement wants before its one route, which Envoy
//! answers by itself: nothing behind it takes time or memory.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{error::HarnessError, ports, process::Process, run_folder::RunFolder, tools};

/// A running Envoy.
#[derive(Debug)]
pub struct PlainGateway {
    /// The Envoy process.
    pub process: Process,
    /// Where it takes requests.
    pub address: SocketAddr,
    /// Where it takes those for [`Plan::beside`].
    pub beside: Vec<SocketAddr>,
    /// Envoy's own admin port.
    pub admin: SocketAddr,
}

/// What it is made of.
#[derive(Debug, Default)]
pub struct Plan {
    /// The HTTP filters, without the router.
    pub filters: Vec<Value>,
    /// Clusters that the filters ask.
    pub clusters: Vec<Value>,
    /// Header fields of every answer of the route, such as what the filters made of the request's.
    pub answer_headers: Vec<(&'static str, &'static str)>,
    /// More listeners of the same Envoy.
    pub beside: Vec<Beside>,
    /// Whether the filters' own records are in the log.
    pub records: Records,
}

/// A listener with filters of its own.
#[derive(Debug, Default)]
pub struct Beside {
    /// As [`Plan::filters`].
    pub filters: Vec<Value>,
    /// As [`Plan::answer_headers`].
    pub answer_headers: Vec<(&'static str, &'static str)>,
    /// More fields of its connection manager; null where it needs none.
    pub options: Value,
    /// The cluster that its requests go to; without it Envoy answers them by itself.
    pub upstream: Option<&'static str>,
}

/// What becomes of the audit records.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// They are not written, which takes less time.
    #[default]
    Dropped,
    /// They are in the log of the process.
    Kept,
}

/// How a process is started, as [`Process::start`] does it.
pub type Start = fn(&str, &Path, &[&str], &RunFolder) -> Result<Process, HarnessError>;

impl PlainGateway {
    /// Starts one worker, and waits until it takes connections.
    ///
    /// # Errors
    /// [`HarnessError::ToolMissing`], [`HarnessError::Ended`] or [`HarnessError::Deadline`].
    pub async fn start(
        name: &str,
        plan: Plan,
        start: Start,
        folder: &RunFolder,
    ) -> Result<Self, HarnessError> {
        let (address, admin) = (ports::free()?, ports::free()?);
        let mut beside = Vec::new();
        for _listener in &plan.beside {
            beside.push(ports::free()?);
        }
        let log_level = match plan.records {
            Records::Dropped => "error",
            Records::Kept => "warning",
        };
        let bootstrap = plan.bootstrap(address, &beside, admin);
        let config = folder.write(&format!("{name}.json"), &format!("{bootstrap:#}"))?;
        let config = config.to_string_lossy();
        let arguments = [
            "--config-path",
            &config,
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            log_level,
        ];
        let mut process = start(name, &tools::envoy()?, &arguments, folder)?;
        process
            .ready_when(START_LIMIT, async || {
                TcpStream::connect(address).await.is_ok()
            })
            .await?;
        Ok(Self {
            process,
            address,
            beside,
            admin,
        })
    }
}

impl Plan {
    fn bootstrap(self, address: SocketAddr, beside: &[SocketAddr], admin: SocketAddr) -> Value {
        let first = Beside {
            filters: self.filters,
            answer_headers: self.answer_headers,
            ..Beside::default()
        };
        let mut listeners = vec![listener(address, first)];
        for (address, beside) in beside.iter().zip(self.beside) {
            listeners.push(listener(*address, beside));
        }
        json!({
            "admin": { "address": socket_address(admin) },
            "static_resources": { "listeners": listeners, "clusters": self.clusters },
        })
    }
}

fn listener(address: SocketAddr, door: Beside) -> Value {
    let mut filters = door.filters;
    filters.push(filter("router", "router.v3.Router", json!({})));
    let header = |(name, value): (&str, &str)| json!({ "header": { "key": name, "value": value } });
    let headers: Vec<Value> = door.answer_headers.into_iter().map(header).collect();
    let mut route = json!({ "match": { "prefix": "/" }, "response_headers_to_add": headers });
    match door.upstream {
        Some(cluster) => route["route"] = json!({ "cluster": cluster, "timeout": "0s" }),
        None => {
            route["direct_response"] = json!({ "status": 200, "body": { "inline_string": "ok" } });
        }
    }
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "plain",
        "http_filters": filters,
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
    });
    for (name, value) in door.options.as_object().into_iter().flatten() {
        manager[name] = value.clone();
    }
    json!({
        "name": format!("plain-{}", address.port()),
        "address": socket_address(address),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }] }],
    })
}

/// An HTTP filter of Envoy's: its name, its type and its configuration.
#[must_use]
pub fn filter(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = json!(format!(
        "type.googleapis.com/envoy.extensions.filters.http.{kind}"
    ));
    json!({ "name": format!("envoy.filters.http.{name}"), "typed_config": config })
}

/// The identity filter from this module with this configuration.
#[must_use]
pub fn identity_filter(module: &Path, configuration: &Value) -> Value {
    let config = json!({ "config": {
        "name": "identity",
        "root_id": "identity",
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": module } },
        },
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": configuration.to_string(),
        },
    } });
    filter("wasm", "wasm.v3.Wasm", config)
}

/// A cluster of one address, without TLS.
#[must_use]
pub fn clear_cluster(name: &str, endpoint: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [
                { "endpoint": { "address": socket_address(endpoint) } },
            ] }],
        },
    })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({
        "socket_address": { "address": address.ip().to_string(), "port_value": address.port() },
    })
}

/// V8 compiles the filter first.
const START_LIMIT: Duration = Duration::from_secs(60);
