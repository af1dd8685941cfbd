//! Everything of a run, up and running: the demo and the end-to-end tests both start here.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use hyper::StatusCode;
use serde_json::Value;

use crate::{
    deadline::eventually,
    dialer::Dialer,
    envoy::{Gateway, Surroundings},
    error::HarnessError,
    front::Front,
    http::{Ask, Exchange},
    issuer::{ALICE, Issuer},
    istio::{self, Istio, sidecar::Pods},
    pki::Pki,
    plugin, ports,
    run_folder::RunFolder,
    workload::Workload,
};

/// How a run begins.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// The front's port; none for any free one.
    pub port: Option<u16>,
    /// Whether the OpenID provider is there from the start.
    pub issuer: IssuerAtStart,
    /// Edits the filter's configuration.
    pub plugin: fn(&mut Value),
    /// Who configures the gateways.
    pub gateways: Configured,
    /// Worker threads of each gateway that the harness configures.
    pub workers: usize,
    /// Is told what is being started.
    pub progress: fn(&str),
}

/// Whether the OpenID provider is there from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerAtStart {
    /// It is.
    Up,
    /// It is not; [`Mesh::start_issuer`] starts it.
    Down,
}

/// Who configures the gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configured {
    /// The harness, as istiod would.
    ByHand,
    /// The real Istio, from `istio-manifests/`, with sidecars before the workloads. The process must
    /// be in a network of its own.
    ByIstio,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            port: None,
            issuer: IssuerAtStart::Up,
            plugin: |_configuration| (),
            gateways: Configured::ByHand,
            workers: 1,
            progress: |_line| (),
        }
    }
}

/// The whole way of a request. Fields are dropped in this order: first who sends, last the files.
#[derive(Debug)]
pub struct Mesh {
    /// The outer gate.
    pub front: Front,
    /// The inner gates, replicas of one another.
    pub gateways: Vec<Gateway>,
    /// Who configured them, where it was not the harness.
    pub istio: Option<Istio>,
    /// The OpenID provider.
    pub issuer: Issuer,
    /// The workload of the namespace `payments`.
    pub payments: Workload,
    /// The workload of the namespace `orders`.
    pub orders: Workload,
    /// The certificates.
    pub pki: Pki,
    /// The files.
    pub folder: RunFolder,
}

impl Mesh {
    /// Starts everything and waits until all of it is ready.
    ///
    /// # Errors
    /// Whatever keeps a peer from starting, with the end of its log.
    pub async fn start(setup: Setup) -> Result<Self, HarnessError> {
        let address = setup.port.map_or_else(ports::free, ports::exactly)?;
        let folder = RunFolder::create()?;
        (setup.progress)("certificates of the edge, the mesh and the OpenID provider");
        let pki = Pki::create(&folder)?;
        let mut issuer = Issuer::prepare(&pki, &folder)?;
        if setup.issuer == IssuerAtStart::Up {
            (setup.progress)("the OpenID provider (oidc-provider on Node.js)");
            issuer.start(&folder).await?;
        }
        (setup.progress)("two workloads, of the namespaces payments and orders");
        let (payments, orders, pods) = match setup.gateways {
            Configured::ByHand => {
                let payments = Workload::start("payments").await?;
                (payments, Workload::start("orders").await?, None)
            }
            Configured::ByIstio => {
                let pods = Pods::create()?;
                let payments = Workload::start_in(&pods.payments, "payments")?;
                let orders = Workload::start_in(&pods.orders, "orders")?;
                (payments, orders, Some(pods))
            }
        };
        (setup.progress)("two gateways (Envoy with the identity filter)");
        let mut plugin = plugin::configuration(&issuer);
        (setup.plugin)(&mut plugin);
        let around = Surroundings {
            pki: &pki,
            keys: issuer.address(),
            plugin: &plugin,
            workers: setup.workers,
            bootstrap: |_as_it_is| (),
            payments: payments.address(),
            orders: orders.address(),
        };
        let (gateways, istio) = match pods {
            None => {
                let (first, second) = tokio::try_join!(
                    Gateway::start("gateway-1", &around, &folder),
                    Gateway::start("gateway-2", &around, &folder),
                )?;
                (vec![first, second], None)
            }
            Some(pods) => {
                let (gateways, istio) = istio::start(2, pods, &around, &folder).await?;
                (gateways, Some(istio))
            }
        };
        (setup.progress)("the front (l4-front)");
        let addresses: Vec<SocketAddr> = gateways.iter().map(Gateway::address).collect();
        let front = Front::start(address, &addresses, &pki, &folder).await?;
        let mesh = Self {
            front,
            gateways,
            istio,
            issuer,
            payments,
            orders,
            pki,
            folder,
        };
        if setup.issuer == IssuerAtStart::Up {
            mesh.keys_are_known().await?;
        }
        Ok(mesh)
    }

    /// Envoy is ready before the filter has fetched its first key set, and each gateway fetches for
    /// itself. Waits until each of them has let a good token in.
    ///
    /// # Errors
    /// [`HarnessError::Deadline`] if one never does, and whatever the OpenID provider answers.
    pub async fn keys_are_known(&self) -> Result<(), HarnessError> {
        let token = self.issuer.token(ALICE).await?;
        for gateway in &self.gateways {
            let dialer = gateway.dialer_past_the_front(&self.pki);
            let what = format!("the acceptance of a good token at {}", gateway.address());
            eventually(&what, KEYS_LIMIT, async || {
                let mut exchange = Exchange::open(&dialer).await.ok()?;
                let ask = Ask::get("api.example.com", "/payments/list").bearer(&token);
                let reply = exchange.send(ask).await.ok()?;
                (reply.status == StatusCode::OK).then_some(())
            })
            .await?;
        }
        Ok(())
    }

    /// Starts an OpenID provider that was down at the start.
    ///
    /// # Errors
    /// As [`Issuer::start`].
    pub async fn start_issuer(&mut self) -> Result<(), HarnessError> {
        self.issuer.start(&self.folder).await
    }

    /// A downstream of the front, at an address that is nobody else's.
    #[must_use]
    pub fn downstream(&self, host: &str) -> Dialer {
        Dialer::public(self.front.address(), host, self.pki.edge.root())
            .from(DOWNSTREAM)
            .speaking(&["h2", "http/1.1"])
    }

    /// How many requests have reached any workload.
    #[must_use]
    pub fn requests_at_workloads(&self) -> usize {
        self.payments.requests() + self.orders.requests()
    }

    /// The audit records of all gateways.
    #[must_use]
    pub fn audit(&self) -> Vec<Value> {
        self.gateways.iter().flat_map(Gateway::audit).collect()
    }

    /// The access logs of all gateways.
    #[must_use]
    pub fn gateway_log(&self) -> Vec<Value> {
        self.gateways.iter().flat_map(Gateway::access_log).collect()
    }

    /// The audit record of this decision, as soon as it is written.
    ///
    /// # Errors
    /// [`HarnessError::Deadline`].
    pub async fn audit_of(&self, decision_id: &str) -> Result<Value, HarnessError> {
        let what = format!("an audit record of decision {decision_id}");
        eventually(&what, LOG_LIMIT, async || {
            self.audit()
                .into_iter()
                .find(|record| record["decision_id"] == decision_id)
        })
        .await
    }
}

/// The downstream's own address, so that it cannot be mistaken for the front's.
pub const DOWNSTREAM: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 42));

/// The longest pause that the filter makes between two attempts to fetch keys.
pub const KEYS_LIMIT: Duration = Duration::from_secs(30);

/// Within which a log line that is due stands in its file.
pub const LOG_LIMIT: Duration = Duration::from_secs(10);
