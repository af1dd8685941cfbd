//! Matches of callers and headers as conditions: `requestPrincipals`, and the keys of `when`.
//!
//! Every answer leans one way: what lets in may match less, what keeps out may match more.

use serde_json::{Value, json};

use super::pattern::{Lean, Text};
use super::provider::Provider;

/// What one list of values means.
#[derive(Debug, PartialEq)]
pub(crate) enum Meaning {
    /// Nothing that leans the right way.
    Cannot(&'static str),
    /// It holds of everybody.
    Everybody,
    /// It holds of nobody.
    Nobody,
    /// It holds of those for whom the condition holds.
    When(Value),
}

/// The principals `ISSUER/SUBJECT` of these providers' callers; `is_all_there_is`: there are no other providers.
pub(crate) fn principals(
    values: &[&str],
    providers: &[&Provider<'_>],
    is_all_there_is: bool,
) -> Meaning {
    let is_alone = is_all_there_is && providers.len() == 1;
    let mut found = Vec::new();
    let mut whole = Vec::new();
    for provider in providers {
        let front = format!("{}/", provider.issuer);
        let is_it = json!({"attribute": "provider", "equals": provider.name});
        let mut subjects = Vec::new();
        let mut globs = Vec::new();
        let mut is_all = false;
        for value in values {
            match Text::read(value) {
                Text::Present => is_all = true,
                Text::Exact(text) => subjects.extend(text.strip_prefix(&front).map(String::from)),
                Text::Prefix(prefix) if front.starts_with(prefix) => is_all = true,
                Text::Prefix(prefix) => {
                    let rest = prefix.strip_prefix(&front);
                    globs.extend(rest.map(|rest| json!({"claim": "sub", "prefix": rest})));
                }
                Text::Suffix(suffix) if suffix.contains('*') => return Meaning::Cannot(STAR),
                Text::Suffix(suffix) => {
                    globs.push(json!({"claim": "sub", "glob": format!("*{suffix}")}));
                    // A long suffix reaches into the issuer.
                    let splits = suffix.char_indices().map(|(at, _)| suffix.split_at(at));
                    let whole =
                        splits.filter(|(issuer, _)| !issuer.is_empty() && front.ends_with(issuer));
                    subjects.extend(whole.map(|(_, subject)| subject.to_owned()));
                }
            }
        }
        if is_all {
            whole.push(*provider);
            continue;
        }
        subjects.retain(|subject| !subject.is_empty());
        if !subjects.is_empty() {
            globs.insert(0, json!({"claim": "sub", "one_of": subjects}));
        }
        found.extend(globs.into_iter().map(|one| {
            if is_alone {
                one
            } else {
                json!({"all": [is_it, one]})
            }
        }));
    }
    if let Meaning::When(condition) = of_providers(&whole) {
        found.insert(0, condition);
    }
    any(found)
}

/// All callers of these providers.
pub(crate) fn of_providers(providers: &[&Provider<'_>]) -> Meaning {
    let names: Vec<_> = providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    match names.as_slice() {
        [] => Meaning::Nobody,
        [one] => Meaning::When(json!({"attribute": "provider", "equals": one})),
        _ => Meaning::When(json!({"attribute": "provider", "one_of": names})),
    }
}

/// The values of a claim: a text, or a list in which one is enough.
pub(crate) fn claim(path: &str, words: Option<bool>, values: &[&str], lean: Lean) -> Meaning {
    let mut found = Vec::new();
    for value in values {
        // Of lists, only whole elements can be asked for.
        let is_there = json!({"claim": path, "present": true});
        found.push(match (Text::read(value), lean) {
            (Text::Exact(""), _) => return Meaning::Cannot("an empty value is no element of a list"),
            (Text::Exact(text), _) => match words {
                Some(words) => json!({"claim": path, "contains": text, "words": words}),
                None => json!({"claim": path, "contains": text}),
            },
            (_, Lean::Wide) => is_there,
            (Text::Present, Lean::Narrow) => {
                json!({"all": [{"claim": path, "glob": "*"}, {"not": {"claim": path, "equals": ""}}]})
            }
            (Text::Prefix(prefix), Lean::Narrow) => json!({"claim": path, "prefix": prefix}),
            (Text::Suffix(suffix), Lean::Narrow) if suffix.contains('*') => return Meaning::Cannot(STAR),
            (Text::Suffix(suffix), Lean::Narrow) => json!({"claim": path, "glob": format!("*{suffix}")}),
        });
    }
    any(found)
}

/// The values of a header.
pub(crate) fn header(name: &str, values: &[&str]) -> Meaning {
    let mut exact = Vec::new();
    let mut found = Vec::new();
    for value in values {
        match Text::read(value) {
            Text::Exact(text) => exact.push(text),
            Text::Present => found.push(json!({"header": name, "present": true})),
            Text::Prefix(prefix) => found.push(json!({"header": name, "prefix": prefix})),
            Text::Suffix(suffix) if suffix.contains('*') => return Meaning::Cannot(STAR),
            Text::Suffix(suffix) => {
                found.push(json!({"header": name, "glob": format!("*{suffix}")}))
            }
        }
    }
    match exact.as_slice() {
        [] => {}
        [one] => found.insert(0, json!({"header": name, "equals": one})),
        _ => found.insert(0, json!({"header": name, "one_of": exact})),
    }
    any(found)
}

/// The claim that `request.auth.claims[a][b]` names, as a path.
pub(crate) fn claim_path(key: &str) -> Option<String> {
    let mut names = Vec::new();
    let mut rest = key.strip_prefix("request.auth.claims")?;
    while !rest.is_empty() {
        let (name, after) = rest.strip_prefix('[')?.split_once(']')?;
        if name.is_empty() || name.contains('"') {
            return None;
        }
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        names.push(if is_plain {
            name.to_owned()
        } else {
            format!("\"{name}\"")
        });
        rest = after;
    }
    (!names.is_empty()).then(|| names.join("."))
}

/// One of these, in as few joins as it takes.
fn any(mut conditions: Vec<Value>) -> Meaning {
    if conditions.len() > COUNT_LIMIT {
        return Meaning::Cannot("a condition has at most 64 others in it");
    }
    match conditions.pop() {
        None => Meaning::Nobody,
        Some(one) if conditions.is_empty() => Meaning::When(one),
        Some(last) => {
            conditions.push(last);
            Meaning::When(json!({"any": conditions}))
        }
    }
}

const STAR: &str = "`*` stands at the beginning or the end of a value";
/// Leaves room for the joins, and for the other conditions of a rule.
const COUNT_LIMIT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_named_by_their_path() {
        for (key, want) in [
            ("request.auth.claims[groups]", Some("groups")),
            (
                "request.auth.claims[realm_access][roles]",
                Some("realm_access.roles"),
            ),
            (
                "request.auth.claims[https://a.b/c]",
                Some("\"https://a.b/c\""),
            ),
            ("request.auth.claims", None),
            ("request.auth.claims[a", None),
            ("request.auth.claims[]", None),
        ] {
            assert_eq!(claim_path(key).as_deref(), want, "{key}");
        }
    }

    #[test]
    fn what_lets_in_matches_less_and_what_keeps_out_more() {
        let narrow = claim("c", None, &["ad*"], Lean::Narrow);
        assert_eq!(narrow, Meaning::When(json!({"claim": "c", "prefix": "ad"})));
        let wide = claim("c", None, &["ad*"], Lean::Wide);
        assert_eq!(wide, Meaning::When(json!({"claim": "c", "present": true})));
        let both = claim("scope", Some(true), &["a", "b"], Lean::Narrow);
        let contains = |word: &str| json!({"claim": "scope", "contains": word, "words": true});
        assert_eq!(
            both,
            Meaning::When(json!({"any": [contains("a"), contains("b")]}))
        );
    }

    #[test]
    fn headers_are_compared_as_written() {
        let got = header("x-a", &["b", "c*", "d"]);
        let want = json!({"any": [{"header": "x-a", "one_of": ["b", "d"]}, {"header": "x-a", "prefix": "c"}]});
        assert_eq!(got, Meaning::When(want));
    }
}
