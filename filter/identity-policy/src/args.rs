//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod editor;
mod explain;
mod import;
mod suite;

pub(crate) use editor::{Completions, Man, Schema, Shell, Subject};
pub(crate) use explain::Explain;
pub(crate) use import::{Import, Origin};
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
    Completions(Completions),
    Diff(Diff),
    Explain(Box<Explain>),
    Import(Import),
    Man(Man),
    Schema(Schema),
    Test(Test),
}

/// Say what is wrong with configurations: file, line, column, the place in the document, what stands there and
/// what is allowed. Of what is right, say what may not be meant: rules that never decide, roles that nobody has.
///
/// Exit codes: 0 all are right, 1 there are mistakes, 2 a file cannot be read or holds no configuration.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// Files to check; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// End with 1 also when there are warnings.
    #[arg(long)]
    pub(crate) deny_warnings: bool,
}
