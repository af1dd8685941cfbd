//! The overlay of a run, as a platform team would write one, and what kustomize makes of it.

use std::process::Command;

use serde_json::Value;

use super::{folder_of, output_of};
use crate::{error::HarnessError, run_folder::RunFolder, tools};

/// By which resource the gateway gets the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// As `base/platform` has it.
    WasmPlugin,
    /// Its successor: `components/traffic-extension`.
    TrafficExtension,
}

/// The resources of the overlay, in the order in which kustomize prints them.
///
/// # Errors
/// [`HarnessError::ToolMissing`], [`HarnessError::Ended`] with what kustomize refuses.
pub fn build(
    image: &str,
    extension: Extension,
    folder: &RunFolder,
) -> Result<Vec<Value>, HarnessError> {
    let path = folder_of("overlay", folder)?;
    let last = match extension {
        Extension::WasmPlugin => "",
        Extension::TrafficExtension => TRAFFIC_EXTENSION,
    };
    folder.write("overlay/kustomization.yaml", &format!("{OVERLAY}{last}"))?;
    folder.write("overlay/shop.yaml", SHOP)?;
    folder.write(
        "overlay/values.yaml",
        &format!("{VALUES}  filter-image: {image}\n"),
    )?;
    let mut command = Command::new(tools::kustomize()?);
    command.arg("build").arg(path);
    let text = output_of("kustomize", command)?;
    documents(&text)
}

fn documents(text: &str) -> Result<Vec<Value>, HarnessError> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(serde::Deserialize::deserialize)
        .collect::<Result<_, _>>()
        .map_err(|source| HarnessError::Yaml { source })
}

/// Below `target/e2e/RUN/overlay`.
const OVERLAY: &str = "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- ../../../../istio-manifests/base/platform
- ../../../../istio-manifests/overlays/example/workloads/orders
- ../../../../istio-manifests/overlays/example/workloads/payments
- shop.yaml
- values.yaml
patches:
- target: {group: networking.istio.io, kind: Gateway, name: sallyport}
  patch: |
    - {op: add, path: /spec/servers/0/hosts/-, value: istio-ingress/*.orders.example.com}
components:
- ../../../../istio-manifests/overlays/example/platform/site/policy
- ../../../../istio-manifests/components/request-authentication
- ../../../../istio-manifests/components/values
";

/// Behind the values.
const TRAFFIC_EXTENSION: &str = "- ../../../../istio-manifests/components/traffic-extension\n";

const VALUES: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: sallyport-values
  annotations: {config.kubernetes.io/local-config: \"true\"}
data:
  trust-domain: cluster.local
  api-host: api.example.com
  pay-host: pay.example.com
  issuer-host: issuer.example.com
  edge-network: 127.0.0.0/8
";

/// The conversation's third host.
const SHOP: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: istio-ingress}
spec:
  hosts: [\"*.orders.example.com\"]
  gateways: [sallyport]
  http:
  - route: [{destination: {host: orders.orders.svc.cluster.local, port: {number: 8080}}}]
";
