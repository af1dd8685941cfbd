//! Where faults of the real Istio are tried: one gateway behind the front, its istiod and its
//! registry, each of which a test can take away, and a fake key server, whose key signs every token.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{
    agent::{self, Agent},
    control_plane::ControlPlane,
    image,
    manifests::{self, Facts, Workloads},
    overlay::{self, Extension, Words},
};
use crate::{
    dialer::Dialer,
    envoy::{Gateway, Surroundings},
    error::HarnessError,
    front::Front,
    issuer::{AUDIENCE, Issuer, KEY_SET},
    key_server::{Answer, KeyServer},
    mesh::DOWNSTREAM,
    pki::Pki,
    plugin, ports,
    registry::Registry,
    run_folder::RunFolder,
    token::{SigningKey, Token},
    workload::Workload,
};

/// What is there before a gateway, and what istiod is to be told.
#[derive(Debug)]
pub struct Ground {
    /// Has the image.
    pub registry: Registry,
    /// The reference that the manifests pin.
    pub image: String,
    /// The filter's configuration.
    pub plugin: Value,
    /// By which resource the gateway gets the filter.
    pub extension: Extension,
    /// In whose words it has its routes.
    pub words: Words,
    /// The keys of the second check, behind the filter.
    pub second_check: Value,
    /// Edits what kustomize built.
    pub edit: fn(&mut [Value]),
    /// What every allowed request reaches.
    pub workload: Workload,
    /// The certificates.
    pub pki: Pki,
    /// The files.
    pub folder: RunFolder,
    issuer: Issuer,
    _keys: KeyServer,
    key: SigningKey,
    gateway: SocketAddr,
}

/// Everything that stands on it. Fields are dropped in this order: first who sends.
#[derive(Debug)]
pub struct Way {
    /// The outer gate.
    pub front: Front,
    /// The inner one.
    pub gateway: Gateway,
    /// What starts and configures it.
    pub agent: Agent,
    /// Who tells the agent.
    pub control: ControlPlane,
}

impl Ground {
    /// Publishes the filter, and starts all but Istio and the front.
    ///
    /// # Errors
    /// Whatever keeps a part from starting, with the end of its log.
    pub async fn prepare() -> Result<Self, HarnessError> {
        let folder = RunFolder::create()?;
        let pki = Pki::create(&folder)?;
        let issuer = Issuer::prepare(&pki, &folder)?;
        let keys = KeyServer::start_at(issuer.address(), &pki.issuer).await?;
        let key = SigningKey::es256("ground")?;
        keys.answer(KEY_SET, Answer::keys([&key.public_jwk()]));
        let registry = Registry::start(&folder).await?;
        Ok(Self {
            image: image::publish(&registry)?,
            plugin: plugin::configuration(&issuer),
            extension: Extension::WasmPlugin,
            words: Words::Istio,
            second_check: json!({ "keys": [key.public_jwk()] }),
            edit: |_as_they_are| (),
            workload: Workload::start("workload").await?,
            gateway: ports::free()?,
            registry,
            issuer,
            pki,
            folder,
            _keys: keys,
            key,
        })
    }

    /// Istiod, with what it is to be told.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn control(&self) -> Result<ControlPlane, HarnessError> {
        ControlPlane::start("istiod", &self.served()?, &self.pki, &self.folder).await
    }

    /// A gateway that need not come to take connections.
    ///
    /// # Errors
    /// As [`agent::launch`].
    pub fn launch(&self, control: &ControlPlane) -> Result<(Gateway, Agent), HarnessError> {
        agent::launch("gateway", self.gateway, control, &self.pki, &self.folder)
    }

    /// The whole way of a request, as soon as the gateway takes connections.
    ///
    /// # Errors
    /// Whatever keeps a part from starting, with the end of its log.
    pub async fn open(&self) -> Result<Way, HarnessError> {
        let control = self.control().await?;
        let (mut gateway, agent) = self.launch(&control)?;
        gateway.takes_connections(agent::START_LIMIT).await?;
        let addresses = [gateway.address()];
        let front = Front::start(ports::free()?, &addresses, &self.pki, &self.folder).await?;
        Ok(Way {
            front,
            gateway,
            agent,
            control,
        })
    }

    /// Tells istiod what has changed here.
    ///
    /// # Errors
    /// As [`ControlPlane::serve`], and whatever kustomize refuses.
    pub fn tell(&self, control: &ControlPlane) -> Result<(), HarnessError> {
        control.serve(&self.served()?, &self.folder)
    }

    /// A token of somebody in this group.
    ///
    /// # Errors
    /// As [`Token::signed`].
    pub fn token(&self, group: &str) -> Result<String, HarnessError> {
        let token = Token::honest(&self.issuer.url(), AUDIENCE, "alice");
        token.with("groups", json!([group])).signed(&self.key)
    }

    /// A downstream of the front.
    #[must_use]
    pub fn downstream(&self, front: &Front) -> Dialer {
        Dialer::public(front.address(), "api.example.com", self.pki.edge.root())
            .from(DOWNSTREAM)
            .speaking(&["h2"])
    }

    fn served(&self) -> Result<manifests::Served, HarnessError> {
        let around = Surroundings {
            pki: &self.pki,
            keys: self.issuer.address(),
            plugin: &self.plugin,
            workers: 1,
            bootstrap: |_as_it_is| (),
            payments: self.workload.address(),
            orders: self.workload.address(),
        };
        let facts = Facts {
            port: self.gateway.port(),
            around: &around,
            words: self.words,
            workloads: Workloads::Bare,
            second_check: &self.second_check,
        };
        let mut built = overlay::build(&self.image, self.extension, self.words, &self.folder)?;
        (self.edit)(&mut built);
        manifests::replace(&built, &facts)
    }
}
