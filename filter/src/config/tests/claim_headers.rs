use alloc::format;

use super::*;

fn set(extra: Value) -> String {
    let mut header =
        json!({"name": "x-identity-email", "provider": "okta", "value": "{claim:email}"});
    let header_members = header.as_object_mut().unwrap();
    for (name, value) in extra.as_object().unwrap().clone() {
        if value.is_null() {
            header_members.remove(&name);
        } else {
            header_members.insert(name, value);
        }
    }
    check("/headers", json!({ "set": [header] }))
}

#[test]
fn a_header_has_a_name_that_is_stripped_and_nobody_elses() {
    for name in [
        "x-email",
        "x-identity-",
        "x-identity",
        "X-Identity-Email",
        "x-identity_email",
        "x-identity-e mail",
        "x-identity-e:mail",
        "x-identity-subject",
        "x-identity-provider",
        "x-identity-workload",
        "x-identity-roles",
        "x-identity-namespace",
        "x-identity-decision",
        "x-connection-id",
        ":path",
        &format!("x-identity-{}", "e".repeat(54)),
    ] {
        let error = set(json!({ "name": name }));
        let want = format!(
            "headers.set[0].name: is {name:?}, allowed is a name that begins with the prefix"
        );
        assert!(error.starts_with(&want), "{error}");
    }
    for name in [
        "x-identity-e",
        "x-identity-subject-2",
        &format!("x-identity-{}", "e".repeat(53)),
    ] {
        assert_eq!(set(json!({ "name": name })), "accepted", "{name}");
    }
}

#[test]
fn a_header_that_says_nothing_or_two_things_is_refused() {
    let exactly_one = "headers.set[0]: exactly one of `value` and `list` must be there";
    let template = "headers.set[0].value: is ";
    let cases = [
        (json!({"value": null}), exactly_one),
        (json!({"list": "groups"}), exactly_one),
        (json!({"words": true}), exactly_one),
        (json!({"value": "x"}), template),
        (json!({"value": "{claim:a}{claim:b}"}), template),
        (json!({"value": "{claim:a},{claim:b}"}), "accepted"),
        (
            json!({"value": null, "list": "a..b"}),
            "headers.set[0].list: is \"a..b\", allowed is names separated by dots",
        ),
        (
            json!({"value": null, "list": "scp", "words": false}),
            "accepted",
        ),
        (
            json!({"provider": "nobody"}),
            "headers.set[0].provider: there is no provider \"nobody\"; there are: okta, aws",
        ),
        (
            json!({"provider": null}),
            "headers.set[0]: must name its `provider`, unless there is exactly one",
        ),
        (
            json!({"when": [{"attribute": "certificate", "spiffe": "spiffe://c/**"}]}),
            "accepted",
        ),
        (
            json!({"when": [{"header": "x-a", "present": true}]}),
            "headers.set[0].when[0].header: headers are written by clients",
        ),
        (
            json!({"surprise": 1}),
            "headers.set[0].surprise: unknown field",
        ),
    ];
    for (extra, want) in cases {
        let error = set(extra.clone());
        assert!(error.starts_with(want), "{extra}: {error}");
    }
}

#[test]
fn the_callers_of_a_provider_have_one_header_of_a_name() {
    let header = |name: &str, provider: &str| json!({"name": name, "provider": provider, "value": "{claim:a}"});
    let two = |one: Value, two: Value| check("/headers", json!({"set": [one, two]}));
    let a = || header("x-identity-a", "okta");
    assert_eq!(two(a(), header("x-identity-a", "aws")), "accepted");
    assert_eq!(two(a(), header("x-identity-b", "okta")), "accepted");
    assert_eq!(
        two(a(), a()),
        "headers.set[1].name: \"x-identity-a\" is also at headers.set[0].name; the callers of a provider have one \
         header of a name"
    );
    let many = |count: usize| {
        let headers: Vec<_> = (0..count)
            .map(|number| header(&format!("x-identity-{number}"), "okta"))
            .collect();
        check("/headers", json!({ "set": headers }))
    };
    assert_eq!(many(32), "accepted");
    assert_eq!(
        many(33),
        "headers.set[32]: at most 32 headers may be set for the callers of one provider"
    );
}

#[test]
fn the_only_provider_need_not_be_named_and_a_name_of_it_is_no_second_one() {
    let mut document = document();
    document["providers"].as_array_mut().unwrap().truncate(1);
    document["headers"] = json!({"set": [{"name": "x-identity-a", "list": "groups"}]});
    let config = parse(&document).unwrap();
    assert_eq!(config.providers[0].claim_headers.len(), 1);
    assert!(!config.maps_certificates);
    document["headers"]["set"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "x-identity-a", "provider": "okta", "value": "{claim:a}"}));
    let error = parse(&document).unwrap_err().to_string();
    assert!(
        error.starts_with("headers.set[1].name: \"x-identity-a\" is also at headers.set[0].name"),
        "{error}"
    );
    document["headers"] = json!({"set": [{"name": "x-identity-a", "list": "groups",
        "when": [{"attribute": "certificate", "present": true}]}]});
    assert!(parse(&document).unwrap().maps_certificates);
}

#[test]
fn the_bytes_of_a_callers_headers_have_a_range() {
    assert_eq!(parse(&document()).unwrap().limits.identity_bytes, 16_384);
    assert_eq!(
        check("/limits", json!({"identity_bytes": 49_152})),
        "accepted"
    );
    for bytes in [1023, 49_153] {
        let want = format!("limits.identity_bytes: is {bytes}, 1024 to 49152 are allowed");
        assert_eq!(check("/limits", json!({ "identity_bytes": bytes })), want);
    }
}
