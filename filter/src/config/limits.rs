//! Checks the `limits` of the document.

use alloc::format;

use super::{ConfigError, wire};
use crate::cache::Bounds;
use crate::throttle::Allowance;

/// How much work and memory the network may cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a token.
    pub token_bytes: usize,
    /// Bytes of the headers that tell of a caller.
    pub identity_bytes: usize,
    /// Verified tokens that a worker remembers.
    pub cache: Bounds,
    /// Bad tokens that a source may send.
    pub failures: Allowance,
}

impl Limits {
    pub(super) fn build(written: &wire::Limits) -> Result<Self, ConfigError> {
        for (field, got, min, max) in [
            ("token_bytes", written.token_bytes, 1024, 61_440),
            ("identity_bytes", written.identity_bytes, 1024, 49_152),
            ("cached_tokens", written.cached_tokens, 0, 10_000),
            (
                "cached_bytes",
                written.cached_bytes,
                64 * 1024,
                64 * 1024 * 1024,
            ),
            (
                "failures_per_source",
                written.failures_per_source,
                1,
                1_000_000,
            ),
            (
                "failure_window_seconds",
                written.failure_window_seconds,
                1,
                3600,
            ),
        ] {
            if !(min..=max).contains(&got) {
                return Err(ConfigError::range(format!("limits.{field}"), got, min, max));
            }
        }
        Ok(Self {
            token_bytes: written.token_bytes as usize,
            identity_bytes: written.identity_bytes as usize,
            cache: Bounds {
                tokens: written.cached_tokens as usize,
                bytes: written.cached_bytes as usize,
            },
            failures: Allowance {
                failures: written.failures_per_source,
                window_seconds: written.failure_window_seconds,
            },
        })
    }
}
