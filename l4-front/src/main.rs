//! Arguments, configuration, exit code. Everything else is in the library.

use std::error::Error;
use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use l4_front::{Config, Start};
use tracing::Level;

/// sysexits.h EX_USAGE: the configuration is wrong, a restart will not help.
const BAD_CONFIG: u8 = 64;

/// A thin TCP front before an Istio ingress gateway: terminates TLS, hands over the client's
/// identity by PROXY protocol v2, re-encrypts, balances.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a configuration, the files that it names included, and bind nothing.
    Check {
        /// The configuration file (YAML).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Serve until SIGTERM, then drain. SIGHUP loads the configuration again, and so does a change
    /// of its files; a bad one changes nothing. SIGUSR2 starts the program anew, to take the place of
    /// this process. Exit codes: 0 drained, 1 failure, 64 bad configuration.
    Run {
        /// The configuration file (YAML).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Take the place of the process that serves at `upgrade.socket`: get its listening sockets,
        /// have it accept no more and drain. If there is none, start as without this.
        #[arg(long)]
        take_over: bool,
        /// What is logged to standard error: error, warn, info, debug or trace.
        #[arg(long, value_name = "LEVEL", default_value = "info")]
        log_level: Level,
    },
}

fn main() -> ExitCode {
    let (path, log_level, start) = match Args::parse().command {
        Command::Check { config } => (config, Level::INFO, None),
        Command::Run {
            config,
            take_over,
            log_level,
        } => {
            let start = if take_over {
                Start::TakeOver
            } else {
                Start::Fresh
            };
            (config, log_level, Some(start))
        }
    };
    l4_front::log_to_stderr(log_level);
    let config = match Config::load(&path) {
        Ok(config) => config,
        Err(error) => return fail(&error, ExitCode::from(BAD_CONFIG)),
    };
    let Some(start) = start else {
        return ExitCode::SUCCESS;
    };
    match l4_front::run(&path, config, start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

/// One line on standard error: the error and what caused it.
fn fail(error: &dyn Error, code: ExitCode) -> ExitCode {
    // Where nobody can be told, the code still says it.
    let _ = writeln!(stderr(), "l4-front: {}", l4_front::chain(error));
    code
}
