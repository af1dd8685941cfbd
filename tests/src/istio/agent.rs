//! Istio's agent as it runs in a pod: it asks istiod, pulls the filter's image, starts the real Envoy
//! and hands it what it got. A gateway's runs beside the harness, a sidecar's in a pod of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use super::{
    certificates,
    control_plane::{ControlPlane, page},
    folder_of,
};
use crate::{
    envoy::Gateway,
    error::HarnessError,
    network::PodNetwork,
    pki::{Identity, Pki},
    ports,
    process::Process,
    run_folder::RunFolder,
    tools,
};
use hyper::StatusCode;
use serde_json::{Value, json};

/// What an agent says of itself.
#[derive(Debug)]
pub struct Agent {
    status: SocketAddr,
}

impl Agent {
    /// One that listens here.
    pub(super) fn at(status: SocketAddr) -> Self {
        Self { status }
    }

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
    // As a pod of the deployment that the manifests name: its namespace, account and labels.
    let place = Place {
        name,
        role: "router",
        namespace: "istio-ingress",
        account: "gateway",
        labels: json!({ "istio": "ingressgateway" }),
        identity: &pki.gateway,
        network: None,
        ports: [admin, status, envoy_status, prometheus].map(|address| address.port()),
    };
    let process = place.run(control, pki, folder)?;
    let access_log = process.log().to_path_buf();
    let gateway = Gateway::started_by_another(process, address, admin, access_log);
    Ok((gateway, Agent::at(status)))
}

/// What an agent takes itself for.
#[derive(Debug)]
pub(super) struct Place<'run> {
    /// Of the process.
    pub name: &'run str,
    /// In Istio's words.
    pub role: &'static str,
    /// Of Kubernetes.
    pub namespace: &'run str,
    /// The service account.
    pub account: &'run str,
    /// Of the pod.
    pub labels: Value,
    /// What its Envoy shows other members of the mesh.
    pub identity: &'run Identity,
    /// None: that of the harness, at 127.0.0.1.
    pub network: Option<&'run PodNetwork>,
    /// Envoy's admin port, the agent's own, Envoy's for health, Envoy's for metrics.
    pub ports: [u16; 4],
}

impl Place<'_> {
    /// Starts the agent, and with it Envoy.
    pub(super) fn run(
        &self,
        control: &ControlPlane,
        pki: &Pki,
        folder: &RunFolder,
    ) -> Result<Process, HarnessError> {
        let [admin, status, envoy_status, prometheus] = self.ports;
        let home = folder_of(self.name, folder)?;
        // What it shows to the mesh, where the agent looks for it; it could also ask a CA.
        let place = format!("{}/{CERTIFICATES}", self.name);
        certificates::write(&place, self.identity, pki, folder)?;
        let mut proxy = json!({
            "discoveryAddress": control.discovery().to_string(),
            "controlPlaneAuthPolicy": "NONE",
            "binaryPath": tools::envoy()?,
            "proxyBootstrapTemplatePath": tools::envoy_bootstrap()?,
            "proxyAdminPort": admin,
            "statusPort": status,
            "concurrency": 1,
            // Istio leaves out what listeners count, unless it is asked for.
            "proxyStatsMatcher": { "inclusionRegexps": COUNTED },
        });
        // With its certificate it says at istiod who it is, where that is asked.
        let certificates = match control.secure_discovery() {
            Some(discovery) => {
                proxy["discoveryAddress"] = json!(discovery.to_string());
                proxy["controlPlaneAuthPolicy"] = json!("MUTUAL_TLS");
                format!("PROV_CERT={CERTIFICATES}")
            }
            None => "FILE_MOUNTED_CERTS=true".to_owned(),
        };
        let address = self
            .network
            .map_or(Ipv4Addr::LOCALHOST, PodNetwork::address);
        let environment = [
            certificates,
            format!("POD_NAME={}", self.name),
            format!("POD_NAMESPACE={}", self.namespace),
            format!("SERVICE_ACCOUNT={}", self.account),
            format!("INSTANCE_IP={address}"),
            format!("ISTIO_METAJSON_LABELS={}", self.labels),
            format!("PROXY_CONFIG={proxy}"),
            format!("ENVOY_STATUS_PORT={envoy_status}"),
            format!("ENVOY_PROMETHEUS_PORT={prometheus}"),
        ];
        let agent = tools::pilot_agent()?.display().to_string();
        let mut arguments = self.alone();
        arguments.extend(["sh", "-c", SHELL, "sh"].map(str::to_owned));
        arguments.push(home.display().to_string());
        arguments.extend(ENVIRONMENT.map(str::to_owned));
        arguments.extend(environment);
        arguments.extend([agent, "proxy".to_owned(), self.role.to_owned()]);
        arguments.push(format!("--domain={}.svc.cluster.local", self.namespace));
        arguments.push("--proxyLogLevel=warning".to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Process::start(self.name, Path::new("/usr/bin/env"), &arguments, folder)
    }

    /// In its pod's network, and with processes of its own, so that Envoy ends with its agent, and
    /// mounts of its own: the agent keeps images in a folder of the system, where they would outlive
    /// the run.
    fn alone(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(network) = self.network {
            words.push("nsenter".to_owned());
            words.push(format!("--net={}", network.place().display()));
        }
        let options = ["unshare", "--mount", "--pid", "--fork", "--kill-child"];
        words.extend(options.map(str::to_owned));
        words.push("--mount-proc".to_owned());
        words
    }
}

const SHELL: &str = "mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/istio/data && \
    cd \"$1\" && shift && exec env \"$@\"";

/// Below the agent's own folder.
const CERTIFICATES: &str = "etc/certs";

/// The same for all.
const ENVIRONMENT: [&str; 3] = [
    "CLOUD_PLATFORM=none",
    "JWT_POLICY=none",
    "ISTIO_META_CLUSTER_ID=Kubernetes",
];

/// Which of Envoy's counters tests read, beside those that Istio has by default.
const COUNTED: [&str; 3] = [".*proxy_proto.*", ".*ssl.fail_.*", ".*rbac.*"];

/// The pull, and V8, which compiles the filter in the canary and in the worker.
pub const START_LIMIT: Duration = Duration::from_secs(90);
