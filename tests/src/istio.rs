//! Gateways that the real Istio drives: istiod serves what kustomize makes of `istio-manifests/`,
//! Istio's agent pulls the filter from a registry by its digest, and starts and configures Envoy.
//!
//! There is no Kubernetes here. What only its API could tell is replaced, all of it in
//! [`manifests::REPLACEMENTS`]; one control plane serves one gateway, because two gateways beside one
//! another cannot have one port. Workloads are in pods of their own, behind sidecars. All of it is in
//! a network of the process alone ([`crate::network::leave_the_machines`]).

pub mod agent;
mod certificates;
pub mod control_plane;
pub mod ground;
pub mod guarded;
pub mod image;
pub mod manifests;
mod objects;
pub mod overlay;
pub mod sidecar;

use std::{path::PathBuf, process::Command};

use self::{
    agent::Agent,
    control_plane::ControlPlane,
    manifests::{Facts, Workloads},
    overlay::{Extension, Words},
    sidecar::{Pods, Sidecar},
};
use crate::{
    envoy::{Gateway, Surroundings},
    error::HarnessError,
    ports,
    registry::Registry,
    run_folder::RunFolder,
    token::SigningKey,
};
use serde_json::json;

/// What stands behind the gateways of a run.
#[derive(Debug)]
pub struct Istio {
    /// One for each gateway, in their order.
    pub control_planes: Vec<ControlPlane>,
    /// The agents' own ports, in the order of their gateways.
    pub agents: Vec<Agent>,
    /// Before the workload of `payments`, and before that of `orders`.
    pub sidecars: [Sidecar; 2],
    /// The digest of the filter's image, as `scripts/publish-filter` printed it.
    pub digest: String,
    _registry: Registry,
}

/// Publishes the filter and starts this many gateways, and sidecars in the pods of the workloads.
///
/// # Errors
/// Whatever keeps a part from starting, with the end of its log.
pub async fn start(
    count: usize,
    pods: Pods,
    around: &Surroundings<'_>,
    folder: &RunFolder,
) -> Result<(Vec<Gateway>, Istio), HarnessError> {
    let registry = Registry::start(folder).await?;
    let image = image::publish(&registry)?;
    let digest = image.split_once('@').map_or("", |(_name, digest)| digest);
    let built = overlay::build(&image, Extension::WasmPlugin, Words::Istio, folder)?;
    let some_keys = json!({ "keys": [SigningKey::es256("some")?.public_jwk()] });
    let (mut addresses, mut control_planes) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let address = ports::free()?;
        let facts = Facts {
            port: address.port(),
            around,
            words: Words::Istio,
            workloads: Workloads::BehindSidecars,
            // The provider makes new keys as it goes on; tokens end at the filter.
            second_check: &some_keys,
        };
        let served = manifests::replace(&built, &facts)?;
        let name = format!("istiod-{number}");
        control_planes.push(ControlPlane::start(&name, &served, around.pki, folder).await?);
        addresses.push(address);
    }
    // All of them say the same of workloads.
    let control = &control_planes[0];
    let sidecars = [
        Sidecar::start("payments", pods.payments, control, around.pki, folder).await?,
        Sidecar::start("orders", pods.orders, control, around.pki, folder).await?,
    ];
    let (mut gateways, mut agents) = (Vec::new(), Vec::new());
    for (number, (address, control)) in addresses.into_iter().zip(&control_planes).enumerate() {
        let name = format!("gateway-{}", number + 1);
        let (gateway, agent) = agent::start(&name, address, control, around.pki, folder).await?;
        gateways.push(gateway);
        agents.push(agent);
    }
    let istio = Istio {
        control_planes,
        agents,
        sidecars,
        digest: digest.to_owned(),
        _registry: registry,
    };
    Ok((gateways, istio))
}

/// What a command prints, where it succeeds.
fn output_of(name: &str, mut command: Command) -> Result<String, HarnessError> {
    let output = command.output().map_err(|source| HarnessError::Spawn {
        process: name.to_owned(),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(HarnessError::Ended {
        process: name.to_owned(),
        status: output.status,
        log_tail: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A folder of the run for one process alone: Istio's programs name files below their own.
fn folder_of(name: &str, folder: &RunFolder) -> Result<PathBuf, HarnessError> {
    let path = folder.file(name);
    std::fs::create_dir_all(&path).map_err(|source| HarnessError::File {
        verb: "create",
        path: path.clone(),
        source,
    })?;
    Ok(path)
}
