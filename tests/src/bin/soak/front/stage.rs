//! The front of a run, what stands behind it, and what the senders know of it.

use std::{fs, net::SocketAddr};

use e2e::{
    dialer::Dialer, error::HarnessError, front::Front, pki::Pki, ports, receiver::Receiver,
    run_folder::RunFolder,
};
use rustls::pki_types::CertificateDer;
use tokio::task::JoinSet;

use super::{
    endpoint::{self, Endpoint},
    quiet::open_files,
};

/// Everything of a run. Fields are dropped in this order: first the front, last the files.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The one that serves.
    pub(crate) front: Front,
    /// The one whose place it took.
    pub(crate) before: Option<Front>,
    pub(crate) town: Town,
    /// Of two endpoints the one that goes and comes back.
    fragile: Option<Endpoint>,
    fragile_address: SocketAddr,
    _steady: Endpoint,
    _direct: JoinSet<()>,
    /// Files that the first front had open before anybody came.
    pub(super) files_at_rest: usize,
    texts: [String; 2],
    pki: Pki,
    pub(super) folder: RunFolder,
}

/// Where the senders go.
#[derive(Debug, Clone)]
pub(crate) struct Town {
    /// Ends TLS; `steady` leads to an endpoint that stays, `fragile` to that or to one that does not.
    pub(crate) public: SocketAddr,
    /// The same behind a trusted proxy.
    pub(crate) proxied: SocketAddr,
    /// Passes TLS through.
    pub(crate) through: SocketAddr,
    root: CertificateDer<'static>,
}

/// The name whose endpoint stays.
pub(crate) const STEADY: &str = "api.example.com";
/// The name with an endpoint that goes and comes back.
pub(crate) const FRAGILE: &str = "shop.example.com";

impl Town {
    /// To one of the listeners.
    pub(crate) fn dialer(&self, listener: SocketAddr, name: &str) -> Dialer {
        Dialer::public(listener, name, self.root.clone())
    }
}

impl Stage {
    /// Starts everything.
    pub(crate) async fn set() -> Result<Self, HarnessError> {
        let folder = RunFolder::create()?;
        let pki = Pki::create(&folder)?;
        let steady = Endpoint::start(Receiver::start(&pki).await?);
        let fragile = Endpoint::start(Receiver::start(&pki).await?);
        let (direct, serving) = endpoint::serve_directly(&pki).await?;
        let town = Town {
            public: ports::free()?,
            proxied: ports::free()?,
            through: ports::free()?,
            root: pki.edge.root(),
        };
        let socket = folder.file("upgrade.sock").display().to_string();
        let plan = Plan {
            town: &town,
            fragile: fragile.address,
            direct,
            socket: &socket,
        };
        let edit = |config: String| plan.edit(&config);
        let front = Front::start_with(town.public, &[steady.address], &pki, &folder, edit).await?;
        let text = read(&front)?;
        let other = text.replace("attempts: 3", "attempts: 4");
        let files_at_rest = open_files(&front).await;
        Ok(Self {
            fragile_address: fragile.address,
            fragile: Some(fragile),
            before: None,
            _steady: steady,
            _direct: serving,
            files_at_rest,
            texts: [text, other],
            front,
            town,
            pki,
            folder,
        })
    }

    /// The front reads another configuration.
    pub(crate) async fn reload(&mut self) -> Result<(), HarnessError> {
        self.texts.swap(0, 1);
        let path = self.front.config();
        fs::write(path, &self.texts[0]).map_err(|source| HarnessError::File {
            verb: "write",
            path: path.to_owned(),
            source,
        })?;
        self.front.reload().await
    }

    /// Another process takes the front's place.
    pub(crate) async fn upgrade(&mut self) -> Result<(), HarnessError> {
        let new = self
            .front
            .take_over("successor", &self.texts[0], &self.folder)
            .await?;
        self.before = Some(std::mem::replace(&mut self.front, new));
        Ok(())
    }

    /// The endpoint is gone at once, with all its connections but those of requests.
    pub(crate) async fn lose_the_endpoint(&mut self) -> Result<(), HarnessError> {
        match self.fragile.take() {
            Some(endpoint) => endpoint.die().await,
            None => Ok(()),
        }
    }

    /// It is back.
    pub(crate) async fn regain_the_endpoint(&mut self) -> Result<(), HarnessError> {
        if self.fragile.is_none() {
            let receiver = Receiver::start_at(self.fragile_address, &self.pki).await?;
            self.fragile = Some(Endpoint::start(receiver));
        }
        Ok(())
    }

    /// The port of the endpoint that goes.
    pub(crate) fn fragile_port(&self) -> u16 {
        self.fragile_address.port()
    }

    /// Leaves the logs behind: there is something to look at.
    pub(crate) fn keep_files(&mut self) {
        self.folder.keep();
    }
}

struct Plan<'run> {
    town: &'run Town,
    fragile: SocketAddr,
    direct: SocketAddr,
    socket: &'run str,
}

impl Plan<'_> {
    /// The front of the end-to-end tests, with two listeners and two clusters more.
    fn edit(&self, config: &str) -> String {
        let Town {
            public,
            proxied,
            through,
            ..
        } = self.town;
        let config = config
            .replace(
                "handshake_seconds: 10",
                "client_hello_seconds: 1, handshake_seconds: 10",
            )
            .replace(
                "  routes:\n",
                &format!("  routes:\n  - {{ sni: [\"{FRAGILE}\"], cluster: fragile }}\n"),
            );
        let between = |from: &str, to: &str| {
            let (_, rest) = config.split_once(from).unwrap_or_default();
            rest.split_once(to).unwrap_or_default().0.to_owned()
        };
        let listener = between("listeners:\n", "clusters:\n");
        let behind_a_proxy = listener.replace("name: public", "name: proxied").replace(
            &format!("  bind: \"{public}\"\n"),
            &format!(
                "  bind: \"{proxied}\"\n  accept_proxy_protocol: true\n  \
                 trusted_proxies: {{ sources: [127.0.0.0/8] }}\n"
            ),
        );
        let passing = format!(
            "- name: through\n  bind: \"{through}\"\n  \
             routes: [{{ sni: [\"*.example.com\"], cluster: direct }}]\n"
        );
        let cluster = between("clusters:\n", "access_log:");
        let more = format!(
            "  endpoints:\n  - {{ address: \"{}\", weight: 1 }}",
            self.fragile
        );
        let fragile = cluster
            .replace("name: gateway", "name: fragile")
            .replace("  endpoints:", &more);
        let direct = format!(
            "- name: direct\n  endpoints: [{{ address: \"{}\" }}]\n  proxy_protocol: none\n",
            self.direct
        );
        let config = config.replace(
            "clusters:\n",
            &format!("{behind_a_proxy}{passing}clusters:\n"),
        );
        let config = config.replace("access_log:", &format!("{fragile}{direct}access_log:"));
        format!(
            "{config}upgrade: {{ socket: \"{}\", drain_seconds: 600 }}\n",
            self.socket
        )
    }
}

fn read(front: &Front) -> Result<String, HarnessError> {
    fs::read_to_string(front.config()).map_err(|source| HarnessError::File {
        verb: "read",
        path: front.config().to_owned(),
        source,
    })
}
