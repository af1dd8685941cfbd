//! What is recorded, and what the gateway is told.

use serde_json::json;

use super::{check, document, parse};
use crate::audit::Sample;
use crate::state::StateValue;

#[test]
fn nothing_of_what_is_let_in_is_logged_or_told_unless_somebody_asks() {
    let config = parse(&document()).unwrap();
    assert_eq!((config.allow_sample, config.state.len()), (None, 0));
    let mut document = document();
    document["filter_state"] = json!({"values": ["workload", "roles"]});
    for (audit, want) in [
        (json!({"log_allows": true}), Sample::one_in(1)),
        (json!({"log_allows": false}), None),
        (
            json!({"allow_sample": {"one_in": 100}}),
            Sample::one_in(100),
        ),
        (
            json!({"log_allows": false, "allow_sample": {"one_in": 1}}),
            Some(Sample::ALL),
        ),
    ] {
        document["audit"] = audit;
        let config = parse(&document).unwrap();
        assert_eq!(config.allow_sample, want);
        assert_eq!(config.state, [StateValue::Workload, StateValue::Roles]);
    }
}

#[test]
fn samples_and_values_that_say_nothing_or_too_much_are_refused() {
    let sample = |one_in: i64| json!({"allow_sample": {"one_in": one_in}});
    let cases = [
        (
            "/audit",
            sample(0),
            "audit.allow_sample.one_in: is 0, 1 to 1000000 are allowed",
        ),
        (
            "/audit",
            sample(1_000_001),
            "audit.allow_sample.one_in: is 1000001, 1 to 1000000 are allowed",
        ),
        (
            "/audit",
            json!({"allow_sample": {}}),
            "audit.allow_sample: missing field `one_in`",
        ),
        (
            "/audit",
            json!({"log_allows": true, "allow_sample": {"one_in": 2}}),
            "audit: log_allows logs all of what is let in, allow_sample a part of it: only one of them can be meant",
        ),
        (
            "/filter_state",
            json!({"values": ["rule", "roles", "rule"]}),
            "filter_state.values[2]: is there twice",
        ),
        (
            "/filter_state",
            json!({"values": ["token"]}),
            "filter_state.values[0]: unknown variant `token`, expected one of `decision`, `namespace`, `provider`, `roles`, `rule`, \
             `subject`, `workload`",
        ),
    ];
    for (at, value, want) in cases {
        assert_eq!(check(at, value.clone()), want, "{value}");
    }
}
