//! The doors, what is told to each, and what that comes to for a request as nginx has served it.

use std::net::SocketAddr;

use e2e::{
    conversation::Mismatch,
    plain_gateway::{Beside, PlainGateway, Plan, Records, clear_cluster, filter, identity_filter},
    process::Process,
    run_folder::RunFolder,
    tools,
};
use serde_json::{Value, json};
use signatures::signer::Signer;

pub(super) const ISSUER: &str = "https://issuer.example";
pub(super) const AUDIENCE: &str = "api://site";

/// `open` has rules against what is denied, which is where another reading of a path does harm; the
/// others have rules for what is allowed. `/static` is the mistake that nginx's manual warns of: below
/// `/static..` its alias leads out of the folder.
pub(super) fn servers(folder: &RunFolder, mirror: SocketAddr) -> String {
    let public = folder.file(PUBLIC);
    let public = public.display();
    format!(
        r#"
  server {{ listen ADDRESS default_server; server_name unknown; location / {{ return 200 served; }} }}
  server {{ listen ADDRESS; server_name open.example.com; location / {{ return 200 served; }} }}
  server {{ listen ADDRESS; server_name strict.example.com; location / {{ return 200 served; }} }}
  server {{ listen ADDRESS; server_name internal.example.com; location / {{ return 200 served; }} }}
  server {{
    listen ADDRESS; server_name site.example.com;
    location / {{ return 200 served; }}
    location /static {{ alias {public}/; return 200 served; }}
  }}
  server {{
    listen ADDRESS; server_name mirror.example.com;
    location / {{ proxy_pass http://{mirror}; proxy_http_version 1.1; }}
  }}"#
    )
}

/// Whether the policy lets this caller have what nginx has served: the rules once more, read from the
/// path that came of it and not from the one that was sent.
pub(super) fn policy_allows(is_known: bool, line: &Value) -> bool {
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    let (host, method, path) = (text("host"), text("method"), text("uri"));
    if text("server") != host {
        return false;
    }
    let segments: Vec<&str> = segments(path).collect();
    let is_read = matches!(method, "GET" | "HEAD");
    match host {
        "open.example.com" => is_known && !is_denied(path),
        "strict.example.com" => is_known && is_read,
        "site.example.com" => {
            is_known
                && is_read
                && match segments[..] {
                    ["public", ..] => true,
                    ["static", ..] => !text("file").contains("/../"),
                    ["files", _name] => true,
                    _ => false,
                }
        }
        "mirror.example.com" => match segments[..] {
            ["api", ..] => is_known || method == "OPTIONS",
            ["health", ..] => method == "GET" || method == "POST",
            _ => false,
        },
        _ => false,
    }
}

/// Denied to everybody on `open`.
pub(super) fn is_denied(path: &str) -> bool {
    let segments: Vec<&str> = segments(path).collect();
    segments.first() == Some(&"admin") || segments == ["private", "key"]
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Starts the gateway, with all its doors.
pub(super) async fn start(
    key: &Signer,
    nginx: SocketAddr,
    folder: &RunFolder,
) -> Result<PlainGateway, Mismatch> {
    let guard = identity_filter(&tools::filter()?, &configuration(key));
    let door = |filters: Vec<Value>, normalises: bool| Beside {
        filters,
        options: json!({
            "use_remote_address": true,
            "normalize_path": normalises,
            "upgrade_configs": [{ "upgrade_type": "websocket" }],
            "http_protocol_options": { "enable_trailers": true },
        }),
        upstream: Some("nginx"),
        ..Beside::default()
    };
    let plan = Plan {
        clusters: vec![clear_cluster("nginx", nginx)],
        beside: vec![
            door(vec![guard.clone()], false),
            door(vec![guard], true),
            door(native(key), true),
        ],
        records: Records::Kept,
        ..Plan::default()
    };
    Ok(PlainGateway::start("site", plan, Process::start, folder).await?)
}

fn configuration(key: &Signer) -> Value {
    let override_headers = OVERRIDES.map(|name| json!({ "header": name, "present": true }));
    let names = ["open", "strict", "site", "internal", "mirror"];
    let namespaces = names
        .map(|name| json!({ "name": name, "routes": [{ "host": format!("{name}.example.com") }] }));
    json!({
        "providers": [{
            "name": "people", "issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["ES256"],
            "jwks": { "inline": { "keys": [key.jwk()] } },
        }],
        "namespaces": namespaces,
        "identities": [{ "name": "people", "provider": "people",
            "workload": "spiffe://example.com/people/{claim:sub}" }],
        "grants": [
            { "name": "admins", "namespace": "internal", "roles": ["admin"], "provider": "people",
              "when": [{ "claim": "groups", "contains": "admins" }] },
            { "name": "listed", "namespace": "mirror", "provider": "people",
              "roles_from": { "claim": "roles", "allow": ["reader", "writer"] } },
        ],
        "policy": { "rules": [
            { "name": "not-admin", "namespace": "open", "action": "deny", "paths": ["/admin/**", "/private/key"] },
            { "name": "the-rest", "namespace": "open", "authenticated": true },
            { "name": "no-override", "namespace": "strict", "action": "deny", "when": [{ "any": override_headers }] },
            { "name": "reads", "namespace": "strict", "authenticated": true, "methods": ["GET", "HEAD"] },
            { "name": "files", "namespace": "site", "authenticated": true, "methods": ["GET", "HEAD"],
              "paths": ["/public/**", "/static/**", "/files/{name}"] },
            { "name": "admins", "namespace": "internal", "roles": ["admin"] },
            { "name": "health", "namespace": "mirror", "anonymous": true, "methods": ["GET", "POST"],
              "paths": ["/health/**"] },
            { "name": "preflights", "namespace": "mirror", "anonymous": true, "methods": ["OPTIONS"],
              "paths": ["/api/**"], "when": [
                { "header": "origin", "equals": "https://app.example.com" },
                { "header": "access-control-request-method", "present": true },
            ] },
            { "name": "api", "namespace": "mirror", "authenticated": true, "methods": ["GET", "POST"],
              "paths": ["/api/**"] },
        ] },
        "limits": { "failures_per_source": 1_000_000, "failure_window_seconds": 1 },
    })
}

/// The same about `open`, as istiod writes it for a RequestAuthentication and two AuthorizationPolicies:
/// `DENY` of the paths `/admin`, `/admin/*` and `/private/key`, `ALLOW` of whoever has a token.
fn native(key: &Signer) -> Vec<Value> {
    let jwt = json!({
        "providers": { "people": {
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "local_jwks": { "inline_string": json!({ "keys": [key.jwk()] }).to_string() },
            "payload_in_metadata": "claims",
        } },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "people" } }],
    });
    let host = json!({ "header": { "name": ":authority",
        "string_match": { "exact": "open.example.com", "ignore_case": true } } });
    let path = |test: Value| json!({ "url_path": { "path": test } });
    let denied = json!({ "or_rules": { "rules": [
        path(json!({ "exact": "/admin" })),
        path(json!({ "prefix": "/admin/" })),
        path(json!({ "exact": "/private/key" })),
    ] } });
    let deny = json!({ "rules": { "action": "DENY", "policies": { "not-admin": {
        "permissions": [{ "and_rules": { "rules": [host, denied] } }],
        "principals": [{ "any": true }],
    } } } });
    let known = json!({ "metadata": {
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{ "key": "claims" }, { "key": "sub" }],
        "value": { "string_match": { "safe_regex": { "regex": ".+" } } },
    } });
    let allow = json!({ "rules": { "action": "ALLOW", "policies": { "the-rest": {
        "permissions": [{ "and_rules": { "rules": [host] } }],
        "principals": [known],
    } } } });
    vec![
        filter("jwt_authn", "jwt_authn.v3.JwtAuthentication", jwt),
        filter("rbac", "rbac.v3.RBAC", deny),
        filter("rbac", "rbac.v3.RBAC", allow),
    ]
}

/// By these some servers take another method or target.
pub(crate) const OVERRIDES: [&str; 8] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-forwarded-path",
    "x-forwarded-uri",
];

const PUBLIC: &str = "public";
