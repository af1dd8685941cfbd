//! The identity filter's configuration in a run: what a platform team would write into the
//! WasmPlugin. Two namespaces, each with a role `admin` of its own: the same word, and worth
//! nothing in the other namespace.

use serde_json::{Value, json};

use crate::issuer::{AUDIENCE, Issuer};

/// How the gateway knows the OpenID provider.
pub const ISSUER_CLUSTER: &str = "issuer";

/// How often the key set is fetched; the filter takes no less.
const REFRESH_SECONDS: u64 = 5;

/// How long a request waits for keys: two fetches are made within it, whenever they are.
const WAIT_MILLISECONDS: u64 = 10_000;

/// The configuration for this issuer.
#[must_use]
pub fn configuration(issuer: &Issuer) -> Value {
    json!({
        "providers": [{
            "name": "people",
            "issuer": issuer.url(),
            "audiences": [AUDIENCE],
            "algorithms": ["RS256", "PS256", "ES256", "EdDSA"],
            "jwks": {
                "cluster": ISSUER_CLUSTER,
                "uri": issuer.key_set_url(),
                "refresh_seconds": REFRESH_SECONDS,
                "refresh_max_seconds": REFRESH_SECONDS,
                "timeout_seconds": 1,
                "wait_milliseconds": WAIT_MILLISECONDS,
            },
            "tokens": [{ "header": "authorization", "scheme": "Bearer" }],
        }],
        "namespaces": [
            { "name": "payments", "routes": [
                { "host": "pay.example.com" },
                { "host": "api.example.com", "path_prefix": "/payments" },
            ] },
            { "name": "orders", "routes": [
                { "host": "*.orders.example.com" },
                { "host": "api.example.com", "path_prefix": "/orders" },
            ] },
        ],
        "identities": [{
            "name": "people",
            "provider": "people",
            "workload": "spiffe://cluster.local/ns/people/sa/{claim:sub}",
        }],
        "grants": [
            { "name": "payments-admins", "namespace": "payments", "roles": ["admin"],
              "provider": "people",
              "when": [{ "claim": "groups", "contains": "payments-admins" }] },
            { "name": "orders-admins", "namespace": "orders", "roles": ["admin"],
              "provider": "people",
              "when": [{ "claim": "groups", "contains": "orders-admins" }] },
        ],
        "policy": {
            "mode": "enforce",
            "rules": [
                { "name": "public-health", "namespace": "orders", "anonymous": true,
                  "methods": ["GET"], "paths": ["/healthz"] },
                { "name": "payments-admin", "namespace": "payments", "roles": ["admin"],
                  "methods": ["GET", "POST"], "paths": ["/payments/{what}", "/balance"] },
                { "name": "orders-admin", "namespace": "orders", "roles": ["admin"],
                  "methods": ["GET", "POST"], "paths": ["/orders/{what}", "/basket"] },
            ],
        },
        "headers": { "prefix": "x-identity-", "forward_token": false },
        // So that every decision of a run can be looked up in one place.
        "audit": { "log_allows": true },
        // Every bad token of a run comes from one loopback address.
        "limits": { "failures_per_source": 1_000_000, "failure_window_seconds": 1 },
    })
}
