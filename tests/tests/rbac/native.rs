//! The same policy as istiod writes it for Envoy: a jwt_authn that lets requests without a token pass, an
//! rbac filter for the rules that deny, and one for the rules that allow. What stands in an
//! AuthorizationPolicy is said where it differs from what one would expect.

use e2e::plain_gateway::filter;
use serde_json::{Value, json};

use crate::policy::{AUDIENCE, ISSUER, Is, Path, Policy, Rule, Test, Who};

/// The filters of the door.
pub(crate) fn filters(policy: &Policy, key: &Value) -> Vec<Value> {
    let mut filters = vec![jwt_authn(key)];
    for (action, is_deny) in [("DENY", true), ("ALLOW", false)] {
        let rules = policy.rules.iter().filter(|rule| rule.is_deny == is_deny);
        let policies: serde_json::Map<String, Value> = rules
            .enumerate()
            .map(|(number, rule)| (format!("rule-{number}"), rbac_policy(rule)))
            .collect();
        if !is_deny || !policies.is_empty() {
            let rules = json!({ "rules": { "action": action, "policies": policies } });
            filters.push(filter("rbac", "rbac.v3.RBAC", rules));
        }
    }
    filters
}

/// A RequestAuthentication: a bad token is refused, and none is let pass.
fn jwt_authn(key: &Value) -> Value {
    let requirements = json!([{ "provider_name": "people" }, { "allow_missing": {} }]);
    filter(
        "jwt_authn",
        "jwt_authn.v3.JwtAuthentication",
        json!({
            "providers": { "people": {
                "issuer": ISSUER,
                "audiences": [AUDIENCE],
                "local_jwks": { "inline_string": json!({ "keys": [key] }).to_string() },
                "payload_in_metadata": "claims",
            } },
            "rules": [{
                "match": { "prefix": "/" },
                "requires": { "requires_any": { "requirements": requirements } },
            }],
        }),
    )
}

fn rbac_policy(rule: &Rule) -> Value {
    let methods = rule
        .methods
        .iter()
        .map(|method| header(":method", &json!({ "exact": method })));
    let hosts = rule.hosts.iter().flat_map(|host| host_matchers(host));
    let paths = rule.paths.iter().map(path);
    let mut permissions = Vec::new();
    for any in [
        methods.collect::<Vec<_>>(),
        hosts.collect(),
        paths.collect(),
    ] {
        if !any.is_empty() {
            permissions.push(json!({ "or_rules": { "rules": any } }));
        }
    }
    if permissions.is_empty() {
        permissions.push(json!({ "any": true }));
    }
    let mut principals = Vec::new();
    principals.extend(who(&rule.who));
    principals.extend(rule.claim.as_ref().map(|test| {
        let principal = claim(test.name, &matcher(test.is));
        if test.negated {
            json!({ "not_id": principal })
        } else {
            principal
        }
    }));
    principals.extend(rule.header.as_ref().map(header_test));
    let sources = rule.sources.iter().filter_map(|source| {
        let (address, length) = source.split_once('/')?;
        let length: u32 = length.parse().ok()?;
        Some(json!({ "remote_ip": { "address_prefix": address, "prefix_len": length } }))
    });
    let sources: Vec<_> = sources.collect();
    if !sources.is_empty() {
        principals.push(json!({ "or_ids": { "ids": sources } }));
    }
    if principals.is_empty() {
        principals.push(json!({ "any": true }));
    }
    json!({
        "permissions": [{ "and_rules": { "rules": permissions } }],
        "principals": [{ "and_ids": { "ids": principals } }],
    })
}

/// Istio's advice is to name a host twice, as `api.test` and as `api.test:*`, because it is compared with
/// the whole `:authority`; what begins with a star cannot end with one.
fn host_matchers(host: &str) -> Vec<Value> {
    let matcher = |mut test: Value| {
        test["ignore_case"] = json!(true);
        header(":authority", &test)
    };
    match host.strip_prefix('*') {
        Some(suffix) => vec![matcher(json!({ "suffix": suffix }))],
        None => vec![
            matcher(json!({ "exact": host })),
            matcher(json!({ "prefix": format!("{host}:") })),
        ],
    }
}

fn path(path: &Path) -> Value {
    let text = |segments: &[&str]| format!("/{}", segments.join("/"));
    let url_path = |test: Value| json!({ "url_path": { "path": test } });
    match path {
        Path::Exact(segments) => url_path(json!({ "exact": text(segments) })),
        Path::Below(segments) => url_path(json!({ "prefix": format!("{}/", text(segments)) })),
        Path::Ending(segment) => url_path(json!({ "suffix": text(&[segment]) })),
        Path::Template(segments) => json!({ "uri_template": {
            "name": "uri_template",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                "path_template": text(segments),
            },
        } }),
    }
}

fn who(who: &Who) -> Option<Value> {
    let any_of = |name: &str, values: &[&str]| {
        let ids: Vec<_> = values
            .iter()
            .map(|value| claim(name, &json!({ "exact": value })))
            .collect();
        json!({ "or_ids": { "ids": ids } })
    };
    match who {
        Who::Anybody => None,
        Who::Known => Some(claim("sub", &matcher(Is::There))),
        Who::Roles(roles) => Some(any_of("roles", roles)),
        Who::Subjects(subjects) => Some(any_of("sub", subjects)),
    }
}

fn matcher(is: Is) -> Value {
    match is {
        Is::Exactly(value) => json!({ "exact": value }),
        Is::Prefixed(prefix) => json!({ "prefix": prefix }),
        Is::There => json!({ "safe_regex": { "regex": ".+" } }),
    }
}

/// A claim that is this text, or a list in which it is.
fn claim(name: &str, test: &Value) -> Value {
    let of = |value: Value| {
        json!({ "metadata": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{ "key": "claims" }, { "key": name }],
            "value": value,
        } })
    };
    let text = json!({ "string_match": test });
    json!({ "or_ids": { "ids": [of(text.clone()), of(json!({ "list_match": { "one_of": text } }))] } })
}

fn header(name: &str, test: &Value) -> Value {
    json!({ "header": { "name": name, "string_match": test } })
}

fn header_test(test: &Test) -> Value {
    let principal = match test.is {
        Is::There => json!({ "header": { "name": test.name, "present_match": true } }),
        is => header(test.name, &matcher(is)),
    };
    if test.negated {
        json!({ "not_id": principal })
    } else {
        principal
    }
}
