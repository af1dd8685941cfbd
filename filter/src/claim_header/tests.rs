use alloc::string::ToString;
use alloc::{format, vec};

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn header(content: Content) -> ClaimHeader {
    ClaimHeader {
        name: "x-identity-a".into(),
        when: vec![],
        content,
    }
}

fn template(text: &str) -> ClaimHeader {
    header(Content::Text(HeaderTemplate::parse(text).unwrap()))
}

fn groups(text_means: Text) -> ClaimHeader {
    let claim = ClaimPath::parse("groups").unwrap();
    header(Content::List { claim, text_means })
}

fn value(header: &ClaimHeader, claims: &Value) -> Result<Option<String>, TooLarge> {
    let claims = Claims::parse(claims.to_string().as_bytes()).unwrap();
    header.value(&Facts {
        claims: Some(&claims),
        ..Facts::default()
    })
}

#[test]
fn a_claim_takes_its_place_escaped() {
    let cases = [
        (
            "{claim:a}",
            json!({"a": "alice@example.com"}),
            Some("alice@example.com"),
        ),
        ("{claim:a}", json!({"a": "a, b%2C"}), Some("a%2C%20b%252C")),
        (
            "{claim:a}",
            json!({"a": "x\r\nx-identity-roles: admin"}),
            Some("x%0D%0Ax-identity-roles:%20admin"),
        ),
        ("{claim:a}", json!({"a": "é\u{0}"}), Some("%C3%A9%00")),
        (
            "{claim:a}",
            json!({"a": "{claim:b}", "b": "x"}),
            Some("{claim:b}"),
        ),
        ("{claim:a}", json!({"a": -7}), Some("-7")),
        ("{claim:a}", json!({"a": ""}), None),
        ("{claim:a}", json!({"a": 1.5}), None),
        ("{claim:a}", json!({"a": true}), None),
        ("{claim:a}", json!({"a": ["x"]}), None),
        ("{claim:a}", json!({"a": null}), None),
        ("{claim:a}", json!({}), None),
        (
            "id:{claim:a.b},of:{claim:\"c.d\"}!",
            json!({"a": {"b": "1"}, "c.d": "2,3"}),
            Some("id:1,of:2%2C3!"),
        ),
        ("{claim:a},{claim:b}", json!({"a": "1"}), None),
    ];
    for (text, claims, want) in cases {
        let want = Ok(want.map(String::from));
        assert_eq!(value(&template(text), &claims), want, "{text} {claims}");
    }
}

#[test]
fn a_list_is_sorted_and_each_element_escaped() {
    let cases = [
        (Text::Element, json!(["ops", "dev", "ops"]), Some("dev,ops")),
        (
            Text::Element,
            json!(["a,admin", "b c", "50%"]),
            Some("50%25,a%2Cadmin,b%20c"),
        ),
        (Text::Element, json!([10, "9"]), Some("10,9")),
        (Text::Element, json!("ops dev"), Some("ops%20dev")),
        (Text::Words, json!("ops  dev"), Some("dev,ops")),
        (Text::Words, json!(["ops dev"]), Some("ops%20dev")),
        (Text::Element, json!([]), None),
        (Text::Element, json!(""), None),
        (Text::Element, json!(["a", ""]), None),
        (Text::Element, json!(["a", {"b": 1}]), None),
        (Text::Element, json!(["a", null]), None),
        (Text::Element, json!({"a": "b"}), None),
        (Text::Element, json!(7), None),
    ];
    for (means, list, want) in cases {
        let got = value(&groups(means), &json!({ "groups": list }));
        assert_eq!(got, Ok(want.map(String::from)), "{list}");
    }
    assert_eq!(value(&groups(Text::Words), &json!({})), Ok(None));
}

#[test]
fn what_is_too_long_is_no_shorter_value() {
    let text = |length: usize| "x".repeat(length);
    let at = VALUE_LIMIT;
    let one = template("{claim:a}");
    assert_eq!(value(&one, &json!({"a": text(at)})), Ok(Some(text(at))));
    assert_eq!(value(&one, &json!({"a": text(at + 1)})), Err(TooLarge));
    let list = |elements: Vec<String>| value(&groups(Text::Element), &json!({"groups": elements}));
    assert_eq!(list(vec![text(at)]), Ok(Some(text(at))));
    assert_eq!(list(vec!["a".into(), text(at + 1)]), Err(TooLarge));
    let many = |count: usize| (0..count).map(|number| number.to_string()).collect();
    assert!(list(many(ELEMENT_COUNT_LIMIT)).unwrap().is_some());
    assert_eq!(list(many(ELEMENT_COUNT_LIMIT + 1)), Err(TooLarge));
    let words = "w ".repeat(ELEMENT_COUNT_LIMIT + 1);
    let words = value(&groups(Text::Words), &json!({ "groups": words }));
    assert_eq!(words, Err(TooLarge));
}

#[test]
fn templates_that_could_be_read_in_two_ways_are_refused() {
    for text in [
        "",
        "constant",
        "{claim:a}{claim:b}",
        "{claim:a}-{claim:b}",
        "{claim:a} {claim:b}",
        "{claim:a},{claim:b};{claim:c}",
        "{claim:}",
        "{claim:a",
        "{claim:a}}",
        "{{claim:a}",
        "{sub}",
        "{claim:a}%2C",
        "é{claim:a}",
        "{claim:a}\r\n",
        &format!("{{claim:a}}{}", "x".repeat(TEMPLATE_LIMIT)),
    ] {
        assert_eq!(HeaderTemplate::parse(text), None, "{text}");
    }
}

/// What a workload does with a value: RFC 3986 section 2.1, and nothing else.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = vec![];
    let mut left = text.bytes();
    while let Some(byte) = left.next() {
        bytes.push(if byte == b'%' {
            let digits = [left.next()?, left.next()?];
            u8::from_str_radix(core::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

fn is_one_header(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic())
}

const HOSTILE: &str = "[a,%{} \r\n\t;=\"+]{1,6}|\\PC{1,4}|%2[Cc5]{1,2}";

proptest! {
    #[test]
    fn a_claim_is_read_back_as_it_was(text in HOSTILE) {
        let filled = value(&template("{claim:a}"), &json!({ "a": text })).unwrap().unwrap();
        prop_assert!(is_one_header(&filled) && !filled.contains(','));
        prop_assert_eq!(decoded(&filled), Some(text));
    }

    #[test]
    fn no_claim_leaves_its_place(one in HOSTILE, two in HOSTILE, between in "[a;]{0,2},[a,;]{0,2}") {
        let header = template(&format!("a{{claim:a}}{between}{{claim:b}};"));
        let filled = value(&header, &json!({"a": one, "b": two})).unwrap().unwrap();
        prop_assert!(is_one_header(&filled));
        // No value has a comma: as many commas as the template has, counted from both ends, are its own.
        let (front, back) = between.split_once(',').unwrap();
        let (first, rest) = filled.split_once(',').unwrap();
        let first = first.strip_prefix('a').unwrap().strip_suffix(front).unwrap();
        let second = rest.strip_prefix(back).unwrap().strip_suffix(';').unwrap();
        prop_assert_eq!(decoded(first), Some(one));
        prop_assert_eq!(decoded(second), Some(two));
    }

    #[test]
    fn a_list_is_read_back_as_the_set_that_it_was(elements in prop::collection::btree_set(HOSTILE, 1..5), repeat in 1..3_usize) {
        let listed: Vec<_> = elements.iter().rev().flat_map(|element| vec![element; repeat]).collect();
        let filled = value(&groups(Text::Element), &json!({ "groups": listed })).unwrap().unwrap();
        prop_assert!(is_one_header(&filled));
        let read: Vec<_> = filled.split(',').map(|element| decoded(element).unwrap()).collect();
        prop_assert_eq!(read, elements.into_iter().collect::<Vec<_>>());
    }
}
