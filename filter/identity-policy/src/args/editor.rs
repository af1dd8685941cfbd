//! The arguments of `completions`, `man` and `schema`: what shells and editors are told.

use clap::ValueEnum;

/// Write what a shell needs to complete this command's arguments.
#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// Write this command's manual page.
#[derive(clap::Args)]
pub(crate) struct Man {}

/// Write the form of the configuration as a JSON Schema (draft 2020-12), for editors.
///
/// It says which members there are, of which types and with which defaults. Ranges, and what must hold between
/// members, are for `check` to say.
#[derive(clap::Args)]
pub(crate) struct Schema {
    /// What the edited file holds.
    #[arg(long = "for", value_name = "WHAT", default_value = "configuration")]
    pub(crate) subject: Subject,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Subject {
    /// The bare configuration.
    Configuration,
    /// A WasmPlugin or TrafficExtension, of which all but the configuration is left alone.
    Manifest,
}
