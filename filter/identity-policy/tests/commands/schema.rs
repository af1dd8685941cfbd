//! `schema`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::pages::{blocks, pages_with_a_configuration};
use crate::program::{Folder, root};

fn schema(arguments: &[&str]) -> Value {
    let run = Folder::new().run(&[&["schema"], arguments].concat());
    assert_eq!((run.code, run.errors.as_str()), (0, ""));
    serde_json::from_str(&run.output).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(text);
    documents
        .map(|one| serde::Deserialize::deserialize(one).unwrap())
        .collect()
}

#[test]
fn what_the_repository_shows_fits() {
    let bare = jsonschema::draft202012::new(&schema(&[])).unwrap();
    let manifest = jsonschema::draft202012::new(&schema(&["--for", "manifest"])).unwrap();
    let base =
        root().join("istio-manifests/overlays/example/platform/site/policy/identity-filter.yaml");
    let mut texts = vec![(
        base.display().to_string(),
        fs::read_to_string(base).unwrap(),
    )];
    for page in pages_with_a_configuration() {
        let yaml = blocks(&page)
            .into_iter()
            .filter(|(language, _, text)| language == "yaml" && text.contains("providers:"));
        texts.extend(yaml.map(|(_, _, text)| (page.clone(), text)));
    }
    let mut configurations = 0;
    for (name, text) in texts {
        for document in documents(&text) {
            let (validator, held) = match document["kind"].as_str() {
                Some("WasmPlugin") => (&manifest, &document["spec"]["pluginConfig"]),
                Some(_) => (&manifest, &Value::Null),
                None => (&bare, &document),
            };
            let wrong: Vec<_> = validator
                .iter_errors(&document)
                .map(|error| error.to_string())
                .collect();
            assert_eq!(wrong, [""; 0], "{name}");
            configurations += usize::from(!held.is_null());
        }
    }
    assert!(configurations > 12, "{configurations}");
}

#[test]
fn what_the_core_takes_fits_and_what_has_another_form_does_not() {
    let validator = jsonschema::draft202012::new(&schema(&[])).unwrap();
    let folder = Folder::new();
    let seeds = fs::read_dir(root().join("filter/fuzz/seeds/configuration")).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for seed in seeds {
        let path = seed.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let run = folder.run(&["check".as_ref(), path.as_os_str()]);
        let Ok(document) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        let fits = validator.is_valid(&document);
        let form = [
            "unknown field",
            "unknown variant",
            "missing field",
            "invalid type",
        ];
        let has_wrong_form = run
            .output
            .lines()
            .any(|line| form.iter().any(|form| line.contains(form)));
        if run.code == 0 {
            taken += 1;
            assert!(fits, "{}", path.display());
        } else if has_wrong_form {
            refused += 1;
            assert!(!fits, "{}: {}", path.display(), run.output);
        }
    }
    assert!(taken > 10 && refused > 0, "{taken} {refused}");
}

#[test]
fn another_form_is_refused_where_it_stands() {
    let validator = jsonschema::draft202012::new(&schema(&["--for", "manifest"])).unwrap();
    let right = "kind: WasmPlugin\nspec:\n  pluginConfig:\n    providers: []\n    namespaces: []\n    policy: {rules: []}\n";
    assert!(validator.is_valid(&documents(right)[0]));
    for (from, to) in [
        ("rules: []", "rulez: []"),
        ("policy: {rules: []}", "policy: {rules: [], mode: dry}"),
        ("    namespaces: []\n", ""),
        ("providers: []", "providers: {}"),
        ("providers: []", "providers: [{name: 1}]"),
        ("pluginConfig", "config"),
    ] {
        assert!(
            !validator.is_valid(&documents(&right.replace(from, to))[0]),
            "{to}"
        );
    }
    let other = "kind: ConfigMap\nspec: {pluginConfig: 1}\n";
    assert!(
        validator.is_valid(&documents(other)[0]),
        "other resources are left alone"
    );
}

/// Every member of every object, by the last part of its name, and whether it has a description.
fn members(schema: &Value) -> Vec<(String, bool)> {
    let types = schema["$defs"].as_object().unwrap();
    let properties = types
        .values()
        .flat_map(|one| one["properties"].as_object().unwrap());
    properties
        .map(|(name, one)| (name.clone(), one["description"].is_string()))
        .collect()
}

#[test]
fn every_field_of_the_reference_is_in_it_with_what_is_said_of_it() {
    let members = members(&schema(&[]));
    let page = fs::read_to_string(root().join("docs/filter.md")).unwrap();
    let mut is_fields = false;
    let mut fields = BTreeSet::new();
    for line in page.lines() {
        if line.starts_with("| field |") {
            is_fields = true;
        } else if !line.starts_with('|') {
            is_fields = false;
        } else if is_fields
            && let Some(field) = line
                .strip_prefix("| `")
                .and_then(|rest| rest.split('`').next())
        {
            fields.insert(field.rsplit(['.', ']']).next().unwrap().to_owned());
        }
    }
    assert!(fields.len() > 50, "{fields:?}");
    for field in &fields {
        let is_told = |(name, is_described): &(String, bool)| name == field && *is_described;
        let may_be_plain = matches!(field.as_str(), "name" | "namespace");
        let has = members
            .iter()
            .any(|member| is_told(member) || (may_be_plain && member.0 == *field));
        assert!(has, "{field}");
    }
}
