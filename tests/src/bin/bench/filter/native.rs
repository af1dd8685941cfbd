//! Envoy's own filters, with the settings that do what the identity filter does in a run.

use e2e::{
    issuer::{self, Issuer},
    plain_gateway,
};
use serde_json::{Value, json};

/// Verifies the issuer's tokens, with or without a cache of verified ones.
pub(super) fn jwt_authn(issuer: &Issuer, keys: &Value, cache: bool) -> Value {
    let mut provider = json!({
        "issuer": issuer.url(),
        "audiences": [issuer::AUDIENCE],
        "local_jwks": { "inline_string": keys.to_string() },
        "payload_in_metadata": "claims",
        "require_expiration": true,
    });
    if cache {
        provider["jwt_cache_config"] = json!({ "jwt_cache_size": 1000 });
    }
    let config = json!({
        "providers": { "people": provider },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "people" } }],
    });
    plain_gateway::filter("jwt_authn", "jwt_authn.v3.JwtAuthentication", config)
}

/// The rule that the identity filter's configuration of a run has for this request.
pub(super) fn rbac() -> Value {
    let group = json!({ "metadata": {
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{ "key": "claims" }, { "key": "groups" }],
        "value": { "list_match": { "one_of": { "string_match": { "exact": "payments-admins" } } } },
    } });
    let what = json!({ "and_rules": { "rules": [
        { "header": { "name": ":method", "string_match": { "exact": "GET" } } },
        { "header": { "name": ":authority", "string_match": { "exact": super::TARGET.host } } },
        { "url_path": { "path": { "prefix": "/payments/" } } },
    ] } });
    let config = json!({ "rules": {
        "action": "ALLOW",
        "policies": { "admins": { "permissions": [what], "principals": [group] } },
    } });
    plain_gateway::filter("rbac", "rbac.v3.RBAC", config)
}
