//! Arguments in, exit code out: what each command does stands in a module of its own.
//!
//! Every opinion about tokens, identities and rules is the filter's core's (`identity-filter`). This program
//! reads files, asks the core and words the answer.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};
use crate::error::Error;

mod args;
mod caller;
mod cases;
mod check;
mod clock;
mod diff;
mod document;
mod error;
mod explain;
mod import;
mod mistakes;
mod paint;
mod place;
mod policy;
mod question;
mod record;
mod report;
mod schema;
mod shell;
mod test;
mod words;

fn main() -> ExitCode {
    match run(Args::parse().command, &mut io::stdout().lock()) {
        Ok(code) => ExitCode::from(code),
        // Who reads the output has seen enough of it.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(2),
        Err(error) => {
            eprintln!("identity-policy: {error}");
            ExitCode::from(2)
        }
    }
}

/// The exit code: 0 or 1, as the help of each command says.
fn run(command: Command, output: &mut dyn Write) -> Result<u8, Error> {
    match command {
        Command::Check(args) => check::run(&args, output),
        Command::Completions(args) => shell::completions(&args, output),
        Command::Diff(args) => diff::run(&args, output),
        Command::Explain(args) => explain::run(&args, output),
        Command::Import(args) => import::run(&args, output),
        Command::Man(_) => shell::man(output),
        Command::Schema(args) => schema::run(&args, output),
        Command::Test(args) => test::run(&args, output),
    }
}
