//! What conditions and rules may say.

use serde_json::{Value, json};

use super::check;

#[test]
fn conditions_and_rules_that_say_nothing_or_too_much_are_refused() {
    let is = json!({"claim": "a", "present": true});
    let deep = |levels: usize| (0..levels).fold(is.clone(), |inner, _| json!({"not": inner}));
    let many = |count: usize| json!([{"any": alloc::vec![is.clone(); count]}]);
    let rule = |extra: Value| {
        let mut rule = json!({"name": "r", "namespace": "orders"});
        rule.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        rule
    };
    let grant = "/grants/0/when";
    let first = "/policy/rules/0";
    let identity = "/identities/0/when";
    let certificate = json!({"attribute": "certificate", "spiffe": "spiffe://c/ns/*/sa/a"});
    let cases = [
        (
            grant,
            json!([{"all": [is, {"any": [is, {"not": is}]}]}]),
            "accepted",
        ),
        (grant, json!([deep(4)]), "accepted"),
        (
            grant,
            json!([deep(5)]),
            "grants[0].when[0].not.not.not.not: `all`, `any` and `not` may be joined at most four",
        ),
        (grant, many(63), "accepted"),
        (
            grant,
            many(64),
            "grants[0].when[0].any[63]: at most 64 conditions",
        ),
        (
            grant,
            json!([{"any": []}]),
            "grants[0].when[0].any: at least one condition",
        ),
        (
            grant,
            json!([{"any": [is], "all": [is]}]),
            "grants[0].when[0]: one of `all`, `any` and `not` stands alone",
        ),
        (
            grant,
            json!([{"not": is, "present": true}]),
            "grants[0].when[0]: one of `all`, `any` and `not` stands alone",
        ),
        (
            grant,
            json!([{"not": {"claim": "a"}}]),
            "grants[0].when[0].not: exactly one of `contains`",
        ),
        (grant, json!([certificate]), "accepted"),
        (
            grant,
            json!([{"attribute": "workload", "spiffe": "spiffe://c/a*"}]),
            "grants[0].when[0].spiffe: is \"spiffe://c/a*\", allowed is a SPIFFE id",
        ),
        (
            grant,
            json!([{"header": "x-a", "present": true}]),
            "grants[0].when[0].header: headers are written by clients",
        ),
        (identity, json!([certificate]), "accepted"),
        (
            identity,
            json!([{"attribute": "provider", "equals": "a"}]),
            "identities[0].when[0].attribute: only claims are known here, and `certificate`",
        ),
        (
            "/providers/0/required_claims",
            json!([{"any": [is, certificate]}]),
            "providers[0].required_claims[0].any[1].attribute: only claims",
        ),
        (
            first,
            rule(json!({"identities": ["spiffe://c/**"]})),
            "accepted",
        ),
        (
            first,
            rule(json!({"identities": ["spiffe://C/**"]})),
            "policy.rules[0].identities[0]: is \"spiffe://C/**\"",
        ),
        (
            first,
            rule(json!({"identities": []})),
            "policy.rules[0].identities: is empty",
        ),
        (
            first,
            rule(json!({"providers": ["okta"], "when": [is]})),
            "accepted",
        ),
        (
            first,
            rule(json!({"providers": ["none"]})),
            "policy.rules[0].providers[0]: there is no provider \"none\"; there are: okta, aws",
        ),
        (
            first,
            rule(json!({"authenticated": true, "when": [is]})),
            "policy.rules[0]: an allow rule that reads claims must name its `providers`",
        ),
        (
            first,
            rule(json!({"action": "deny", "when": [is]})),
            "accepted",
        ),
        (
            first,
            rule(json!({"anonymous": true, "providers": ["okta"]})),
            "policy.rules[0]: an allow rule must say whom",
        ),
        (
            first,
            rule(json!({"anonymous": true, "when": [is]})),
            "policy.rules[0].when: asks for what only a token says",
        ),
        (
            first,
            rule(json!({"certificates": ["spiffe://c/a"]})),
            "policy.rules[0]: an allow rule must say whom",
        ),
        (
            first,
            rule(json!({"anonymous": true, "certificates": ["spiffe://c/a"]})),
            "accepted",
        ),
        (
            first,
            rule(json!({"anonymous": true, "sources": ["10.0.0.0/8", "::1", "2001:db8::/32"]})),
            "accepted",
        ),
        (
            first,
            rule(json!({"anonymous": true, "sources": ["10.0.0.1/8"]})),
            "policy.rules[0].sources[0]: is \"10.0.0.1/8\", allowed is a network",
        ),
        (
            first,
            rule(json!({"anonymous": true, "sources": ["::ffff:10.0.0.0/104"]})),
            "policy.rules[0].sources[0]",
        ),
        (
            first,
            rule(json!({"anonymous": true, "sources": ["ten"]})),
            "policy.rules[0].sources[0]",
        ),
        (
            first,
            rule(json!({"anonymous": true, "mode": "off"})),
            "policy.rules[0].mode: unknown variant `off`",
        ),
        (
            first,
            rule(json!({"anonymous": true, "when": [{"header": "x-a", "equals": "b"}]})),
            "accepted",
        ),
        (
            first,
            rule(json!({"anonymous": true, "when": [{"header": "x_a", "equals": "b"}]})),
            "policy.rules[0].when[0].header: is \"x_a\"",
        ),
        (
            first,
            rule(json!({"anonymous": true, "when": [{"header": ":path", "equals": "b"}]})),
            "policy.rules[0].when[0].header",
        ),
        (
            first,
            rule(json!({"anonymous": true, "when": [{"header": "x-token", "present": true}]})),
            "policy.rules[0].when[0].header: is \"x-token\"",
        ),
        (
            first,
            rule(
                json!({"anonymous": true, "when": [{"header": "x-identity-roles", "present": true}]}),
            ),
            "policy.rules[0].when[0].header",
        ),
        (
            first,
            rule(
                json!({"anonymous": true, "when": [{"header": "x-original-url", "present": true}]}),
            ),
            "policy.rules[0].when[0].header: is \"x-original-url\", allowed is a header that names no other method",
        ),
        (
            first,
            rule(
                json!({"action": "deny", "when": [{"header": "x-original-url", "present": true}]}),
            ),
            "accepted",
        ),
    ];
    for (pointer, value, want) in cases {
        let error = check(pointer, value.clone());
        assert!(error.starts_with(want), "{pointer} {value}: {error}");
    }
}

#[test]
fn deny_rules_are_about_everybody_or_roles() {
    let rule = |extra: Value| {
        let mut rule = json!({"name": "d", "namespace": "pay", "action": "deny"});
        rule.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        check("/policy/rules/1", rule)
    };
    assert_eq!(rule(json!({})), "accepted");
    assert_eq!(rule(json!({"roles": ["a"]})), "accepted");
    assert!(
        rule(json!({"anonymous": true}))
            .starts_with("policy.rules[1]: a deny rule is about everybody")
    );
}
