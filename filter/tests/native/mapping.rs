//! Who a caller is and what it may do, by each test of a claim, by each way of joining them, by the provider and by the
//! client certificate; and that the decision says which entries it was.

use identity_filter::config::Config;
use serde_json::{Value, json};

use identity_filter::keyring::Keyring;

use crate::host::HostStandIn;
use crate::issuer::EC;
use crate::request::{NOW, Request, Worker};

const CERTIFICATE: &str = "spiffe://cluster.local/ns/edge/sa/gate";

/// Two providers, whose entries are the same but for the provider; `when` holds or not.
fn config(when: &Value) -> Config {
    let provider = |name: &str| {
        json!({"name": name, "issuer": format!("https://{name}.test"), "audiences": ["api"],
               "algorithms": ["ES256"], "jwks": {"inline": {"keys": [EC.jwk()]}}})
    };
    let grant = |name: &str, extra: Value| {
        let mut grant = json!({"name": name, "namespace": "orders", "provider": "okta"});
        grant
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        grant
    };
    let document = json!({
        "providers": [provider("okta"), provider("other")],
        "namespaces": [{"name": "orders", "routes": [{"host": "api.test"}]}],
        "identities": [
            {"name": "matched", "provider": "okta", "when": [when], "workload": "spiffe://c/matched"},
            {"name": "later", "provider": "okta", "workload": "spiffe://c/later"}],
        "grants": [
            grant("matched", json!({"roles": ["one"], "when": [when]})),
            grant("also", json!({"roles": ["two", "one"], "when": [when]})),
            grant("listed", json!({"roles_from": {"claim": "roles", "allow": ["three"]}, "when": [when]})),
            grant("by-identity", json!({"roles": ["four"], "workload": "spiffe://c/matched"})),
            grant("by-provider", json!({"roles": ["five"], "when": [when, {"attribute": "provider", "equals": "okta"}]}))],
        "policy": {"rules": [{"name": "all", "namespace": "orders", "authenticated": true}]},
        "audit": {"log_allows": true}
    });
    Config::parse(document.to_string().as_bytes()).unwrap()
}

/// What the decision about a caller of this provider says.
fn decision(config: &Config, provider: &str, certificate: Option<&str>) -> Value {
    let token = EC.token(&json!({
        "iss": format!("https://{provider}.test"), "aud": "api", "sub": "s", "exp": NOW + 300,
        "email": "alice@example.com", "level": 3, "mfa": true, "groups": ["dev", "ops"], "scope": "read write",
        "realm_access": {"roles": ["x"]}, "roles": ["three", "root"]
    }));
    let (keyring, engine) = (Keyring::new(config, 1), HostStandIn::engines());
    let mut worker = Worker::new(config);
    worker.connection.spiffe_id = certificate.map(Into::into);
    let request = Request::new("GET", "api.test", "/").bearer(&token);
    let outcome = worker.decide(request, config, &keyring, &engine);
    let mut record: Value = serde_json::from_str(&outcome.line()).unwrap();
    ["decision", "identity", "workload", "grants", "roles"]
        .map(|member| record[member].take())
        .into()
}

fn matched() -> Value {
    let grants = ["matched", "also", "listed", "by-identity", "by-provider"];
    let roles = ["five", "four", "one", "three", "two"];
    json!(["allow", "matched", "spiffe://c/matched", grants, roles])
}

#[test]
fn every_test_and_every_join_decides_about_identities_and_grants() {
    let is = |claim: &str, test: Value| {
        let mut condition = json!({ "claim": claim });
        condition
            .as_object_mut()
            .unwrap()
            .extend(test.as_object().unwrap().clone());
        condition
    };
    let (yes, no) = (
        is("level", json!({"equals": 3})),
        is("level", json!({"equals": 4})),
    );
    let cases = [
        (
            is("email", json!({"equals": "alice@example.com"})),
            is("email", json!({"equals": "Alice@example.com"})),
        ),
        (
            is("mfa", json!({"equals": true})),
            is("mfa", json!({"equals": "true"})),
        ),
        (
            is("level", json!({"one_of": [2, 3]})),
            is("level", json!({"one_of": ["3"]})),
        ),
        (
            is("email", json!({"prefix": "alice@"})),
            is("email", json!({"prefix": "lice"})),
        ),
        (
            is("email", json!({"glob": "*@example.com"})),
            is("email", json!({"glob": "*@example"})),
        ),
        (
            is("groups", json!({"contains": "ops"})),
            is("groups", json!({"contains": "op"})),
        ),
        (
            is("realm_access.roles", json!({"contains": "x"})),
            is("realm_access", json!({"contains": "x"})),
        ),
        (
            is("scope", json!({"contains": "write"})),
            is("scope", json!({"contains": "read write"})),
        ),
        (
            is("email", json!({"present": true})),
            is("email", json!({"present": false})),
        ),
        (
            is("gone", json!({"present": false})),
            is("gone", json!({"present": true})),
        ),
        (json!({"all": [yes, yes]}), json!({"all": [yes, no]})),
        (json!({"any": [no, yes]}), json!({"any": [no, no]})),
        (json!({"not": no}), json!({"not": yes})),
        (
            json!({"not": {"any": [no, {"all": [yes, no]}]}}),
            json!({"not": {"any": [no, {"all": [yes, yes]}]}}),
        ),
    ];
    let later = json!(["allow", "later", "spiffe://c/later", [], []]);
    for (holds, fails) in cases {
        assert_eq!(
            decision(&config(&holds), "okta", None),
            matched(),
            "{holds}"
        );
        assert_eq!(decision(&config(&fails), "okta", None), later, "{fails}");
        let stranger = json!(["allow", null, null, [], []]);
        assert_eq!(
            decision(&config(&holds), "other", None),
            stranger,
            "{holds}"
        );
    }
}

#[test]
fn the_client_certificate_decides_by_every_test_of_a_text() {
    let other = "spiffe://cluster.local/ns/edge/sa/other";
    for test in [
        json!({"equals": CERTIFICATE}),
        json!({"one_of": ["spiffe://a/b", CERTIFICATE]}),
        json!({"prefix": "spiffe://cluster.local/ns/edge/sa/g"}),
        json!({"glob": "spiffe://*/sa/gate"}),
        json!({"spiffe": "spiffe://cluster.local/ns/*/sa/gate"}),
    ] {
        let mut when = json!({"attribute": "certificate"});
        when.as_object_mut()
            .unwrap()
            .extend(test.as_object().unwrap().clone());
        let config = config(&when);
        assert_eq!(
            decision(&config, "okta", Some(CERTIFICATE)),
            matched(),
            "{when}"
        );
        for certificate in [Some(other), None] {
            let got = decision(&config, "okta", certificate);
            assert_eq!(
                got,
                json!(["allow", "later", "spiffe://c/later", [], []]),
                "{when} {certificate:?}"
            );
        }
    }
}
