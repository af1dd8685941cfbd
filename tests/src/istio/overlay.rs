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

/// In whose words the gateway and its routes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// As `base/platform` has them.
    Istio,
    /// The Gateway API's: `components/gateway-api`.
    GatewayApi,
}

/// The resources of the overlay, in the order in which kustomize prints them.
///
/// # Errors
/// [`HarnessError::ToolMissing`], [`HarnessError::Ended`] with what kustomize refuses.
pub fn build(
    image: &str,
    extension: Extension,
    words: Words,
    folder: &RunFolder,
) -> Result<Vec<Value>, HarnessError> {
    let path = folder_of("overlay", folder)?;
    let mut kustomization = OVERLAY.to_owned();
    kustomization.push_str(match words {
        Words::Istio => "- shop\n",
        Words::GatewayApi => "- ../../../../istio-manifests/components/gateway-api\n",
    });
    kustomization.push_str("- ../../../../istio-manifests/components/values\n");
    if extension == Extension::TrafficExtension {
        kustomization.push_str("- ../../../../istio-manifests/components/traffic-extension\n");
    }
    folder.write("overlay/kustomization.yaml", &kustomization)?;
    folder_of("overlay/shop", folder)?;
    folder.write("overlay/shop/kustomization.yaml", SHOP)?;
    folder.write("overlay/shop/routes.yaml", SHOP_ROUTES)?;
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
- values.yaml
components:
- ../../../../istio-manifests/overlays/example/platform/site/policy
- ../../../../istio-manifests/components/request-authentication
";

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

/// The conversation's third host, in Istio's own words.
const SHOP: &str = "apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources: [routes.yaml]
patches:
- target: {group: networking.istio.io, kind: Gateway, name: sallyport}
  patch: |
    - {op: add, path: /spec/servers/0/hosts/-, value: istio-ingress/*.orders.example.com}
";

const SHOP_ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: istio-ingress}
spec:
  hosts: [\"*.orders.example.com\"]
  gateways: [sallyport]
  http:
  - route: [{destination: {host: orders.orders.svc.cluster.local, port: {number: 8080}}}]
";
