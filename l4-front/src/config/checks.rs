//! The checks that every part of the document shares.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::ConfigError;

pub(super) fn bounded(
    at: &str,
    got: u64,
    range: RangeInclusive<u64>,
) -> Result<usize, ConfigError> {
    match usize::try_from(got) {
        Ok(value) if range.contains(&got) => Ok(value),
        _ => Err(ConfigError::Bounds {
            at: at.to_owned(),
            got,
            least: *range.start(),
            most: *range.end(),
        }),
    }
}

pub(super) fn seconds(
    at: &str,
    got: u64,
    range: RangeInclusive<u64>,
) -> Result<Duration, ConfigError> {
    bounded(at, got, range).map(|_in_range| Duration::from_secs(got))
}

pub(super) fn once(seen: &mut HashSet<String>, at: &str, value: &str) -> Result<(), ConfigError> {
    if seen.insert(value.to_owned()) {
        Ok(())
    } else {
        Err(ConfigError::Duplicate {
            at: at.to_owned(),
            value: value.to_owned(),
        })
    }
}
