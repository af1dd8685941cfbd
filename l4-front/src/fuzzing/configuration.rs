//! A configuration: taken whole and valid, or refused with the place of the mistake.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use serde_yaml_ng::Value;

use super::material;
use crate::config::{Config, ConfigError, Listener};
use crate::route::Mode;

/// What is accepted is valid and means the same each time; what is refused says where it is wrong.
pub fn check(data: &[u8]) {
    let text = material::in_place(data);
    let document = serde_yaml_ng::from_slice::<Value>(&text).ok();
    if document.as_ref().is_some_and(names_a_device) {
        return;
    }
    match Config::parse(Path::new("front.yaml"), &text) {
        Ok(config) => {
            let document = document.expect("a configuration is YAML");
            is_valid(&config, &document);
            let again = serde_yaml_ng::to_string(&document).unwrap();
            let again = Config::parse(Path::new("front.yaml"), again.as_bytes());
            let again = again.expect("another spelling of the same document");
            let meaning = |config: &Config| format!("{:?}", config.fingerprints);
            assert_eq!(meaning(&config), meaning(&again));
        }
        Err(error) => names_a_place(&error, document.as_ref()),
    }
}

/// Files without an end, and those of other processes: who configures the front would not name them, a fuzzer may.
fn names_a_device(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let is_ours = text.starts_with("/proc/self/fd/") || text.starts_with("/dev/std");
            !is_ours
                && ["/dev", "/proc", "/sys", ".."]
                    .iter()
                    .any(|part| text.contains(part))
        }
        Value::Sequence(values) => values.iter().any(names_a_device),
        Value::Mapping(pairs) => pairs
            .iter()
            .any(|(key, value)| names_a_device(key) || names_a_device(value)),
        Value::Tagged(tagged) => names_a_device(&tagged.value),
        _ => false,
    }
}

/// The bounds and rules of docs/l4-front.md, looked at in what came out.
fn is_valid(config: &Config, document: &Value) {
    assert!(
        config
            .workers
            .is_none_or(|workers| (1..=512).contains(&workers))
    );
    assert!(config.drain <= Duration::from_secs(3600));
    assert!(
        config
            .watch
            .is_none_or(|watch| (1..=3600).contains(&watch.as_secs()))
    );
    assert!(!config.clusters.is_empty() && !config.listeners.is_empty());
    assert_eq!(config.fingerprints.clusters.len(), config.clusters.len());
    assert_eq!(config.fingerprints.listeners.len(), config.listeners.len());
    let mut names = HashSet::new();
    for cluster in &config.clusters {
        assert!(names.insert(&cluster.name));
        assert!((1..=60).contains(&cluster.connect_timeout.as_secs()));
        assert!((1..=10).contains(&cluster.connect_attempts));
    }
    let (mut names, mut binds) = (HashSet::new(), HashSet::new());
    for (index, listener) in config.listeners.iter().enumerate() {
        assert!(names.insert(&listener.name) && binds.insert(listener.bind));
        assert!((1..=10_000_000).contains(&listener.limits.connections));
        assert!((1..=1_000_000).contains(&listener.limits.handshakes_in_flight));
        let timeouts = &listener.timeouts;
        assert!((1..=300).contains(&timeouts.handshake.as_secs()));
        assert!(timeouts.client_hello <= timeouts.handshake && !timeouts.client_hello.is_zero());
        assert!((1..=86_400).contains(&timeouts.idle.as_secs()));
        assert!((1..=86_400).contains(&timeouts.half_closed.as_secs()));
        let proxies = listener.admission.proxies.as_ref();
        assert!(proxies.is_none_or(|proxies| !proxies.sources.0.is_empty()));
        every_route_leads_somewhere(config, listener, &document["listeners"][index]["routes"]);
    }
}

/// Each name that is written finds a route, to a cluster that can serve it: no client's bytes go on in clear.
fn every_route_leads_somewhere(config: &Config, listener: &Listener, written: &Value) {
    for route in written.as_sequence().unwrap() {
        let strings = |value: &Value| -> Vec<String> {
            let texts = value.as_sequence().into_iter().flatten();
            texts
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect()
        };
        let offered = route.get("alpn").map(strings).unwrap_or_default();
        let offered: Vec<_> = offered.iter().map(String::as_bytes).collect();
        let names = route.get("sni").map(strings).unwrap_or_default();
        let names = names
            .iter()
            .map(|name| name.to_ascii_lowercase().replace('*', "any"));
        // `None` is what the default route is for.
        let default = names.len() == 0;
        for name in names.map(Some).chain(default.then_some(None)) {
            let target = listener.routes.pick(name.as_deref(), &offered).unwrap();
            let cluster = config.clusters.get(target.cluster.0).unwrap();
            assert_eq!(target.mode == Mode::Terminate, cluster.tls.is_some());
            assert!(target.mode == Mode::PassThrough || listener.tls.is_some());
        }
    }
}

fn names_a_place(error: &ConfigError, document: Option<&Value>) {
    let text = crate::chain(error);
    let at = match error {
        // In the words of the YAML library, which begin with the path or end with line and column.
        ConfigError::Yaml { source, .. } => {
            let said = source.to_string();
            assert!(
                !said.is_empty() && text.starts_with("front.yaml: "),
                "{text}"
            );
            return;
        }
        ConfigError::Bounds { at, .. }
        | ConfigError::Duplicate { at, .. }
        | ConfigError::Empty { at }
        | ConfigError::KeyMismatch { at, .. }
        | ConfigError::Missing { at, .. }
        | ConfigError::NoPem { at, .. }
        | ConfigError::NoSpiffeId { at, .. }
        | ConfigError::Read { at, .. }
        | ConfigError::NameServers { at, .. }
        | ConfigError::Tls { at, .. }
        | ConfigError::TooMany { at, .. }
        | ConfigError::UnknownCluster { at, .. }
        | ConfigError::Unsupported { at, .. }
        | ConfigError::Value { at, .. } => at,
    };
    assert!(text.starts_with(&format!("{at}: ")), "{text}");
    let document = document.expect("it was read");
    let parent = at.rsplit_once(['.', '[']).map_or("", |(parent, _)| parent);
    assert!(is_there(document, parent), "{text}");
}

/// Whether the document has a value at a place such as `listeners[0].tls`.
fn is_there(document: &Value, place: &str) -> bool {
    let mut value = Some(document);
    for step in place.split(['.', '[']).filter(|step| !step.is_empty()) {
        value = value.and_then(|value| match step.strip_suffix(']') {
            Some(index) => value.get(index.parse::<usize>().ok()?),
            None => value.get(step),
        });
    }
    value.is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERYTHING: &str = include_str!("../../../tests/fixtures/config/valid/everything.yaml");

    /// What an operator's hand may do to a file.
    #[derive(Debug, Clone)]
    enum Edit {
        Drop,
        Repeat,
        /// Another number in the place of the line's last one.
        Number(u64),
        /// Deeper by so many columns.
        Indent(usize),
        /// Cut after so many bytes.
        Cut(usize),
    }

    fn edits() -> impl Strategy<Value = Vec<(usize, Edit)>> {
        let number = prop_oneof![0_u64..200, Just(u64::MAX), any::<u64>()];
        let edit = prop_oneof![
            Just(Edit::Drop),
            Just(Edit::Repeat),
            number.prop_map(Edit::Number),
            (1_usize..4).prop_map(Edit::Indent),
            (0_usize..60).prop_map(Edit::Cut),
        ];
        prop::collection::vec((any::<prop::sample::Index>(), edit), 1..4).prop_map(|edits| {
            let lines = EVERYTHING.lines().count();
            edits
                .into_iter()
                .map(|(at, edit)| (at.index(lines), edit))
                .collect()
        })
    }

    fn edited(edits: &[(usize, Edit)]) -> String {
        let mut lines: Vec<String> = EVERYTHING.lines().map(str::to_owned).collect();
        for (at, edit) in edits {
            let line = &lines[*at];
            lines[*at] = match edit {
                Edit::Drop => String::new(),
                Edit::Repeat => format!("{line}\n{line}"),
                Edit::Indent(columns) => format!("{}{line}", " ".repeat(*columns)),
                Edit::Cut(bytes) => line.chars().take(*bytes).collect(),
                Edit::Number(number) => {
                    let end = line
                        .rfind(|char: char| char.is_ascii_digit())
                        .map_or(0, |at| at + 1);
                    let (head, tail) = line.split_at(end);
                    let head = head.trim_end_matches(|char: char| char.is_ascii_digit());
                    format!("{head}{number}{tail}")
                }
            };
        }
        lines.join("\n")
    }

    proptest! {
        #[test]
        fn an_edited_configuration_is_valid_as_a_whole_or_refused_with_the_place(edits in edits()) {
            check(edited(&edits).as_bytes());
        }
    }
}
