//! Where something stands in a YAML text.
//!
//! The parser tells a place only with an error. So the document is read once more, along the path that is asked
//! for, and what is found at its end is refused.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A step from a value into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Index(usize),
    Name(String),
}

/// Reads a place as the core writes it: `providers[0].tokens[1].header`.
pub(crate) fn steps(at: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in at.split(['.', '[']).filter(|part| !part.is_empty()) {
        let index = part
            .strip_suffix(']')
            .and_then(|digits| digits.parse().ok());
        steps.push(index.map_or_else(|| Step::Name(part.into()), Step::Index));
    }
    steps
}

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Place {
    /// What stands behind a file's name.
    pub(crate) fn suffix(place: Option<Self>) -> String {
        place.map_or_else(String::new, |place| format!(":{place}"))
    }

    /// Where `path` leads in the document of this number: to a member's name, or to an element. Where it leads
    /// nowhere, the last that is there.
    pub(crate) fn find(text: &str, document: usize, path: &[Step]) -> Option<Self> {
        let document = serde_yaml_ng::Deserializer::from_str(text).nth(document)?;
        Self::of(&Walk(path).deserialize(document).err()?)
    }

    /// Where the text stops being YAML.
    pub(crate) fn of(error: &serde_yaml_ng::Error) -> Option<Self> {
        error.location().map(|location| Self {
            line: location.line(),
            column: location.column(),
        })
    }
}

/// A value, and the way that is still to be gone.
struct Walk<'a>(&'a [Step]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the end of the path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if let Some((Step::Name(name), rest)) = self.0.split_first() {
            let key = Key {
                name,
                is_last: rest.is_empty(),
            };
            while let Some(is_it) = members.next_key_seed(key)? {
                if is_it {
                    return members.next_value_seed(Walk(rest));
                }
                members.next_value::<IgnoredAny>()?;
            }
        }
        Err(A::Error::custom("here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        if let Some((Step::Index(index), rest)) = self.0.split_first() {
            for _earlier in 0..*index {
                elements.next_element::<IgnoredAny>()?;
            }
            if elements.next_element_seed(Walk(rest))?.is_some() {
                return Ok(());
            }
        }
        Err(A::Error::custom("here"))
    }
}

/// The name of a member; refused where the path ends there.
#[derive(Clone, Copy)]
struct Key<'a> {
    name: &'a str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        match (name == self.name, self.is_last) {
            (true, true) => Err(E::custom("here")),
            (is_it, _) => Ok(is_it),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
kind: Other
---
# two documents in one text
spec:
  providers:
  - name: a
    tokens: [{header: x}, {cookie: c}]
  - {name: b, clock_skew_seconds: 90}
";

    #[test]
    fn a_path_leads_to_a_name_or_an_element() {
        for (at, want) in [
            ("", "4:1"),
            ("spec", "4:1"),
            ("spec.providers", "5:3"),
            ("spec.providers[0]", "6:5"),
            ("spec.providers[0].name", "6:5"),
            ("spec.providers[0].tokens[1].cookie", "7:28"),
            ("spec.providers[1].clock_skew_seconds", "8:15"),
            ("spec.providers[1].missing", "8:5"),
            ("spec.providers[7]", "6:3"),
        ] {
            let place = Place::find(TEXT, 1, &steps(at)).unwrap();
            assert_eq!(place.to_string(), want, "{at}");
        }
    }

    #[test]
    fn json_has_places_too() {
        let text = "{\n\t\"providers\": [\n\t\t{ \"name\": \"a\" } ]\n}";
        let place = Place::find(text, 0, &steps("providers[0].name")).unwrap();
        assert_eq!(place, Place { line: 3, column: 5 });
    }
}
