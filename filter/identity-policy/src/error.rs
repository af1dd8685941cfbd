//! Why a question could not be answered. What is wrong with a configuration is an answer, not an error.

use std::io;
use std::path::PathBuf;

use crate::caller::CallerError;
use crate::place::Place;
use crate::record::RecordError;

/// Ends the program with status 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A value of an option that cannot be read. The value may be a secret and is not repeated.
    #[error("{option}: {allowed}")]
    Argument {
        option: &'static str,
        allowed: &'static str,
    },
    /// A file of cases, claims or keys that is not what it must be.
    #[error("{file}{}: {problem}", Place::suffix(*.place))]
    Malformed {
        file: String,
        place: Option<Place>,
        problem: String,
    },
    /// A configuration that the filter would refuse. Each line is a mistake.
    #[error("the filter refuses this configuration:\n{}", .lines.join("\n"))]
    Mistakes { lines: Vec<String> },
    /// A file without anything for the filter.
    #[error(
        "{file}: no configuration: neither a WasmPlugin, nor a TrafficExtension, nor a document with `providers`"
    )]
    NoConfiguration { file: String },
    /// A caller whose token cannot be made up.
    #[error(transparent)]
    Caller(#[from] CallerError),
    /// A case that cannot be asked.
    #[error("{at}: case {name:?}: {problem}")]
    Case {
        at: String,
        name: String,
        problem: String,
    },
    /// A file with more than one configuration.
    #[error("{file}: {count} configurations; the question is about one")]
    SeveralConfigurations { file: String, count: usize },
    /// A log without the record that is asked for.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Files without anything to import.
    #[error("neither a RequestAuthentication nor an AuthorizationPolicy is in these files")]
    NoPolicy,
    /// A configuration that came out of an import and is not right.
    #[error("what comes out would not be right: {problem}")]
    NotImported { problem: String },
    /// A text that is not YAML, and not JSON.
    #[error("{file}: {problem}")]
    NotYaml { file: String, problem: String },
    /// Standard output is closed or full.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    /// A file that is not there, or is no text.
    #[error("cannot read {}: {cause}", file.display())]
    Unreadable { file: PathBuf, cause: io::Error },
}
