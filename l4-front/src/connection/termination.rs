//! How a connection ended, in the words of the access log.

use crate::relay::{End, Expired, Side};

/// How a connection ended, for the access log and the metrics.
#[derive(Debug)]
pub(super) struct Termination {
    pub(super) label: &'static str,
    pub(super) error: Option<String>,
}

impl From<End> for Termination {
    fn from(end: End) -> Self {
        match end {
            End::Closed => Self::plain("closed"),
            End::Expired(Expired::Idle) => Self::plain("idle_timeout"),
            End::Expired(Expired::HalfClosed) => Self::plain("half_closed_timeout"),
            End::Expired(Expired::Aged { .. }) => Self::plain("max_age"),
            End::Cut { by, error } => {
                let label = match (by, &error) {
                    (Side::Downstream, None) => "downstream_truncated",
                    (Side::Downstream, Some(_)) => "downstream_reset",
                    (Side::Upstream, None) => "upstream_truncated",
                    (Side::Upstream, Some(_)) => "upstream_reset",
                };
                Self {
                    label,
                    error: error.map(|error| error.to_string()),
                }
            }
            End::Broken {
                by: Side::Downstream,
                error,
            } => Self::because("downstream_protocol_error", &error),
            End::Broken {
                by: Side::Upstream,
                error,
            } => Self::because("upstream_protocol_error", &error),
        }
    }
}

impl Termination {
    pub(super) const fn plain(label: &'static str) -> Self {
        Self { label, error: None }
    }

    pub(super) fn because(label: &'static str, error: &dyn std::fmt::Display) -> Self {
        Self {
            label,
            error: Some(error.to_string()),
        }
    }
}
