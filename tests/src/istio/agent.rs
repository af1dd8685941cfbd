//! Istio's agent as it runs in a gateway's pod: it asks istiod, pulls the filter's image, starts the
//! real Envoy and hands it what it got.

use std::{fs, net::SocketAddr, os::unix::fs::MetadataExt, path::Path, time::Duration};

use super::{
    control_plane::{ControlPlane, page},
    folder_of,
};
use crate::{
    envoy::Gateway,
    error::HarnessError,
    pki::{self, Pki},
    ports,
    process::Process,
    run_folder::RunFolder,
    tools,
};
use hyper::StatusCode;
use serde_json::json;

/// What an agent says of itself.
#[derive(Debug)]
pub struct Agent {
    status: SocketAddr,
}

impl Agent {
    /// Its metrics as text, Envoy's among them.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Http`].
    pub async fn metrics(&self) -> Result<String, HarnessError> {
        Ok(page(self.status, "/metrics").await?.1)
    }

    /// What it answers a kubelet that asks whether the pod may get traffic.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Http`].
    pub async fn readiness(&self) -> Result<StatusCode, HarnessError> {
        Ok(page(self.status, "/healthz/ready").await?.0)
    }
}

/// Starts a gateway on this address and waits until it takes connections. Envoy opens a listener
/// only when it has the filter, so then the image is there.
///
/// # Errors
/// [`HarnessError::NotBuilt`], [`HarnessError::Ended`] or [`HarnessError::Deadline`].
pub async fn start(
    name: &str,
    address: SocketAddr,
    control: &ControlPlane,
    pki: &Pki,
    folder: &RunFolder,
) -> Result<(Gateway, Agent), HarnessError> {
    let (mut gateway, agent) = launch(name, address, control, pki, folder)?;
    gateway.takes_connections(START_LIMIT).await?;
    Ok((gateway, agent))
}

/// The same without the wait.
///
/// # Errors
/// [`HarnessError::NotBuilt`] or [`HarnessError::Spawn`].
pub fn launch(
    name: &str,
    address: SocketAddr,
    control: &ControlPlane,
    pki: &Pki,
    folder: &RunFolder,
) -> Result<(Gateway, Agent), HarnessError> {
    let [admin, status, envoy_status, prometheus] = [
        ports::free()?,
        ports::free()?,
        ports::free()?,
        ports::free()?,
    ];
    let home = folder_of(name, folder)?;
    certificates(name, pki, folder)?;
    let proxy = json!({
        "discoveryAddress": control.discovery().to_string(),
        "controlPlaneAuthPolicy": "NONE",
        "binaryPath": tools::envoy()?,
        "proxyBootstrapTemplatePath": tools::envoy_bootstrap()?,
        "proxyAdminPort": admin.port(),
        "statusPort": status.port(),
        "concurrency": 1,
        // Istio leaves out what listeners count, unless it is asked for.
        "proxyStatsMatcher": { "inclusionRegexps": [".*proxy_proto.*", ".*ssl.fail_.*"] },
    });
    let environment = [
        format!("POD_NAME={name}"),
        format!("PROXY_CONFIG={proxy}"),
        format!("ENVOY_STATUS_PORT={}", envoy_status.port()),
        format!("ENVOY_PROMETHEUS_PORT={}", prometheus.port()),
    ];
    let agent = tools::pilot_agent()?.display().to_string();
    let mut arguments = alone();
    arguments.extend(["sh", "-c", SHELL, "sh"].map(str::to_owned));
    arguments.push(home.display().to_string());
    arguments.extend(ENVIRONMENT.map(str::to_owned));
    arguments.extend(environment);
    arguments.push(agent);
    arguments.extend(ARGUMENTS.map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let process = Process::start(name, Path::new("/usr/bin/unshare"), &arguments, folder)?;
    let access_log = process.log().to_path_buf();
    let gateway = Gateway::started_by_another(process, address, admin, access_log);
    Ok((gateway, Agent { status }))
}

/// The certificate that the gateway shows to workloads, where the agent looks for one; it could also
/// ask a CA.
fn certificates(name: &str, pki: &Pki, folder: &RunFolder) -> Result<(), HarnessError> {
    let place = format!("{name}/etc/certs");
    folder_of(&place, folder)?;
    let files = [
        ("cert-chain.pem", &pki.gateway.certificate),
        ("key.pem", &pki.gateway.private_key),
        ("root-cert.pem", pki.mesh.certificate()),
    ];
    for (file, source) in files {
        folder.write_secret(&format!("{place}/{file}"), &pki::read_pem(source)?)?;
    }
    Ok(())
}

/// Processes of their own, so that Envoy ends with its agent, and mounts of their own: the agent keeps
/// images in a folder of the system, where they would outlive the run.
fn alone() -> Vec<String> {
    let mut options: Vec<&str> = vec!["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        options.extend(["--user", "--map-root-user"]);
    }
    options.into_iter().map(str::to_owned).collect()
}

const SHELL: &str = "mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/istio/data && \
    cd \"$1\" && shift && exec env \"$@\"";

/// As a pod of the deployment that the manifests name: its namespace, account and labels.
const ENVIRONMENT: [&str; 8] = [
    "POD_NAMESPACE=istio-ingress",
    "SERVICE_ACCOUNT=gateway",
    "INSTANCE_IP=127.0.0.1",
    "CLOUD_PLATFORM=none",
    "FILE_MOUNTED_CERTS=true",
    "JWT_POLICY=none",
    "ISTIO_META_CLUSTER_ID=Kubernetes",
    "ISTIO_METAJSON_LABELS={\"istio\":\"ingressgateway\"}",
];

const ARGUMENTS: [&str; 5] = [
    "proxy",
    "router",
    "--domain",
    "istio-ingress.svc.cluster.local",
    "--proxyLogLevel=warning",
];

/// The pull, and V8, which compiles the filter in the canary and in the worker.
pub const START_LIMIT: Duration = Duration::from_secs(90);
