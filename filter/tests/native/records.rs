//! Audit records are what `docs/audit-record.schema.json` and the page say that they are: a record of each reason
//! to deny, and of each way in, is held against both.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::decisions::records;

fn page(name: &str) -> String {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs");
    fs::read_to_string(docs.join(name)).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&page("audit-record.schema.json")).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema())
        .unwrap()
}

/// The names in the first column of the table of a section of the page.
fn table(section: &str) -> BTreeSet<String> {
    let page = page("filter.md");
    let (_, text) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let text = text.split("\n##").next().unwrap();
    let column = if section == "Denials" { 2 } else { 1 };
    let cells = text
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.split('|').nth(column));
    cells
        .flat_map(|cell| cell.split(','))
        .filter_map(|name| name.trim().strip_prefix('`')?.strip_suffix('`'))
        .map(String::from)
        .collect()
}

#[test]
fn every_kind_of_record_is_valid_by_the_schema() {
    let validator = validator();
    for (what, record) in records() {
        let errors: Vec<_> = validator
            .iter_errors(&record)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{what}: {errors:?} in {record}");
    }
}

#[test]
fn the_schema_refuses_what_no_record_says() {
    let validator = validator();
    let (_, good) = records()
        .into_iter()
        .find(|(what, _)| what == "rule_denied")
        .unwrap();
    assert!(validator.is_valid(&good));
    let wrong = [
        ("/token", json!("secret")),
        ("/shadow", json!({"decision": "allow"})),
        (
            "/shadow",
            json!({"decision": "allow", "rule": null, "reason": null, "more": 1}),
        ),
        ("/type", json!("access")),
        ("/time", json!("yesterday")),
        ("/decision", json!("perhaps")),
        ("/decision", json!("allow")),
        ("/decision_id", json!("7")),
        ("/reason", json!("because")),
        ("/reason", Value::Null),
        ("/status", json!(200)),
        ("/roles", json!("reader")),
        ("/duration_microseconds", json!(-1)),
        ("/duration_microseconds", Value::Null),
        ("/path", json!("/orders/7?secret=1")),
    ];
    for (member, value) in wrong {
        let mut record = good.clone();
        record[&member[1..]] = value.clone();
        assert!(!validator.is_valid(&record), "{member} {value}");
    }
    for name in good.as_object().unwrap().keys() {
        let mut record = good.clone();
        record.as_object_mut().unwrap().remove(name);
        assert!(!validator.is_valid(&record), "without {name}");
    }
}

#[test]
fn schema_page_and_records_have_the_same_members_and_reasons() {
    let schema = schema();
    let properties = schema["properties"].as_object().unwrap();
    let described: BTreeSet<String> = properties.keys().cloned().collect();
    for (name, property) in properties {
        let description = property["description"].as_str().unwrap_or_default();
        assert!(!description.is_empty(), "{name} is not described");
    }
    let (mut written, mut reasons) = (BTreeSet::new(), BTreeSet::new());
    for (_, record) in records() {
        let members = record.as_object().unwrap();
        written.extend(
            members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, _)| name.clone()),
        );
        reasons.extend(record["reason"].as_str().map(String::from));
    }
    assert_eq!(described, written, "schema and records");
    assert_eq!(table("Audit records"), described, "page and schema");
    let listed = schema["$defs"]["reason"]["enum"].as_array().unwrap().iter();
    let listed: BTreeSet<String> = listed
        .map(|reason| reason.as_str().unwrap().into())
        .collect();
    assert_eq!(listed, reasons, "schema and records");
    assert_eq!(table("Denials"), listed, "page and schema");
}

#[test]
fn the_template_is_the_pattern_of_the_rule_and_of_no_rule_there_is_none() {
    let templates = [
        ("a role", json!("/orders/{id}")),
        ("no path in the rule", json!("/**")),
        ("anonymous", json!("/orders/healthz")),
        ("rule_denied", json!("/orders/secrets/**")),
        ("rule_missing", Value::Null),
        ("token_expired", Value::Null),
        ("path_ambiguous", Value::Null),
    ];
    let records = records();
    for (what, want) in templates {
        let (_, record) = records.iter().find(|(other, _)| other == what).unwrap();
        assert_eq!(record["path_template"], want, "{what}");
        assert_eq!(record["duration_microseconds"], 17, "{what}");
    }
}
