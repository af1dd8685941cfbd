//! Checks the times of a provider's `jwks`.

use alloc::format;
use core::time::Duration;

use super::{ConfigError, wire};
use crate::refresh::Schedule;

/// Whether any time is written: an inline key set has none.
pub(super) const fn is_written(written: &wire::Jwks) -> bool {
    written.max_stale_seconds.is_some()
        || written.refresh_max_seconds.is_some()
        || written.refresh_min_seconds.is_some()
        || written.refresh_seconds.is_some()
        || written.timeout_seconds.is_some()
        || written.wait_milliseconds.is_some()
}

pub(super) fn build(at: &str, written: &wire::Jwks) -> Result<Schedule, ConfigError> {
    let number = |name: &str, value: Option<u32>, default: u32, min: u32, max: u32| {
        let value = value.unwrap_or(default);
        if (min..=max).contains(&value) {
            Ok(value)
        } else {
            Err(ConfigError::range(format!("{at}.{name}"), value, min, max))
        }
    };
    let seconds = |name, value, default, min, max| {
        number(name, value, default, min, max).map(|value| Duration::from_secs(value.into()))
    };
    let refresh = number("refresh_seconds", written.refresh_seconds, 300, 5, DAY)?;
    Ok(Schedule {
        refresh: Duration::from_secs(refresh.into()),
        refresh_min: seconds(
            "refresh_min_seconds",
            written.refresh_min_seconds,
            refresh.min(60),
            5,
            refresh,
        )?,
        refresh_max: seconds(
            "refresh_max_seconds",
            written.refresh_max_seconds,
            refresh.max(3600),
            refresh,
            DAY,
        )?,
        timeout: seconds("timeout_seconds", written.timeout_seconds, 5, 1, 30)?,
        max_stale: seconds(
            "max_stale_seconds",
            written.max_stale_seconds,
            DAY,
            60,
            7 * DAY,
        )?,
        wait: Duration::from_millis(
            number(
                "wait_milliseconds",
                written.wait_milliseconds,
                1000,
                0,
                10_000,
            )?
            .into(),
        ),
    })
}

const DAY: u32 = 86_400;
