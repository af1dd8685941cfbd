//! One process takes the place of another: it gets the listening sockets, so no connection is
//! refused or lost between the two.
//!
//! The successor connects to the predecessor's unix socket. Both must be of one user, or the other
//! root. Then, each message within a time limit and of bounded size:
//!
//! ```text
//! successor    hello: which protocol it speaks
//! predecessor  offer: the addresses of its sockets, and the keys of its session tickets
//! predecessor  one byte for each socket, with its descriptor
//!              (the successor puts its configuration to work and accepts)
//! successor    ready: which of the addresses it does not want
//! predecessor  taken: it accepts no more, and drains
//! ```
//!
//! Until `taken` the predecessor serves as before, whatever becomes of the successor.

pub(crate) mod launch;
pub(crate) mod predecessor;
pub(crate) mod successor;
mod wire;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What either side does at once.
const STEP: Duration = Duration::from_secs(10);

/// What a successor may take to put its configuration to work.
const READY: Duration = Duration::from_secs(60);

/// Why one process does not take the place of another.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The socket for successors cannot be made.
    #[error("upgrade.socket: cannot listen on {}", .path.display())]
    Listen {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection between the two failed.
    #[error("the other process cannot be spoken with")]
    Exchange(#[from] io::Error),
    /// A program of another user.
    #[error("the other process runs as user {uid}, the same user as here or root is needed")]
    Foreign {
        /// The user.
        uid: u32,
    },
    /// There is no saying where the other process would be.
    #[error("upgrade.socket: missing, --take-over needs it")]
    NoSocket,
    /// The other process answered with something else than what is its turn.
    #[error("the other process said something that is not expected here")]
    Unexpected,
    /// The other process does not want to.
    #[error("the other process refused: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// One more process of the same configuration.
    #[error(
        "upgrade.socket: another process serves on {}, stop it or start with --take-over",
        .path.display()
    )]
    Running {
        /// Where it answers.
        path: PathBuf,
    },
    /// A socket is not what it was said to be.
    #[error("the other process handed over a socket that is not of {address}")]
    Socket {
        /// What was said.
        address: std::net::SocketAddr,
    },
    /// Time is up.
    #[error("the other process was not done in time")]
    Timeout,
}

impl From<tokio::time::error::Elapsed> for UpgradeError {
    fn from(_elapsed: tokio::time::error::Elapsed) -> Self {
        Self::Timeout
    }
}

#[cfg(test)]
mod tests;
