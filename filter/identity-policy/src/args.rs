//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod explain;
mod suite;

pub(crate) use explain::Explain;
pub(crate) use suite::{Diff, Test};

/// Checks, explains and tests the identity filter's configuration, without a gateway.
///
/// FILE is a manifest with a WasmPlugin, or a TrafficExtension of Istio 1.30 or later, among other resources,
/// or the bare configuration (the plugin's `pluginConfig`), as YAML or JSON; `-` is standard input.
///
/// Exit codes of every command: 0 yes, 1 no, 2 the question could not be answered (a file cannot be read, or
/// arguments are wrong).
#[derive(Parser)]
#[command(version, name = "identity-policy")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Check(Check),
    Diff(Diff),
    Explain(Box<Explain>),
    Test(Test),
}

/// Say what is wrong with configurations: file, line, column, the place in the document, what stands there and
/// what is allowed.
///
/// Exit codes: 0 all are right, 1 there are mistakes, 2 a file cannot be read or holds no configuration.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// Files to check; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}
