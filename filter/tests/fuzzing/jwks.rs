//! A key set document: bounded, without private material, and every key only for what it says.

use identity_filter::algorithm::Algorithm;
use identity_filter::jwks::{KeySet, SIZE_LIMIT};
use identity_filter::token::Header;
use serde_json::Value;

/// Names of members that hold private or symmetric material (RFC 7518 section 6).
const PRIVATE: [&str; 9] = ["d", "dp", "dq", "k", "oth", "p", "priv", "q", "qi"];

/// What is kept of a document can be explained by the document.
pub(crate) fn check(data: &[u8]) {
    let Ok(set) = KeySet::parse(data) else {
        return;
    };
    assert!(data.len() <= SIZE_LIMIT && (1..=64).contains(&set.len()));
    let document: Value = serde_json::from_slice(data).expect("a key set is JSON");
    let entries = document["keys"].as_array().expect("with an array of keys");
    assert_eq!(set.len() + set.skipped().len(), entries.len());
    let private = entries.iter().filter(|entry| is_private(entry)).count();
    assert_eq!(set.private(), private, "each is reported, none is kept");
    for (index, entry) in entries.iter().enumerate() {
        let skipped = set.skipped().iter().find(|skipped| skipped.index == index);
        assert!(skipped.is_some() || !is_private(entry));
        is_picked_for_what_it_says(&set, entry);
    }
    let again = KeySet::parse(data).expect("it was read before");
    assert!(set.has_same_keys(&again));
}

fn is_private(entry: &Value) -> bool {
    PRIVATE.iter().any(|name| entry.get(name).is_some()) || entry["kty"] == "oct"
}

fn is_picked_for_what_it_says(set: &KeySet, entry: &Value) {
    let Some(id) = entry["kid"].as_str() else {
        return;
    };
    for algorithm in Algorithm::ALL {
        let header = Header {
            algorithm: algorithm.name().into(),
            key_id: Some(id.into()),
            kind: None,
            origin: None,
        };
        if let Some(key) = set.pick(&header, algorithm) {
            assert_eq!(key.kind(), algorithm.key_kind());
            assert_eq!(key.spki().first(), Some(&0x30), "a DER sequence");
        }
    }
}
