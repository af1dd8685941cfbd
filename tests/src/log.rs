//! What the peers wrote down: files with one JSON object a line, and the audit records in a
//! gateway's log.

use std::{collections::HashMap, fs, path::Path};

use serde_json::Value;

/// Every whole line that is a JSON object. A line that is still being written is left for the next
/// look.
#[must_use]
pub fn json_lines(file: &Path) -> Vec<Value> {
    objects(&text_of(file), |line| line)
}

/// Every audit record: a JSON object that the filter logged through Envoy, which puts its own
/// prefix before it; Istio's Envoy also writes behind it.
#[must_use]
pub fn audit_records(gateway_log: &Path) -> Vec<Value> {
    objects(&text_of(gateway_log), |line| {
        line.find(AUDIT_START).map_or("", |at| &line[at..])
    })
}

/// The reason of each denial in a gateway's log, by the name of its decision.
#[must_use]
pub fn reasons(gateway_log: &Path) -> HashMap<String, String> {
    let reason = |record: &Value| {
        let text = |name: &str| record[name].as_str().map(str::to_owned);
        Some((text("decision_id")?, text("reason")?))
    };
    let records = audit_records(gateway_log);
    records.iter().filter_map(reason).collect()
}

fn objects(text: &str, object_in: impl Fn(&str) -> &str) -> Vec<Value> {
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .filter_map(|line| {
            let start = serde_json::Deserializer::from_str(object_in(line.trim_end()));
            start.into_iter().next()?.ok()
        })
        .collect()
}

/// All of it, as far as it is written.
#[must_use]
pub fn text_of(file: &Path) -> String {
    fs::read(file)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// How every audit record begins.
const AUDIT_START: &str = r#"{"type":"audit""#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_count_and_prefixes_are_cut() {
        let log = "[warning] wasm log: {\"type\":\"audit\",\"n\":1}\tthread=12\nnoise\n{\"type\":\"audit\"";
        let cut = |line: &str| line.find(AUDIT_START).map_or(0, |at| at);
        let got = objects(log, |line| &line[cut(line)..]);
        assert_eq!(got, [serde_json::json!({ "type": "audit", "n": 1 })]);
    }
}
