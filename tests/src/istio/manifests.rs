//! What istiod is given: the build of an overlay as a platform team would write it, for the hosts of
//! a run, and with it what only a Kubernetes API could tell.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{objects, overlay::Words};
use crate::{envoy::Surroundings, error::HarnessError};

/// What differs from gateway to gateway, and the run's peers.
#[derive(Debug)]
pub struct Facts<'run> {
    /// The port that the gateway opens.
    pub port: u16,
    /// Certificates, issuer, workloads, the policy.
    pub around: &'run Surroundings<'run>,
    /// In whose words the manifests have the gateway and its routes.
    pub words: Words,
    /// What the gateway finds before the workloads.
    pub workloads: Workloads,
    /// The key set by which RequestAuthentication checks what the filter hands on.
    pub second_check: &'run Value,
}

/// What the gateway finds before the workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workloads {
    /// Nothing: it speaks clear text with them.
    Bare,
    /// Sidecars: it speaks mutual TLS with them.
    BehindSidecars,
}

/// What one istiod reads.
#[derive(Debug, Clone)]
pub struct Served {
    /// All resources.
    pub resources: Vec<Value>,
}

/// One thing that cannot be as it is in a cluster.
pub struct Replacement {
    /// Which, and why.
    pub what: &'static str,
    /// How often it stands in the manifests: neither more nor less.
    pub times: usize,
    /// In whose words it stands; nothing: in the others the same.
    words: Option<Words>,
    kinds: &'static [&'static str],
    /// Says whether there was anything to replace.
    apply: fn(&mut Value, &Facts<'_>) -> bool,
}

/// Everything that is replaced. What is not named here reaches istiod as kustomize built it.
pub const REPLACEMENTS: &[Replacement] = &[
    Replacement {
        what: "the gateway's port, and loopback: two pods on one machine cannot have one port",
        times: 1,
        words: Some(Words::Istio),
        kinds: &["Gateway"],
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
        words: None,
        kinds: &["EnvoyFilter"],
        apply: |filter, facts| {
            let place = "/spec/configPatches/0/match/listener/portNumber";
            set(filter, place, &json!(443), json!(facts.port))
        },
    },
    Replacement {
        what: "the secret of the gateway's certificate: istiod reads it from a Kubernetes API",
        times: 1,
        words: Some(Words::Istio),
        kinds: &["Gateway"],
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
        what: "the version of ReferenceGrants that istiod asks for: a Kubernetes API has each in both",
        times: 2,
        words: Some(Words::GatewayApi),
        kinds: &["ReferenceGrant"],
        apply: |grant, _facts| {
            let group = "gateway.networking.k8s.io";
            let asked = json!(format!("{group}/v1beta1"));
            set(grant, "/apiVersion", &json!(format!("{group}/v1")), asked)
        },
    },
    Replacement {
        what: "the issuer's address: no name server knows it",
        times: 1,
        words: None,
        kinds: &["ServiceEntry"],
        apply: |entry, facts| {
            let keys = facts.around.keys;
            entry["spec"]["endpoints"] = json!([endpoint("https", keys)]);
            set(entry, "/spec/resolution", &json!("DNS"), json!("STATIC"))
        },
    },
    Replacement {
        what: "the issuer's CA: the system trusts others",
        times: 1,
        words: None,
        kinds: &["DestinationRule"],
        apply: |rule, facts| {
            let authority = facts.around.pki.provider.certificate();
            let tls = &mut rule["spec"]["trafficPolicy"]["tls"];
            tls["caCertificates"] = json!(authority);
            tls["mode"] == "SIMPLE"
        },
    },
    Replacement {
        what: "the second check's issuer, which has a port here, and its keys: istiod would fetch them \
            itself, and trust the system's CAs",
        times: 1,
        words: None,
        kinds: &["RequestAuthentication"],
        apply: |check, facts| {
            let provider = &facts.around.plugin["providers"][0];
            let rule = &mut check["spec"]["jwtRules"][0];
            rule["issuer"] = provider["issuer"].clone();
            rule["audiences"] = provider["audiences"].clone();
            rule["jwks"] = json!(facts.second_check.to_string());
            let rule = rule.as_object_mut();
            rule.is_some_and(|rule| rule.remove("jwksUri").is_some())
        },
    },
    Replacement {
        what: "the policy: that of the conversation",
        times: 1,
        words: None,
        kinds: &["WasmPlugin", "TrafficExtension"],
        apply: |extension, facts| {
            let mut policy = facts.around.plugin.clone();
            policy["providers"][0]["jwks"]["cluster"] = json!(ISSUER_CLUSTER);
            let place = match extension["kind"].as_str() {
                Some("WasmPlugin") => &mut extension["spec"],
                _traffic_extension => &mut extension["spec"]["wasm"],
            };
            place["pluginConfig"] = policy;
            true
        },
    },
];

/// What istiod is given of it.
///
/// # Errors
/// [`HarnessError::Manifests`] if a replacement finds nothing to replace, or too much, and
/// [`HarnessError::File`].
pub fn replace(built: &[Value], facts: &Facts<'_>) -> Result<Served, HarnessError> {
    let mut resources = built.to_vec();
    let words = facts.words;
    for replacement in REPLACEMENTS {
        if replacement.words.is_some_and(|only| only != words) {
            continue;
        }
        let mut times = 0;
        for resource in &mut resources {
            let kind = resource["kind"].as_str().unwrap_or_default();
            if replacement.kinds.contains(&kind) {
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
    resources.push(service("payments", around.payments, facts.workloads));
    resources.push(service("orders", around.orders, facts.workloads));
    if words == Words::GatewayApi {
        resources.extend(objects::beside(facts.port, around.pki)?);
    }
    Ok(Served { resources })
}

impl Served {
    /// What its store of files reads.
    #[must_use]
    pub fn text(&self) -> String {
        text(self.resources.iter().filter(|one| !objects::is_one(one)))
    }

    /// What it finds in a Kubernetes API, if anything.
    #[must_use]
    pub fn objects(&self) -> Option<String> {
        let objects = text(self.resources.iter().filter(|one| objects::is_one(one)));
        (!objects.is_empty()).then_some(objects)
    }

    /// The same without resources of this kind in this namespace that have this name.
    #[must_use]
    pub fn without(&self, kind: &str, namespace: &str, name: &str) -> Self {
        let mut resources = self.resources.clone();
        resources.retain(|one| {
            let of = &one["metadata"];
            one["kind"] != kind || of["namespace"] != namespace || of["name"] != name
        });
        Self { resources }
    }

    /// The same with this one more.
    #[must_use]
    pub fn with(&self, resource: Value) -> Self {
        let mut resources = self.resources.clone();
        resources.push(resource);
        Self { resources }
    }

    /// The mesh's configuration: the one of `istio-manifests/`, and where istiod is.
    #[must_use]
    pub fn mesh(&self, discovery: SocketAddr) -> String {
        format!(
            "{MESH_CONFIG}\nrootNamespace: istio-system\ntrustDomain: cluster.local\n\
             defaultConfig: {{discoveryAddress: \"{discovery}\", controlPlaneAuthPolicy: NONE}}\n"
        )
    }
}

/// As a file; JSON is YAML.
fn text<'one>(resources: impl Iterator<Item = &'one Value>) -> String {
    let documents = resources.map(|one| format!("{one:#}"));
    documents.collect::<Vec<_>>().join("\n---\n")
}

/// A Service, which a Kubernetes API would name with its endpoints.
fn service(name: &str, workload: SocketAddr, before: Workloads) -> Value {
    let mut endpoint = endpoint("http", workload);
    if before == Workloads::BehindSidecars {
        // What the injection of sidecars writes, and the account of the pod.
        endpoint["labels"] = json!({ "security.istio.io/tlsMode": "istio" });
        endpoint["serviceAccount"] = json!(name);
    }
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": { "name": name, "namespace": name },
        "spec": {
            "hosts": [format!("{name}.{name}.svc.cluster.local")],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{ "number": 8080, "name": "http", "protocol": "HTTP" }],
            "endpoints": [endpoint],
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

const ISSUER_CLUSTER: &str = "outbound|443||issuer.example.com";

const MESH_CONFIG: &str = include_str!("../../../istio-manifests/mesh-config.yaml");
