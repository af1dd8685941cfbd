//! One Envoy with two doors: the identity filter at one, Envoy's own jwt_authn and rbac at the other,
//! both told the same about issuers, keys, audiences, leeway and who may do what.

use e2e::{
    plain_gateway::{self, Beside, PlainGateway, Plan, Records, identity_filter},
    process::Process,
    run_folder::RunFolder,
    tools,
};
use serde_json::{Value, json};
use signatures::signer::Signer;

use crate::draft::Issuer;

/// The host and the door's only permission: GET of one segment below `/orders/`, for staff.
pub(crate) const HOST: &str = "api.test";

/// Two issuers. A name of a key says nothing across issuers, and one of them has two keys of a kind.
pub(crate) fn issuers() -> [Issuer; 2] {
    let keys = |names: &[(&'static str, &'static str)]| -> Vec<Signer> {
        let mut keys = Vec::new();
        for (id, algorithm) in names {
            keys.push(Signer::new(id, algorithm));
        }
        keys
    };
    [
        Issuer {
            name: "red",
            url: "https://red.test/tenant",
            audience: "api-red",
            keys: keys(&[
                ("rs", "RS256"),
                ("rs512", "RS512"),
                ("ps", "PS256"),
                ("es", "ES256"),
                ("es384", "ES384"),
                ("es512", "ES512"),
                ("ed", "EdDSA"),
            ]),
        },
        Issuer {
            name: "blue",
            url: "https://blue.test",
            audience: "api-blue",
            keys: keys(&[("es", "ES256"), ("es-next", "ES256"), ("rs", "RS384")]),
        },
    ]
}

/// Starts it: the filter's door is the first.
pub(crate) async fn start(issuers: &[Issuer], folder: &RunFolder) -> PlainGateway {
    let plan = Plan {
        filters: vec![identity_filter(&tools::filter().unwrap(), &filter(issuers))],
        answer_headers: vec![(SUBJECT, "%REQ(x-identity-subject)%")],
        beside: vec![Beside {
            filters: vec![jwt_authn(issuers), rbac()],
            answer_headers: vec![(SUBJECT, "%REQ(x-native-issuer)%#%REQ(x-native-subject)%")],
            ..Beside::default()
        }],
        records: Records::Kept,
        ..Plan::default()
    };
    PlainGateway::start("differential", plan, Process::start, folder)
        .await
        .unwrap()
}

/// Which header of an answer says who was let in: the issuer, `#` and the subject.
pub(crate) const SUBJECT: &str = "x-seen-subject";

fn key_set(issuer: &Issuer) -> Value {
    let keys: Vec<_> = issuer.keys.iter().map(Signer::jwk).collect();
    json!({ "keys": keys })
}

fn filter(issuers: &[Issuer]) -> Value {
    let providers = issuers.iter().map(|issuer| {
        json!({
            "name": issuer.name,
            "issuer": issuer.url,
            "audiences": [issuer.audience],
            "algorithms": ["EdDSA", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"],
            "clock_skew_seconds": LEEWAY,
            "jwks": { "inline": key_set(issuer) },
        })
    });
    let grants = issuers.iter().map(|issuer| {
        json!({
            "name": issuer.name, "namespace": "orders", "roles": ["staff"], "provider": issuer.name,
            "when": [{ "claim": "groups", "contains": "staff" }],
        })
    });
    json!({
        "providers": providers.collect::<Vec<_>>(),
        "namespaces": [{ "name": "orders", "routes": [{ "host": HOST }] }],
        "grants": grants.collect::<Vec<_>>(),
        "policy": { "rules": [{
            "name": "staff", "namespace": "orders", "roles": ["staff"], "methods": ["GET"],
            "paths": ["/orders/{id}"],
        }] },
        // All of the bad tokens are of one source.
        "limits": { "failures_per_source": 1_000_000, "failure_window_seconds": 1 },
    })
}

fn jwt_authn(issuers: &[Issuer]) -> Value {
    let providers: serde_json::Map<String, Value> = issuers
        .iter()
        .map(|issuer| {
            let provider = json!({
                "issuer": issuer.url,
                "audiences": [issuer.audience],
                "clock_skew_seconds": LEEWAY,
                "require_expiration": true,
                "local_jwks": { "inline_string": key_set(issuer).to_string() },
                "from_headers": [{ "name": "Authorization", "value_prefix": "Bearer " }],
                "payload_in_metadata": "claims",
                "claim_to_headers": [
                    { "header_name": "x-native-issuer", "claim_name": "iss" },
                    { "header_name": "x-native-subject", "claim_name": "sub" },
                ],
            });
            (issuer.name.to_owned(), provider)
        })
        .collect();
    let names = issuers
        .iter()
        .map(|issuer| json!({ "provider_name": issuer.name }));
    let any = json!({ "requires_any": { "requirements": names.collect::<Vec<_>>() } });
    plain_gateway::filter(
        "jwt_authn",
        "jwt_authn.v3.JwtAuthentication",
        json!({
            "providers": providers,
            "rules": [{ "match": { "prefix": "/" }, "requires": any }],
        }),
    )
}

fn rbac() -> Value {
    let group = |value: Value| {
        json!({ "metadata": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{ "key": "claims" }, { "key": "groups" }],
            "value": value,
        } })
    };
    let staff = json!({ "string_match": { "exact": "staff" } });
    let listed = json!({ "list_match": { "one_of": staff } });
    let what = json!({ "and_rules": { "rules": [
        { "header": { "name": ":method", "string_match": { "exact": "GET" } } },
        { "header": { "name": ":authority", "string_match": { "exact": HOST } } },
        { "url_path": { "path": { "prefix": "/orders/" } } },
    ] } });
    plain_gateway::filter(
        "rbac",
        "rbac.v3.RBAC",
        json!({ "rules": {
            "action": "ALLOW",
            "policies": { "staff": {
                "permissions": [what],
                "principals": [{ "or_ids": { "ids": [group(staff), group(listed)] } }],
            } },
        } }),
    )
}

/// Seconds, at both doors. No request is so near to the end of it that the time of the run matters.
const LEEWAY: u32 = 60;
