//! Templates of workload ids and of headers, and lists, over any claims: what comes out is read back by a reader of its own.

use std::collections::BTreeSet;

use identity_filter::claim_header::{
    ClaimHeader, Content, ELEMENT_COUNT_LIMIT, HeaderTemplate, VALUE_LIMIT,
};
use identity_filter::claims::{ClaimPath, Claims, Text};
use identity_filter::condition::Facts;
use identity_filter::identity::{self, IdentityRule, Template};
use serde_json::Value;

/// The first line is a template, the second the path of a list, the rest is the payload of a token.
pub(crate) fn check(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut text = || core::str::from_utf8(lines.next().unwrap_or_default());
    let (Ok(template), Ok(list)) = (text(), text()) else {
        return;
    };
    let payload = lines.next().unwrap_or_default();
    let claims = Claims::parse(payload).ok();
    if let Some(parsed) = Template::parse(template) {
        id_stays_in_its_segments(template, parsed, claims.as_ref());
    }
    if let Some(parsed) = HeaderTemplate::parse(template) {
        value_stays_in_its_places(template, parsed, claims.as_ref());
    }
    if let (Some(path), Some(claims)) = (ClaimPath::parse(list), &claims) {
        list_is_read_back(&path, claims);
    }
}

fn facts(claims: Option<&Claims>) -> Facts<'_> {
    Facts {
        claims,
        ..Facts::default()
    }
}

/// What a claim puts into its place: a text that is there, or an integer.
fn single(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// The literals of a template and the paths of its claims, where the parser has found it well formed.
fn parts(template: &str) -> (Vec<&str>, Vec<ClaimPath>) {
    let (mut literals, mut paths) = (Vec::new(), Vec::new());
    let mut left = template;
    while let Some((literal, after)) = left.split_once("{claim:") {
        let (path, after) = after.split_once('}').expect("places end");
        literals.push(literal);
        paths.push(ClaimPath::parse(path).expect("a place has a path"));
        left = after;
    }
    literals.push(left);
    (literals, paths)
}

fn id_stays_in_its_segments(template: &str, parsed: Template, claims: Option<&Claims>) {
    let (literals, paths) = parts(template);
    let rule = [IdentityRule {
        name: "r".into(),
        when: Vec::new(),
        workload: parsed,
    }];
    let filled = identity::identify(&rule, &facts(claims));
    let values: Option<Vec<_>> = claims.and_then(|claims| {
        let values = paths.iter().map(|path| single(claims.at(path)));
        values.collect()
    });
    let id = match (filled, &values) {
        (Ok(None), _) => return assert!(values.is_none()),
        (Err(_too_large), _) => {
            // One value may be missing and another too long.
            let is_long = |path: &ClaimPath| {
                single(claims.and_then(|claims| claims.at(path)))
                    .is_some_and(|text| text.len() > 255)
            };
            let length =
                |values: &Vec<String>| values.iter().map(|value| 3 * value.len()).sum::<usize>();
            let may_be_long = values
                .as_ref()
                .is_some_and(|values| length(values) + template.len() > 2048);
            return assert!(paths.iter().any(is_long) || may_be_long);
        }
        (Ok(Some(identity)), _) => identity.workload,
    };
    let values = values.expect("every claim was there");
    assert!(id.len() <= 2048);
    let domain = identity::trust_domain(&id).expect("it is an id");
    assert!(template.starts_with(&format!("{domain}/")));
    assert!(identity::is_in_trust_domain(
        &id,
        &domain["spiffe://".len()..]
    ));
    let read = between(&literals, &id, '/');
    let read: Vec<_> = read.iter().map(|text| unescaped(text, '_')).collect();
    assert_eq!(read, values, "{id}");
}

fn value_stays_in_its_places(template: &str, parsed: HeaderTemplate, claims: Option<&Claims>) {
    let (literals, paths) = parts(template);
    let header = ClaimHeader {
        name: "x-identity-a".into(),
        when: Vec::new(),
        content: Content::Text(parsed),
    };
    let values: Option<Vec<_>> = claims.and_then(|claims| {
        let values = paths.iter().map(|path| single(claims.at(path)));
        values.collect()
    });
    match header.value(&facts(claims)) {
        Ok(Some(text)) => {
            let values = values.expect("every claim was there");
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
            let read = between(&literals, &text, ',');
            let read: Vec<_> = read.iter().map(|text| unescaped(text, '%')).collect();
            assert_eq!(read, values, "{text}");
        }
        Ok(None) => assert!(values.is_none()),
        Err(_too_large) => {
            let lengths = paths.iter().filter_map(|path| single(claims?.at(path)));
            assert!(
                lengths
                    .max_by_key(String::len)
                    .is_some_and(|text| text.len() > VALUE_LIMIT)
            );
        }
    }
}

/// What stands between the literals. No value has the separator in it, which is in each literal between two
/// values, so each value ends where the next separator says.
fn between<'a>(literals: &[&str], text: &'a str, separator: char) -> Vec<&'a str> {
    let (first, rest) = literals.split_first().expect("there is one");
    let mut left = text
        .strip_prefix(first)
        .expect("the text begins as the template");
    let mut values = Vec::new();
    for (index, literal) in rest.iter().enumerate() {
        let is_last = index + 1 == rest.len();
        let value = match literal.split_once(separator) {
            Some((front, _)) => {
                let (head, _) = left.split_once(separator).expect("a separator is there");
                head.strip_suffix(front).expect("the literal follows")
            }
            None => {
                assert!(is_last, "there is a separator between two values");
                left.strip_suffix(literal)
                    .expect("the text ends as the template")
            }
        };
        values.push(value);
        left = left[value.len()..]
            .strip_prefix(literal)
            .expect("the literal follows");
    }
    assert_eq!(left, "");
    values
}

fn list_is_read_back(path: &ClaimPath, claims: &Claims) {
    for text_means in [Text::Element, Text::Words] {
        let header = ClaimHeader {
            name: "x-identity-a".into(),
            when: Vec::new(),
            content: Content::List {
                claim: path.clone(),
                text_means,
            },
        };
        let elements: Option<Vec<String>> = match (claims.at(path), text_means) {
            (Some(Value::Array(elements)), _) => {
                elements.iter().map(|one| single(Some(one))).collect()
            }
            (Some(Value::String(text)), Text::Element) => Some(vec![text.clone()]),
            (Some(Value::String(text)), Text::Words) => {
                Some(text.split(' ').map(str::to_owned).collect())
            }
            _ => None,
        };
        let elements = elements.map(|mut elements| {
            elements.retain(|element| !element.is_empty());
            elements
        });
        match header.value(&facts(Some(claims))) {
            Ok(Some(text)) => {
                assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
                let read: Vec<_> = text
                    .split(',')
                    .map(|element| unescaped(element, '%'))
                    .collect();
                let wanted: BTreeSet<_> = elements.expect("it is a list").into_iter().collect();
                assert_eq!(read, wanted.into_iter().collect::<Vec<_>>(), "{text}");
            }
            Ok(None) => assert!(elements.is_none_or(|elements| elements.is_empty())),
            Err(_too_large) => {
                let all = claims.at(path).and_then(Value::as_array).map(Vec::len);
                let is_long = |text: &String| text.len() > VALUE_LIMIT;
                assert!(
                    all.is_some_and(|count| count > ELEMENT_COUNT_LIMIT)
                        || elements.is_some_and(|elements| elements.len() > ELEMENT_COUNT_LIMIT
                            || elements.iter().any(is_long))
                );
            }
        }
    }
}

/// Two upper-case hexadecimal digits after the mark are a byte, everything else is itself.
fn unescaped(text: &str, mark: char) -> String {
    let mut bytes = Vec::new();
    let mut left = text.chars();
    while let Some(character) = left.next() {
        if character == mark {
            let digits: String = left.by_ref().take(2).collect();
            assert!(digits.len() == 2 && !digits.contains(|one: char| one.is_ascii_lowercase()));
            bytes.push(u8::from_str_radix(&digits, 16).expect("digits follow the mark"));
        } else {
            bytes.extend(character.to_string().bytes());
        }
    }
    String::from_utf8(bytes).expect("claims are text")
}
