//! Each preset, configured as on its page, and tokens of its issuer's shape.

use identity_filter::config::Config;
use identity_filter::decision::Denial;
use serde_json::{Value, json};

use crate::documents::{plugin_config, presets};
use crate::issuer::{EC, RSA, Signer};
use crate::load_balancers;
use crate::request::{NOW, Request, forwarded};

use Denial::{
    AudienceMismatch, ClaimMismatch, GroupsOverage, IssuerUnknown, RuleMissing,
    TokenLifetimeRefused, TokenMalformed, TokenOpaque,
};

/// What is changed in a good token, and what comes of it.
type Case = (&'static str, Value, Option<Denial>);

struct Shape {
    preset: &'static str,
    signer: &'static Signer,
    /// A good token besides `iat` and `exp`.
    claims: Value,
    /// What the good caller then is.
    workload: &'static str,
    cases: Vec<Case>,
}

fn shapes() -> Vec<Shape> {
    let service_account =
        json!({"namespace": "jobs", "serviceaccount": {"name": "batch", "uid": "u"}});
    let sts = "https://sts.amazonaws.com/";
    vec![
        Shape {
            preset: "okta",
            signer: &RSA,
            claims: json!({"ver": 1, "jti": "AT.1", "iss": "https://example.okta.com/oauth2/default", "aud": "api://orders",
                "sub": "alice@example.com", "cid": "0oa1", "uid": "00u1", "scp": ["openid", "orders.read"]}),
            workload: "spiffe://cluster.local/ns/people/sa/00u1",
            cases: vec![
                (
                    "org server",
                    json!({"iss": "https://example.okta.com", "aud": "https://example.okta.com"}),
                    Some(TokenOpaque),
                ),
                (
                    "another server",
                    json!({"iss": "https://example.okta.com/oauth2/other"}),
                    Some(IssuerUnknown),
                ),
                (
                    "ID token",
                    json!({"cid": null, "aud": "api://orders"}),
                    Some(ClaimMismatch),
                ),
                (
                    "scopes as words",
                    json!({"scp": "openid orders.read"}),
                    None,
                ),
                (
                    "other scope",
                    json!({"scp": ["orders.write"]}),
                    Some(RuleMissing),
                ),
            ],
        },
        Shape {
            preset: "aws-iam",
            signer: &RSA,
            claims: json!({"iss": "https://0f3c.tokens.sts.global.api.aws", "aud": "https://api.example.com",
                "sub": "arn:aws:iam::123456789012:role/Batch",
                sts: {"aws_account": "123456789012", "org_id": "o-1", "request_tags": {"purpose": "report"}}}),
            workload: "spiffe://cluster.local/ns/orders/sa/batch",
            cases: vec![
                (
                    "another account",
                    json!({sts: {"aws_account": "210987654321", "request_tags": {"purpose": "report"}}}),
                    Some(ClaimMismatch),
                ),
                ("no account", json!({sts: null}), Some(ClaimMismatch)),
                (
                    "another customer's issuer",
                    json!({"iss": "https://ffff.tokens.sts.global.api.aws"}),
                    Some(IssuerUnknown),
                ),
                (
                    "no principal",
                    json!({"sub": "somebody"}),
                    Some(ClaimMismatch),
                ),
                (
                    "no tag",
                    json!({sts: {"aws_account": "123456789012"}}),
                    Some(RuleMissing),
                ),
                (
                    "more than an hour",
                    json!({"exp": NOW + 3601}),
                    Some(TokenLifetimeRefused),
                ),
            ],
        },
        Shape {
            preset: "aws-eks",
            signer: &RSA,
            claims: json!({"iss": "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B716D3041E",
                "aud": ["https://api.example.com"], "sub": "system:serviceaccount:jobs:batch", "kubernetes.io": service_account}),
            workload: "spiffe://eks.example.com/ns/jobs/sa/batch",
            cases: vec![
                (
                    "for IAM",
                    json!({"aud": ["sts.amazonaws.com"]}),
                    Some(AudienceMismatch),
                ),
                (
                    "for Pod Identity",
                    json!({"aud": ["pods.eks.amazonaws.com"]}),
                    Some(AudienceMismatch),
                ),
                (
                    "a user",
                    json!({"sub": "system:admin"}),
                    Some(ClaimMismatch),
                ),
                (
                    "another pod",
                    json!({"kubernetes.io": {"namespace": "x", "serviceaccount": {"name": "batch"}}}),
                    Some(RuleMissing),
                ),
                (
                    "two days",
                    json!({"exp": NOW + 172_800}),
                    Some(TokenLifetimeRefused),
                ),
            ],
        },
        Shape {
            preset: "aws-cognito",
            signer: &RSA,
            claims: json!({"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_ExaMpLe", "sub": "a-b",
                "token_use": "access", "client_id": "1h57kf5cpq17m0eml12EXAMPLE", "username": "alice",
                "cognito:groups": ["readers"], "scope": "openid email"}),
            workload: "spiffe://cluster.local/ns/people/sa/a-b",
            cases: vec![
                ("ID token", json!({"token_use": "id"}), Some(ClaimMismatch)),
                (
                    "shape of an ID token",
                    json!({"token_use": "id", "client_id": null, "aud": "1h57kf5cpq17m0eml12EXAMPLE"}),
                    Some(AudienceMismatch),
                ),
                (
                    "another app",
                    json!({"client_id": "other"}),
                    Some(AudienceMismatch),
                ),
                (
                    "no group",
                    json!({"cognito:groups": null}),
                    Some(RuleMissing),
                ),
            ],
        },
        Shape {
            preset: "entra",
            signer: &RSA,
            claims: json!({"iss": "https://login.microsoftonline.com/0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c11/v2.0",
                "tid": "0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c11", "aud": "7d0c5a3e-58a2-4f0b-9f6e-2b7a4d9c8e10", "ver": "2.0",
                "azp": "c1", "sub": "s", "oid": "o-1", "scp": "orders.read", "groups": ["5f3cfb4a-6c1d-4f8e-b9a6-0d2f7e8c9b1a"]}),
            workload: "spiffe://cluster.local/ns/people/sa/o-1",
            cases: vec![
                (
                    "by app role",
                    json!({"groups": null, "roles": ["reader"]}),
                    None,
                ),
                ("no groups", json!({"groups": null}), Some(RuleMissing)),
                (
                    "groups are elsewhere",
                    json!({"groups": null, "_claim_names": {"groups": "src1"}, "_claim_sources": {}}),
                    Some(GroupsOverage),
                ),
                (
                    "groups are elsewhere, old sign",
                    json!({"groups": null, "hasgroups": true}),
                    Some(GroupsOverage),
                ),
                (
                    "something else is elsewhere",
                    json!({"_claim_names": {"photo": "src1"}}),
                    None,
                ),
                (
                    "guest of another tenant",
                    json!({"tid": "11111111-9f7e-4a51-8a55-1f0e3f6d2c11"}),
                    Some(ClaimMismatch),
                ),
                ("ID token", json!({"azp": null}), Some(ClaimMismatch)),
                (
                    "version 1 in disguise",
                    json!({"ver": "1.0"}),
                    Some(ClaimMismatch),
                ),
                (
                    "version 1",
                    json!({"iss": "https://sts.windows.net/0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c11/"}),
                    Some(IssuerUnknown),
                ),
            ],
        },
        Shape {
            preset: "google",
            signer: &RSA,
            claims: json!({"iss": "https://accounts.google.com", "aud": "1234567890-abc.apps.googleusercontent.com", "azp": "x",
                "sub": "110169484474386276334", "hd": "example.com", "email": "alice@example.com", "email_verified": true}),
            workload: "spiffe://cluster.local/ns/people/sa/110169484474386276334",
            cases: vec![
                (
                    "an account of their own",
                    json!({"hd": null}),
                    Some(ClaimMismatch),
                ),
                (
                    "another company",
                    json!({"hd": "example.net"}),
                    Some(ClaimMismatch),
                ),
                (
                    "address is not verified",
                    json!({"email_verified": false}),
                    Some(RuleMissing),
                ),
                (
                    "issuer without a scheme",
                    json!({"iss": "accounts.google.com"}),
                    Some(IssuerUnknown),
                ),
            ],
        },
        Shape {
            preset: "google-iap",
            signer: &EC,
            claims: json!({"iss": "https://cloud.google.com/iap", "aud": "/projects/123456789/global/backendServices/987654321",
                "sub": "accounts.google.com:1", "email": "alice@example.com", "hd": "example.com"}),
            workload: "spiffe://cluster.local/ns/people/sa/accounts.google.com_3A1",
            cases: vec![
                (
                    "another service",
                    json!({"aud": "/projects/123456789/global/backendServices/1"}),
                    Some(AudienceMismatch),
                ),
                ("ten minutes", json!({"exp": NOW + 600}), None),
                (
                    "more than ten minutes",
                    json!({"exp": NOW + 601}),
                    Some(TokenLifetimeRefused),
                ),
                ("no beginning", json!({"iat": null}), Some(TokenMalformed)),
            ],
        },
        Shape {
            preset: "keycloak",
            signer: &RSA,
            claims: json!({"iss": "https://sso.example.com/realms/example", "aud": ["orders", "account"], "sub": "f:1:alice",
                "typ": "Bearer", "azp": "shop", "realm_access": {"roles": ["reader", "offline_access"]}, "scope": "openid"}),
            workload: "spiffe://cluster.local/ns/people/sa/f_3A1_3Aalice",
            cases: vec![
                ("ID token", json!({"typ": "ID"}), Some(ClaimMismatch)),
                (
                    "refresh token",
                    json!({"typ": "Refresh"}),
                    Some(ClaimMismatch),
                ),
                (
                    "bound to a proof",
                    json!({"typ": "DPoP"}),
                    Some(ClaimMismatch),
                ),
                ("no kind", json!({"typ": null}), Some(ClaimMismatch)),
                (
                    "for the account console",
                    json!({"aud": "account"}),
                    Some(AudienceMismatch),
                ),
                (
                    "roles as a text",
                    json!({"realm_access": {"roles": "not reader"}}),
                    Some(RuleMissing),
                ),
            ],
        },
        Shape {
            preset: "github-actions",
            signer: &RSA,
            claims: json!({"iss": "https://token.actions.githubusercontent.com", "aud": "https://api.example.com",
                "sub": "repo:octo/shop:ref:refs/heads/main", "repository": "octo/shop", "repository_id": "74",
                "repository_owner_id": "123456", "ref": "refs/heads/main", "actor": "octocat", "event_name": "push"}),
            workload: "spiffe://cluster.local/ns/ci/sa/deploy",
            cases: vec![
                (
                    "somebody else's repository",
                    json!({"repository_owner_id": "654321"}),
                    Some(ClaimMismatch),
                ),
                (
                    "default audience",
                    json!({"aud": "https://github.com/octo"}),
                    Some(AudienceMismatch),
                ),
                (
                    "pull request",
                    json!({"ref": "refs/pull/7/merge"}),
                    Some(RuleMissing),
                ),
                (
                    "another repository",
                    json!({"repository_id": "75"}),
                    Some(RuleMissing),
                ),
                (
                    "no repository",
                    json!({"repository_id": null}),
                    Some(ClaimMismatch),
                ),
            ],
        },
        Shape {
            preset: "kubernetes",
            signer: &RSA,
            claims: json!({"iss": "https://kubernetes.example.com", "aud": ["https://api.example.com"],
                "sub": "system:serviceaccount:jobs:batch", "kubernetes.io": service_account}),
            workload: "spiffe://cluster.local/ns/jobs/sa/batch",
            cases: vec![
                (
                    "legacy",
                    json!({"iss": "kubernetes/serviceaccount", "exp": null, "aud": null, "kubernetes.io": null}),
                    Some(IssuerUnknown),
                ),
                (
                    "legacy of a renamed issuer",
                    json!({"aud": null}),
                    Some(AudienceMismatch),
                ),
                ("without end", json!({"exp": null}), Some(TokenMalformed)),
                (
                    "legacy names",
                    json!({"kubernetes.io": null, "kubernetes.io/serviceaccount/namespace": "jobs"}),
                    Some(ClaimMismatch),
                ),
                (
                    "for the API server",
                    json!({"aud": ["https://kubernetes.default.svc"]}),
                    Some(AudienceMismatch),
                ),
            ],
        },
        Shape {
            preset: "spiffe-jwt-svid",
            signer: &EC,
            claims: json!({"sub": "spiffe://example.org/ns/jobs/sa/batch", "aud": ["https://api.example.com"]}),
            workload: "spiffe://example.org/ns/jobs/sa/batch",
            cases: vec![
                (
                    "another trust domain",
                    json!({"sub": "spiffe://example.net/ns/jobs/sa/batch"}),
                    Some(IssuerUnknown),
                ),
                (
                    "a longer trust domain",
                    json!({"sub": "spiffe://example.org.evil.net/ns/jobs/sa/batch"}),
                    Some(IssuerUnknown),
                ),
                (
                    "the trust domain says so itself",
                    json!({"iss": "spiffe://example.org", "sub": "spiffe://example.net/a"}),
                    Some(ClaimMismatch),
                ),
                (
                    "no path",
                    json!({"sub": "spiffe://example.org"}),
                    Some(TokenMalformed),
                ),
                (
                    "dot segments",
                    json!({"sub": "spiffe://example.org/ns/../sa"}),
                    Some(ClaimMismatch),
                ),
                (
                    "empty segment",
                    json!({"sub": "spiffe://example.org/ns//sa"}),
                    Some(ClaimMismatch),
                ),
                ("no id", json!({"sub": "batch"}), Some(TokenMalformed)),
                (
                    "another issuer",
                    json!({"iss": "https://spire.example.com"}),
                    Some(IssuerUnknown),
                ),
                ("no end", json!({"exp": null}), Some(TokenMalformed)),
                ("no audience", json!({"aud": null}), Some(AudienceMismatch)),
            ],
        },
    ]
}

/// The configuration on the page, with keys that the test holds, beside keys of other kinds.
fn config(preset: &str) -> Config {
    let mut document = plugin_config(preset);
    let mut encryption = RSA.jwk();
    encryption["use"] = json!("enc");
    encryption["alg"] = json!("RSA-OAEP");
    let mut certificates = EC.jwk();
    certificates["use"] = json!("x509-svid");
    let mut signing = EC.jwk();
    if preset == "spiffe-jwt-svid" {
        signing["use"] = json!("jwt-svid");
    }
    document["providers"][0]["jwks"] =
        json!({"inline": {"keys": [encryption, certificates, RSA.jwk(), signing]}});
    Config::parse(document.to_string().as_bytes()).unwrap()
}

fn request(preset: &str, token: &str) -> Request {
    let request = Request::new("GET", "api.example.com", "/orders/1");
    if preset == "google-iap" {
        request.with("x-goog-iap-jwt-assertion", token)
    } else {
        request.bearer(token)
    }
}

#[test]
fn tokens_of_each_shape_are_judged_as_on_the_page() {
    for shape in shapes() {
        let config = config(shape.preset);
        let token = |changes: &Value| {
            let mut claims = shape.claims.clone();
            claims["iat"] = json!(NOW);
            claims["exp"] = json!(NOW + 300);
            for (name, value) in changes.as_object().unwrap() {
                match value {
                    Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                    value => claims[name] = value.clone(),
                }
            }
            shape.signer.token(&claims)
        };
        let good = request(shape.preset, &token(&json!({}))).decide(&config);
        assert_eq!(good.denial, None, "{}", shape.preset);
        assert_eq!(
            forwarded(&good, "x-identity-workload").as_deref(),
            Some(shape.workload),
            "{}",
            shape.preset
        );
        for (name, changes, want) in &shape.cases {
            let got = request(shape.preset, &token(changes)).denial(&config);
            assert_eq!(got, *want, "{}: {name}", shape.preset);
        }
    }
}

#[test]
fn every_preset_has_a_page_and_a_shape() {
    let mut tested: Vec<_> = shapes()
        .iter()
        .map(|shape| shape.preset.to_owned())
        .collect();
    tested.extend(load_balancers::PRESETS.map(String::from));
    tested.sort();
    assert_eq!(presets(), tested);
    let document = json!({"providers": [{"name": "a", "preset": "none", "jwks": {}}], "namespaces": [], "policy": {"rules": []}});
    let error = Config::parse(document.to_string().as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "providers[0].preset: there is no preset \"none\"; there are: {}",
            tested.join(", ")
        )
    );
}
