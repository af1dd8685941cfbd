//! Where the peers, the product and the repository are. Nothing is looked for anywhere else: a peer
//! of another version would make other tests of these.

use std::path::{Path, PathBuf};

use crate::error::HarnessError;

/// The Envoy that `scripts/setup` installed.
///
/// # Errors
/// [`HarnessError::ToolMissing`].
pub fn envoy() -> Result<PathBuf, HarnessError> {
    installed(".cache/tools/envoy")
}

/// The Node.js that `scripts/setup` installed.
///
/// # Errors
/// [`HarnessError::ToolMissing`].
pub fn node() -> Result<PathBuf, HarnessError> {
    installed(".cache/tools/node")
}

/// The HAProxy that `scripts/setup` installed.
///
/// # Errors
/// [`HarnessError::ToolMissing`].
pub fn haproxy() -> Result<PathBuf, HarnessError> {
    let path = PathBuf::from("/usr/sbin/haproxy");
    path.canonicalize()
        .map_err(|_absent| HarnessError::ToolMissing { path })
}

/// The nginx that `scripts/setup` unpacked.
///
/// # Errors
/// [`HarnessError::ToolMissing`].
pub fn nginx() -> Result<PathBuf, HarnessError> {
    installed(".cache/tools/nginx")
}

/// Its module for TCP.
///
/// # Errors
/// [`HarnessError::ToolMissing`].
pub fn nginx_stream_module() -> Result<PathBuf, HarnessError> {
    installed(".cache/nginx/usr/lib/nginx/modules/ngx_stream_module.so")
}

/// The newer nginx that `scripts/setup` built, with TCP alone.
///
/// # Errors
/// [`HarnessError::ToolMissing`].
pub fn built_nginx() -> Result<PathBuf, HarnessError> {
    installed(".cache/tools/nginx-built")
}

/// The scanner for TLS that `scripts/setup` installed.
///
/// # Errors
/// [`HarnessError::ToolMissing`].
pub fn sslyze() -> Result<PathBuf, HarnessError> {
    installed(".cache/tools/sslyze")
}

/// The image registry that `scripts/setup` installed.
///
/// # Errors
/// [`HarnessError::ToolMissing`].
pub fn registry() -> Result<PathBuf, HarnessError> {
    installed(".cache/tools/docker-registry")
}

/// The kustomize that `scripts/test istio` built.
///
/// # Errors
/// [`HarnessError::NotBuilt`].
pub fn kustomize() -> Result<PathBuf, HarnessError> {
    built(".cache/tools/kustomize", "./scripts/test istio")
}

/// The ORAS that `scripts/test istio` built.
///
/// # Errors
/// [`HarnessError::NotBuilt`].
pub fn oras() -> Result<PathBuf, HarnessError> {
    built(".cache/tools/oras", "./scripts/test istio")
}

/// Istio's control plane, fed from files, in the version that `scripts/test istio` chose last.
///
/// # Errors
/// [`HarnessError::NotBuilt`].
pub fn istiod() -> Result<PathBuf, HarnessError> {
    built(".cache/tools/istio/istiod", "./scripts/test istio")
}

/// Istio's agent of a gateway.
///
/// # Errors
/// [`HarnessError::NotBuilt`].
pub fn pilot_agent() -> Result<PathBuf, HarnessError> {
    built(".cache/tools/istio/pilot-agent", "./scripts/test istio")
}

/// What that agent makes Envoy's bootstrap of; it is part of Istio's images.
///
/// # Errors
/// [`HarnessError::NotBuilt`].
pub fn envoy_bootstrap() -> Result<PathBuf, HarnessError> {
    built(
        ".cache/tools/istio/envoy_bootstrap.json",
        "./scripts/test istio",
    )
}

/// The OpenID provider's script, with the packages that it needs beside it.
///
/// # Errors
/// [`HarnessError::ToolMissing`].
pub fn issuer_script() -> Result<PathBuf, HarnessError> {
    installed("tests/issuer/node_modules/oidc-provider")?;
    installed("tests/issuer/server.mjs")
}

/// The front's binary.
///
/// # Errors
/// [`HarnessError::NotBuilt`].
pub fn front() -> Result<PathBuf, HarnessError> {
    built(
        "target/release/l4-front",
        "cargo build --release -p l4-front",
    )
}

/// The identity filter as the gateway loads it.
///
/// # Errors
/// [`HarnessError::NotBuilt`].
pub fn filter() -> Result<PathBuf, HarnessError> {
    built(
        "target/filter/identity_filter.wasm",
        "./scripts/build-filter",
    )
}

/// The filter's signature engines in a module of their own.
///
/// # Errors
/// [`HarnessError::NotBuilt`].
pub fn verifier() -> Result<PathBuf, HarnessError> {
    built(
        "target/filter/verifier.wasm",
        "./scripts/build-filter --with-verifier",
    )
}

/// A path inside the checkout.
#[must_use]
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(path)
}

fn installed(path: &str) -> Result<PathBuf, HarnessError> {
    let path = in_repository(path);
    path.canonicalize()
        .map_err(|_absent| HarnessError::ToolMissing { path })
}

fn built(path: &str, command: &'static str) -> Result<PathBuf, HarnessError> {
    let path = in_repository(path);
    path.canonicalize()
        .map_err(|_absent| HarnessError::NotBuilt { path, command })
}
