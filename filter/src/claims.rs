//! The claims of a token as data (RFC 7519 section 4), and the paths by which rules name them.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde_json::{Map, Value};

use crate::json::{self, NotStrictJson};

/// A claims set. That it can be read says nothing about who wrote it.
#[derive(Debug, Clone)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Reads the payload of a token.
    ///
    /// # Errors
    /// When it is not one JSON object with unique member names.
    pub fn parse(payload: &[u8]) -> Result<Self, NotStrictJson> {
        json::parse_object(payload).map(Self)
    }

    /// The value at `path`, where every member on the way is there.
    #[must_use]
    pub fn at(&self, path: &ClaimPath) -> Option<&Value> {
        let mut value = self.0.get(&path.first)?;
        for name in &path.rest {
            value = value.as_object()?.get(name)?;
        }
        Some(value)
    }

    /// About how many bytes of memory they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        members_bytes(&self.0)
    }

    /// The top-level claim of this name.
    #[must_use]
    pub fn top(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// What a text means where a list is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// A list of one: many providers write a single element without its array.
    Element,
    /// Words separated by spaces, as in `scope` (RFC 8693 section 4.2). To split a claim in which
    /// people write freely would let them write themselves another element.
    Words,
}

/// The texts in a claim that holds a list: the elements of an array, or what the claim's text means.
pub fn listed(value: &Value, text_means: Text) -> impl Iterator<Item = &str> {
    let (text, elements) = match value {
        Value::String(text) => (Some(text.as_str()), None),
        Value::Array(elements) => (None, Some(elements.iter().filter_map(Value::as_str))),
        _ => (None, None),
    };
    let (whole, words) = match text_means {
        Text::Element => (text, None),
        Text::Words => (None, text.map(|text| text.split(' '))),
    };
    whole
        .into_iter()
        .chain(words.into_iter().flatten())
        .chain(elements.into_iter().flatten())
        .filter(|text| !text.is_empty())
}

/// The text of a claim that holds one value: a text that is not empty, or the digits of an integer.
#[must_use]
pub fn single(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => (!text.is_empty()).then_some(Cow::Borrowed(text)),
        Value::Number(number) => {
            let is_integer = number.is_i64() || number.is_u64();
            is_integer.then(|| Cow::Owned(number.to_string()))
        }
        _ => None,
    }
}

/// A tree's node has room for eleven members and is never less than half full once there are two.
fn members_bytes(members: &Map<String, Value>) -> usize {
    let entry = size_of::<String>() + size_of::<Value>();
    let content = members
        .iter()
        .map(|(name, value)| 2 * entry + name.len() + value_bytes(value));
    11 * entry + ALLOCATION_BYTES + content.sum::<usize>()
}

/// What a value takes outside of itself. Nesting is bounded where claims are read.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len() + ALLOCATION_BYTES,
        Value::Array(values) => {
            let content = values.iter().map(value_bytes).sum::<usize>();
            values.capacity() * size_of::<Value>() + ALLOCATION_BYTES + content
        }
        Value::Object(members) => members_bytes(members),
    }
}

/// What the allocator adds to each piece.
const ALLOCATION_BYTES: usize = 16;

/// Where a claim stands: `sub`, `realm_access.roles`, `"https://sts.amazonaws.com/".aws_account`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    first: String,
    rest: Vec<String>,
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in [&self.first].into_iter().chain(&self.rest).enumerate() {
            let dot = if index == 0 { "" } else { "." };
            let quote = if name.contains('.') { "\"" } else { "" };
            write!(f, "{dot}{quote}{name}{quote}")?;
        }
        Ok(())
    }
}

impl ClaimPath {
    /// Reads names separated by dots; a name with a dot in it stands in double quotes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, mut left) = name(text)?;
        let mut rest = Vec::new();
        while !left.is_empty() {
            let (next, after) = name(left.strip_prefix('.')?)?;
            rest.push(next);
            left = after;
        }
        Some(Self { first, rest })
    }

    /// What a text at this place means unless the configuration says otherwise: scopes are words
    /// (`scp` in Microsoft's tokens), everything else is one element.
    #[must_use]
    pub fn text_means(&self) -> Text {
        if self.rest.is_empty() && matches!(self.first.as_str(), "scope" | "scp") {
            Text::Words
        } else {
            Text::Element
        }
    }

    /// Whether this path is `other`, leads into it, or holds it.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first == other.first && self.rest.iter().zip(&other.rest).all(|(a, b)| a == b)
    }
}

/// One name from the front of `text`, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    let (name, after) = if let Some(quoted) = text.strip_prefix('"') {
        quoted.split_once('"')?
    } else {
        text.split_at(text.find('.').unwrap_or(text.len()))
    };
    (!name.is_empty()).then(|| (name.into(), after))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn claims() -> Claims {
        Claims::parse(
            br#"{"sub":"a","realm_access":{"roles":["x","y",1,""]},"https://sts.example.com/":{"account":"1"},
                "scope":"read  write","n":7}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_path_leads_to_one_value() {
        let cases = [
            ("sub", Some(Value::from("a"))),
            (
                "realm_access.roles",
                Some(serde_json::json!(["x", "y", 1, ""])),
            ),
            (
                "\"https://sts.example.com/\".account",
                Some(Value::from("1")),
            ),
            ("\"sub\"", Some(Value::from("a"))),
            ("sub.deeper", None),
            ("missing", None),
            ("realm_access.missing", None),
        ];
        let claims = claims();
        for (path, want) in cases {
            assert_eq!(
                claims.at(&ClaimPath::parse(path).unwrap()).cloned(),
                want,
                "{path}"
            );
        }
    }

    #[test]
    fn a_path_with_a_missing_name_is_refused() {
        for path in [
            "", ".", "a.", ".a", "a..b", "\"a", "\"\"", "\"a\"b", "a.\"b\"c",
        ] {
            assert_eq!(ClaimPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_list_is_an_array_or_what_the_text_means() {
        let claims = claims();
        let list = |path: &str, means: Text| -> Vec<String> {
            let path = ClaimPath::parse(path).unwrap();
            claims
                .at(&path)
                .into_iter()
                .flat_map(|value| listed(value, means))
                .map(String::from)
                .collect()
        };
        assert_eq!(list("scope", Text::Words), vec!["read", "write"]);
        assert_eq!(list("scope", Text::Element), vec!["read  write"]);
        for means in [Text::Words, Text::Element] {
            assert_eq!(list("realm_access.roles", means), vec!["x", "y"]);
            assert_eq!(list("n", means), Vec::<String>::new());
        }
    }

    #[test]
    fn only_scopes_are_words_by_themselves() {
        let means = |path: &str| ClaimPath::parse(path).unwrap().text_means();
        assert_eq!((means("scope"), means("scp")), (Text::Words, Text::Words));
        assert_eq!(
            (means("name"), means("a.scope")),
            (Text::Element, Text::Element)
        );
    }

    #[test]
    fn paths_overlap_when_one_leads_into_the_other() {
        let overlaps = |one: &str, two: &str| {
            let path = |text: &str| ClaimPath::parse(text).unwrap();
            assert_eq!(
                path(one).overlaps(&path(two)),
                path(two).overlaps(&path(one))
            );
            path(one).overlaps(&path(two))
        };
        assert!(overlaps("a", "a") && overlaps("a", "a.b.c") && overlaps("a.b", "a.b.c"));
        assert!(!overlaps("a", "b") && !overlaps("a.b", "a.c"));
    }
}
