//! A configuration: taken whole and valid, or refused with the place of the mistake.

use std::collections::BTreeSet;
use std::time::Duration;

use identity_filter::config::{Config, ConfigError, Problem};
use serde_json::Value;

/// What is accepted is valid and means the same each time; what is refused says where it is wrong.
pub(crate) fn check(data: &[u8]) {
    match Config::parse(data) {
        Ok(config) => {
            is_valid(&config);
            let document: Value = serde_json::from_slice(data).expect("a configuration is JSON");
            let again = Config::parse(document.to_string().as_bytes());
            let again = again.expect("another spelling of the same document");
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
        }
        Err(error) => names_a_place(&error, data),
    }
}

fn is_valid(config: &Config) {
    let mut names = BTreeSet::new();
    let mut issuers = BTreeSet::new();
    for provider in &config.providers {
        assert!(names.insert(&provider.name) && issuers.insert(&provider.issuer));
        assert!((1..=64).contains(&provider.name.len()) && !provider.issuer.is_empty());
        assert!(!provider.audiences.is_empty() && !provider.algorithms.is_empty());
        assert!(!provider.tokens.is_empty());
        assert!(provider.clock_skew <= Duration::from_secs(60));
    }
    assert!((1024..=61_440).contains(&config.limits.token_bytes));
    assert!(config.limits.cache.tokens <= 10_000);
    assert!(config.headers.is_identity("x-connection-id"));
}

fn names_a_place(error: &ConfigError, data: &[u8]) {
    let text = error.to_string();
    assert!(!text.is_empty());
    match error.problem {
        // About the document as a whole, or in the words and the places of serde.
        Problem::Syntax { .. } | Problem::NotStrict => assert_eq!(error.at, ""),
        Problem::Field { .. } => {}
        _ => {
            assert!(text.starts_with(&format!("{}: ", error.at)), "{text}");
            let document: Value = serde_json::from_slice(data).expect("it was read");
            let parent = error
                .at
                .rsplit_once(['.', '['])
                .map_or("", |(parent, _)| parent);
            assert!(is_there(&document, parent), "{text}");
        }
    }
}

/// Whether the document has a value at a place such as `policy.rules[0]`.
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
