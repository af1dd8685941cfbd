//! The form of the document as a JSON Schema (draft 2020-12), from the declarations that it is read by.
//!
//! It is for editors, and it is not in the gateway's module. Ranges and what must hold between members are
//! not in it: the reader checks them.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use super::read::Read;
use crate::algorithm::Algorithm;
use crate::state::StateValue;

/// What is known of a type that can be read.
pub(super) trait Describe {
    /// Its schema; objects are among the types, under their names.
    fn describe(types: &mut Types) -> Value;

    /// The value as a document would have it, where it can be shown as a default.
    fn written(&self) -> Option<Value> {
        None
    }
}

/// The objects that were met, by name.
pub(super) struct Types(Map<String, Value>);

/// An object whose fields are being told.
pub(super) struct Object<'a> {
    types: &'a mut Types,
    properties: Map<String, Value>,
    required: Vec<&'static str>,
}

/// The schema of a whole document.
pub(super) fn of<T: Describe>(presets: impl Iterator<Item = &'static str>) -> Value {
    let mut types = Types(Map::new());
    let mut schema = T::describe(&mut types);
    // Which presets there are is data, not a declaration.
    if let Some(preset) = types
        .0
        .get_mut("Provider")
        .and_then(|provider| provider.pointer_mut("/properties/preset"))
    {
        *preset = or_null(one_of(&presets.collect::<Vec<_>>()));
    }
    if let Some(members) = schema.as_object_mut() {
        members.insert("$schema".into(), DRAFT.into());
        members.insert(
            "title".into(),
            "Configuration of Sallyport's identity filter".into(),
        );
        members.insert("$defs".into(), Value::Object(types.0));
    }
    schema
}

/// A choice between words.
pub(super) fn one_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

impl Types {
    pub(super) fn object(&mut self, name: &str, tell: impl FnOnce(&mut Object<'_>)) -> Value {
        if !self.0.contains_key(name) {
            // An object that holds itself is met again while it is told.
            self.0.insert(name.into(), Value::Null);
            let mut object = Object {
                types: self,
                properties: Map::new(),
                required: Vec::new(),
            };
            tell(&mut object);
            let Object {
                properties,
                required,
                ..
            } = object;
            let mut schema =
                json!({"type": "object", "properties": properties, "additionalProperties": false});
            if !required.is_empty() {
                put(&mut schema, "required", required.into());
            }
            self.0.insert(name.into(), schema);
        }
        json!({"$ref": format!("#/$defs/{name}")})
    }
}

impl Object<'_> {
    pub(super) fn field<T: Read + Describe>(&mut self, name: &'static str, default: Option<T>) {
        let mut schema = T::describe(self.types);
        if let Some(default) = default.as_ref().and_then(T::written) {
            put(&mut schema, "default", default);
        }
        if default.is_none() && T::absent().is_none() {
            self.required.push(name);
        }
        self.properties.insert(name.into(), schema);
    }
}

/// The same, or `null`: what stands for a member that is not there.
fn or_null(mut schema: Value) -> Value {
    match (schema.get("type").cloned(), schema.get_mut("enum")) {
        (Some(Value::String(kind)), words) => {
            if let Some(words) = words.and_then(Value::as_array_mut) {
                words.push(Value::Null);
            }
            put(&mut schema, "type", json!([kind, "null"]));
            schema
        }
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

/// Sets a member of a schema.
fn put(schema: &mut Value, name: &str, value: Value) {
    if let Some(members) = schema.as_object_mut() {
        members.insert(name.into(), value);
    }
}

impl Describe for Algorithm {
    fn describe(_types: &mut Types) -> Value {
        one_of(&Self::NAMES.map(|(name, _)| name))
    }
}

impl Describe for StateValue {
    fn describe(_types: &mut Types) -> Value {
        one_of(&Self::NAMES.map(|(name, _)| name))
    }
}

impl Describe for bool {
    fn describe(_types: &mut Types) -> Value {
        json!({"type": "boolean"})
    }

    fn written(&self) -> Option<Value> {
        Some((*self).into())
    }
}

impl Describe for String {
    fn describe(_types: &mut Types) -> Value {
        json!({"type": "string"})
    }

    fn written(&self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

impl Describe for u32 {
    fn describe(_types: &mut Types) -> Value {
        json!({"type": "integer", "minimum": 0, "maximum": Self::MAX})
    }

    fn written(&self) -> Option<Value> {
        Some((*self).into())
    }
}

impl Describe for Value {
    fn describe(_types: &mut Types) -> Value {
        json!({})
    }
}

impl<T: Describe> Describe for Box<T> {
    fn describe(types: &mut Types) -> Value {
        T::describe(types)
    }
}

impl<T: Describe> Describe for Option<T> {
    fn describe(types: &mut Types) -> Value {
        or_null(T::describe(types))
    }
}

impl<T: Describe> Describe for Vec<T> {
    fn describe(types: &mut Types) -> Value {
        json!({"type": "array", "items": T::describe(types)})
    }

    fn written(&self) -> Option<Value> {
        self.iter()
            .map(T::written)
            .collect::<Option<Vec<_>>>()
            .map(Value::Array)
    }
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_declarations_are_in_it() {
        let schema = Config::schema();
        let at = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(at("/$ref"), "#/$defs/Document");
        assert_eq!(
            at("/$defs/Document/required"),
            json!(["providers", "namespaces", "policy"])
        );
        assert_eq!(at("/$defs/Document/additionalProperties"), false);
        assert_eq!(
            at("/$defs/Policy/properties/mode/enum"),
            json!(["enforce", "shadow"])
        );
        assert_eq!(at("/$defs/Policy/properties/mode/default"), "enforce");
        assert_eq!(
            at("/$defs/Provider/properties/clock_skew_seconds/default"),
            60
        );
        assert_eq!(
            at("/$defs/Provider/properties/tokens/type"),
            json!(["array", "null"])
        );
        assert_eq!(
            at("/$defs/Condition/properties/all/items/$ref"),
            "#/$defs/Condition"
        );
        assert_eq!(at("/$defs/Grant/properties/when/default"), json!([]));
        let presets = at("/$defs/Provider/properties/preset/enum");
        assert!(
            presets.as_array().unwrap().contains(&"okta".into()),
            "{presets}"
        );
    }
}
