//! What istiod is given: the build of an overlay as a platform team would write it, for the hosts of
//! a run, and with it what only a Kubernetes API could tell.

use std::{net::SocketAddr, process::Command};

use serde_json::{Value, json};

use super::{folder_of, output_of};
use crate::{envoy::Surroundings, error::HarnessError, run_folder::RunFolder, tools};

/// What differs from gateway to gateway, and the run's peers.
#[derive(Debug)]
pub struct Facts<'run> {
    /// The port that the gateway opens.
    pub port: u16,
    /// Certificates, issuer, workloads, the policy.
    pub around: &'run Surroundings<'run>,
}

/// What one istiod reads.
#[derive(Debug)]
pub struct Served {
    /// All resources.
    pub manifests: String,
}

/// One thing that cannot be as it is in a cluster.
pub struct Replacement {
    /// Which, and why.
    pub what: &'static str,
    /// How often it stands in the manifests: neither more nor less.
    pub times: usize,
    kind: &'static str,
    /// Says whether there was anything to replace.
    apply: fn(&mut Value, &Facts<'_>) -> bool,
}

/// Everything that is replaced. What is not named here reaches istiod as kustomize built it.
pub const REPLACEMENTS: &[Replacement] = &[
    Replacement {
        what: "the gateway's port, and loopback: two pods on one machine cannot have one port",
        times: 1,
        kind: "Gateway",
        apply: |gateway, facts| {
            gateway["spec"]["servers"][0]["bind"] = json!("127.0.0.1");
            set(
                gateway,
                "/spec/servers/0/port/number",
                &json!(443),
                json!(facts.port),
            )
        },
    },
    Replacement {
        what: "the gateway's port in the match of the EnvoyFilter",
        times: 1,
        kind: "EnvoyFilter",
        apply: |filter, facts| {
            let place = "/spec/configPatches/0/match/listener/portNumber";
            set(filter, place, &json!(443), json!(facts.port))
        },
    },
    Replacement {
        what: "the secret of the gateway's certificate: istiod reads it from a Kubernetes API",
        times: 1,
        kind: "Gateway",
        apply: |gateway, facts| {
            let pki = facts.around.pki;
            let Some(tls) = gateway
                .pointer_mut("/spec/servers/0/tls")
                .and_then(Value::as_object_mut)
            else {
                return false;
            };
            tls.insert(
                "serverCertificate".to_owned(),
                json!(pki.gateway.certificate),
            );
            tls.insert("privateKey".to_owned(), json!(pki.gateway.private_key));
            tls.insert("caCertificates".to_owned(), json!(pki.mesh.certificate()));
            tls.remove("credentialName").is_some()
        },
    },
    Replacement {
        what: "the issuer's address: no name server knows it",
        times: 1,
        kind: "ServiceEntry",
        apply: |entry, facts| {
            let keys = facts.around.keys;
            entry["spec"]["endpoints"] = json!([endpoint("https", keys)]);
            set(entry, "/spec/resolution", &json!("DNS"), json!("STATIC"))
        },
    },
    Replacement {
        what: "the issuer's CA: the system trusts others",
        times: 1,
        kind: "DestinationRule",
        apply: |rule, facts| {
            let authority = facts.around.pki.provider.certificate();
            let tls = &mut rule["spec"]["trafficPolicy"]["tls"];
            tls["caCertificates"] = json!(authority);
            tls["mode"] == "SIMPLE"
        },
    },
    Replacement {
        what: "the keys of the second check: istiod would fetch them itself, and trust the system's CAs",
        times: 1,
        kind: "RequestAuthentication",
        apply: |check, _facts| {
            let Some(rule) = check
                .pointer_mut("/spec/jwtRules/0")
                .and_then(Value::as_object_mut)
            else {
                return false;
            };
            rule.insert("jwks".to_owned(), json!(SOME_KEY));
            rule.remove("jwksUri").is_some()
        },
    },
    Replacement {
        what: "the policy: that of the conversation",
        times: 1,
        kind: "WasmPlugin",
        apply: |plugin, facts| {
            let mut policy = facts.around.plugin.clone();
            policy["providers"][0]["jwks"]["cluster"] = json!(ISSUER_CLUSTER);
            plugin["spec"]["pluginConfig"] = policy;
            true
        },
    },
];

/// The resources of the overlay, in the order in which kustomize prints them.
///
/// # Errors
/// [`HarnessError::ToolMissing`], [`HarnessError::Ended`] with what kustomize refuses.
pub fn build(image: &str, folder: &RunFolder) -> Result<Vec<Value>, HarnessError> {
    let path = folder_of("overlay", folder)?;
    folder.write("overlay/kustomization.yaml", OVERLAY)?;
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

/// What istiod is given of it.
///
/// # Errors
/// [`HarnessError::Manifests`] if a replacement finds nothing to replace, or too much.
pub fn replace(built: &[Value], facts: &Facts<'_>) -> Result<Served, HarnessError> {
    let mut resources = built.to_vec();
    for replacement in REPLACEMENTS {
        let mut times = 0;
        for resource in &mut resources {
            if resource["kind"] == replacement.kind {
                times += usize::from((replacement.apply)(resource, facts));
            }
        }
        if times != replacement.times {
            return Err(HarnessError::Manifests {
                what: replacement.what,
                times,
                expected: replacement.times,
            });
        }
    }
    let around = facts.around;
    resources.push(service("payments", around.payments));
    resources.push(service("orders", around.orders));
    // JSON is YAML.
    let documents: Vec<String> = resources.iter().map(|one| format!("{one:#}")).collect();
    Ok(Served {
        manifests: documents.join("\n---\n"),
    })
}

impl Served {
    /// The mesh's configuration: the one of `istio-manifests/`, and where istiod is.
    #[must_use]
    pub fn mesh(&self, discovery: SocketAddr) -> String {
        format!(
            "{MESH_CONFIG}\nrootNamespace: istio-system\ntrustDomain: cluster.local\n\
             defaultConfig: {{discoveryAddress: \"{discovery}\", controlPlaneAuthPolicy: NONE}}\n"
        )
    }
}

/// A Service, which a Kubernetes API would name with its endpoints.
fn service(name: &str, workload: SocketAddr) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": { "name": name, "namespace": name },
        "spec": {
            "hosts": [format!("{name}.{name}.svc.cluster.local")],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{ "number": 8080, "name": "http", "protocol": "HTTP" }],
            "endpoints": [endpoint("http", workload)],
        },
    })
}

fn endpoint(port: &str, address: SocketAddr) -> Value {
    json!({ "address": address.ip().to_string(), "ports": { port: address.port() } })
}

fn set(resource: &mut Value, place: &str, old: &Value, new: Value) -> bool {
    match resource.pointer_mut(place) {
        Some(value) if value == old => {
            *value = new;
            true
        }
        Some(_) | None => false,
    }
}

fn documents(text: &str) -> Result<Vec<Value>, HarnessError> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(serde::Deserialize::deserialize)
        .collect::<Result<_, _>>()
        .map_err(|source| HarnessError::Yaml { source })
}

/// Of RFC 7515 appendix A.3; no token of a run reaches the check, because the filter takes them away.
const SOME_KEY: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"some",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

const ISSUER_CLUSTER: &str = "outbound|443||issuer.example.com";

const MESH_CONFIG: &str = include_str!("../../../istio-manifests/mesh-config.yaml");

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
