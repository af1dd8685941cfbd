//! Gateways that the real Istio drives: istiod serves what kustomize makes of `istio-manifests/`,
//! Istio's agent pulls the filter from a registry by its digest, and starts and configures Envoy.
//!
//! There is no Kubernetes here. What only its API could tell is replaced, all of it in
//! [`manifests::REPLACEMENTS`]; one control plane serves one gateway, because two pods on one machine
//! cannot have one port.

pub mod agent;
pub mod control_plane;
pub mod ground;
pub mod manifests;

use std::{path::PathBuf, process::Command};

use self::{agent::Agent, control_plane::ControlPlane, manifests::Facts};
use crate::{
    envoy::{Gateway, Surroundings},
    error::HarnessError,
    ports,
    registry::Registry,
    run_folder::RunFolder,
    tools,
};

/// What stands behind the gateways of a run.
#[derive(Debug)]
pub struct Istio {
    /// One for each gateway, in their order.
    pub control_planes: Vec<ControlPlane>,
    /// The agents' own ports, in the order of their gateways.
    pub agents: Vec<Agent>,
    /// The digest of the filter's image, as `scripts/publish-filter` printed it.
    pub digest: String,
    _registry: Registry,
}

/// Publishes the filter and starts this many gateways.
///
/// # Errors
/// Whatever keeps a part from starting, with the end of its log.
pub async fn start(
    count: usize,
    around: &Surroundings<'_>,
    folder: &RunFolder,
) -> Result<(Vec<Gateway>, Istio), HarnessError> {
    let registry = Registry::start(folder).await?;
    let image = publish(&registry)?;
    let digest = image.split_once('@').map_or("", |(_name, digest)| digest);
    let mut istio = Istio {
        control_planes: Vec::new(),
        agents: Vec::new(),
        digest: digest.to_owned(),
        _registry: registry,
    };
    let built = manifests::build(&image, folder)?;
    let mut gateways = Vec::new();
    for number in 1..=count {
        let name = format!("gateway-{number}");
        let address = ports::free()?;
        let facts = Facts {
            port: address.port(),
            around,
        };
        let served = manifests::replace(&built, &facts)?;
        let control = ControlPlane::start(&format!("istiod-{number}"), &served, folder).await?;
        let (gateway, agent) = agent::start(&name, address, &control, around.pki, folder).await?;
        gateways.push(gateway);
        istio.agents.push(agent);
        istio.control_planes.push(control);
    }
    Ok((gateways, istio))
}

/// Gives back the reference to pin, the last line of what the script prints.
fn publish(registry: &Registry) -> Result<String, HarnessError> {
    let script = tools::in_repository("scripts/publish-filter");
    let mut command = Command::new(script);
    command
        .args(["--plain-http", "--allow-dirty", "--source"])
        .arg("https://git.example.com/sallyport")
        .arg(format!(
            "{}/sallyport/identity-filter:run",
            registry.address()
        ));
    let text = output_of("scripts/publish-filter", command)?;
    Ok(text.lines().last().unwrap_or_default().to_owned())
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
