//! Benchmarks beside peers: `bench front` against HAProxy, nginx and Envoy, `bench filter` against Envoy's own jwt_authn and rbac.
//!
//! What is compared is the CPU time of the process under test per unit of work, taken from the kernel's clocks. The
//! process runs on CPU 0 alone, everything that loads it on the others. All subjects take turns within each round, so
//! that a machine that becomes slower does so for all; medians over the rounds and ratios are what to quote.

mod cpu;
mod figures;
mod filter;
mod front;
mod memory;
mod plot;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use e2e::error::HarnessError;

/// Measures Sallyport beside its peers, in one run on this machine.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    /// l4-front beside HAProxy, nginx stream and Envoy's tcp_proxy: CPU time per handshake, per small request and per GiB,
    /// latency at a fixed rate, memory per idle connection.
    ///
    /// Each subject has one worker on CPU 0; load and gateways have the other CPUs. Before anything is measured, each must
    /// prove that it negotiates what is compared on both legs, resumes sessions, returns every byte, and refuses a gateway
    /// that is untrusted or has another name. Ratios are l4-front's figure to that of the best peer of each row.
    Front(front::Plan),
    /// CPU time that the identity filter adds to a request in Envoy, and what jwt_authn with rbac adds.
    Filter(filter::Plan),
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(why) = cpu::leave_first_to_the_subject() {
        eprintln!("bench: {why}");
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(async {
            match args.subject {
                Subject::Front(plan) => front::run(&plan).await,
                Subject::Filter(plan) => filter::run(&plan).await,
            }
        }),
        Err(source) => Err(HarnessError::Spawn {
            process: "the runtime".to_owned(),
            source,
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}
