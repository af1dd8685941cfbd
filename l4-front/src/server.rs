//! The process: signals, reloads, and the way out.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::admin::Pages;
use crate::cluster::metrics::ClusterMetrics;
use crate::config::Config;
use crate::drain::{DrainTrigger, Phase};
use crate::front::{Front, RunError};
use crate::metrics::Metrics;
use crate::reload::{Reloader, Status};
use crate::worker::{Crew, runtime};

/// What a connection may take to write its last line once it was told to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT, then drains. A second signal ends the drain at once. On SIGHUP, and
/// when the files have changed, the configuration is loaded again from `path`.
///
/// # Errors
/// If it cannot start. Nothing is left bound.
pub fn run(path: &Path, config: Config) -> Result<(), RunError> {
    let control = runtime()?;
    let threads = control.block_on(serve(path, config))?;
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread ended by panic");
        }
    }
    tracing::info!("stopped");
    Ok(())
}

async fn serve(path: &Path, config: Config) -> Result<Vec<JoinHandle<()>>, RunError> {
    let mut ends = Ends::catch()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (trigger, drain) = DrainTrigger::new();
    let (alive, mut all_done) = mpsc::channel(1);
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = config.workers.unwrap_or(cores);
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
    let mut reloader = Reloader::start(path, front, config, metrics, status).await?;
    tracing::info!(workers, "serving");
    loop {
        tokio::select! {
            () = ends.next() => break,
            _ = hangup.recv() => reloader.reload().await,
            () = reloader.files_changed() => reloader.reload().await,
        }
    }
    let (within, front) = reloader.end();
    tracing::info!(seconds = within.as_secs(), "draining");
    trigger.set(Phase::Draining);
    let threads = front.leave();
    tokio::select! {
        _ = timeout(within, all_done.recv()) => {}
        () = ends.next() => {}
    }
    trigger.set(Phase::Forced);
    let _ = timeout(LAST_WORDS, all_done.recv()).await;
    Ok(threads)
}

/// The signals that end the process.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
