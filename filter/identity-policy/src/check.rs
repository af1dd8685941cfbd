//! `check`: the mistakes of configurations and what may not be meant, each with its place.

use std::io::Write;

use identity_filter::config::{Config, Warning};

use crate::args;
use crate::document::{Configuration, Source};
use crate::error::Error;
use crate::mistakes;
use crate::place::{Place, steps};

pub(crate) fn run(args: &args::Check, output: &mut dyn Write) -> Result<u8, Error> {
    let (mut has_mistakes, mut has_warnings) = (false, false);
    for file in &args.files {
        let source = Source::read(file)?;
        let configurations = match source.configurations() {
            Ok(configurations) => configurations,
            Err(unreadable) => {
                has_mistakes = true;
                writeln!(
                    output,
                    "{}",
                    line(&source, unreadable.place, &unreadable.problem)
                )?;
                continue;
            }
        };
        if configurations.is_empty() {
            return Err(Error::NoConfiguration { file: source.name });
        }
        for configuration in &configurations {
            for mistake in lines(configuration) {
                has_mistakes = true;
                writeln!(output, "{mistake}")?;
            }
        }
        for configuration in &configurations {
            for warning in warnings(configuration) {
                has_warnings = true;
                writeln!(output, "{warning}")?;
            }
        }
    }
    Ok((has_mistakes || (has_warnings && args.deny_warnings)).into())
}

/// One line for each warning about a configuration. One that is not right has none.
fn warnings(configuration: &Configuration<'_>) -> Vec<String> {
    let document = configuration.value.to_string();
    let warnings = Config::warnings(document.as_bytes()).unwrap_or_default();
    let line = |warning: &Warning| {
        let place = configuration.place(&steps(&warning.at));
        line(
            configuration.source,
            place,
            &format_args!("warning: {warning}"),
        )
    };
    warnings.iter().map(line).collect()
}

/// One line for each mistake of a configuration.
pub(crate) fn lines(configuration: &Configuration<'_>) -> Vec<String> {
    mistakes::find(&configuration.value)
        .into_iter()
        .map(|mistake| {
            let place = configuration.place(&steps(&mistake.at));
            line(configuration.source, place, &mistake)
        })
        .collect()
}

fn line(source: &Source, place: Option<Place>, problem: &dyn std::fmt::Display) -> String {
    match place {
        Some(place) => format!("{}:{place}: {problem}", source.name),
        None => format!("{}: {problem}", source.name),
    }
}
