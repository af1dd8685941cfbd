//! The process: sockets, workers, admin endpoint, signals, and the way out.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::access_log::AccessLog;
use crate::admin::Pages;
use crate::cluster::metrics::ClusterMetrics;
use crate::config::Config;
use crate::drain::{Drain, DrainTrigger, Phase};
use crate::listener::{Acceptor, take_over};
use crate::metrics::Metrics;
use crate::shared::{Places, Shared};
use crate::spread::{Accepted, Workers};
use crate::tcp::Listening;
use crate::{admin, cluster};

/// What a connection may take to write its last line once it was told to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why the front could not start, or had to stop.
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
    /// Threads or signal handlers cannot be had.
    #[error("cannot start")]
    Start(#[from] io::Error),
}

/// Runs until SIGTERM or SIGINT, then drains. A second signal ends the drain at once.
///
/// # Errors
/// If it cannot start. Nothing is left bound.
pub fn run(config: Config) -> Result<(), RunError> {
    let control = runtime()?;
    let _entered = control.enter();
    let mut sockets = bind_all(&config)?;
    let admin = config
        .admin
        .map(|address| bind("admin.bind", address, &Listening::PLAIN))
        .transpose()?;
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );

    let (access_log, writer) = match config.access_log {
        None => (None, None),
        Some((path, format)) => {
            let opened = AccessLog::open(&path, format);
            let (log, writer) = opened.map_err(|source| RunError::AccessLog { path, source })?;
            (Some(log), Some(writer))
        }
    };
    for listener in &config.listeners {
        tracing::info!(name = listener.name, address = %listener.bind, "listening");
    }
    if let Some(address) = config.admin {
        tracing::info!(%address, "admin endpoint");
    }
    let metrics = Arc::new(Metrics::default());
    let clusters: Arc<[_]> = config.clusters.into_iter().map(Arc::new).collect();
    let mut registry = metrics.registry();
    registry.register_collector(Box::new(ClusterMetrics(Arc::clone(&clusters))));
    let pages = Arc::new(Pages {
        registry,
        clusters: Arc::clone(&clusters),
    });
    let places = Places::new(config.connections);
    let listeners: Vec<_> = config
        .listeners
        .into_iter()
        .map(|listener| {
            let (clusters, metrics) = (Arc::clone(&clusters), Arc::clone(&metrics));
            let (log, places) = (access_log.clone(), Arc::clone(&places));
            Arc::new(Shared::new(listener, clusters, metrics, log, places))
        })
        .collect();
    drop(access_log);

    let (trigger, drain) = DrainTrigger::new();
    let (alive, mut all_done) = mpsc::channel(1);
    let mut workers = Vec::new();
    for (number, (view, queue)) in Workers::new(config.workers, &metrics)
        .into_iter()
        .enumerate()
    {
        let mine = listeners
            .iter()
            .cloned()
            .zip(sockets.split_off(sockets.len() - listeners.len()));
        let work = Work {
            listeners: mine.collect(),
            workers: view,
            queue,
            drain: drain.clone(),
            alive: alive.clone(),
        };
        workers.push(spawn_worker(number, config.pin_workers, work)?);
    }
    drop((alive, listeners));

    control.block_on(async {
        if let Some(socket) = admin {
            tokio::spawn(admin::serve(TcpListener::from_std(socket)?, pages, drain));
        }
        for cluster in clusters.iter() {
            tokio::spawn(cluster::keep(Arc::clone(cluster)));
        }
        tracing::info!(workers = config.workers, "serving");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!(seconds = config.drain.as_secs(), "draining");
        trigger.set(Phase::Draining);
        tokio::select! {
            _ = timeout(config.drain, all_done.recv()) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        trigger.set(Phase::Forced);
        let _ = timeout(LAST_WORDS, all_done.recv()).await;
        Ok::<_, RunError>(())
    })?;
    for worker in workers {
        if worker.join().is_err() {
            tracing::error!("a worker ended by panic");
        }
    }
    if writer.is_some_and(|writer| writer.join().is_err()) {
        tracing::error!("the access log's writer ended by panic");
    }
    tracing::info!("stopped");
    Ok(())
}

/// For each worker one socket per listener, in the listeners' order.
fn bind_all(config: &Config) -> Result<Vec<std::net::TcpListener>, RunError> {
    let mut sockets = Vec::new();
    for _worker in 0..config.workers {
        for (index, listener) in config.listeners.iter().enumerate() {
            let at = format!("listeners[{index}].bind");
            sockets.push(bind(&at, listener.bind, &listener.tcp)?);
        }
    }
    Ok(sockets)
}

fn bind(
    at: &str,
    address: SocketAddr,
    options: &Listening,
) -> Result<std::net::TcpListener, RunError> {
    options.bind(address).map_err(|source| RunError::Bind {
        at: at.to_owned(),
        address,
        source,
    })
}

/// What one worker needs.
struct Work {
    listeners: Vec<(Arc<Shared>, std::net::TcpListener)>,
    workers: Workers,
    queue: mpsc::Receiver<Accepted>,
    drain: Drain,
    alive: mpsc::Sender<()>,
}

fn spawn_worker(number: usize, pinned: bool, work: Work) -> io::Result<thread::JoinHandle<()>> {
    let runtime = runtime()?;
    thread::Builder::new()
        .name(format!("worker-{number}"))
        .spawn(move || {
            if pinned && let Err(error) = pin(number) {
                tracing::warn!(number, %error, "pin_workers: a worker is not pinned");
            }
            let Work {
                listeners,
                workers,
                queue,
                drain,
                alive,
            } = work;
            runtime.block_on(async {
                let (task, mut tasks) = mpsc::channel(1);
                for (shared, socket) in listeners {
                    match TcpListener::from_std(socket) {
                        Ok(socket) => {
                            let (drain, task) = (drain.clone(), task.clone());
                            let acceptor = Acceptor::new(shared, drain, task, workers.clone());
                            tokio::spawn(acceptor.run(socket));
                        }
                        Err(error) => tracing::error!(%error, "a listener could not be started"),
                    }
                }
                // Its queue ends when no acceptor of any worker is left.
                drop(workers);
                tokio::spawn(take_over(queue, drain, task));
                // Nothing is ever sent: this ends when the last task has dropped its end.
                let _ = tasks.recv().await;
            });
            drop(alive);
        })
}

/// Keeps this thread on one of the processors that the process may use.
fn pin(number: usize) -> nix::Result<()> {
    let me = Pid::from_raw(0);
    let allowed = sched_getaffinity(me)?;
    let mut processors = Vec::new();
    for processor in 0..CpuSet::count() {
        if allowed.is_set(processor)? {
            processors.push(processor);
        }
    }
    let turn = number.checked_rem(processors.len()).unwrap_or_default();
    let mut one = CpuSet::new();
    one.set(processors.get(turn).copied().unwrap_or_default())?;
    sched_setaffinity(me, &one)
}

fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}
