//! Files, and the configurations in them.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::place::{Place, Step};

/// A text and where it came from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// Reads a file; `-` is standard input.
    pub(crate) fn read(file: &Path) -> Result<Self, Error> {
        let is_input = file.as_os_str() == "-";
        let text = if is_input {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_bytes| text)
        } else {
            fs::read_to_string(file)
        };
        let name = if is_input {
            "standard input".into()
        } else {
            file.display().to_string()
        };
        text.map(|text| Self { name, text })
            .map_err(|cause| Error::Unreadable {
                file: file.into(),
                cause,
            })
    }

    /// The YAML documents of the text, which may be JSON.
    pub(crate) fn documents(&self) -> Result<Vec<Value>, Unreadable> {
        let documents = serde_yaml_ng::Deserializer::from_str(&self.text);
        let read = |document| {
            // Not into JSON at once: that would keep the last of two members with the same name.
            let value =
                serde_yaml_ng::Value::deserialize(document).map_err(|error| Unreadable {
                    place: Place::of(&error),
                    problem: error.to_string(),
                })?;
            serde_json::to_value(value).map_err(|error| Unreadable {
                place: None,
                problem: error.to_string(),
            })
        };
        documents.map(read).collect()
    }

    /// The configurations among the documents.
    pub(crate) fn configurations(&self) -> Result<Vec<Configuration<'_>>, Unreadable> {
        let mut found = Vec::new();
        for (index, document) in self.documents()?.into_iter().enumerate() {
            let path: &[&str] = match document.get("kind").and_then(Value::as_str) {
                Some("WasmPlugin") => &["spec", "pluginConfig"],
                Some("TrafficExtension") => &["spec", "wasm", "pluginConfig"],
                None if document.is_object() && document.get("apiVersion").is_none() => &[],
                _ => continue,
            };
            let value = path
                .iter()
                .try_fold(&document, |value, name| value.get(name))
                .cloned();
            // A plugin without a configuration is one that lacks all that must be there.
            let value = value.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            found.push(Configuration {
                source: self,
                document: index,
                path: path.iter().map(|name| Step::Name((*name).into())).collect(),
                value,
            });
        }
        Ok(found)
    }
}

/// A text that is not YAML.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) place: Option<Place>,
    pub(crate) problem: String,
}

/// The filter's configuration in a document, as it was written.
#[derive(Debug)]
pub(crate) struct Configuration<'a> {
    pub(crate) source: &'a Source,
    document: usize,
    path: Vec<Step>,
    pub(crate) value: Value,
}

impl Configuration<'_> {
    /// Where something of it stands in the text.
    pub(crate) fn place(&self, steps: &[Step]) -> Option<Place> {
        let path = [self.path.as_slice(), steps].concat();
        Place::find(&self.source.text, self.document, &path)
    }
}
