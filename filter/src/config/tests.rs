use serde_json::{Value, json};

use super::*;

mod claim_headers;
mod record;
mod rules;

fn document() -> Value {
    json!({
        "providers": [
            {"name": "okta", "issuer": "https://id.test", "audiences": ["api"], "algorithms": ["RS256"],
             "jwks": {"cluster": "outbound|443||id.test", "uri": "https://id.test/keys"}},
            {"name": "aws", "issuer": "https://aws.test", "audiences": ["api"], "algorithms": ["ES256"],
             "jwks": {"cluster": "c", "uri": "http://aws.test:8080/keys"}, "tokens": [{"header": "X-Token"}]}],
        "namespaces": [
            {"name": "orders", "routes": [{"host": "api.test", "path_prefix": "/orders"}, {"host": "*.orders.test"}]},
            {"name": "pay", "routes": [{"host": "api.test", "path_prefix": "/pay"}]}],
        "identities": [{"name": "people", "provider": "okta", "when": [{"claim": "email", "present": true}],
            "workload": "spiffe://c/sa/{claim:sub}"}],
        "grants": [{"name": "g", "namespace": "orders", "provider": "okta", "roles": ["reader"],
            "when": [{"claim": "groups", "contains": "x"}]}],
        "policy": {"rules": [{"name": "r", "namespace": "orders", "roles": ["reader"], "methods": ["GET"],
            "hosts": ["api.test"], "paths": ["/orders/**"]}]}
    })
}

fn parse(document: &Value) -> Result<Config, ConfigError> {
    Config::parse(document.to_string().as_bytes())
}

/// The error after the value at `pointer` was replaced; `null` takes the field away.
fn check(pointer: &str, value: Value) -> String {
    let mut document = document();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (parent, name.parse::<usize>()) {
        (Value::Array(elements), Ok(index)) if index < elements.len() => elements[index] = value,
        (Value::Array(elements), Ok(_)) => elements.push(value),
        (Value::Object(members), _) if value.is_null() => drop(members.remove(name)),
        (parent, _) => parent[name] = value,
    }
    parse(&document)
        .err()
        .map_or_else(|| "accepted".into(), |error| error.to_string())
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = parse(&document()).unwrap();
    assert_eq!(config.limits.token_bytes, 16_384);
    assert_eq!(config.limits.cache.tokens, 1000);
    let okta = &config.providers[0];
    assert_eq!(okta.clock_skew, Duration::from_secs(60));
    let bearer = TokenSource::Header {
        name: "authorization".into(),
        scheme: Some("Bearer".into()),
    };
    assert_eq!(okta.tokens, [bearer]);
    assert_eq!(okta.identities.len(), 1);
    let KeySource::Remote(remote) = &config.providers[1].keys else {
        panic!("is remote")
    };
    let schedule = Schedule {
        refresh: Duration::from_secs(300),
        refresh_min: Duration::from_secs(60),
        refresh_max: Duration::from_secs(3600),
        timeout: Duration::from_secs(5),
        max_stale: Duration::from_secs(86_400),
        wait: Duration::from_secs(1),
    };
    assert_eq!(remote.schedule, schedule);
    assert_eq!(
        (
            remote.scheme,
            remote.authority.as_str(),
            remote.path.as_str()
        ),
        ("http", "aws.test:8080", "/keys")
    );
    assert_eq!(
        config.providers[1].tokens,
        [TokenSource::Header {
            name: "x-token".into(),
            scheme: None
        }]
    );
    assert!(config.headers.is_identity("x-identity-anything"));
}

#[test]
fn what_this_version_does_not_do_is_refused_by_name() {
    let cases = [
        (
            "/providers/0/preset",
            json!("aws-identity-center"),
            "providers[0].preset: there is no preset \"aws-identity-center\"; there are: aws-alb, ",
        ),
        (
            "/providers/0/accounts",
            json!(["1"]),
            "providers[0].accounts: is a field of a preset, and this provider names none",
        ),
        (
            "/policy/mode",
            json!("permissive"),
            "policy.mode: unknown variant `permissive`, expected `enforce` or `shadow`",
        ),
        (
            "/providers/0/algorithms",
            json!(["RS256", "HS256"]),
            "providers[0].algorithms[1]: unknown variant `HS256`, expected one of `Ed25519`, `EdDSA`, `ES256`, ",
        ),
        (
            "/surprise",
            json!(1),
            "surprise: unknown field `surprise`, expected one of",
        ),
        (
            "/policy/rules/0/claims",
            json!([]),
            "policy.rules[0].claims: unknown field `claims`",
        ),
        (
            "/policy/rules/0/action",
            json!("audit"),
            "policy.rules[0].action: unknown variant `audit`",
        ),
        (
            "/headers",
            json!({"prefix": "x-a-b-", "other": 1}),
            "headers.other: unknown field `other`",
        ),
    ];
    for (pointer, value, want) in cases {
        let error = check(pointer, value);
        assert!(error.starts_with(want), "{pointer}: {error}");
    }
}

#[test]
fn errors_name_the_place_the_value_and_what_is_allowed() {
    let cases = [
        (
            "/providers/0/issuer",
            json!(null),
            "providers[0]: missing field `issuer`",
        ),
        (
            "/providers/0/issuer",
            json!("https://id test"),
            "providers[0].issuer: is \"https://id test\", allowed is",
        ),
        (
            "/providers/0/name",
            json!("a b"),
            "providers[0].name: is \"a b\", allowed is 1 to 64 letters",
        ),
        (
            "/providers/1/name",
            json!("okta"),
            "providers[1].name: \"okta\" is also at providers[0].name",
        ),
        (
            "/providers/1/issuer",
            json!("https://id.test"),
            "providers[1].issuer: \"https://id.test\" is also at providers[0].issuer",
        ),
        (
            "/providers/0/audiences",
            json!([]),
            "providers[0].audiences: at least one audience",
        ),
        (
            "/providers/0/audiences",
            json!([""]),
            "providers[0].audiences: at least one audience",
        ),
        (
            "/providers/0/algorithms",
            json!([]),
            "providers[0].algorithms: at least one must be there",
        ),
        (
            "/providers/0/types",
            json!([]),
            "providers[0].types: at least one type of tokens",
        ),
        (
            "/providers/0/types",
            json!(["JWT", ""]),
            "providers[0].types: at least one type of tokens",
        ),
        (
            "/providers/0/clock_skew_seconds",
            json!(61),
            "providers[0].clock_skew_seconds: is 61, 0 to 60 are allowed",
        ),
        (
            "/providers/0/clock_skew_seconds",
            json!(-1),
            "providers[0].clock_skew_seconds: invalid value: integer `-1`",
        ),
        (
            "/providers/0/max_lifetime_seconds",
            json!(0),
            "providers[0].max_lifetime_seconds: is 0, 1 to 31536000 are allowed",
        ),
        (
            "/providers/0/required_claims",
            json!([{"attribute": "provider", "equals": "okta"}]),
            "providers[0].required_claims[0].attribute: only claims are known here",
        ),
        (
            "/providers/0/required_claims",
            json!([{"claim": "a"}]),
            "providers[0].required_claims[0]: exactly one of `contains`",
        ),
        (
            "/grants/0/when/0",
            json!({"claim": "a", "equals": "b", "words": true}),
            "grants[0].when[0].words: says how `contains` reads",
        ),
        (
            "/providers/0/jwks",
            json!({}),
            "providers[0].jwks: either `inline`, or `cluster` and one of `uri` and `key_uri`",
        ),
        (
            "/providers/0/jwks",
            json!({"cluster": "c"}),
            "providers[0].jwks: either `inline`",
        ),
        (
            "/providers/0/jwks",
            json!({"inline": {"keys": []}, "refresh_seconds": 9}),
            "providers[0].jwks: either `inline`",
        ),
        (
            "/providers/0/jwks",
            json!({"inline": {"keys": []}}),
            "providers[0].jwks.inline: cannot use this key set: none of its 0 keys",
        ),
        (
            "/providers/0/jwks/refresh_seconds",
            json!(4),
            "providers[0].jwks.refresh_seconds: is 4, 5 to 86400 are allowed",
        ),
        (
            "/providers/0/jwks/timeout_seconds",
            json!(31),
            "providers[0].jwks.timeout_seconds: is 31, 1 to 30 are allowed",
        ),
        (
            "/providers/0/jwks/refresh_min_seconds",
            json!(301),
            "providers[0].jwks.refresh_min_seconds: is 301, 5 to 300 are allowed",
        ),
        (
            "/providers/0/jwks/refresh_max_seconds",
            json!(299),
            "providers[0].jwks.refresh_max_seconds: is 299, 300 to 86400 are allowed",
        ),
        (
            "/providers/0/jwks/max_stale_seconds",
            json!(59),
            "providers[0].jwks.max_stale_seconds: is 59, 60 to 604800 are allowed",
        ),
        (
            "/providers/0/jwks/wait_milliseconds",
            json!(10_001),
            "providers[0].jwks.wait_milliseconds: is 10001, 0 to 10000 are allowed",
        ),
        (
            "/providers/0/jwks",
            json!({"inline": {"keys": []}, "wait_milliseconds": 9}),
            "providers[0].jwks: either `inline`",
        ),
        (
            "/providers/0/jwks/key_uri",
            json!("https://a/{kid}"),
            "providers[0].jwks: either `inline`",
        ),
        (
            "/providers/0/jwks/uri",
            json!("ftp://a/b"),
            "providers[0].jwks.uri: is \"ftp://a/b\", allowed is https://",
        ),
        (
            "/providers/0/jwks/uri",
            json!("https://a@b/c"),
            "providers[0].jwks.uri",
        ),
        (
            "/providers/0/jwks/cluster",
            json!(""),
            "providers[0].jwks.cluster: is \"\", allowed is the name of a cluster",
        ),
        (
            "/providers/0/tokens",
            json!([]),
            "providers[0].tokens: at least one source",
        ),
        (
            "/providers/0/tokens",
            json!([{"header": "x-identity-token"}]),
            "providers[0].tokens[0].header: is \"x-identity-token\"",
        ),
        (
            "/providers/0/tokens",
            json!([{"header": "cookie"}]),
            "providers[0].tokens[0].header: is \"cookie\"",
        ),
        (
            "/providers/0/tokens",
            json!([{"cookie": "a b"}]),
            "providers[0].tokens[0].cookie: is \"a b\", allowed is the name of a cookie",
        ),
        (
            "/providers/0/tokens",
            json!([{"cookie": "a", "scheme": "Bearer"}]),
            "providers[0].tokens[0]: either `header` (with or without `scheme`) or `cookie`",
        ),
        (
            "/providers/0/tokens",
            json!([{"cookie": "a", "header": "b"}]),
            "providers[0].tokens[0]: either `header`",
        ),
        (
            "/providers/0/tokens",
            json!([{}]),
            "providers[0].tokens[0]: either `header`",
        ),
        (
            "/providers/0/tokens",
            json!([{"header": "a", "scheme": "B c"}]),
            "providers[0].tokens[0].scheme: is \"B c\"",
        ),
        (
            "/providers/0/tokens",
            json!([{"header": "x-token", "scheme": "JWT"}]),
            "providers[1].tokens: \"x-token\" is also at providers[0].tokens",
        ),
        (
            "/namespaces/1/name",
            json!("orders"),
            "namespaces[1].name: \"orders\" is also at namespaces[0].name",
        ),
        (
            "/namespaces/1/routes/0/path_prefix",
            json!("/orders"),
            "namespaces[1].routes[0]: \"api.test/orders\" is also at namespaces[0].routes[0]; a route belongs to exactly one namespace",
        ),
        (
            "/namespaces/0/routes/0/host",
            json!("API.test"),
            "namespaces[0].routes[0].host: is \"API.test\", allowed is a lower-case host",
        ),
        (
            "/namespaces/0/routes/0/host",
            json!("*"),
            "namespaces[0].routes[0].host: is \"*\"",
        ),
        (
            "/namespaces/0/routes/0/path_prefix",
            json!("/orders/"),
            "namespaces[0].routes[0].path_prefix: is \"/orders/\", allowed is a canonical path",
        ),
        (
            "/namespaces/0/routes/0/path_prefix",
            json!("/a/../b"),
            "namespaces[0].routes[0].path_prefix",
        ),
        (
            "/identities/0/provider",
            json!("none"),
            "identities[0].provider: there is no provider \"none\"; there are: okta, aws",
        ),
        (
            "/identities/0/workload",
            json!("spiffe://c"),
            "identities[0].workload: is \"spiffe://c\", allowed is a SPIFFE id",
        ),
        (
            "/identities/0/when/0",
            json!({"attribute": "workload", "present": true}),
            "identities[0].when[0].attribute: only claims are known here",
        ),
        (
            "/grants/0/namespace",
            json!("none"),
            "grants[0].namespace: there is no namespace \"none\"; there are: orders, pay",
        ),
        (
            "/grants/0/provider",
            json!("none"),
            "grants[0].provider: there is no provider \"none\"",
        ),
        (
            "/grants/0/provider",
            json!(null),
            "grants[0]: a grant that reads claims must name its `provider`",
        ),
        (
            "/grants/0/roles",
            json!(null),
            "grants[0]: exactly one of `roles` and `roles_from`",
        ),
        (
            "/grants/0/roles_from",
            json!({"claim": "r", "allow": ["a"]}),
            "grants[0]: exactly one of `roles` and `roles_from`",
        ),
        (
            "/grants/0/roles",
            json!([]),
            "grants[0].roles: at least one role",
        ),
        (
            "/grants/0/roles",
            json!(["ok", "a,b"]),
            "grants[0].roles[1]: is \"a,b\", allowed is",
        ),
        (
            "/grants/0/workload",
            json!("spiffe://c/{claim:sub}"),
            "grants[0].workload: is",
        ),
        (
            "/grants/0/when/0",
            json!({"claim": "a..b", "present": true}),
            "grants[0].when[0].claim: is \"a..b\"",
        ),
        (
            "/grants/0/when/0",
            json!({"present": true}),
            "grants[0].when[0]: exactly one of `claim` and `attribute`",
        ),
        (
            "/grants/0/when/0",
            json!({"claim": "a"}),
            "grants[0].when[0]: exactly one of `contains`",
        ),
        (
            "/grants/0/when/0",
            json!({"claim": "a", "equals": "b", "prefix": "c"}),
            "grants[0].when[0]: exactly one of `contains`",
        ),
        (
            "/grants/0/when/0",
            json!({"claim": "a", "equals": ["b"]}),
            "grants[0].when[0]: is \"[\\\"b\\\"]\", allowed is a text",
        ),
        (
            "/grants/0/when/0",
            json!({"claim": "a", "one_of": []}),
            "grants[0].when[0].one_of: at least one value",
        ),
        (
            "/policy/rules/0/namespace",
            json!("none"),
            "policy.rules[0].namespace: there is no namespace",
        ),
        (
            "/policy/rules/0/roles",
            json!(null),
            "policy.rules[0]: an allow rule must say whom it lets in",
        ),
        (
            "/policy/rules/0/anonymous",
            json!(true),
            "policy.rules[0]: an allow rule must say whom it lets in",
        ),
        (
            "/policy/rules/0/methods",
            json!([]),
            "policy.rules[0].methods: is empty; leave it out to mean all",
        ),
        (
            "/policy/rules/0/methods",
            json!(["get"]),
            "policy.rules[0].methods[0]: is \"get\", allowed is a method",
        ),
        (
            "/policy/rules/0/hosts",
            json!(["other.test"]),
            "policy.rules[0].hosts[0]: is \"other.test\", allowed is a host that the rule's namespace",
        ),
        (
            "/policy/rules/0/paths",
            json!(["/a*"]),
            "policy.rules[0].paths[0]: is \"/a*\", allowed is a canonical path",
        ),
        (
            "/headers",
            json!({"prefix": "x-"}),
            "headers.prefix: is \"x-\", allowed is a name such as x-identity-",
        ),
        (
            "/limits",
            json!({"token_bytes": 100}),
            "limits.token_bytes: is 100, 1024 to 61440 are allowed",
        ),
        (
            "/limits",
            json!({"cached_tokens": 10_001}),
            "limits.cached_tokens: is 10001, 0 to 10000 are allowed",
        ),
        (
            "/limits",
            json!({"cached_bytes": 100}),
            "limits.cached_bytes: is 100, 65536 to 67108864 are allowed",
        ),
        (
            "/limits",
            json!({"failures_per_source": 0}),
            "limits.failures_per_source: is 0, 1 to 1000000 are allowed",
        ),
        (
            "/limits",
            json!({"failure_window_seconds": 3601}),
            "limits.failure_window_seconds: is 3601, 1 to 3600 are allowed",
        ),
    ];
    for (pointer, value, want) in cases {
        let error = check(pointer, value);
        assert!(error.starts_with(want), "{pointer}: {error}");
    }
}

#[test]
fn documents_that_are_not_json_or_say_a_thing_twice_are_refused() {
    let error = |text: &str| Config::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(
        error("").starts_with("not JSON: EOF while parsing"),
        "{}",
        error("")
    );
    assert!(error("{\"providers\":").starts_with("not JSON: EOF"));
    assert_eq!(
        error("[]"),
        "a member name is there twice, or the document nests too deeply"
    );
    let twice = document()
        .to_string()
        .replacen("{", r#"{"headers":{},"headers":{},"#, 1);
    assert_eq!(
        error(&twice),
        "a member name is there twice, or the document nests too deeply"
    );
}
