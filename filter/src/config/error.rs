//! What is wrong with a configuration, in words that its owner can act on.

use alloc::string::String;
use core::fmt;

use crate::jwks::KeySetError;

/// A configuration that is refused: where, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The place in the document, such as `providers[0].issuer`; empty for the document itself.
    pub at: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong at a place of the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Two things that must differ are the same.
    #[error("{value:?} is also at {other}; {why}")]
    Duplicate {
        /// What they both are.
        value: String,
        /// Where the other is.
        other: String,
        /// Why that is wrong.
        why: &'static str,
    },
    /// A field that is unknown, missing, or of another type.
    #[error("{detail}")]
    Field {
        /// Its message, which names the fields or values that are allowed.
        detail: String,
    },
    /// A key set that cannot be used.
    #[error("cannot use this key set: {0}")]
    KeySet(KeySetError),
    /// A combination of fields that says nothing or too much.
    #[error("{0}")]
    Fields(&'static str),
    /// A member name is there twice, or the document nests deeper than any configuration.
    #[error("a member name is there twice, or the document nests too deeply")]
    NotStrict,
    /// A number outside its range.
    #[error("is {got}, {min} to {max} are allowed")]
    Range {
        /// The number.
        got: u64,
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Not JSON.
    #[error("not JSON: {detail}")]
    Syntax {
        /// The parser's message with line and column.
        detail: String,
    },
    /// A name that nothing has.
    #[error("there is no {kind} {value:?}; there are: {known}")]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// The name.
        value: String,
        /// The names that there are.
        known: String,
    },
    /// A value outside what is allowed.
    #[error("is {value:?}, allowed is {allowed}")]
    Value {
        /// The value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl ConfigError {
    pub(super) fn new(at: impl Into<String>, problem: Problem) -> Self {
        Self {
            at: at.into(),
            problem,
        }
    }

    pub(super) fn fields(at: impl Into<String>, what: &'static str) -> Self {
        Self::new(at, Problem::Fields(what))
    }

    pub(super) fn value(at: impl Into<String>, value: &str, allowed: &'static str) -> Self {
        Self::new(
            at,
            Problem::Value {
                value: value.into(),
                allowed,
            },
        )
    }

    pub(super) fn range(at: impl Into<String>, got: u32, min: u32, max: u32) -> Self {
        Self::new(
            at,
            Problem::Range {
                got: got.into(),
                min: min.into(),
                max: max.into(),
            },
        )
    }

    pub(super) fn unknown<'a>(
        at: impl Into<String>,
        kind: &'static str,
        value: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut names = String::new();
        for name in known {
            if !names.is_empty() {
                names.push_str(", ");
            }
            names.push_str(name);
        }
        Self::new(
            at,
            Problem::Unknown {
                kind,
                value: value.into(),
                known: names,
            },
        )
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        write!(f, "{}", self.problem)
    }
}

impl core::error::Error for ConfigError {}
