//! Loads the configuration again, on SIGHUP and when its files have changed, and tells what became
//! of that.

mod file_watch;

use std::future::pending;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use self::file_watch::FileWatch;
use crate::clock;
use crate::config::{Config, ConfigError, NotLoaded, Stamp};
use crate::error_chain::chain;
use crate::front::{Front, RunError};
use crate::inherited::Inherited;
use crate::metrics::Metrics;
use crate::sandbox::Sandbox;
use crate::service_manager::Notifier;

/// Which configuration is at work, and what became of the last attempt to change it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Status {
    /// Counts the configurations that this process has put to work.
    pub(crate) generation: u64,
    /// When this one was put to work, RFC 3339.
    pub(crate) applied: String,
    pub(crate) last_attempt: String,
    /// Why it failed; `null` if it did not.
    pub(crate) last_error: Option<String>,
}

impl Status {
    /// The first configuration, now.
    pub(crate) fn first() -> Self {
        let now = humantime::format_rfc3339_millis(clock::now()).to_string();
        Self {
            generation: 1,
            applied: now.clone(),
            last_attempt: now,
            last_error: None,
        }
    }

    /// For operators.
    pub(crate) fn render(&self) -> String {
        // Numbers and text: there is nothing that JSON cannot hold.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Apply(#[from] RunError),
    #[error(transparent)]
    Load(#[from] ConfigError),
    #[error(
        "the file may lie outside of the sandbox that the process began with, see sandbox.read"
    )]
    Sandboxed(#[source] ConfigError),
}

/// See the module.
pub(crate) struct Reloader {
    path: PathBuf,
    front: Front,
    metrics: Arc<Metrics>,
    status: watch::Sender<Status>,
    files: FileWatch,
    /// How often to look at the files.
    every: Option<Duration>,
    next_look: Instant,
    limits: DrainLimits,
    upgrade_socket: Option<PathBuf>,
    sandbox: Option<Sandbox>,
    notifier: Notifier,
}

/// How long connections may last once no more are accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DrainLimits {
    pub(crate) stop: Duration,
    /// Where another process accepts them.
    pub(crate) upgrade: Duration,
}

impl DrainLimits {
    fn of(config: &Config) -> Self {
        let upgrade = config.upgrade.as_ref().map(|upgrade| upgrade.drain);
        Self {
            stop: config.drain,
            upgrade: upgrade.unwrap_or(config.drain),
        }
    }
}

impl Reloader {
    /// Puts the first configuration to work.
    pub(crate) async fn start(
        path: &Path,
        mut front: Front,
        config: Config,
        inherited: &mut Inherited,
        metrics: Arc<Metrics>,
        status: watch::Sender<Status>,
        notifier: Notifier,
    ) -> Result<Self, RunError> {
        let (files, every) = (FileWatch::new(&config.files), config.watch);
        let limits = DrainLimits::of(&config);
        let (upgrade_socket, sandbox) = (socket_of(&config), config.sandbox.clone());
        front.apply(config, inherited).await?;
        metrics.config_applied(1, clock::now());
        Ok(Self {
            path: path.to_owned(),
            front,
            metrics,
            status,
            files,
            every,
            next_look: Instant::now(),
            limits,
            upgrade_socket,
            sandbox,
            notifier,
        })
    }

    /// Ends when the files have changed. Whoever drops it before loses nothing.
    pub(crate) async fn files_changed(&mut self) {
        loop {
            let Some(every) = self.every else {
                return pending().await;
            };
            sleep_until(self.next_look).await;
            self.next_look = Instant::now() + every;
            let paths = self.files.paths();
            let look = move || paths.iter().map(|path| Stamp::of(path)).collect();
            if let Ok(now) = spawn_blocking(look).await
                && self.files.look(now)
            {
                return;
            }
        }
    }

    /// Loads the configuration again and puts it to work. If it is bad, everything stays as it is.
    pub(crate) async fn reload(&mut self) {
        self.notifier.reloading();
        let result = self.try_reload().await;
        let now = clock::now();
        let time = humantime::format_rfc3339_millis(now).to_string();
        self.status.send_modify(|status| {
            status.last_attempt.clone_from(&time);
            match result {
                Ok(()) => {
                    status.generation += 1;
                    status.applied = time;
                    status.last_error = None;
                    self.metrics.config_applied(status.generation, now);
                    tracing::info!(generation = status.generation, "configuration reloaded");
                }
                Err(error) => {
                    let error = chain(&error);
                    self.metrics.config_refused();
                    tracing::error!(error, "configuration refused, the one before goes on");
                    status.last_error = Some(error);
                }
            }
        });
        let now = match &self.status.borrow().last_error {
            None => "serving",
            Some(_refused) => "serving, the last configuration was refused",
        };
        self.notifier.ready(now);
    }

    async fn try_reload(&mut self) -> Result<(), ReloadError> {
        let path = self.path.clone();
        let loaded = spawn_blocking(move || Config::try_load(&path)).await;
        let config = match loaded
            .map_err(std::io::Error::from)
            .map_err(RunError::from)?
        {
            Ok(config) => config,
            Err(not_loaded) => {
                let NotLoaded { error, files } = *not_loaded;
                // What a bad configuration does not name yet may be what changes next.
                self.files.add(&files);
                return Err(self.named(error));
            }
        };
        self.files = FileWatch::new(&config.files);
        self.check_fixed(&config)?;
        let (every, limits) = (config.watch, DrainLimits::of(&config));
        let none = &mut Inherited::default();
        self.front.apply(config, none).await?;
        (self.every, self.limits) = (every, limits);
        Ok(())
    }

    /// What the process was given for its whole life.
    fn check_fixed(&self, config: &Config) -> Result<(), RunError> {
        let refused = |at: &str, got, running| RunError::Fixed {
            at: at.to_owned(),
            got,
            running,
        };
        let path = |path: &Option<PathBuf>| match path {
            Some(path) => path.display().to_string(),
            None => "none".to_owned(),
        };
        let socket = socket_of(config);
        if socket != self.upgrade_socket {
            let (got, running) = (path(&socket), path(&self.upgrade_socket));
            return Err(refused("upgrade.socket", got, running));
        }
        if config.sandbox != self.sandbox {
            let (got, running) = ("another one".to_owned(), "that of its start".to_owned());
            return Err(refused("sandbox", got, running));
        }
        Ok(())
    }

    /// The system says no more than that it is not permitted.
    fn named(&self, error: ConfigError) -> ReloadError {
        match error {
            ConfigError::Read { ref source, .. }
                if self.sandbox.is_some() && source.kind() == ErrorKind::PermissionDenied =>
            {
                ReloadError::Sandboxed(error)
            }
            error => error.into(),
        }
    }

    /// What serves.
    pub(crate) const fn front(&self) -> &Front {
        &self.front
    }

    /// The drain that the configuration asks for, and what is to be drained.
    pub(crate) fn end(self) -> (DrainLimits, Front) {
        (self.limits, self.front)
    }
}

fn socket_of(config: &Config) -> Option<PathBuf> {
    let upgrade = config.upgrade.as_ref();
    upgrade.map(|upgrade| upgrade.socket.clone())
}
