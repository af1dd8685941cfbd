//! Reads the document's fields out of JSON, with the place of what is wrong.
//!
//! One function for each type, and one table for each object: readers that are generated for each
//! object are a sixth of the module, and it is the gateway's workers that hold it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;

use serde_json::{Map, Value};

use super::{ConfigError, Problem};
use crate::algorithm::Algorithm;

/// Where in the document a value stands.
pub(super) enum Place<'a> {
    Document,
    Element(&'a Self, usize),
    Member(&'a Self, &'a str),
}

/// What can be read out of a JSON value.
pub(super) trait Read: Sized {
    /// Reads it, or says what is wrong at `place` or inside.
    fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError>;

    /// What it is where nothing is written, if that is allowed.
    fn absent() -> Option<Self> {
        None
    }
}

/// The members of an object, until they are taken.
pub(super) struct Fields<'a> {
    members: Map<String, Value>,
    place: &'a Place<'a>,
}

/// Declares an object of the document: its fields with their types and, after `=`, their defaults. What
/// has no default must be there, unless it is an `Option`; every other member is refused. An object
/// whose fields all have defaults has one itself.
macro_rules! object {
    (struct $name:ident { $($(#[$meta:meta])* $field:ident: $kind:ty = $default:expr,)* }) => {
        object!(@reader $name { $($(#[$meta])* $field: $kind [$default],)* });

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
    (struct $name:ident { $($(#[$meta:meta])* $field:ident: $kind:ty $(= $default:expr)?,)* }) => {
        object!(@reader $name { $($(#[$meta])* $field: $kind [$($default)?],)* });
    };
    (@reader $name:ident { $($(#[$meta:meta])* $field:ident: $kind:ty [$($default:expr)?],)* }) => {
        #[derive(Debug)]
        pub(super) struct $name {
            $($(#[$meta])* pub(super) $field: $kind,)*
        }

        impl Read for $name {
            fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError> {
                let mut fields = Fields::read(value, place, &[$(stringify!($field)),*])?;
                $(let $field = fields.take(stringify!($field), object!(@default $($default)?))?;)*
                Ok(Self { $($field: fields.require(stringify!($field), $field)?,)* })
            }
        }

        #[cfg(not(target_arch = "wasm32"))]
        impl crate::config::schema::Describe for $name {
            fn describe(types: &mut crate::config::schema::Types) -> Value {
                types.object(stringify!($name), |object| {
                    $(object.field::<$kind>(stringify!($field), object!(@default $($default)?));)*
                })
            }
        }
    };
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
}
pub(super) use object;

/// Declares a choice between words.
macro_rules! words {
    (enum $name:ident { $($variant:ident = $word:literal,)* }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name {
            $($variant,)*
        }

        impl Read for $name {
            fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError> {
                place.choose(&value, &[$(($word, Self::$variant)),*])
            }
        }

        #[cfg(not(target_arch = "wasm32"))]
        impl crate::config::schema::Describe for $name {
            fn describe(_types: &mut crate::config::schema::Types) -> Value {
                crate::config::schema::one_of(&[$($word),*])
            }

            fn written(&self) -> Option<Value> {
                match self {
                    $(Self::$variant => Some($word.into()),)*
                }
            }
        }
    };
}
pub(super) use words;

impl Place<'_> {
    /// The choice whose word stands here.
    pub(super) fn choose<T: Copy>(
        &self,
        value: &Value,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let Value::String(text) = value else {
            return Err(self.wrong_type(value, "a string"));
        };
        let words = || choices.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        choices
            .iter()
            .find(|(word, _)| word == text)
            .map(|(_, choice)| *choice)
            .ok_or_else(|| self.unknown("variant", text, &words()))
    }

    fn text(&self) -> String {
        match self {
            Self::Document => String::new(),
            Self::Element(list, index) => format!("{}[{index}]", list.text()),
            Self::Member(Self::Document, name) => (*name).into(),
            Self::Member(object, name) => format!("{}.{name}", object.text()),
        }
    }

    fn refuse(&self, detail: String) -> ConfigError {
        ConfigError::new(self.text(), Problem::Field { detail })
    }

    fn wrong_type(&self, value: &Value, expected: &str) -> ConfigError {
        let got = match value {
            Value::Null => "null".into(),
            Value::Bool(value) => format!("boolean `{value}`"),
            Value::Number(number) if number.is_f64() => format!("floating point `{number}`"),
            Value::Number(number) => format!("integer `{number}`"),
            Value::String(text) => format!("string {text:?}"),
            Value::Array(_) => "sequence".into(),
            Value::Object(_) => "map".into(),
        };
        self.refuse(format!("invalid type: {got}, expected {expected}"))
    }

    fn unknown(&self, kind: &str, name: &str, known: &[&str]) -> ConfigError {
        let known = match known {
            [only] => format!("`{only}`"),
            [first, second] => format!("`{first}` or `{second}`"),
            _ => format!("one of `{}`", known.join("`, `")),
        };
        self.refuse(format!("unknown {kind} `{name}`, expected {known}"))
    }
}

impl<'a> Fields<'a> {
    pub(super) fn read(
        value: Value,
        place: &'a Place<'a>,
        names: &[&str],
    ) -> Result<Self, ConfigError> {
        let Value::Object(members) = value else {
            return Err(place.wrong_type(&value, "a map"));
        };
        if let Some(name) = members.keys().find(|name| !names.contains(&name.as_str())) {
            return Err(Place::Member(place, name).unknown("field", name, names));
        }
        Ok(Self { members, place })
    }

    /// Kept out of line: an object is then one call for each of its fields.
    #[inline(never)]
    pub(super) fn take<T: Read>(
        &mut self,
        name: &'static str,
        default: Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match self.members.get_mut(name) {
            Some(value) => {
                let place = Place::Member(self.place, name);
                T::read(mem::take(value), &place).map(Some)
            }
            None => Ok(default.or_else(T::absent)),
        }
    }

    /// Asked of all fields after what is there was read: whoever leaves out what is wrong, to see what else
    /// is, would otherwise hear of nothing but what is now missing.
    pub(super) fn require<T>(
        &self,
        name: &'static str,
        value: Option<T>,
    ) -> Result<T, ConfigError> {
        value.ok_or_else(|| self.place.refuse(format!("missing field `{name}`")))
    }
}

impl Read for Algorithm {
    fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError> {
        place.choose(&value, &Self::NAMES)
    }
}

impl Read for bool {
    fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError> {
        value
            .as_bool()
            .ok_or_else(|| place.wrong_type(&value, "a boolean"))
    }
}

impl Read for String {
    fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError> {
        match value {
            Value::String(text) => Ok(text),
            value => Err(place.wrong_type(&value, "a string")),
        }
    }
}

impl Read for u32 {
    fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError> {
        let Value::Number(number) = &value else {
            return Err(place.wrong_type(&value, "an integer"));
        };
        number
            .as_u64()
            .and_then(|number| Self::try_from(number).ok())
            .ok_or_else(|| {
                let kind = if number.is_f64() {
                    "floating point"
                } else {
                    "integer"
                };
                let (got, max) = (number.to_string(), Self::MAX);
                place.refuse(format!(
                    "invalid value: {kind} `{got}`, expected an integer from 0 to {max}"
                ))
            })
    }
}

impl Read for Value {
    fn read(value: Value, _place: &Place<'_>) -> Result<Self, ConfigError> {
        Ok(value)
    }
}

impl<T: Read> Read for Box<T> {
    fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError> {
        T::read(value, place).map(Self::new)
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError> {
        match value {
            Value::Null => Ok(None),
            value => T::read(value, place).map(Some),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: Value, place: &Place<'_>) -> Result<Self, ConfigError> {
        let Value::Array(elements) = value else {
            return Err(place.wrong_type(&value, "a sequence"));
        };
        let read = |(index, element)| T::read(element, &Place::Element(place, index));
        elements.into_iter().enumerate().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    object! {
        struct Outer {
            inner: Vec<Inner>,
            mode: Colour = Colour::Red,
        }
    }

    object! {
        struct Inner {
            number: u32 = 7,
            text: Option<String>,
            flag: bool = true,
        }
    }

    words! {
        enum Colour {
            Red = "red",
            Green = "green",
            Blue = "blue",
        }
    }

    fn check(document: Value) -> Result<Outer, String> {
        Outer::read(document, &Place::Document).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        let outer =
            check(json!({"inner": [{}, {"number": 0, "text": "a", "flag": false}]})).unwrap();
        let read = outer
            .inner
            .iter()
            .map(|inner| (inner.number, inner.text.as_deref(), inner.flag));
        assert!(read.eq([(7, None, true), (0, Some("a"), false)]));
        assert_eq!(outer.mode, Colour::Red);
        let null = check(json!({"inner": [{"text": null}], "mode": "blue"})).unwrap();
        assert_eq!(
            (null.inner[0].text.as_ref(), null.mode),
            (None, Colour::Blue)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let inner = |inner: Value| json!({"inner": [{}, inner]});
        let cases = [
            (json!({}), "missing field `inner`"),
            (
                json!({"mode": "pink"}),
                "mode: unknown variant `pink`, expected one of `red`, `green`, `blue`",
            ),
            (json!([]), "invalid type: sequence, expected a map"),
            (
                json!({"inner": {}}),
                "inner: invalid type: map, expected a sequence",
            ),
            (
                json!({"inner": [], "mode": "pink"}),
                "mode: unknown variant `pink`, expected one of `red`, `green`, `blue`",
            ),
            (
                json!({"inner": [], "mode": 1}),
                "mode: invalid type: integer `1`, expected a string",
            ),
            (
                json!({"inner": [], "outer": 1}),
                "outer: unknown field `outer`, expected `inner` or `mode`",
            ),
            (
                inner(json!({"Text": ""})),
                "inner[1].Text: unknown field `Text`, expected one of `number`, `text`, `flag`",
            ),
            (
                inner(json!("a\"b")),
                "inner[1]: invalid type: string \"a\\\"b\", expected a map",
            ),
            (
                inner(json!({"text": true})),
                "inner[1].text: invalid type: boolean `true`, expected a string",
            ),
            (
                inner(json!({"flag": null})),
                "inner[1].flag: invalid type: null, expected a boolean",
            ),
            (
                inner(json!({"number": "1"})),
                "inner[1].number: invalid type: string \"1\", expected an integer",
            ),
            (
                inner(json!({"number": 4_294_967_296_u64})),
                "inner[1].number: invalid value: integer `4294967296`, expected an integer from 0 to 4294967295",
            ),
            (
                inner(json!({"number": -1})),
                "inner[1].number: invalid value: integer `-1`, expected an integer from 0 to 4294967295",
            ),
            (
                inner(json!({"number": 1.5})),
                "inner[1].number: invalid value: floating point `1.5`, expected an integer from 0 to 4294967295",
            ),
        ];
        for (document, want) in cases {
            assert_eq!(check(document.clone()).unwrap_err(), want, "{document}");
        }
    }

    #[test]
    fn algorithms_are_called_as_in_tokens() {
        let read = |name: &str| Algorithm::read(name.into(), &Place::Document).ok();
        for algorithm in Algorithm::ALL {
            assert_eq!(read(algorithm.name()), Some(algorithm));
        }
        assert_eq!(read("Ed25519"), Some(Algorithm::EdDsa));
        assert_eq!(read("none"), None);
    }
}
