//! `completions` and `man`: what the command line says of itself.

use std::io::Write;

use clap::CommandFactory as _;
use clap_complete::aot;
use clap_mangen::Man;

use crate::args::{self, Args, Shell};
use crate::error::Error;

pub(crate) fn completions(args: &args::Completions, output: &mut dyn Write) -> Result<u8, Error> {
    let shell = match args.shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Fish => aot::Shell::Fish,
        Shell::Zsh => aot::Shell::Zsh,
    };
    let mut text = Vec::new();
    aot::generate(shell, &mut Args::command(), NAME, &mut text);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if matches!(args.shell, Shell::Bash) {
        // clap_complete writes a command with a dash in its name in two ways, and its script then completes no
        // argument of a subcommand.
        text = text.replace("identity__subcmd__policy", "identity__policy");
    }
    output.write_all(text.as_bytes())?;
    Ok(0)
}

/// One page: that of the command, and a section for each of its subcommands.
pub(crate) fn man(output: &mut dyn Write) -> Result<u8, Error> {
    let mut command = Args::command();
    command.build();
    let page = Man::new(command.clone());
    page.render_title(output)?;
    page.render_name_section(output)?;
    page.render_synopsis_section(output)?;
    page.render_description_section(output)?;
    for subcommand in leaves(&command) {
        let name = subcommand.get_bin_name().unwrap_or_default().to_owned();
        writeln!(output, ".SH \"{}\"", name.to_uppercase())?;
        let page = Man::new(subcommand);
        page.render_synopsis_section(output)?;
        page.render_description_section(output)?;
        page.render_options_section(output)?;
    }
    page.render_version_section(output)?;
    Ok(0)
}

/// The subcommands that do something, those of others among them.
fn leaves(command: &clap::Command) -> Vec<clap::Command> {
    let mut found = Vec::new();
    for subcommand in command.get_subcommands() {
        if subcommand.get_name() == "help" {
            continue;
        }
        if subcommand.has_subcommands() {
            found.extend(leaves(subcommand));
        } else {
            found.push(subcommand.clone());
        }
    }
    found
}

const NAME: &str = "identity-policy";
