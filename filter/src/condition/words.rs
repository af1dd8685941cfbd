//! Conditions as people read them, in the words of the configuration.

use core::fmt;

use serde_json::Value;

use super::{Condition, Fact, Test};
use crate::claims::Text;

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, name: &str, conditions: &[Self]| {
            write!(f, "{name} of (")?;
            for (index, condition) in conditions.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(f, "{comma}{condition}")?;
            }
            f.write_str(")")
        };
        match self {
            Self::All(conditions) => list(f, "all", conditions),
            Self::Any(conditions) => list(f, "any", conditions),
            Self::Is { fact, test } => write!(f, "{fact} {test}"),
            Self::Not(condition) => write!(f, "not {condition}"),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate => f.write_str("certificate"),
            Self::Claim(path) => write!(f, "claim {path}"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Provider => f.write_str("provider"),
            Self::Workload => f.write_str("workload"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contains {
                element,
                text_means,
            } => {
                let word = match text_means {
                    Text::Element => "",
                    Text::Words => "the word ",
                };
                write!(f, "contains {word}{element:?}")
            }
            Self::Equals(value) => write!(f, "equals {value}"),
            Self::Glob(pattern) => write!(f, "fits {pattern:?}"),
            Self::InTrustDomain(domain) => write!(f, "is a SPIFFE id of {domain:?}"),
            Self::OneOf(values) => {
                f.write_str("is one of [")?;
                for (index, value) in values.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", value as &Value)?;
                }
                f.write_str("]")
            }
            Self::Prefix(prefix) => write!(f, "begins with {prefix:?}"),
            Self::Present(true) => f.write_str("is there"),
            Self::Present(false) => f.write_str("is not there"),
            Self::Spiffe(pattern) => write!(f, "fits {pattern}"),
        }
    }
}
