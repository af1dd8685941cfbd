//! The front's soak: one real front with all that it meets at once, honest and hostile, while its configuration is read
//! again and again, an endpoint goes and comes back, and another process takes its place. Every honest exchange must get its
//! answer, memory and file descriptors must have been flat since the warm-up, and the logs hold nothing unexplained.

mod director;
mod endpoint;
mod honest;
mod hostile;
mod quiet;
mod report;
mod senders;
mod stage;

use std::time::Duration;

use clap::Args as Arguments;
use e2e::error::HarnessError;

use self::{quiet::Quiet, report::Report, senders::Senders, stage::Stage};

/// Of `soak front`.
#[derive(Debug, Arguments)]
pub(crate) struct Args {
    /// How long it takes.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(20..))]
    seconds: u64,
    /// One JSON object instead of the tables.
    #[arg(long)]
    json: bool,
}

/// True when everything held.
pub(crate) async fn run(args: &Args) -> Result<bool, HarnessError> {
    let mut stage = Stage::set().await?;
    let senders = Senders::start(stage.town.clone());
    let directed = director::run(&mut stage, Duration::from_secs(args.seconds)).await;
    let tallies = senders.ended().await?;
    let report = Report::new(tallies, directed?, Quiet::after(&mut stage).await?);
    report.show(args.json);
    if !report.is_good() {
        stage.keep_files();
    }
    Ok(report.is_good())
}
