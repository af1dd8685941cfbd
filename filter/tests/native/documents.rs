//! The examples in the documentation: each is read by the filter's own parser, so none can rot.

use std::fs;
use std::path::PathBuf;

use identity_filter::config::Config;
use serde::Deserialize;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The YAML documents in the code blocks of a page.
fn documents(page: &str) -> Vec<Value> {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let mut found = Vec::new();
    for block in text.split("```yaml\n").skip(1) {
        let yaml = block.split("```").next().unwrap();
        for document in serde_yaml_ng::Deserializer::from_str(yaml) {
            found.push(Value::deserialize(document).unwrap());
        }
    }
    found
}

fn parse(page: &str, document: &Value) -> Config {
    let parsed = Config::parse(document.to_string().as_bytes());
    assert!(parsed.is_ok(), "{page}: {}", parsed.unwrap_err());
    parsed.unwrap()
}

/// The names of the presets that have a page.
pub(crate) fn presets() -> Vec<String> {
    let pages = fs::read_dir(root().join("docs/presets")).unwrap();
    let name = |page: fs::DirEntry| {
        page.path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let mut names: Vec<_> = pages.map(|page| name(page.unwrap())).collect();
    names.sort();
    names
}

/// The `pluginConfig` on the page of a preset.
pub(crate) fn plugin_config(preset: &str) -> Value {
    let documents = documents(&format!("presets/{preset}.md"));
    let plugin = documents
        .iter()
        .find(|document| document["kind"] == "WasmPlugin");
    plugin.unwrap()["spec"]["pluginConfig"].clone()
}

#[test]
fn the_resources_on_a_page_fit_together() {
    for preset in presets() {
        let config = parse(&preset, &plugin_config(&preset));
        let documents = documents(&format!("presets/{preset}.md"));
        let of_kind = |kind: &str| {
            documents
                .iter()
                .find(|document| document["kind"] == kind)
                .unwrap()
        };
        let (entry, rule) = (of_kind("ServiceEntry"), of_kind("DestinationRule"));
        let tls = &rule["spec"]["trafficPolicy"]["tls"];
        for provider in &config.providers {
            let keys = provider.keys.remote();
            assert!(keys.is_some(), "{preset}");
            let Some(keys) = keys else {
                continue;
            };
            let host = keys.authority.as_str();
            assert_eq!(keys.cluster, format!("outbound|443||{host}"), "{preset}");
            assert_eq!(keys.scheme, "https", "{preset}");
            assert_eq!(entry["spec"]["hosts"][0], host, "{preset}");
            assert_eq!(rule["spec"]["host"], host, "{preset}");
            assert_eq!(
                (&tls["mode"], &tls["sni"]),
                (&"SIMPLE".into(), &host.into()),
                "{preset}"
            );
            assert_eq!(tls["subjectAltNames"][0], host, "{preset}");
        }
    }
}

#[test]
fn the_reference_holds_a_whole_configuration() {
    let documents = documents("filter.md");
    let whole: Vec<_> = documents
        .iter()
        .filter(|document| document.get("providers").is_some())
        .collect();
    assert_eq!(whole.len(), 1);
    parse("filter.md", whole[0]);
    let headers = documents
        .iter()
        .find(|document| document.get("headers").is_some());
    let mut whole = whole[0].clone();
    whole["headers"] = headers.unwrap()["headers"].clone();
    let config = parse("filter.md", &whole);
    assert_eq!(config.providers[0].claim_headers.len(), 2);
}
