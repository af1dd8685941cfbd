//! What can be wrong with a configuration: where, what was found, what is allowed.

use std::io;
use std::path::PathBuf;

/// Why a configuration is refused. Nothing has been bound or changed when this is returned.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A number outside its range.
    #[error("{at}: {got} is out of range, {least} to {most} is allowed")]
    Bounds {
        /// Path in the document.
        at: String,
        /// What was found.
        got: u64,
        /// Smallest allowed value.
        least: u64,
        /// Largest allowed value.
        most: u64,
    },
    /// The same thing twice.
    #[error("{at}: {value:?} stands here a second time, once is allowed")]
    Duplicate {
        /// Path in the document.
        at: String,
        /// What was repeated.
        value: String,
    },
    /// A list without entries.
    #[error("{at}: the list is empty, at least one entry is needed")]
    Empty {
        /// Path in the document.
        at: String,
    },
    /// A certificate and a key that do not belong together.
    #[error(
        "{at}: {} does not fit the certificate in {}, the key that belongs to it is needed",
        .private_key.display(), .certificate.display()
    )]
    KeyMismatch {
        /// Path in the document.
        at: String,
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        private_key: PathBuf,
    },
    /// A key that must be there.
    #[error("{at}: missing, {needed} is needed")]
    Missing {
        /// Path in the document.
        at: String,
        /// What belongs there.
        needed: &'static str,
    },
    /// A file without what it should hold.
    #[error("{at}: {} holds no {needed} in PEM", .path.display())]
    NoPem {
        /// Path in the document.
        at: String,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        needed: &'static str,
    },
    /// The front's own certificate is no SPIFFE certificate.
    #[error(
        "{at}: {} holds no SPIFFE id, a certificate with exactly one URI, spiffe://..., is needed",
        .path.display()
    )]
    NoSpiffeId {
        /// Path in the document.
        at: String,
        /// The certificate's file.
        path: PathBuf,
    },
    /// A file that cannot be read.
    #[error("{at}: cannot read {}", .path.display())]
    Read {
        /// Path in the document, or what the file is.
        at: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No name server can be asked.
    #[error("{at}: missing, and the system's (/etc/resolv.conf) cannot be used")]
    NameServers {
        /// Path in the document.
        at: String,
        /// Why not.
        #[source]
        source: hickory_resolver::net::NetError,
    },
    /// Key or certificate that the TLS library refuses.
    #[error("{at}: {} is refused", .path.display())]
    Tls {
        /// Path in the document.
        at: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A list with more entries than can be served.
    #[error("{at}: {got} entries, at most {most} are allowed")]
    TooMany {
        /// Path in the document.
        at: String,
        /// How many were found.
        got: usize,
        /// How many are allowed.
        most: usize,
    },
    /// A route to a cluster that does not exist.
    #[error("{at}: no cluster is named {name:?}, these are: {known}")]
    UnknownCluster {
        /// Path in the document.
        at: String,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A value that this version cannot honour; to ignore it would be worse.
    #[error("{at}: {found} is not supported by this version, {allowed} is allowed")]
    Unsupported {
        /// Path in the document.
        at: String,
        /// What was found.
        found: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A value of the wrong form.
    #[error("{at}: {value:?} is not allowed, {allowed} is")]
    Value {
        /// Path in the document.
        at: String,
        /// What was found.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The file is not YAML, or not the YAML of this document.
    #[error("{}", .path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What and where; the message begins with the path in the document.
        #[source]
        source: serde_yaml_ng::Error,
    },
}
