//! What serves, and how it becomes what a new configuration wants.
//!
//! All that can fail is done first, and leaves everything as it was; then all is exchanged. New
//! sockets are bound before old ones go; a listener whose address stays keeps its sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle as Task;

use crate::access_log::{self, AccessLog, Format};
use crate::admin::{self, Pages};
use crate::cluster::{self, Cluster};
use crate::config::{Config, Fingerprint, Listener};
use crate::drain::{Drain, DrainTrigger, Phase};
use crate::metrics::Metrics;
use crate::shared::{Places, Shared, Surroundings};
use crate::tcp::Listening;
use crate::worker::{Crew, Order};

/// Why a configuration could not be put to work.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The access log cannot be opened.
    #[error("access_log.path: cannot open {}", .path.display())]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An address cannot be bound.
    #[error("{at}: cannot bind {address}")]
    Bind {
        /// Path in the configuration.
        at: String,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something that a process keeps for as long as it lives.
    #[error("{at}: {got} is asked for, the process runs with {running}, a restart is needed")]
    Fixed {
        /// Path in the configuration.
        at: String,
        /// What the configuration asks for.
        got: String,
        /// What there is.
        running: String,
    },
    /// Threads or signal handlers cannot be had.
    #[error("cannot start")]
    Start(#[from] io::Error),
}

/// A listener at work.
struct Serving {
    bind: SocketAddr,
    fingerprint: Fingerprint,
    slot: Arc<ArcSwap<Shared>>,
    removal: DrainTrigger,
    /// Those that the workers accept from.
    sockets: Vec<TcpListener>,
}

/// A cluster at work, and what it does beside its connections.
struct Kept {
    fingerprint: Fingerprint,
    cluster: Arc<Cluster>,
    keeper: Task<()>,
}

/// See the module.
pub(crate) struct Front {
    metrics: Arc<Metrics>,
    pages: Arc<Pages>,
    present: watch::Sender<Arc<[Arc<Cluster>]>>,
    drain: Drain,
    crew: Crew,
    places: Arc<Places>,
    clusters: Vec<Kept>,
    listeners: Vec<Serving>,
    admin: Option<(SocketAddr, Task<()>)>,
    access_log: Option<AccessLog>,
    /// Those of access logs that were given up write what they still have.
    writers: Vec<JoinHandle<()>>,
}

impl Front {
    /// Workers without work.
    pub(crate) fn new(
        crew: Crew,
        metrics: Arc<Metrics>,
        pages: Arc<Pages>,
        present: watch::Sender<Arc<[Arc<Cluster>]>>,
        drain: Drain,
    ) -> Self {
        Self {
            metrics,
            pages,
            present,
            drain,
            crew,
            places: Places::new(usize::MAX),
            clusters: Vec::new(),
            listeners: Vec::new(),
            admin: None,
            access_log: None,
            writers: Vec::new(),
        }
    }

    /// Puts a configuration to work.
    ///
    /// # Errors
    /// Everything is as it was then.
    pub(crate) async fn apply(&mut self, config: Config) -> Result<(), RunError> {
        self.check_fixed(&config)?;
        let mut sockets = Vec::new();
        for (index, listener) in config.listeners.iter().enumerate() {
            sockets.push(self.sockets_for(&format!("listeners[{index}]"), listener)?);
        }
        let bound = self.admin.as_ref().map(|(bound, _task)| *bound);
        let admin = match config.admin {
            Some(address) if bound != Some(address) => {
                let socket = bind("admin.bind", address, &Listening::PLAIN)?;
                Some((address, tokio::net::TcpListener::from_std(socket)?))
            }
            _ => None,
        };
        self.change_access_log(config.access_log)?;

        // Nothing fails from here on.
        self.places.set_most(config.connections);
        if config.admin.is_none() || admin.is_some() {
            self.change_admin(admin);
        }
        let fingerprints = config.fingerprints;
        self.change_clusters(config.clusters.into_iter().zip(fingerprints.clusters));
        let around = Surroundings {
            clusters: Arc::clone(&self.present.borrow()),
            metrics: Arc::clone(&self.metrics),
            access_log: self.access_log.clone(),
            places: Arc::clone(&self.places),
        };
        let mut before = std::mem::take(&mut self.listeners);
        let listeners = config.listeners.into_iter().map(Arc::new);
        let listeners = listeners.zip(fingerprints.listeners);
        for ((listener, fingerprint), sockets) in listeners.zip(sockets) {
            let place = before.iter().position(|old| old.bind == listener.bind);
            let serving = match (place.map(|place| before.swap_remove(place)), sockets) {
                (Some(old), _) => old.go_on_as(listener, fingerprint, &around),
                (None, sockets) => {
                    let (new, orders) = Serving::start(listener, fingerprint, &around, sockets);
                    self.crew.give(orders).await;
                    new
                }
            };
            self.listeners.push(serving);
        }
        before.into_iter().for_each(Serving::remove);
        Ok(())
    }

    /// Takes no more orders, once the drain has begun. The threads end with their last connection
    /// and their last line; the admin endpoint answers until the process ends.
    pub(crate) fn leave(self) -> Vec<JoinHandle<()>> {
        let mut threads = self.crew.dismiss();
        threads.extend(self.writers);
        threads
    }

    fn check_fixed(&self, config: &Config) -> Result<(), RunError> {
        if let Some(got) = config.workers {
            fixed("workers", got, self.crew.size())?;
        }
        fixed("pin_workers", config.pin_workers, self.crew.is_pinned())
    }

    /// For each worker one socket, and the same again for this thread; none where the listener has
    /// them already.
    fn sockets_for(
        &self,
        at: &str,
        listener: &Listener,
    ) -> Result<Vec<(TcpListener, TcpListener)>, RunError> {
        let serving = self.listeners.iter().find(|old| old.bind == listener.bind);
        if let Some(serving) = serving {
            let before = serving.slot.load().listener.tcp.ipv6_only;
            fixed(
                &format!("{at}.tcp.ipv6_only"),
                listener.tcp.ipv6_only,
                before,
            )?;
            return Ok(Vec::new());
        }
        let pair = |_worker| {
            let socket = bind(&format!("{at}.bind"), listener.bind, &listener.tcp)?;
            Ok((socket.try_clone()?, socket))
        };
        (0..self.crew.size()).map(pair).collect()
    }

    /// A file that is there is opened again, also under the name that it had: somebody may have
    /// moved it away.
    fn change_access_log(&mut self, to: Option<(PathBuf, Format)>) -> Result<(), RunError> {
        let Some((path, format)) = to else {
            self.access_log = None;
            return Ok(());
        };
        let file = match access_log::open(&path) {
            Ok(file) => file,
            Err(source) => return Err(RunError::AccessLog { path, source }),
        };
        self.access_log = Some(match &self.access_log {
            Some(log) => log.go_on_in(file, format),
            None => {
                let (log, writer) = AccessLog::start(file, format)?;
                self.writers.push(writer);
                log
            }
        });
        Ok(())
    }

    fn change_admin(&mut self, to: Option<(SocketAddr, tokio::net::TcpListener)>) {
        if let Some((_address, task)) = self.admin.take() {
            task.abort();
        }
        self.admin = to.map(|(address, socket)| {
            tracing::info!(%address, "admin endpoint");
            let pages = Arc::clone(&self.pages);
            let task = tokio::spawn(admin::serve(socket, pages, self.drain.clone()));
            (address, task)
        });
    }

    /// A cluster that is the same goes on with all that it knows of its endpoints.
    fn change_clusters(&mut self, to: impl Iterator<Item = (Cluster, Fingerprint)>) {
        let mut before = std::mem::take(&mut self.clusters);
        for (cluster, fingerprint) in to {
            let same = before.iter().position(|old| old.fingerprint == fingerprint);
            self.clusters.push(match same {
                Some(place) => before.swap_remove(place).with_endpoints_of(&cluster),
                None => Kept::new(fingerprint, cluster),
            });
        }
        for gone in before {
            // Its connections go on; nobody looks after its endpoints.
            gone.keeper.abort();
        }
        let present = self.clusters.iter().map(|kept| Arc::clone(&kept.cluster));
        self.present.send_replace(present.collect());
    }
}

impl Kept {
    fn new(fingerprint: Fingerprint, cluster: Cluster) -> Self {
        let cluster = Arc::new(cluster);
        Self {
            fingerprint,
            keeper: tokio::spawn(cluster::keep(Arc::clone(&cluster))),
            cluster,
        }
    }

    /// Endpoints that were discovered are not the configuration's to change.
    fn with_endpoints_of(self, cluster: &Cluster) -> Self {
        let targets = cluster.roster.targets();
        if !targets.is_empty() && targets != self.cluster.roster.targets() {
            self.cluster.roster.update(targets);
        }
        self
    }
}

impl Serving {
    fn start(
        listener: Arc<Listener>,
        fingerprint: Fingerprint,
        around: &Surroundings,
        sockets: Vec<(TcpListener, TcpListener)>,
    ) -> (Self, Vec<Order>) {
        let bind = listener.bind;
        tracing::info!(name = listener.name, address = %bind, "listening");
        let slot = Arc::new(ArcSwap::from_pointee(Shared::new(listener, around, None)));
        let (removal, removed) = DrainTrigger::new();
        let (theirs, ours): (Vec<_>, Vec<_>) = sockets.into_iter().unzip();
        let order = |socket| Order {
            socket,
            slot: Arc::clone(&slot),
            removal: removed.clone(),
        };
        let orders = theirs.into_iter().map(order).collect();
        let serving = Self {
            bind,
            fingerprint,
            slot,
            removal,
            sockets: ours,
        };
        (serving, orders)
    }

    /// On the same sockets. What is written as before, and read from the same certificates, is
    /// kept with its sessions and tickets.
    fn go_on_as(
        self,
        listener: Arc<Listener>,
        fingerprint: Fingerprint,
        around: &Surroundings,
    ) -> Self {
        let before = self.slot.load_full();
        let listener = if fingerprint == self.fingerprint {
            Arc::clone(&before.listener)
        } else {
            tracing::info!(name = listener.name, address = %self.bind, "listener changed");
            listener
        };
        for socket in &self.sockets {
            if let Err(error) = listener.tcp.change(&before.listener.tcp, socket) {
                tracing::warn!(name = listener.name, %error, "a TCP option stays as it was");
            }
        }
        let after = Shared::new(listener, around, Some(&before));
        self.slot.store(Arc::new(after));
        Self {
            fingerprint,
            ..self
        }
    }

    /// Accepts no more; connections live on.
    fn remove(self) {
        let name = &self.slot.load().labels.listener;
        tracing::info!(name, address = %self.bind, "no longer listening");
        // The workers' are the last then, and are closed when nothing waits in them.
        drop(self.sockets);
        self.removal.set(Phase::Draining);
    }
}

fn fixed<T: PartialEq + ToString>(at: &str, got: T, running: T) -> Result<(), RunError> {
    if got == running {
        return Ok(());
    }
    Err(RunError::Fixed {
        at: at.to_owned(),
        got: got.to_string(),
        running: running.to_string(),
    })
}

fn bind(at: &str, address: SocketAddr, options: &Listening) -> Result<TcpListener, RunError> {
    options.bind(address).map_err(|source| RunError::Bind {
        at: at.to_owned(),
        address,
        source,
    })
}
