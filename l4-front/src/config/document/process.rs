//! `upgrade` and `sandbox` as they are written.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Upgrade {
    pub(in crate::config) socket: PathBuf,
    /// How long connections may last in the process that was replaced; 0 to 86400 s, default 600.
    #[serde(default = "Upgrade::default_drain_seconds")]
    pub(in crate::config) drain_seconds: u64,
}

impl Upgrade {
    fn default_drain_seconds() -> u64 {
        600
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Sandbox {
    /// Files and folders that may be read, beside those that the configuration names at start.
    pub(in crate::config) read: Vec<PathBuf>,
    /// Folders in which files may be made and written.
    pub(in crate::config) write: Vec<PathBuf>,
    /// Start also where the kernel cannot enforce it. Default: no.
    pub(in crate::config) best_effort: bool,
}
