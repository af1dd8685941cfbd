//! Strict JSON for documents that others wrote: tokens and key sets.
//!
//! `serde_json::Value` keeps the last of two members with the same name, so two parsers can read two
//! meanings from one token. RFC 7519 section 4 allows refusing such a document, and here it is
//! refused. Nesting is bounded, because a document from the network decides how deep we recurse.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The document is not one JSON object, names a member twice, or nests too deeply.
///
/// It says no more: the text may be a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object with unique member names, nested at most {DEPTH_LIMIT} deep")]
pub struct NotStrictJson;

/// Reads one JSON object with unique member names from the whole of `text`.
///
/// # Errors
/// [`NotStrictJson`] for everything else, trailing bytes included.
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, NotStrictJson> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict {
        depth_left: DEPTH_LIMIT,
    }
    .deserialize(&mut deserializer)
    .map_err(|_detail| NotStrictJson)?;
    deserializer.end().map_err(|_detail| NotStrictJson)?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(NotStrictJson),
    }
}

/// Deeper than any claim that a rule could name, and far below what the stack can take.
const DEPTH_LIMIT: usize = 16;

#[derive(Clone, Copy)]
struct Strict {
    depth_left: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth_left = self
            .depth_left
            .checked_sub(1)
            .ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { depth_left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member name is there twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn only_one_object_with_unique_names_is_read() {
        let cases: &[(&str, &str, bool)] = &[
            ("empty object", "{}", true),
            (
                "every kind",
                r#"{"a":[null,true,-1,1,1.5,"x",{"b":{}}]}"#,
                true,
            ),
            ("space around", " {\"a\":1}\n", true),
            ("same name at two levels", r#"{"a":{"a":1}}"#, true),
            ("duplicate name", r#"{"alg":"RS256","alg":"none"}"#, false),
            (
                "duplicate name by escape",
                r#"{"alg":1,"\u0061lg":2}"#,
                false,
            ),
            ("nested duplicate", r#"{"a":[{"b":1,"b":1}]}"#, false),
            ("array", "[]", false),
            ("text", "\"a\"", false),
            ("nothing", "", false),
            ("trailing bytes", "{}{}", false),
            ("trailing comma", r#"{"a":1,}"#, false),
            ("comment", "{/**/}", false),
            ("not a number", r#"{"a":NaN}"#, false),
            ("number out of range", r#"{"a":1e999}"#, false),
        ];
        for (name, text, accepted) in cases {
            assert_eq!(parse_object(text.as_bytes()).is_ok(), *accepted, "{name}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested =
            |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(parse_object(nested(DEPTH_LIMIT - 1).as_bytes()).is_ok());
        assert!(parse_object(nested(DEPTH_LIMIT).as_bytes()).is_err());
        assert!(parse_object(nested(100_000).as_bytes()).is_err());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert!(parse_object(b"{\"a\":\"\xff\"}").is_err());
    }
}
