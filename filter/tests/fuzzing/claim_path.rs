//! A claim path over any JSON object, and what conditions make of the value there.

use identity_filter::claims::{ClaimPath, Claims, Text, listed};
use identity_filter::condition::{Condition, Fact, Facts, Test};
use identity_filter::identity::Template;
use serde_json::Value;

/// The first line is the path, the rest is the payload of a token.
pub(crate) fn check(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (text, payload) = data.split_at(end.unwrap_or(data.len()));
    let Ok(text) = core::str::from_utf8(text) else {
        return;
    };
    let path = ClaimPath::parse(text);
    let names = names(text);
    assert_eq!(path.is_some(), names.is_some(), "{text}");
    let (Some(path), Some(names)) = (path, names) else {
        return;
    };
    assert!(path.overlaps(&path));
    if !names.iter().any(|name| name.contains('"')) {
        let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
        assert_eq!(ClaimPath::parse(&quoted.join(".")), Some(path.clone()));
    }
    // Braces and slashes of the path stand inside the place for the claim, or the text is no template.
    let _template = Template::parse(&format!("spiffe://a.test/{{claim:{text}}}"));
    let Ok(claims) = Claims::parse(payload.strip_prefix(b"\n").unwrap_or(payload)) else {
        return;
    };
    let members: Value = serde_json::from_slice(payload).expect("claims are JSON");
    let found = names
        .iter()
        .try_fold(&members, |value, name| value.as_object()?.get(name));
    assert_eq!(claims.at(&path), found);
    for means in [Text::Element, Text::Words] {
        let texts = found.into_iter().flat_map(|value| listed(value, means));
        let bytes: usize = texts
            .inspect(|text| assert!(!text.is_empty()))
            .map(str::len)
            .sum();
        assert!(bytes <= payload.len());
    }
    conditions_hold_as_said(&claims, &path, found, text);
}

fn conditions_hold_as_said(claims: &Claims, path: &ClaimPath, found: Option<&Value>, text: &str) {
    let facts = Facts {
        claims: Some(claims),
        ..Facts::default()
    };
    let holds = |test: Test| {
        let fact = Fact::Claim(path.clone());
        Condition::Is { fact, test }.holds(&facts)
    };
    let is_present = found.is_some_and(|value| !value.is_null());
    assert_eq!(holds(Test::Present(true)), is_present);
    assert_eq!(holds(Test::Present(false)), !is_present);
    if let Some(value) = found.filter(|_| is_present) {
        assert!(holds(Test::Equals(value.clone())) && holds(Test::OneOf(vec![value.clone()])));
    }
    let value = found.and_then(Value::as_str);
    assert_eq!(
        holds(Test::Glob(text.into())),
        value.is_some_and(|value| fits(text, value))
    );
    if let Some(value) = value {
        assert!(holds(Test::Prefix(value.into())));
    }
}

/// The names of a path, by another reading of the same rules.
fn names(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut left = text;
    loop {
        let (name, after) = match left.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => left.split_at(left.find('.').unwrap_or(left.len())),
        };
        if name.is_empty() {
            return None;
        }
        names.push(name.to_owned());
        match after.strip_prefix('.') {
            Some(next) => left = next,
            None if after.is_empty() => return Some(names),
            None => return None,
        }
    }
}

/// Whether a text fits a pattern: row by row over all places where it may have got to.
fn fits(pattern: &str, text: &str) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for wanted in pattern.bytes() {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = if wanted == b'*' {
                reached[at] || (at > 0 && next[at - 1])
            } else {
                at > 0 && reached[at - 1] && text.as_bytes()[at - 1] == wanted
            };
        }
        reached = next;
    }
    reached[text.len()]
}
