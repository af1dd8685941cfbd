//! Why a question could not be answered. What is wrong with a configuration is an answer, not an error.

use std::io;
use std::path::PathBuf;

/// Ends the program with status 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file without anything for the filter.
    #[error(
        "{file}: no configuration: neither a WasmPlugin, nor a TrafficExtension, nor a document with `providers`"
    )]
    NoConfiguration { file: String },
    /// Standard output is closed or full.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    /// A file that is not there, or is no text.
    #[error("cannot read {}: {cause}", file.display())]
    Unreadable { file: PathBuf, cause: io::Error },
}
