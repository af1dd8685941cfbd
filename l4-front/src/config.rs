//! The configuration: a YAML file becomes a [`Config`] that cannot be half right.
//!
//! Everything that can be checked without binding a port is checked here, the certificates and
//! keys that the file names included.

mod admission;
mod checks;
mod cluster;
mod document;
mod error;
mod files;
mod listener;
mod process;
mod tcp;
mod timeouts;
mod tls;
mod trace;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use checks::{bounded, once, seconds};
use document::{AccessLogFormat, Document};
use rustls::crypto::CryptoProvider;

pub use self::error::ConfigError;
pub(crate) use self::listener::Listener;
pub(crate) use self::process::Upgrade;
pub(crate) use self::timeouts::Timeouts;
pub(crate) use self::trace::{Fingerprint, SourceFile, Stamp};
use crate::access_log::Format;
use crate::cluster::Cluster;
use crate::sandbox::Sandbox;

/// A validated configuration.
#[derive(Debug)]
pub struct Config {
    /// `None`: one per core.
    pub(crate) workers: Option<usize>,
    /// Each on one processor.
    pub(crate) pin_workers: bool,
    /// Open downstream connections of all listeners together.
    pub(crate) connections: usize,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) access_log: Option<(PathBuf, Format)>,
    pub(crate) drain: Duration,
    /// How often to look whether the files have changed; `None`: never.
    pub(crate) watch: Option<Duration>,
    pub(crate) upgrade: Option<Upgrade>,
    pub(crate) sandbox: Option<Sandbox>,
    /// Of `clusters`, without their endpoints, and of `listeners`, in their order.
    pub(crate) fingerprints: Fingerprints,
    /// Everything that it was read from.
    pub(crate) files: Vec<SourceFile>,
}

/// What tells the parts of one configuration from those of another.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints {
    pub(crate) clusters: Vec<Fingerprint>,
    pub(crate) listeners: Vec<Fingerprint>,
}

/// Why there is no configuration, and which files to look at until there is one.
pub(crate) struct NotLoaded {
    pub(crate) error: ConfigError,
    pub(crate) files: Vec<SourceFile>,
}

impl Config {
    /// Reads and checks the file at `path`, and every file that it names.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path in the document.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::try_load(path).map_err(|not_loaded| not_loaded.error)
    }

    /// The same; of a bad one, the files are told too.
    pub(crate) fn try_load(path: &Path) -> Result<Self, Box<NotLoaded>> {
        drop(trace::take());
        let config = Self::load_document(path);
        let files = trace::take();
        match config {
            Ok(config) => Ok(Self { files, ..config }),
            Err(error) => Err(Box::new(NotLoaded { error, files })),
        }
    }

    /// Every address that is accepted from.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let listeners = self.listeners.iter().map(|listener| listener.bind);
        listeners.chain(self.admin).collect()
    }

    fn load_document(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, &files::read("--config", path)?)
    }

    /// Checks what stands in the file at `path`, and reads and checks every file that it names.
    pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Self, ConfigError> {
        let document: Document =
            serde_yaml_ng::from_slice(text).map_err(|source| ConfigError::Yaml {
                path: path.to_owned(),
                source,
            })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        validate(document, &provider)
    }
}

fn validate(document: Document, provider: &Arc<CryptoProvider>) -> Result<Config, ConfigError> {
    let workers = document
        .workers
        .map(|workers| bounded("workers", workers, 1..=512))
        .transpose()?;
    if document.listeners.is_empty() {
        return Err(ConfigError::Empty {
            at: "listeners".to_owned(),
        });
    }
    if document.clusters.is_empty() {
        return Err(ConfigError::Empty {
            at: "clusters".to_owned(),
        });
    }
    let mut fingerprints = Fingerprints::default();
    let mut names = HashSet::new();
    let mut clusters = Vec::new();
    for (index, mut cluster) in document.clusters.into_iter().enumerate() {
        let at = format!("clusters[{index}]");
        once(&mut names, &format!("{at}.name"), &cluster.name)?;
        // Endpoints come and go; what stands here is what a cluster is.
        let endpoints = cluster.endpoints.take();
        let (written, mark) = (format!("{cluster:?}"), trace::mark());
        cluster.endpoints = endpoints;
        clusters.push(cluster::validate(&at, cluster, provider)?);
        let fingerprint = trace::fingerprint(&written, mark);
        fingerprints.clusters.push(fingerprint);
    }
    // Routes know clusters by their place.
    let places: Vec<_> = clusters.iter().map(|cluster| &cluster.name).collect();
    let places = format!("{places:?}");
    let (mut names, mut binds) = (HashSet::new(), HashSet::new());
    let mut listeners = Vec::new();
    for (index, listener) in document.listeners.into_iter().enumerate() {
        let at = format!("listeners[{index}]");
        once(&mut names, &format!("{at}.name"), &listener.name)?;
        once(
            &mut binds,
            &format!("{at}.bind"),
            &listener.bind.to_string(),
        )?;
        let (written, mark) = (format!("{places}{listener:?}"), trace::mark());
        listeners.push(listener::validate(&at, listener, &clusters, provider)?);
        let fingerprint = trace::fingerprint(&written, mark);
        fingerprints.listeners.push(fingerprint);
    }
    let access_log = document.access_log.map(|log| {
        let format = match log.format {
            AccessLogFormat::Json => Format::Json,
            AccessLogFormat::Line => Format::Line,
        };
        (log.path, format)
    });
    let drain = document.shutdown.drain_seconds;
    Ok(Config {
        workers,
        pin_workers: document.pin_workers,
        connections: match document.limits.connections {
            None => usize::MAX,
            Some(got) => bounded("limits.connections", got, 1..=10_000_000)?,
        },
        admin: document.admin.map(|admin| admin.bind),
        listeners,
        clusters,
        access_log,
        drain: seconds("shutdown.drain_seconds", drain, 0..=3600)?,
        watch: match document.reload.watch_seconds {
            0 => None,
            got => Some(seconds("reload.watch_seconds", got, 0..=3600)?),
        },
        upgrade: document
            .upgrade
            .map(process::validate_upgrade)
            .transpose()?,
        sandbox: document
            .sandbox
            .map(process::validate_sandbox)
            .transpose()?,
        fingerprints,
        files: Vec::new(),
    })
}
