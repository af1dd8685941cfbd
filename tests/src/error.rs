//! What can keep the harness itself from working. A product that misbehaves is not an error here:
//! that is a [`crate::conversation::Mismatch`] or a failed assertion.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitStatus, time::Duration};

/// The harness could not do its own work.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A peer answered, but not with what the harness needs to go on.
    #[error("{peer} answered {got}, {expected} was expected")]
    Answer {
        /// Who answered.
        peer: String,
        /// What it said.
        got: String,
        /// What the harness needs.
        expected: &'static str,
    },
    /// A key or a certificate could not be made.
    #[error("cannot make a certificate for {name}")]
    Certificate {
        /// Whom the certificate was for.
        name: String,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// A TCP or TLS connection was refused or broken off.
    #[error("connection to {peer} failed")]
    Connection {
        /// The peer that was dialled.
        peer: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something was waited for and did not come.
    #[error("{what} did not happen within {} s{}", .within.as_secs_f32(), indented(.log_tail))]
    Deadline {
        /// What was waited for, as a sentence about it.
        what: String,
        /// For how long.
        within: Duration,
        /// The end of the log of the process concerned; empty where no process is.
        log_tail: String,
    },
    /// A process ended although nobody had asked it to.
    #[error("{process} ended with {status} before it was ready{}", indented(.log_tail))]
    Ended {
        /// Which process.
        process: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log_tail: String,
    },
    /// A file or a folder of the run could not be used.
    #[error("cannot {verb} {}", .path.display())]
    File {
        /// What was tried: read, write, create.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// HTTP ended in the middle of an exchange.
    #[error("http exchange with {peer} failed")]
    Http {
        /// The peer that was connected to.
        peer: SocketAddr,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The manifests are not as the harness takes them to be.
    #[error("{what}: {times} times in the manifests, {expected} were expected")]
    Manifests {
        /// What was to be replaced.
        what: &'static str,
        /// How often it is there.
        times: usize,
        /// How often it should be.
        expected: usize,
    },
    /// A network namespace cannot be made, or not be set up.
    #[error("cannot make a network of the run's own")]
    Network {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No loopback port can be had.
    #[error("no loopback port can be bound")]
    NoPort {
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Something that this workspace builds is not there.
    #[error("{} is missing: run {command}", .path.display())]
    NotBuilt {
        /// Where it is looked for.
        path: PathBuf,
        /// What builds it.
        command: &'static str,
    },
    /// A port that was asked for by number is in use.
    #[error("{address} cannot be bound: end what listens there or choose another port")]
    PortTaken {
        /// The address asked for.
        address: SocketAddr,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A process could not be told something.
    #[error("cannot send {signal} to {process}")]
    Signal {
        /// Which process.
        process: String,
        /// The signal's name.
        signal: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A key of the harness cannot sign.
    #[error("the signing key {name} is refused")]
    SigningKey {
        /// The key's id.
        name: String,
    },
    /// A process could not be started.
    #[error("cannot start {process}")]
    Spawn {
        /// Which process.
        process: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A tool that `scripts/setup` installs is not there.
    #[error("{} is missing: run ./scripts/setup", .path.display())]
    ToolMissing {
        /// Where it is looked for.
        path: PathBuf,
    },
    /// A WebSocket broke off.
    #[error("websocket with {peer} failed")]
    WebSocket {
        /// The peer that was connected to.
        peer: SocketAddr,
        /// Why.
        #[source]
        source: Box<tokio_tungstenite::tungstenite::Error>,
    },
    /// What kustomize printed cannot be read.
    #[error("the built manifests are no YAML")]
    Yaml {
        /// Why not.
        #[source]
        source: serde_yaml_ng::Error,
    },
}

impl HarnessError {
    /// The error and its causes in one line, as a terminal shows it.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            text = format!("{text}: {source}");
            cause = source.source();
        }
        text
    }
}

/// A log's tail below the sentence that it belongs to.
fn indented(log: &str) -> String {
    log.lines().map(|line| format!("\n    | {line}")).collect()
}
