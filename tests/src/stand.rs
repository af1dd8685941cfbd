//! A test stand: one gateway without the front, a fake key server, one workload. What is sent to it goes
//! through the real Envoy and the real module, and nobody else sends anything.

use std::net::{Ipv4Addr, SocketAddr};

use hyper::StatusCode;
use serde_json::Value;

use crate::{
    conversation::{
        Mismatch, expect,
        mirror::Mirror,
        verdict::{allowed, decision_of, expect_denial},
    },
    deadline::eventually,
    dialer::Dialer,
    envoy::{Gateway, Surroundings},
    error::HarnessError,
    http::{Ask, Exchange, Reply},
    issuer,
    key_server::KeyServer,
    mesh::LOG_LIMIT,
    pki::Pki,
    run_folder::RunFolder,
    workload::Workload,
};

/// Everything of a stand. Fields are dropped in this order: first who sends, last the files.
#[derive(Debug)]
pub struct Stand {
    /// Envoy with the filter.
    pub gateway: Gateway,
    /// Whose keys the filter fetches.
    pub keys: KeyServer,
    /// What every allowed request reaches.
    pub workload: Workload,
    pki: Pki,
    folder: RunFolder,
}

impl Stand {
    /// Starts everything. `prepare` gives the filter's configuration, and says what the key server
    /// answers.
    ///
    /// # Errors
    /// Whatever keeps a peer from starting, with the end of its log.
    pub async fn start(
        workers: usize,
        prepare: impl FnOnce(&KeyServer) -> Value,
    ) -> Result<Self, HarnessError> {
        Self::start_with(workers, |_as_it_is| (), prepare).await
    }

    /// The same with an Envoy whose own configuration `bootstrap` edits.
    ///
    /// # Errors
    /// As above.
    pub async fn start_with(
        workers: usize,
        bootstrap: fn(&mut Value),
        prepare: impl FnOnce(&KeyServer) -> Value,
    ) -> Result<Self, HarnessError> {
        let folder = RunFolder::create()?;
        let pki = Pki::create(&folder)?;
        let keys = KeyServer::start(&pki.issuer).await?;
        let workload = Workload::start("workload").await?;
        let plugin = prepare(&keys);
        let around = Surroundings {
            pki: &pki,
            keys: keys.address(),
            plugin: &plugin,
            workers,
            bootstrap,
            payments: workload.address(),
            orders: workload.address(),
        };
        let gateway = Gateway::start("gateway", &around, &folder).await?;
        Ok(Self {
            gateway,
            keys,
            workload,
            pki,
            folder,
        })
    }

    /// Leaves the logs behind: there is something to look at.
    pub fn keep_files(&mut self) {
        self.folder.keep();
    }

    /// To the gateway, as the front would be for a downstream at this address.
    #[must_use]
    pub fn dialer_for(&self, source: Ipv4Addr) -> Dialer {
        self.gateway.dialer_for(&self.pki, source)
    }

    /// A connection of its own, for the downstream that most tests are.
    ///
    /// # Errors
    /// As [`Exchange::open`].
    pub async fn open(&self) -> Result<Exchange, HarnessError> {
        Exchange::open(&self.gateway.dialer_past_the_front(&self.pki)).await
    }

    /// The request passes, and this is what the workload saw of it.
    ///
    /// # Errors
    /// [`Mismatch`] if it does not.
    pub async fn allowed(&self, ask: Ask) -> Result<Mirror, Mismatch> {
        allowed(&mut self.open().await?, ask).await
    }

    /// The request is denied with this status and, in the audit record, this reason. The answer gives
    /// nothing away, and the workload does not hear of the request.
    ///
    /// # Errors
    /// [`Mismatch`] if any of it does not hold.
    pub async fn denied(
        &self,
        ask: Ask,
        status: StatusCode,
        reason: &str,
    ) -> Result<Reply, Mismatch> {
        let before = self.workload.requests();
        let reply = self.open().await?.send(ask).await?;
        let decision = decision_of(&reply, &[status])?;
        let what = format!("an audit record of decision {decision}");
        let record = eventually(&what, LOG_LIMIT, async || {
            let mut records = self.gateway.audit().into_iter().rev();
            records.find(|record| record["decision_id"] == decision)
        })
        .await?;
        expect_denial(&record, status, reason)?;
        expect(
            "the requests that reached the workload",
            self.workload.requests(),
            before,
        )?;
        Ok(reply)
    }

    /// A counter or gauge of Envoy's; 0 where nothing has touched it yet.
    ///
    /// # Errors
    /// [`HarnessError::Http`] if the admin port does not answer.
    pub async fn metric(&self, name: &str) -> Result<u64, HarnessError> {
        metric(self.gateway.admin(), name).await
    }
}

/// A counter or gauge of Envoy's; 0 where nothing has touched it yet.
///
/// # Errors
/// [`HarnessError::Http`] if the admin port does not answer.
pub async fn metric(admin: SocketAddr, name: &str) -> Result<u64, HarnessError> {
    let ask = Ask::get(&admin.to_string(), &format!("/stats?filter=^{name}$"));
    let reply = Exchange::open_clear(admin).await?.send(ask).await?;
    let text = reply.text();
    let value = text.lines().find_map(|line| line.split_once(": "));
    Ok(value
        .and_then(|(_name, value)| value.trim().parse().ok())
        .unwrap_or(0))
}

/// Where a page of the stand's key server is, as the filter is told.
#[must_use]
pub fn url(keys: &KeyServer, page: &str) -> String {
    format!("https://{}:{}{page}", issuer::HOST, keys.address().port())
}
