//! The one configuration of a file, as it was written and as the filter reads it.

use identity_filter::config::Config;
use serde_json::Value;

use crate::check;
use crate::document::{Configuration, Source};
use crate::error::Error;
use crate::place::steps;

/// A configuration that the filter takes.
#[derive(Debug)]
pub(crate) struct Policy<'a>(Configuration<'a>);

/// An entry of one of its lists.
pub(crate) struct Entry<'a> {
    pub(crate) value: &'a Value,
    /// File, line and column.
    pub(crate) place: Option<String>,
}

impl<'a> Policy<'a> {
    pub(crate) fn of(source: &'a Source) -> Result<Self, Error> {
        let mut found = source
            .configurations()
            .map_err(|unreadable| Error::Malformed {
                file: source.name.clone(),
                place: unreadable.place,
                problem: unreadable.problem,
            })?;
        let count = found.len();
        match (found.pop(), count) {
            (Some(configuration), 1) => {
                let lines = check::lines(&configuration);
                if lines.is_empty() {
                    Ok(Self(configuration))
                } else {
                    Err(Error::Mistakes { lines })
                }
            }
            (None, _) => Err(Error::NoConfiguration {
                file: source.name.clone(),
            }),
            (Some(_), count) => Err(Error::SeveralConfigurations {
                file: source.name.clone(),
                count,
            }),
        }
    }

    /// What the filter makes of it. Each decision has its own: what a caller's keys are is put into it.
    pub(crate) fn config(&self) -> Result<Config, Error> {
        Config::parse(self.0.value.to_string().as_bytes()).map_err(|_mistake| Error::Mistakes {
            lines: check::lines(&self.0),
        })
    }

    /// The entry of this name in a list such as `policy.rules`. No two have the same.
    pub(crate) fn entry(&self, list: &str, name: &str) -> Option<Entry<'_>> {
        let entries = self.entries(list);
        let index = entries.iter().position(|entry| entry["name"] == name)?;
        let place = self.0.place(&steps(&format!("{list}[{index}]")));
        Some(Entry {
            value: &entries[index],
            place: place.map(|place| format!("{}:{place}", self.0.source.name)),
        })
    }

    /// The names in a list, in order.
    pub(crate) fn names(&self, list: &str) -> impl Iterator<Item = &str> {
        self.entries(list)
            .iter()
            .filter_map(|entry| entry["name"].as_str())
    }

    fn entries(&self, list: &str) -> &[Value] {
        let found = list
            .split('.')
            .try_fold(&self.0.value, |value, name| value.get(name));
        found.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}
