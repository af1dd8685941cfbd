//! The command lines of the commands that run cases.

use std::path::PathBuf;

/// Run the test cases of a policy.
///
/// Exit codes: 0 all pass, 1 some fail, 2 the question could not be answered.
#[derive(clap::Args)]
pub(crate) struct Test {
    /// The file with the configuration; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file with the cases.
    #[arg(value_name = "CASES")]
    pub(crate) cases: PathBuf,
    /// One JSON object in the place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Say which cases two configurations decide differently; what the cases expect does not matter.
///
/// Exit codes: 0 no case, 1 some, 2 the question could not be answered.
#[derive(clap::Args)]
pub(crate) struct Diff {
    /// The file with the configuration as it was; `-` is standard input.
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The file with the configuration as it is to be.
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    /// The file with the cases.
    #[arg(value_name = "CASES")]
    pub(crate) cases: PathBuf,
    /// One JSON object in the place of text.
    #[arg(long)]
    pub(crate) json: bool,
}
