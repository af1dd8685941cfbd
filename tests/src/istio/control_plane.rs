//! istiod, the real one, fed from a folder (`tests/istio/istiod`).

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use hyper::StatusCode;

use super::{certificates, folder_of, manifests::Served};
use crate::{
    error::HarnessError,
    http::{Ask, Exchange},
    network::NODE,
    pki::Pki,
    ports,
    process::Process,
    run_folder::RunFolder,
    tools,
};

/// A running istiod.
#[derive(Debug)]
pub struct ControlPlane {
    name: String,
    process: Process,
    ports: Ports,
    objects: bool,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    discovery: SocketAddr,
    /// Where it asks who is there, by certificate: who has not said so gets no Secret.
    secure_discovery: SocketAddr,
    http: SocketAddr,
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
        pki: &Pki,
        folder: &RunFolder,
    ) -> Result<Self, HarnessError> {
        let ports = Ports {
            // Where pods reach it as well.
            discovery: SocketAddr::from((NODE, ports::free()?.port())),
            secure_discovery: SocketAddr::from((NODE, ports::free()?.port())),
            http: ports::free()?,
            monitoring: ports::free()?,
        };
        folder_of(&format!("{name}/manifests"), folder)?;
        put(name, served, folder)?;
        folder.write(&format!("{name}/mesh.yaml"), &served.mesh(ports.discovery))?;
        let objects = served.objects();
        if let Some(text) = &objects {
            folder.write(&format!("{name}/objects.yaml"), text)?;
            let identity = pki.mesh.issue(name, &[&NODE.to_string()], folder)?;
            certificates::write(&format!("{name}/certificates"), &identity, pki, folder)?;
        }
        let objects = objects.is_some();
        Ok(Self {
            name: name.to_owned(),
            process: launch(name, ports, objects, folder).await?,
            ports,
            objects,
        })
    }

    /// Serves these manifests from now on: istiod watches its folder. What is in its Kubernetes API
    /// stays as it is.
    ///
    /// # Errors
    /// [`HarnessError::File`].
    pub fn serve(&self, served: &Served, folder: &RunFolder) -> Result<(), HarnessError> {
        put(&self.name, served, folder)
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it where it was.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn start_again(&mut self, folder: &RunFolder) -> Result<(), HarnessError> {
        self.process = launch(&self.name, self.ports, self.objects, folder).await?;
        Ok(())
    }

    /// Where gateways ask for their configuration.
    #[must_use]
    pub fn discovery(&self) -> SocketAddr {
        self.ports.discovery
    }

    /// The same for those who show a certificate, where there are Secrets to be had.
    #[must_use]
    pub fn secure_discovery(&self) -> Option<SocketAddr> {
        self.objects.then_some(self.ports.secure_discovery)
    }

    /// Its metrics as text.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Http`].
    pub async fn metrics(&self) -> Result<String, HarnessError> {
        Ok(page(self.ports.monitoring, "/metrics").await?.1)
    }
}

/// In one step: istiod never reads a half of them.
fn put(name: &str, served: &Served, folder: &RunFolder) -> Result<(), HarnessError> {
    let written = folder.write(&format!("{name}/next.yaml"), &served.text())?;
    let path = folder.file(&format!("{name}/manifests/all.yaml"));
    fs::rename(written, &path).map_err(|source| HarnessError::File {
        verb: "replace",
        path,
        source,
    })
}

async fn launch(
    name: &str,
    ports: Ports,
    objects: bool,
    folder: &RunFolder,
) -> Result<Process, HarnessError> {
    let home = folder_of(name, folder)?;
    let program = tools::istiod()?;
    let mut arguments: Vec<String> = ["-c", "cd \"$1\" && shift && exec env \"$@\"", "sh"]
        .map(str::to_owned)
        .to_vec();
    arguments.push(home.display().to_string());
    arguments.extend(ENVIRONMENT.map(str::to_owned));
    arguments.push(program.display().to_string());
    for (flag, value) in [
        ("discovery", ports.discovery),
        ("http", ports.http),
        ("monitoring", ports.monitoring),
    ] {
        arguments.push(format!("-{flag}={value}"));
    }
    arguments.extend(["-manifests=manifests", "-mesh=mesh.yaml"].map(str::to_owned));
    if objects {
        arguments
            .extend(["-objects=objects.yaml", "-certificates=certificates"].map(str::to_owned));
        arguments.push(format!("-secure-discovery={}", ports.secure_discovery));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut process = Process::start(name, Path::new("/bin/sh"), &arguments, folder)?;
    process
        .ready_when(START_LIMIT, async || {
            page(ports.http, "/ready")
                .await
                .is_ok_and(|(status, _text)| status == StatusCode::OK)
        })
        .await?;
    Ok(process)
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
    sum_with(metrics, name, "")
}

/// The same over what has this label, written as `name="value"`.
#[must_use]
pub fn sum_with(metrics: &str, name: &str, label: &str) -> Option<f64> {
    let values: Vec<f64> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Of Istio's own extensions, the Envoy that is published has none: those that istiod would put into
/// a gateway are turned off. None of them is about who may pass.
const ENVIRONMENT: [&str; 9] = [
    "POD_NAMESPACE=istio-system",
    "POD_NAME=istiod",
    // Gateways show certificates of the run.
    "ENABLE_CA_SERVER=false",
    "PILOT_ENABLE_METADATA_EXCHANGE=false",
    "PILOT_ENABLE_ALPN_FILTER=false",
    "PILOT_ENABLE_TELEMETRY_LABEL=false",
    "PILOT_ENABLE_AMBIENT=false",
    // The harness is who makes pods.
    "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER=false",
    // Istio's fake of a Kubernetes API takes a status that is written for the whole object.
    "PILOT_ENABLE_GATEWAY_API_STATUS=false",
];

/// It reads a few files and binds its ports.
const START_LIMIT: Duration = Duration::from_secs(30);
