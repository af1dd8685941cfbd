//! What cannot be carried over, each with its place, its reason and what became of it.

use std::fmt;

use serde_json::{Value, json};

use super::resource::Resource;

/// All that was not carried over, each once, in the order in which it was met.
#[derive(Default)]
pub(crate) struct Losses(Vec<Loss>);

/// Something that was not carried over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    file: String,
    line: Option<usize>,
    resource: String,
    field: String,
    why: String,
    instead: String,
}

impl Losses {
    pub(crate) fn add(
        &mut self,
        resource: &Resource,
        field: &str,
        why: impl Into<String>,
        instead: impl Into<String>,
    ) {
        let loss = Loss {
            file: resource.file().into(),
            line: resource.line(field),
            resource: resource.title(),
            field: field.into(),
            why: why.into(),
            instead: instead.into(),
        };
        if !self.0.contains(&loss) {
            self.0.push(loss);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Loss {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "file": self.file, "line": self.line, "resource": self.resource, "field": self.field,
            "why": self.why, "instead": self.instead,
        })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(
            f,
            " {}: {}: {}: {}",
            self.resource, self.field, self.why, self.instead
        )
    }
}
