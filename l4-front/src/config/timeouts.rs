//! Checks of a listener's `timeouts`.

use std::time::Duration;

use super::ConfigError;
use super::checks::{bounded, seconds};
use super::document;

/// How long a downstream connection may take for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// From accept to the end of the ClientHello.
    pub(crate) client_hello: Duration,
    /// From accept to the end of the TLS handshake.
    pub(crate) handshake: Duration,
    /// Without a byte in either direction.
    pub(crate) idle: Duration,
    /// The same once one direction has ended.
    pub(crate) half_closed: Duration,
    pub(crate) max_age: Option<MaxAge>,
}

/// From accept to the end, not the same for all: connections that came together must not all come
/// back together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxAge {
    most: Duration,
    /// By how much the shortest is shorter.
    jitter: Duration,
}

impl MaxAge {
    /// The maximum for one connection; `chance` is any number that differs between connections.
    pub(crate) fn of(&self, chance: u16) -> Duration {
        self.most - self.jitter * u32::from(chance) / u32::from(u16::MAX)
    }
}

/// Checks one listener's `timeouts`; `at` is their path in the document.
pub(super) fn validate(at: &str, written: &document::Timeouts) -> Result<Timeouts, ConfigError> {
    let client_hello_at = format!("{at}.client_hello_seconds");
    let handshake = seconds(
        &format!("{at}.handshake_seconds"),
        written.handshake_seconds,
        1..=300,
    )?;
    let client_hello = match written.client_hello_seconds {
        None => handshake.min(document::Timeouts::CLIENT_HELLO),
        Some(got) => seconds(&client_hello_at, got, 1..=written.handshake_seconds)?,
    };
    let jitter = bounded(
        &format!("{at}.max_age_jitter_percent"),
        written.max_age_jitter_percent,
        0..=50,
    )?;
    let max_age = match written.max_age_seconds {
        0 => None,
        got => {
            let most = seconds(&format!("{at}.max_age_seconds"), got, 10..=2_592_000)?;
            let jitter = most.mul_f64(jitter as f64 / 100.0);
            Some(MaxAge { most, jitter })
        }
    };
    Ok(Timeouts {
        client_hello,
        handshake,
        idle: seconds(
            &format!("{at}.idle_seconds"),
            written.idle_seconds,
            1..=86_400,
        )?,
        half_closed: seconds(
            &format!("{at}.half_closed_seconds"),
            written.half_closed_seconds,
            1..=86_400,
        )?,
        max_age,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connections_own_maximum_lies_within_the_jitter() {
        let written = document::Timeouts {
            max_age_seconds: 1000,
            max_age_jitter_percent: 20,
            ..document::Timeouts::default()
        };
        let age = validate("timeouts", &written).unwrap().max_age.unwrap();
        assert_eq!(age.of(0), Duration::from_secs(1000));
        assert_eq!(age.of(u16::MAX), Duration::from_secs(800));
        let between = age.of(u16::MAX / 2);
        assert!((899..=901).contains(&between.as_secs()), "{between:?}");
    }
}
