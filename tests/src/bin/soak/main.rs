//! Soaks: one half of the product under honest and hostile senders for long, each of which must get the answer that its kind
//! deserves, and a look at what they leave behind.

mod filter;
mod front;
mod growth;
mod tally;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use e2e::error::HarnessError;

/// Sends good and bad to one half of the product for long, and looks at what that leaves behind.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    of: Half,
}

#[derive(Debug, Subcommand)]
enum Half {
    /// A million requests to one Envoy with the identity filter.
    Filter(filter::Args),
    /// Ten minutes of all that a front meets.
    Front(front::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(async {
            match &args.of {
                Half::Filter(args) => filter::run(args).await,
                Half::Front(args) => front::run(args).await,
            }
        }),
        Err(source) => Err(HarnessError::Spawn {
            process: "the runtime".to_owned(),
            source,
        }),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}
