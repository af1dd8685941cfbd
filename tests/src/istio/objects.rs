//! What istiod finds in a Kubernetes API and in no file: resources of the Gateway API, and the Secret
//! and the Services that they name.

use std::{net::Ipv4Addr, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    error::HarnessError,
    pki::{Pki, read_pem},
};

/// Whether a store of files has no place for it.
pub(super) fn is_one(resource: &Value) -> bool {
    let version = resource["apiVersion"].as_str().unwrap_or_default();
    version.starts_with("gateway.networking.k8s.io/")
        || (version == "v1" && matches!(resource["kind"].as_str(), Some("Secret" | "Service")))
}

/// What the gateway's administrators and the workloads' teams have made beside the manifests, and the
/// gateway's pod, which opens this port.
///
/// # Errors
/// [`HarnessError::File`].
pub(super) fn beside(port: u16, pki: &Pki) -> Result<Vec<Value>, HarnessError> {
    Ok(vec![
        secret(pki)?,
        service("payments"),
        service("orders"),
        gateway_service(port),
    ])
}

/// The certificate of the gateway.
fn secret(pki: &Pki) -> Result<Value, HarnessError> {
    let encoded = |path: &PathBuf| Ok(STANDARD.encode(read_pem(path)?));
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "sallyport-gateway", "namespace": "istio-ingress" },
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": encoded(&pki.gateway.certificate)?,
            "tls.key": encoded(&pki.gateway.private_key)?,
            "ca.crt": encoded(pki.mesh.certificate())?,
        },
    }))
}

/// A Service that routes may name; its endpoints are in the ServiceEntry of the same host.
fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": name },
        "spec": { "ports": [{ "name": "http", "port": 8080 }] },
    })
}

/// The Service of the gateway: port 443, and what its pod opens for it.
fn gateway_service(port: u16) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": { "name": "istio-ingressgateway", "namespace": "istio-ingress" },
        "spec": {
            "hosts": ["istio-ingressgateway.istio-ingress.svc.cluster.local"],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{ "number": 443, "name": "https", "protocol": "HTTPS" }],
            "endpoints": [{
                "address": Ipv4Addr::LOCALHOST.to_string(),
                "ports": { "https": port },
                "labels": { "istio": "ingressgateway" },
                "serviceAccount": "gateway",
            }],
        },
    })
}
