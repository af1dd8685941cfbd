//! A sidecar, the real one: what Istio puts before a workload. The packets that come to its pod are
//! redirected to it by Istio's own rules (`pilot-agent istio-iptables`, as in an init container), so
//! nothing reaches the workload past it.
//!
//! In a cluster the proxy has a user of its own, by which the rules tell its connections from the
//! workload's. Here everything in a pod has the one user that a namespace without privileges knows:
//! what the workload itself would send out is not redirected.

use std::{process::Command, time::Duration};

use hyper::StatusCode;
use serde_json::json;

use super::{
    agent::{Agent, Place},
    control_plane::ControlPlane,
    output_of,
};
use crate::{
    error::HarnessError,
    network::PodNetwork,
    pki::{Identity, Pki},
    process::Process,
    run_folder::RunFolder,
    tools,
};

/// The pods of the two workloads.
#[derive(Debug)]
pub struct Pods {
    /// Of the namespace `payments`.
    pub payments: PodNetwork,
    /// Of the namespace `orders`.
    pub orders: PodNetwork,
}

impl Pods {
    /// Without anything in them.
    ///
    /// # Errors
    /// As [`PodNetwork::create`].
    pub fn create() -> Result<Self, HarnessError> {
        Ok(Self {
            payments: PodNetwork::create()?,
            orders: PodNetwork::create()?,
        })
    }
}

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    /// What starts and configures it.
    pub agent: Agent,
    /// What it shows other members of the mesh.
    pub identity: Identity,
    _process: Process,
    _network: PodNetwork,
}

impl Sidecar {
    /// Starts one for the workload of this namespace, which has an account of the same name, and
    /// waits until it says that it is ready.
    ///
    /// # Errors
    /// [`HarnessError::NotBuilt`], [`HarnessError::Ended`] or [`HarnessError::Deadline`].
    pub async fn start(
        namespace: &str,
        network: PodNetwork,
        control: &ControlPlane,
        pki: &Pki,
        folder: &RunFolder,
    ) -> Result<Self, HarnessError> {
        redirect(&network)?;
        let id = format!("spiffe://cluster.local/ns/{namespace}/sa/{namespace}");
        let identity = pki.mesh.issue(namespace, &[&id], folder)?;
        let name = format!("sidecar-{namespace}");
        let place = Place {
            name: &name,
            role: "sidecar",
            namespace,
            account: namespace,
            labels: json!({ "app": namespace, "security.istio.io/tlsMode": "istio" }),
            identity: &identity,
            network: Some(&network),
            ports: [15000, STATUS, 15021, 15090],
        };
        let mut process = place.run(control, pki, folder)?;
        let agent = Agent::at(network.port(STATUS));
        process
            .ready_when(START_LIMIT, async || {
                agent
                    .readiness()
                    .await
                    .is_ok_and(|status| status == StatusCode::OK)
            })
            .await?;
        Ok(Self {
            agent,
            identity,
            _process: process,
            _network: network,
        })
    }
}

/// All that comes to the pod goes to Envoy, but for what asks the agent and Envoy themselves.
fn redirect(network: &PodNetwork) -> Result<(), HarnessError> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", network.place().display()));
    command.arg(tools::pilot_agent()?);
    command.args(["istio-iptables", "--native-nftables"]);
    command.args(["-p", "15001", "-z", "15006", "-m", "REDIRECT"]);
    command.args(["-u", "0", "-g", "0", "-i", "*", "-x", "", "-b", "*"]);
    command.args(["-d", "15090,15021,15020"]);
    output_of("pilot-agent istio-iptables", command)?;
    Ok(())
}

/// The agent's own port, the same in every pod of a cluster.
const STATUS: u16 = 15020;

/// No image is pulled, no module compiled.
const START_LIMIT: Duration = Duration::from_secs(60);
