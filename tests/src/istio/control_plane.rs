//! istiod, the real one, fed from a folder (`tests/istio/istiod`).

use std::{net::SocketAddr, path::Path, time::Duration};

use hyper::StatusCode;

use super::{folder_of, manifests::Served};
use crate::{
    error::HarnessError,
    http::{Ask, Exchange},
    ports,
    process::Process,
    run_folder::RunFolder,
    tools,
};

/// A running istiod.
#[derive(Debug)]
pub struct ControlPlane {
    _process: Process,
    discovery: SocketAddr,
    monitoring: SocketAddr,
}

impl ControlPlane {
    /// Starts it with these manifests and waits until it says that it is ready.
    ///
    /// # Errors
    /// [`HarnessError::NotBuilt`], [`HarnessError::Ended`] with what it refuses, or
    /// [`HarnessError::Deadline`].
    pub async fn start(
        name: &str,
        served: &Served,
        folder: &RunFolder,
    ) -> Result<Self, HarnessError> {
        let (discovery, http, monitoring) = (ports::free()?, ports::free()?, ports::free()?);
        let home = folder_of(name, folder)?;
        folder_of(&format!("{name}/manifests"), folder)?;
        folder.write(&format!("{name}/manifests/all.yaml"), &served.manifests)?;
        let mesh = served.mesh(discovery);
        folder.write(&format!("{name}/mesh.yaml"), &mesh)?;
        let program = tools::istiod()?;
        let mut arguments: Vec<String> = ["-c", "cd \"$1\" && shift && exec env \"$@\"", "sh"]
            .map(str::to_owned)
            .to_vec();
        arguments.push(home.display().to_string());
        arguments.extend(ENVIRONMENT.map(str::to_owned));
        arguments.push(program.display().to_string());
        for (flag, value) in [
            ("discovery", discovery),
            ("http", http),
            ("monitoring", monitoring),
        ] {
            arguments.push(format!("-{flag}={value}"));
        }
        arguments.extend(["-manifests=manifests", "-mesh=mesh.yaml"].map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut process = Process::start(name, Path::new("/bin/sh"), &arguments, folder)?;
        process
            .ready_when(START_LIMIT, async || {
                page(http, "/ready")
                    .await
                    .is_ok_and(|(status, _text)| status == StatusCode::OK)
            })
            .await?;
        Ok(Self {
            _process: process,
            discovery,
            monitoring,
        })
    }

    /// Where gateways ask for their configuration.
    #[must_use]
    pub fn discovery(&self) -> SocketAddr {
        self.discovery
    }

    /// Its metrics as text.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Http`].
    pub async fn metrics(&self) -> Result<String, HarnessError> {
        Ok(page(self.monitoring, "/metrics").await?.1)
    }
}

/// A page of one of Istio's programs.
///
/// # Errors
/// [`HarnessError::Connection`] or [`HarnessError::Http`].
pub async fn page(address: SocketAddr, path: &str) -> Result<(StatusCode, String), HarnessError> {
    let ask = Ask::get(&address.to_string(), path);
    let reply = Exchange::open_clear(address).await?.send(ask).await?;
    Ok((reply.status, reply.text()))
}

/// The sum of a metric over all of its labels; nothing where it is not there.
#[must_use]
pub fn sum(metrics: &str, name: &str) -> Option<f64> {
    let values: Vec<f64> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Of Istio's own extensions, the Envoy that is published has none: those that istiod would put into
/// a gateway are turned off. None of them is about who may pass.
const ENVIRONMENT: [&str; 7] = [
    "POD_NAMESPACE=istio-system",
    "POD_NAME=istiod",
    // Gateways show certificates of the run.
    "ENABLE_CA_SERVER=false",
    "PILOT_ENABLE_METADATA_EXCHANGE=false",
    "PILOT_ENABLE_ALPN_FILTER=false",
    "PILOT_ENABLE_TELEMETRY_LABEL=false",
    "PILOT_ENABLE_AMBIENT=false",
];

/// It reads a few files and binds its ports.
const START_LIMIT: Duration = Duration::from_secs(30);
