//! The program from outside: arguments and files in, text and exit code out.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, also in its helpers"
)]

mod cases;
mod check;
mod explain;
mod import;
mod istio;
mod pages;
mod program;
mod record;
mod schema;
mod shell;
mod warnings;
