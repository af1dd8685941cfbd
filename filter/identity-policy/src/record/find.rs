//! Audit records in logs: lines of JSON, lines with something in front, and what the access log quotes.

use identity_filter::decision::Denial;
use serde_json::Value;

use super::{RecordError, Recorded};
use crate::document::Source;
use crate::report;

/// The record that is asked for, or the only one.
pub(super) fn pick(source: &Source, decision: Option<&str>) -> Result<Recorded, RecordError> {
    let mut found: Vec<_> = source.text.lines().flat_map(records).collect();
    // A decision that is in two logs is in the one whole, and in the other as far as the gateway does not know it.
    found.sort_by_key(|record| record.method.is_none());
    let mut kept: Vec<Recorded> = Vec::new();
    for record in found {
        if !kept
            .iter()
            .any(|earlier| earlier.decision_id == record.decision_id)
        {
            kept.push(record);
        }
    }
    let file = || source.name.clone();
    if let Some(id) = decision {
        let record = kept.into_iter().find(|record| record.decision_id == id);
        return record.ok_or_else(|| RecordError::Unknown {
            file: file(),
            id: id.into(),
        });
    }
    let count = kept.len();
    match (kept.pop(), count) {
        (Some(record), 1) => Ok(record),
        (None, _) => Err(RecordError::NoRecord { file: file() }),
        (Some(_), count) => Err(RecordError::Several {
            file: file(),
            count,
        }),
    }
}

/// The records of a line: each JSON object in it that is one, or that holds one.
fn records(line: &str) -> Vec<Recorded> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let next = values.next();
        let end = values.byte_offset();
        match next {
            Some(Ok(value)) => {
                found.extend(in_value(&value));
                rest = &rest[end.max(1)..];
            }
            _ => rest = &rest[1..],
        }
    }
    found
}

/// A client can write what looks like a record into a header that is logged, but it cannot know the id of its
/// decision. So all are found, and where there are several the id tells which.
fn in_value(value: &Value) -> Vec<Recorded> {
    if value["decision_id"].is_string() {
        return vec![Recorded::read(value)];
    }
    // A log in JSON: the record is in one member, and the others have what the gateway knows.
    let Some(members) = value.as_object() else {
        return Vec::new();
    };
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| members.get(*name)?.as_str());
        found.filter(|text| *text != "-").map(String::from)
    };
    let path = text(&["path"]).map(|path| path.split('?').next().unwrap_or_default().to_owned());
    let complete = |record: Recorded| Recorded {
        method: record.method.or_else(|| text(&["method"])),
        host: record.host.or_else(|| text(&["authority", "host"])),
        path: record.path.or_else(|| path.clone()),
        time: record.time.or_else(|| text(&["start_time", "time"])),
        source: record
            .source
            .or_else(|| text(&["downstream_remote_address", "source"])),
        ..record
    };
    let found = members.values().flat_map(|member| match member {
        Value::String(text) => records(text),
        Value::Object(_) if member["decision_id"].is_string() => vec![Recorded::read(member)],
        _ => Vec::new(),
    });
    found.map(complete).collect()
}

/// What a reason of a record means.
pub(super) fn meaning(reason: &str) -> &'static str {
    serde_json::from_value::<Denial>(reason.into())
        .map_or("a reason that this version does not know", report::meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(line: &str) -> Vec<String> {
        records(line)
            .into_iter()
            .map(|record| record.decision_id)
            .collect()
    }

    #[test]
    fn records_are_found_wherever_they_stand() {
        for (name, line, want) in [
            ("alone", r#"{"type":"audit","decision_id":"1"}"#, vec!["1"]),
            (
                "in Envoy's log",
                r#"[2026-11-30 12:00:00.1][17][warning][wasm] [x.cc:1] wasm log identity: {"type":"audit","decision_id":"1"}"#,
                vec!["1"],
            ),
            (
                "in a JSON access log",
                r#"{"method":"GET","allow":"{\"decision_id\":\"1\",\"rule\":null}"}"#,
                vec!["1"],
            ),
            (
                "in Envoy's log in JSON",
                r#"{"level":"warning","msg":"wasm log x: {\"type\":\"audit\",\"decision_id\":\"1\"}"}"#,
                vec!["1"],
            ),
            (
                "in a text access log",
                r#""GET / HTTP/2" 200 - {"decision_id":"1"} {"decision_id":"2"}"#,
                vec!["1", "2"],
            ),
            (
                "beside one that a client made up",
                r#"{"allow":"{\"decision_id\":\"1\"}","user_agent":"{\"decision_id\":\"0\"}"}"#,
                vec!["1", "0"],
            ),
            ("behind a brace", r#"a { b {"decision_id":"1"}"#, vec!["1"]),
            ("cut off", r#"{"type":"audit","decision_id":"1""#, vec![]),
            ("of something else", r#"{"type":"other"}"#, vec![]),
        ] {
            assert_eq!(ids(line), want, "{name}");
        }
    }

    #[test]
    fn the_access_log_brings_what_the_gateway_knows() {
        let line = r#"{"method":"GET","authority":"a.test","path":"/x?y=1","start_time":"-","f":{"decision_id":"1"}}"#;
        let record = records(line).remove(0);
        assert_eq!(
            (
                record.method.as_deref(),
                record.host.as_deref(),
                record.path.as_deref(),
                record.time
            ),
            (Some("GET"), Some("a.test"), Some("/x"), None)
        );
        assert_eq!(record.decision, "allow");
    }
}
