//! Checks what the document says of records and of what the gateway is told.

use alloc::format;
use alloc::vec::Vec;

use serde_json::Value;

use super::read::{Place, Read};
use super::{ConfigError, wire};
use crate::audit::Sample;
use crate::state::StateValue;

/// Which of the requests that are let in get a line of the log.
pub(super) fn build_sample(written: &wire::Audit) -> Result<Option<Sample>, ConfigError> {
    match &written.allow_sample {
        None => Ok(written.log_allows.then_some(Sample::ALL)),
        Some(_) if written.log_allows => Err(ConfigError::fields(
            "audit",
            "log_allows logs all of what is let in, allow_sample a part of it: only one of them can be meant",
        )),
        Some(sample) => Sample::one_in(sample.one_in).map(Some).ok_or_else(|| {
            ConfigError::range(
                "audit.allow_sample.one_in",
                sample.one_in,
                1,
                Sample::RAREST,
            )
        }),
    }
}

impl Read for StateValue {
    fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError> {
        place.choose(&value, &Self::NAMES)
    }
}

/// What stands in filter state, each value once.
pub(super) fn build_state(written: wire::FilterState) -> Result<Vec<StateValue>, ConfigError> {
    let values = written.values;
    for (index, value) in values.iter().enumerate() {
        if values.iter().take(index).any(|earlier| earlier == value) {
            return Err(ConfigError::fields(
                format!("filter_state.values[{index}]"),
                "is there twice",
            ));
        }
    }
    Ok(values)
}
