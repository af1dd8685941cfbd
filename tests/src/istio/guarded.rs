//! Two workloads behind sidecars, and the istiod that configures these: what stands behind the gateway,
//! without one.

use super::{
    control_plane::ControlPlane,
    manifests::{self, Facts, Served, Workloads},
    overlay::{self, Extension, Words},
    sidecar::{Pods, Sidecar},
};
use crate::{
    envoy::Surroundings, error::HarnessError, pki::Pki, ports, run_folder::RunFolder,
    token::SigningKey, workload::Workload,
};
use serde_json::json;

/// What is behind the gateway. Fields are dropped in this order.
#[derive(Debug)]
pub struct Guarded {
    /// Before the workload of `payments`, and before that of `orders`.
    pub sidecars: [Sidecar; 2],
    /// Who configures them.
    pub control: ControlPlane,
    /// What istiod was told at first.
    pub served: Served,
    /// The workload of the namespace `payments`.
    pub payments: Workload,
    /// The workload of the namespace `orders`.
    pub orders: Workload,
    /// The certificates.
    pub pki: Pki,
    /// The files.
    pub folder: RunFolder,
}

impl Guarded {
    /// Starts everything and waits until all of it is ready.
    ///
    /// # Errors
    /// Whatever keeps a part from starting, with the end of its log.
    pub async fn start() -> Result<Self, HarnessError> {
        let folder = RunFolder::create()?;
        let pki = Pki::create(&folder)?;
        let pods = Pods::create()?;
        let payments = Workload::start_in(&pods.payments, "payments")?;
        let orders = Workload::start_in(&pods.orders, "orders")?;
        // No gateway asks for keys, nor for the image, nor for the policy.
        let around = Surroundings {
            pki: &pki,
            keys: ports::free()?,
            plugin: &json!({ "providers": [{
                "issuer": "https://issuer.example.com",
                "audiences": ["https://api.example.com"],
            }] }),
            workers: 1,
            bootstrap: |_as_it_is| (),
            payments: payments.address(),
            orders: orders.address(),
        };
        let facts = Facts {
            port: ports::free()?.port(),
            around: &around,
            words: Words::Istio,
            workloads: Workloads::BehindSidecars,
            second_check: &json!({ "keys": [SigningKey::es256("some")?.public_jwk()] }),
        };
        let built = overlay::build(NO_IMAGE, Extension::WasmPlugin, Words::Istio, &folder)?;
        let served = manifests::replace(&built, &facts)?;
        let control = ControlPlane::start("istiod", &served, &pki, &folder).await?;
        let sidecars = [
            Sidecar::start("payments", pods.payments, &control, &pki, &folder).await?,
            Sidecar::start("orders", pods.orders, &control, &pki, &folder).await?,
        ];
        Ok(Self {
            sidecars,
            control,
            served,
            payments,
            orders,
            pki,
            folder,
        })
    }

    /// Tells istiod this from now on.
    ///
    /// # Errors
    /// As [`ControlPlane::serve`].
    pub fn tell(&self, served: &Served) -> Result<(), HarnessError> {
        self.control.serve(served, &self.folder)
    }
}

const NO_IMAGE: &str = "oci://127.0.0.1/none@sha256:\
    0000000000000000000000000000000000000000000000000000000000000000";
