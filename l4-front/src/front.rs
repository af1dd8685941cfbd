//! What serves, and how it becomes what a new configuration wants.
//!
//! All that can fail is done first, and leaves everything as it was; then all is exchanged. New
//! sockets are bound before old ones go; a listener whose address stays keeps its sockets.

mod error;
mod serving;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use socket2::SockRef;
use tokio::sync::watch;
use tokio::task::JoinHandle as Task;

pub use self::error::RunError;
use self::serving::{Serving, Sockets};
use crate::access_log::{self, AccessLog, Format};
use crate::admin::{self, Pages};
use crate::cluster::{self, Cluster};
use crate::config::{Config, Fingerprint, Listener};
use crate::drain::Drain;
use crate::inherited::Inherited;
use crate::metrics::Metrics;
use crate::shared::{Places, Surroundings};
use crate::tcp::Listening;
use crate::worker::{Crew, Pulse};

/// A cluster at work, and what it does beside its connections.
struct Kept {
    fingerprint: Fingerprint,
    cluster: Arc<Cluster>,
    keeper: Task<()>,
}

/// What the admin endpoint is to be served on.
struct AdminSockets {
    bind: SocketAddr,
    kept: Vec<TcpListener>,
    served: Vec<tokio::net::TcpListener>,
}

/// The admin endpoint at work.
struct Admin {
    bind: SocketAddr,
    sockets: Vec<TcpListener>,
    tasks: Vec<Task<()>>,
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
    admin: Option<Admin>,
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

    /// Puts a configuration to work. Of the inherited sockets it takes those that it has an address
    /// for, and binds the others.
    ///
    /// # Errors
    /// Everything is as it was then.
    pub(crate) async fn apply(
        &mut self,
        config: Config,
        inherited: &mut Inherited,
    ) -> Result<(), RunError> {
        self.check_fixed(&config)?;
        let mut sockets = Vec::new();
        for (index, listener) in config.listeners.iter().enumerate() {
            let at = format!("listeners[{index}]");
            sockets.push(self.sockets_for(&at, listener, inherited)?);
        }
        let bound = self.admin.as_ref().map(|admin| admin.bind);
        let admin = match config.admin {
            Some(address) if bound != Some(address) => {
                Some(AdminSockets::open(address, inherited.take(address))?)
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
                // There are sockets for all that were not there before.
                (None, None) => continue,
                (None, Some(sockets)) => {
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

    /// Everything that is accepted from, with the address that it is bound to.
    pub(crate) fn sockets(&self) -> Vec<(SocketAddr, &TcpListener)> {
        let listeners = self.listeners.iter().map(|one| (one.bind, &one.sockets));
        let admin = self.admin.iter().map(|one| (one.bind, &one.sockets));
        let all = listeners.chain(admin);
        all.flat_map(|(bind, sockets)| sockets.iter().map(move |socket| (bind, socket)))
            .collect()
    }

    /// Another process accepts from all sockets but those at `unwanted`: what the kernel has queued
    /// there is served here, and then they are closed.
    pub(crate) fn give_away(&mut self, unwanted: &[SocketAddr]) {
        let (gone, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.listeners)
            .into_iter()
            .partition(|one| unwanted.contains(&one.bind));
        self.listeners = rest;
        gone.into_iter().for_each(Serving::remove);
        if let Some(admin) = self.admin.take_if(|one| !unwanted.contains(&one.bind)) {
            admin.end();
        }
    }

    /// Whom to ask whether the workers make progress.
    pub(crate) fn pulse(&self) -> Pulse {
        self.crew.pulse()
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

    /// None where the listener has them already.
    fn sockets_for(
        &self,
        at: &str,
        listener: &Listener,
        inherited: &mut Inherited,
    ) -> Result<Option<Sockets>, RunError> {
        let at_ipv6_only = format!("{at}.tcp.ipv6_only");
        let ipv6_only = listener.tcp.ipv6_only;
        let serving = self.listeners.iter().find(|old| old.bind == listener.bind);
        if let Some(serving) = serving {
            let before = serving.slot.load().listener.tcp.ipv6_only;
            fixed(&at_ipv6_only, ipv6_only, before)?;
            return Ok(None);
        }
        let workers = self.crew.size();
        let mut sockets = inherited.take(listener.bind);
        if listener.bind.is_ipv6() {
            for socket in &sockets {
                fixed(&at_ipv6_only, ipv6_only, SockRef::from(socket).only_v6()?)?;
            }
        }
        let foreign = !sockets.is_empty();
        if !foreign {
            let bind = |_worker| bind(&format!("{at}.bind"), listener.bind, &listener.tcp);
            sockets = (0..workers).map(bind).collect::<Result<_, _>>()?;
        }
        Ok(Some(Sockets::share(sockets, workers, foreign)?))
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
                let failures = self.metrics.access_log_failures.clone();
                let (log, writer) = AccessLog::start(file, format, failures)?;
                self.writers.push(writer);
                log
            }
        });
        Ok(())
    }

    fn change_admin(&mut self, to: Option<AdminSockets>) {
        let to = to.map(|sockets| {
            tracing::info!(address = %sockets.bind, "admin endpoint");
            let serve = |listener| {
                let pages = Arc::clone(&self.pages);
                tokio::spawn(admin::serve(listener, pages, self.drain.clone()))
            };
            Admin {
                bind: sockets.bind,
                sockets: sockets.kept,
                tasks: sockets.served.into_iter().map(serve).collect(),
            }
        });
        if let Some(before) = std::mem::replace(&mut self.admin, to) {
            before.end();
        }
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

impl AdminSockets {
    /// Binds one where none are inherited.
    fn open(bind_to: SocketAddr, mut sockets: Vec<TcpListener>) -> Result<Self, RunError> {
        if sockets.is_empty() {
            sockets.push(bind("admin.bind", bind_to, &Listening::PLAIN)?);
        }
        let serve = |socket: &TcpListener| tokio::net::TcpListener::from_std(socket.try_clone()?);
        Ok(Self {
            bind: bind_to,
            served: sockets.iter().map(serve).collect::<Result<_, _>>()?,
            kept: sockets,
        })
    }
}

impl Admin {
    /// Requests that are being answered are answered to their end.
    fn end(self) {
        self.tasks.iter().for_each(Task::abort);
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

#[cfg(test)]
mod tests;
