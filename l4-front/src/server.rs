//! The process: signals, reloads, upgrades, and the way out.

mod ends;

use std::future::pending;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use self::ends::Ends;
use crate::admin::Pages;
use crate::cluster::metrics::ClusterMetrics;
use crate::config::Config;
use crate::drain::{DrainTrigger, Phase};
use crate::error_chain::chain;
use crate::front::{Front, RunError};
use crate::inherited::Inherited;
use crate::metrics::Metrics;
use crate::reload::{Reloader, Status};
use crate::service_manager::{Notifier, ServiceManager};
use crate::upgrade::predecessor::{self, Endpoint, Taken};
use crate::upgrade::successor::{self, Handed, Predecessor};
use crate::upgrade::{UpgradeError, launch};
use crate::worker::{Crew, runtime};
use crate::{sandbox, watchdog};

/// What a connection may take to write its last line once it was told to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a process begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// On sockets that it binds, or that a service manager gives it.
    Fresh,
    /// On the sockets of the process that serves now, if there is one, and in its place.
    TakeOver,
}

/// Why a process no longer accepts connections.
enum Leave {
    /// It is to end.
    Stop,
    /// Another one accepts them.
    Replaced(Taken),
}

/// Runs until SIGTERM or SIGINT, or until another process takes its place, then drains. A second
/// signal ends the drain at once. On SIGHUP, and when the files have changed, the configuration is
/// loaded again from `path`. On SIGUSR2 the program is started anew, to take this one's place.
///
/// # Errors
/// If it cannot start. Nothing is left bound, and a process whose place it was to take goes on.
pub fn run(path: &Path, config: Config, start: Start) -> Result<(), RunError> {
    let manager = ServiceManager::meet()?;
    // The limits of control groups count too, and are files.
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = config.workers.unwrap_or(cores);
    // Before there are other threads, which would be left out.
    sandbox::enter(&config)?;
    let control = runtime()?;
    let (threads, refused) = control.block_on(serve(path, config, workers, start, manager))?;
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread ended by panic");
        }
    }
    tracing::info!("stopped");
    refused.map_or(Ok(()), |error| Err(error.into()))
}

async fn serve(
    path: &Path,
    config: Config,
    workers: usize,
    start: Start,
    mut manager: ServiceManager,
) -> Result<(Vec<JoinHandle<()>>, Option<UpgradeError>), RunError> {
    let ends = Ends::catch()?;
    let hangup = signal(SignalKind::hangup())?;
    let upgrade = signal(SignalKind::user_defined2())?;
    let (trigger, drain) = DrainTrigger::new();
    let (alive, all_done) = mpsc::channel(1);
    let configured = config.addresses();
    let unmatched = manager.sockets.addresses().into_iter();
    if let Some(address) = unmatched.clone().find(|one| !configured.contains(one)) {
        return Err(RunError::Unmatched { address });
    }
    let (predecessor, endpoint) = match &config.upgrade {
        None if start == Start::TakeOver => return Err(UpgradeError::NoSocket.into()),
        None => (None, None),
        Some(upgrade) => {
            let socket = &upgrade.socket;
            let (predecessor, sockets) = meet_predecessor(socket, start).await?;
            manager.sockets.join(sockets);
            (predecessor, Some(Endpoint::bind(socket)?))
        }
    };
    let metrics = Arc::new(Metrics::default());
    let (status, told) = watch::channel(Status::first());
    let (clusters, present) = watch::channel(Arc::from([]));
    let mut registry = metrics.registry();
    registry.register_collector(Box::new(ClusterMetrics(present.clone())));
    let pages = Arc::new(Pages {
        registry,
        clusters: present,
        status: told,
    });
    let crew = Crew::start(workers, config.pin_workers, &metrics, &drain, &alive)?;
    let front = Front::new(crew, Arc::clone(&metrics), pages, clusters, drain);
    drop(alive);
    let notifier = manager.notifier;
    let reloader = Reloader::start(
        path,
        front,
        config,
        &mut manager.sockets,
        metrics,
        status,
        notifier.clone(),
    )
    .await?;
    let mut process = Process {
        ends,
        hangup,
        upgrade,
        reloader,
        endpoint,
        successor: None,
        notifier,
    };
    let refused = process.take_place(predecessor, manager.sockets).await.err();
    let leave = match &refused {
        None => {
            tracing::info!(workers, "serving");
            process.notifier.ready("serving");
            let watched = manager.watchdog.map(|every| {
                let pulse = process.reloader.front().pulse();
                tokio::spawn(watchdog::keep(every, pulse, process.notifier.clone()))
            });
            let leave = process.serve().await;
            if let Some(watched) = watched {
                watched.abort();
            }
            leave
        }
        // The other process goes on. What this one has accepted by now is its own to serve.
        Some(_refused) => Leave::Stop,
    };
    let threads = process.end(leave, &trigger, all_done).await;
    Ok((threads, refused))
}

/// The process that serves now, and its sockets. One that does not want to be replaced must not be
/// joined unseen: the kernel would share its connections out among both.
async fn meet_predecessor(
    socket: &Path,
    start: Start,
) -> Result<(Option<Predecessor>, Inherited), UpgradeError> {
    match start {
        Start::Fresh if successor::is_served(socket).await => {
            let path = socket.to_owned();
            Err(UpgradeError::Running { path })
        }
        Start::Fresh => Ok((None, Inherited::default())),
        Start::TakeOver => match successor::connect(socket).await? {
            Some((predecessor, sockets)) => Ok((Some(predecessor), sockets)),
            None => {
                tracing::info!("nobody serves yet, there is no place to take");
                Ok((None, Inherited::default()))
            }
        },
    }
}

/// The process while it serves.
struct Process {
    ends: Ends,
    hangup: Signal,
    upgrade: Signal,
    reloader: Reloader,
    endpoint: Option<Endpoint>,
    /// Started by this process, to take its place.
    successor: Option<Child>,
    notifier: Notifier,
}

impl Process {
    /// Tells the predecessor that this process accepts, and waits for successors in its place. What
    /// nobody wanted of its sockets is closed before: the predecessor serves what waits there.
    async fn take_place(
        &mut self,
        predecessor: Option<Predecessor>,
        unwanted: Inherited,
    ) -> Result<(), UpgradeError> {
        let addresses = unwanted.addresses();
        drop(unwanted);
        let handed = match predecessor {
            None => None,
            Some(predecessor) => Some(predecessor.ready(addresses).await?),
        };
        if let Some(endpoint) = &mut self.endpoint
            && let Err(error) = endpoint.publish()
        {
            // A process that serves has more to lose than its next upgrade.
            let error = chain(&error);
            tracing::error!(error, "no process can take the place of this one");
            self.endpoint = None;
        }
        match handed {
            Some(Handed::Over(predecessor)) => {
                drop(predecessor);
                tracing::info!("took the place of another process");
            }
            Some(Handed::Alone(error)) => {
                let error = chain(&error);
                tracing::warn!(error, "the process before this one did not answer any more");
            }
            None => {}
        }
        Ok(())
    }

    async fn serve(&mut self) -> Leave {
        loop {
            tokio::select! {
                () = self.ends.next() => return Leave::Stop,
                _ = self.hangup.recv() => self.reloader.reload().await,
                () = self.reloader.files_changed() => self.reloader.reload().await,
                _ = self.upgrade.recv() => self.start_successor(),
                ended = ended(&mut self.successor) => self.successor_ended(ended),
                stream = next(self.endpoint.as_ref()) => {
                    if let Some(leave) = self.hand_over(stream).await {
                        return leave;
                    }
                }
            }
        }
    }

    fn start_successor(&mut self) {
        if self.endpoint.is_none() {
            tracing::error!("SIGUSR2: without upgrade.socket nothing can be handed over");
        } else if self.successor.is_some() {
            tracing::error!("SIGUSR2: another process is just about to take the place of this one");
        } else {
            match launch::successor() {
                Ok(child) => {
                    tracing::info!(pid = child.id(), "SIGUSR2: the successor is started");
                    self.successor = Some(child);
                }
                Err(error) => tracing::error!(%error, "SIGUSR2: the successor cannot be started"),
            }
        }
    }

    fn successor_ended(&mut self, ended: std::io::Result<ExitStatus>) {
        self.successor = None;
        let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        tracing::error!(status, "the successor ended, this process goes on");
    }

    /// `None`: nothing has changed. While it lasts nothing is reloaded, so what is handed over is
    /// what there is.
    async fn hand_over(&mut self, stream: UnixStream) -> Option<Leave> {
        let sockets = self.reloader.front().sockets();
        let handed = tokio::select! {
            handed = predecessor::hand_over(stream, &sockets) => handed,
            () = self.ends.next() => return Some(Leave::Stop),
        };
        match handed {
            Ok(taken) => Some(Leave::Replaced(taken)),
            Err(error) => {
                let error = chain(&error);
                tracing::error!(error, "nothing is handed over, this process goes on");
                None
            }
        }
    }

    /// Accepts no more, and waits for the connections that are open. A process that was replaced has
    /// more time for them than one that is to stop, until it is told to stop as well.
    async fn end(
        mut self,
        leave: Leave,
        trigger: &DrainTrigger,
        mut all_done: mpsc::Receiver<()>,
    ) -> Vec<JoinHandle<()>> {
        let (limits, mut front) = self.reloader.end();
        let (threads, within) = match leave {
            Leave::Stop => {
                tracing::info!(seconds = limits.stop.as_secs(), "draining");
                trigger.set(Phase::Draining);
                self.notifier.stopping("draining");
                drop(self.endpoint);
                (front.leave(), limits.stop)
            }
            Leave::Replaced(taken) => {
                let (pid, seconds) = (taken.pid, limits.upgrade.as_secs());
                front.give_away(&taken.unwanted);
                trigger.set(Phase::HandedOver);
                tracing::info!(pid, seconds, "handed over to another process, draining");
                let ours = self.successor.and_then(|child| child.id());
                if ours.and_then(|id| i32::try_from(id).ok()) == Some(pid) {
                    let status = "serving, took the place of another process";
                    self.notifier.main_process(pid, status);
                } else {
                    self.notifier.stopping("draining, another process serves");
                }
                let threads = front.leave();
                taken.settled().await;
                drop(self.endpoint);
                let told_to_stop = tokio::select! {
                    _ = timeout(limits.upgrade, all_done.recv()) => false,
                    () = self.ends.next() => true,
                };
                let within = if told_to_stop {
                    limits.stop
                } else {
                    Duration::ZERO
                };
                (threads, within)
            }
        };
        tokio::select! {
            _ = timeout(within, all_done.recv()) => {}
            () = self.ends.next() => {}
        }
        trigger.set(Phase::Forced);
        let _ = timeout(LAST_WORDS, all_done.recv()).await;
        threads
    }
}

/// Never, where there is none.
async fn ended(successor: &mut Option<Child>) -> std::io::Result<ExitStatus> {
    match successor {
        Some(child) => child.wait().await,
        None => pending().await,
    }
}

/// Never, where there is none.
async fn next(endpoint: Option<&Endpoint>) -> UnixStream {
    match endpoint {
        Some(endpoint) => endpoint.next().await,
        None => pending().await,
    }
}
