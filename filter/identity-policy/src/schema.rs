//! `schema`: the form of the configuration, for editors. The form is the core's, the words are those of
//! `docs/filter.md`.

use std::io::Write;

use identity_filter::config::Config;
use serde_json::{Value, json};

use crate::args::{self, Subject};
use crate::error::Error;

mod reference;

use reference::Reference;

pub(crate) fn run(args: &args::Schema, output: &mut dyn Write) -> Result<u8, Error> {
    let mut schema = Config::schema();
    describe(&mut schema);
    if matches!(args.subject, Subject::Manifest) {
        schema = manifest(schema);
    }
    writeln!(output, "{schema:#}")?;
    Ok(0)
}

/// Writes what the reference says of a member beside its type.
fn describe(schema: &mut Value) {
    let reference = Reference::read();
    let mut met = Vec::new();
    let mut open = vec![(String::new(), "Document".to_owned())];
    // An object that is used in several places is described as where it is met first.
    while let Some((place, name)) = open.pop() {
        if met.contains(&name) {
            continue;
        }
        let members = schema.pointer_mut(&format!("/$defs/{name}/properties"));
        for (field, member) in members.and_then(Value::as_object_mut).into_iter().flatten() {
            let place = if place.is_empty() {
                field.clone()
            } else {
                format!("{place}.{field}")
            };
            if let Some(text) = reference.find(&place, &name) {
                member["description"] = text.into();
            }
            if let Some((inner, suffix)) = inner(member) {
                open.insert(0, (format!("{place}{suffix}"), inner));
            }
        }
        met.push(name);
    }
}

/// The object that a member holds, and `[]` where it holds several.
fn inner(member: &Value) -> Option<(String, &'static str)> {
    let of = |value: &Value| {
        let reference = value
            .get("$ref")
            .or_else(|| value.pointer("/anyOf/0/$ref"))?;
        reference
            .as_str()?
            .strip_prefix("#/$defs/")
            .map(String::from)
    };
    match member.get("items") {
        Some(items) => of(items).map(|name| (name, "[]")),
        None => of(member).map(|name| (name, "")),
    }
}

/// The schema of a resource that holds a configuration, and of every other resource beside it.
fn manifest(mut schema: Value) -> Value {
    let Some(members) = schema.as_object_mut() else {
        return schema;
    };
    let take = |members: &mut serde_json::Map<String, Value>, name: &str| {
        members.remove(name).unwrap_or_default()
    };
    let (draft, definitions) = (take(members, "$schema"), take(members, "$defs"));
    let kind = |name: &str| json!({"properties": {"kind": {"const": name}}, "required": ["kind"]});
    let held = json!({"properties": {"pluginConfig": {"$ref": "#/$defs/Document"}}, "required": ["pluginConfig"]});
    json!({
        "$schema": draft,
        "title": "A manifest with the configuration of Sallyport's identity filter",
        "type": "object",
        "allOf": [
            {"if": kind("WasmPlugin"), "then": {"properties": {"spec": held}, "required": ["spec"]}},
            {"if": kind("TrafficExtension"), "then":
                {"properties": {"spec": {"properties": {"wasm": held}, "required": ["wasm"]}}, "required": ["spec"]}},
        ],
        "$defs": definitions,
    })
}
