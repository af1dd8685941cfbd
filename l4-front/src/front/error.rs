//! Why a configuration is not put to work.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::sandbox::SandboxError;
use crate::service_manager::SocketError;
use crate::upgrade::UpgradeError;

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
    /// The service manager's sockets cannot be used.
    #[error(transparent)]
    Manager(#[from] SocketError),
    /// What the configuration asks for cannot be enforced.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Threads or signal handlers cannot be had.
    #[error("cannot start")]
    Start(#[from] io::Error),
    /// A socket of the service manager that nothing is configured for: connections to it would be
    /// answered by nobody.
    #[error(
        "LISTEN_FDS: a socket is bound to {address}, and no listeners[].bind or admin.bind is that"
    )]
    Unmatched {
        /// Its address.
        address: SocketAddr,
    },
    /// The place of another process cannot be taken.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
}
