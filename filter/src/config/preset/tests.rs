use alloc::string::ToString;
use core::time::Duration;

use serde_json::json;

use super::super::Config;
use super::*;
use crate::config::TokenSource;

fn parse(provider: &Value, more: &Value) -> Result<Config, ConfigError> {
    let mut provider_document =
        json!({"name": "p", "audiences": ["api"], "jwks": {"cluster": "c"}});
    let members = provider_document.as_object_mut().unwrap();
    members.extend(provider.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    let mut document = json!({"providers": [provider_document],
        "namespaces": [{"name": "n", "routes": [{"host": "a.test"}]}], "policy": {"rules": []}});
    let members = document.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    Config::parse(document.to_string().as_bytes())
}

pub(super) fn error(provider: &Value, more: &Value) -> String {
    let refused = parse(provider, more).err();
    refused.map_or_else(|| "accepted".into(), |error| error.to_string())
}

pub(super) fn keys(provider: &Value) -> String {
    let config = parse(provider, &json!({})).unwrap();
    let keys = config.providers[0].keys.remote().unwrap();
    format!("{}://{}{}", keys.scheme, keys.authority, keys.path)
}

const TENANT: &str = "0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c11";

#[test]
fn a_preset_fills_in_what_was_not_written() {
    let config = parse(
        &json!({"preset": "google-iap", "audiences": ["/projects/1/apps/2"]}),
        &json!({}),
    )
    .unwrap();
    let iap = &config.providers[0];
    assert_eq!(iap.issuer, "https://cloud.google.com/iap");
    assert_eq!(iap.algorithms, [Algorithm::Es256]);
    assert_eq!(iap.max_lifetime, Some(Duration::from_secs(600)));
    assert_eq!(
        iap.tokens,
        [TokenSource::Header {
            name: "x-goog-iap-jwt-assertion".into(),
            scheme: None
        }]
    );
    let entra =
        |issuer: Value| keys(&json!({"preset": "entra", "tenant": TENANT, "issuer": issuer}));
    assert_eq!(
        entra(Value::Null),
        format!("https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys")
    );
    assert_eq!(
        entra(json!(format!("https://sts.windows.net/{TENANT}/"))),
        format!("https://login.microsoftonline.com/{TENANT}/discovery/keys")
    );
    let okta = json!({"preset": "okta", "issuer": "https://id.test/oauth2/default"});
    assert_eq!(keys(&okta), "https://id.test/oauth2/default/v1/keys");
    let own = json!({"preset": "okta", "issuer": "https://id.test/oauth2/default",
        "jwks": {"cluster": "c", "uri": "https://mirror.test/k"}});
    assert_eq!(keys(&own), "https://mirror.test/k");
}

#[test]
fn a_preset_narrows_what_may_be_written() {
    let iap = |extra: Value| {
        let mut provider = json!({"preset": "google-iap", "audiences": ["/projects/1/apps/2"]});
        provider
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        provider
    };
    let eks = |audience: &str| {
        json!({"preset": "aws-eks", "audiences": [audience],
            "issuer": "https://oidc.eks.eu-west-1.amazonaws.com/id/A"})
    };
    let kubernetes = |issuer: &str, audience: &str| json!({"preset": "kubernetes", "issuer": issuer, "audiences": [audience]});
    let iam = |issuer: &str, accounts: Value| json!({"preset": "aws-iam", "issuer": issuer, "accounts": accounts});
    let account_issuer = "https://a.tokens.sts.global.api.aws";
    let cases = [
        (
            json!({"preset": "okta"}),
            "providers[0]: missing field `issuer`",
        ),
        (
            json!({"preset": "okta", "issuer": "https://id.test"}),
            "providers[0].issuer: is \"https://id.test\", allowed is https://HOST/oauth2/ID",
        ),
        (
            json!({"preset": "okta", "issuer": "https://id.test/oauth2/a/"}),
            "providers[0].issuer: is",
        ),
        (
            json!({"preset": "okta", "issuer": "https://id.test/oauth2/a", "algorithms": ["ES256"]}),
            "providers[0].algorithms[0]: there is no algorithm of this preset \"ES256\"; there are: RS256",
        ),
        (
            json!({"preset": "okta", "issuer": "https://id.test/oauth2/a", "audiences": null}),
            "providers[0]: missing field `audiences`",
        ),
        (
            json!({"preset": "okta", "issuer": "https://id.test/oauth2/a", "accounts": ["1"]}),
            "providers[0].accounts: is a field of another preset",
        ),
        (
            json!({"issuer": "https://id.test", "algorithms": ["RS256"], "tenant": TENANT}),
            "providers[0].tenant: is a field of a preset",
        ),
        (
            iam(account_issuer, json!(null)),
            "providers[0]: missing field `accounts`: account numbers",
        ),
        (
            iam(account_issuer, json!([])),
            "providers[0].accounts: at least one value",
        ),
        (
            iam(account_issuer, json!(["12345678901"])),
            "providers[0].accounts: is \"12345678901\", allowed is account numbers of 12 digits",
        ),
        (
            iam("https://tokens.sts.global.api.aws", json!(["123456789012"])),
            "providers[0].issuer: is",
        ),
        (
            eks("sts.amazonaws.com"),
            "providers[0].audiences[0]: is \"sts.amazonaws.com\", allowed is an audience of your own",
        ),
        (
            eks("pods.eks.amazonaws.com"),
            "providers[0].audiences[0]: is",
        ),
        (
            eks("https://oidc.eks.eu-west-1.amazonaws.com/id/A"),
            "providers[0].audiences[0]: is",
        ),
        (eks("api"), "accepted"),
        (
            kubernetes("kubernetes/serviceaccount", "api"),
            "providers[0].issuer: is \"kubernetes/serviceaccount\"",
        ),
        (
            kubernetes("https://k.test", "https://kubernetes.default.svc"),
            "providers[0].audiences[0]: is",
        ),
        (
            kubernetes("https://k.test", "https://k.test"),
            "providers[0].audiences[0]: is",
        ),
        (
            json!({"preset": "aws-cognito", "issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_A", "token_use": "refresh"}),
            "providers[0].token_use: is \"refresh\", allowed is access or id",
        ),
        (
            json!({"preset": "entra"}),
            "providers[0]: missing field `tenant`",
        ),
        (
            json!({"preset": "entra", "tenant": "common"}),
            "providers[0].tenant: is \"common\"",
        ),
        (
            json!({"preset": "entra", "tenant": TENANT, "issuer": "https://login.microsoftonline.com/common/v2.0"}),
            "providers[0].issuer: is",
        ),
        (
            json!({"preset": "entra", "tenant": TENANT, "issuer": format!("https://sts.windows.net/{TENANT}")}),
            "providers[0].issuer: is",
        ),
        (
            json!({"preset": "entra", "tenant": TENANT, "audiences": ["https://graph.microsoft.com"]}),
            "providers[0].audiences[0]: is",
        ),
        (
            json!({"preset": "google"}),
            "providers[0]: missing field `hosted_domains`: domains of Google Workspace",
        ),
        (
            json!({"preset": "google", "required_claims": [{"claim": "sub", "equals": "1"}]}),
            "accepted",
        ),
        (
            json!({"preset": "github-actions"}),
            "providers[0]: missing field `repository_owner_ids`",
        ),
        (
            json!({"preset": "github-actions", "repository_owner_ids": ["octo"]}),
            "providers[0].repository_owner_ids: is \"octo\"",
        ),
        (
            json!({"preset": "github-actions", "repository_owner_ids": ["1"], "audiences": ["https://github.com/octo"]}),
            "providers[0].audiences[0]: is",
        ),
        (
            json!({"preset": "keycloak", "issuer": "https://k.test/realms/a", "audiences": ["account"]}),
            "providers[0].audiences[0]: is",
        ),
        (
            json!({"preset": "keycloak", "issuer": "https://k.test/realms/a/"}),
            "providers[0].issuer: is",
        ),
        (
            json!({"preset": "spiffe-jwt-svid", "trust_domain": "a.test"}),
            "providers[0].jwks: either `inline`",
        ),
        (
            json!({"preset": "spiffe-jwt-svid", "trust_domain": "spiffe://a.test"}),
            "providers[0].trust_domain: is",
        ),
        (
            iap(json!({"audiences": ["api"]})),
            "providers[0].audiences[0]: is \"api\", allowed is /projects/NUMBER",
        ),
        (
            iap(json!({"max_lifetime_seconds": 601})),
            "providers[0].max_lifetime_seconds: is 601, 1 to 600 are allowed",
        ),
        (iap(json!({"max_lifetime_seconds": 60})), "accepted"),
    ];
    for (provider, want) in cases {
        let got = error(&provider, &json!({}));
        assert!(got.starts_with(want), "{provider}: {got}");
    }
}

#[test]
fn nothing_rests_only_on_what_the_caller_chooses() {
    let tags = "\"https://sts.amazonaws.com/\".request_tags";
    let tag = json!({"claim": format!("{tags}.team"), "equals": "a"});
    let role = json!({"claim": "sub", "prefix": "arn:aws:iam::123456789012:role/"});
    let absent = json!({"claim": "sub", "present": false});
    let grant = |extra: Value| {
        let mut grant = json!({"name": "g", "namespace": "n"});
        grant
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({"grants": [grant]})
    };
    let identity = |when: Value, workload: &str| json!({"identities": [{"name": "i", "provider": "p", "when": when, "workload": workload}]});
    let from_tags = json!({"claim": format!("{tags}.roles"), "allow": ["r"]});
    let cases = [
        (grant(json!({"roles": ["r"], "when": [tag]})), false),
        (grant(json!({"roles": ["r"], "when": [tag, absent]})), false),
        (
            grant(json!({"roles": ["r"], "when": [tag, {"attribute": "provider", "equals": "p"}]})),
            false,
        ),
        (
            grant(
                json!({"roles": ["r"], "when": [{"claim": "\"https://sts.amazonaws.com/\"", "present": true}]}),
            ),
            false,
        ),
        (grant(json!({"roles_from": from_tags})), false),
        (grant(json!({"roles": ["r"], "when": [tag, role]})), true),
        (
            grant(json!({"roles_from": from_tags, "when": [role]})),
            true,
        ),
        (
            grant(json!({"roles": ["r"], "when": [tag], "workload": "spiffe://t/a"})),
            true,
        ),
        (grant(json!({"roles": ["r"], "when": [role]})), true),
        (identity(json!([tag]), "spiffe://t/a"), false),
        (
            identity(json!([]), &format!("spiffe://t/{{claim:{tags}.team}}")),
            false,
        ),
        (
            identity(json!([role]), &format!("spiffe://t/{{claim:{tags}.team}}")),
            true,
        ),
        (identity(json!([role]), "{claim:sub}"), false),
    ];
    let aws = json!({"preset": "aws-iam", "issuer": "https://a.tokens.sts.global.api.aws", "accounts": ["123456789012"]});
    for (more, is_accepted) in cases {
        let got = error(&aws, &more);
        assert_eq!(got == "accepted", is_accepted, "{more}: {got}");
    }
    let actor = grant(json!({"roles": ["r"], "when": [{"claim": "actor", "equals": "octocat"}]}));
    let github = json!({"preset": "github-actions", "repository_owner_ids": ["1"]});
    let got = error(&github, &actor);
    assert!(
        got.starts_with("grants[0]: rests only on claims that the caller"),
        "{got}"
    );
}

#[test]
fn a_header_is_made_of_claims_that_callers_can_choose_only_beside_another() {
    let header = |when: Value| json!({"headers": {"set": [{"name": "x-identity-email", "value": "{claim:email}", "when": when}]}});
    let entra = json!({"preset": "entra", "tenant": TENANT});
    let got = error(&entra, &header(json!([])));
    assert!(
        got.starts_with("headers.set[0]: rests only on claims that the caller"),
        "{got}"
    );
    let verified = header(json!([{"claim": "xms_edov", "equals": true}]));
    assert_eq!(
        parse(&entra, &verified).unwrap().providers[0]
            .claim_headers
            .len(),
        1
    );
}

#[test]
fn groups_that_are_elsewhere_matter_only_where_somebody_asks_for_them() {
    let entra = |more: Value| {
        let provider = json!({"preset": "entra", "tenant": TENANT});
        parse(&provider, &more).unwrap().providers[0].refuses_groups_overage
    };
    let grant = |claim: &str| json!({"grants": [{"name": "g", "namespace": "n", "roles": ["r"], "when": [{"claim": claim, "contains": "x"}]}]});
    assert!(entra(grant("groups")));
    assert!(!entra(grant("roles")));
    assert!(entra(
        json!({"grants": [{"name": "g", "namespace": "n", "roles_from": {"claim": "groups", "allow": ["r"]}}]})
    ));
    let header = |content: Value| {
        let mut header = json!({"name": "x-identity-a"});
        header
            .as_object_mut()
            .unwrap()
            .extend(content.as_object().unwrap().clone());
        json!({"headers": {"set": [header]}})
    };
    assert!(entra(header(json!({"list": "groups"}))));
    assert!(entra(header(
        json!({"value": "{claim:oid},{claim:groups}"})
    )));
    assert!(entra(header(
        json!({"value": "{claim:oid}", "when": [{"claim": "groups", "contains": "x"}]})
    )));
    assert!(!entra(header(json!({"list": "roles"}))));
    assert!(entra(
        json!({"identities": [{"name": "i", "provider": "p", "workload": "spiffe://t/a",
        "when": [{"claim": "groups", "present": false}]}]})
    ));
}

#[test]
fn sovereign_clouds_have_issuers_and_keys_of_their_own() {
    let entra = |issuer: &str| {
        let issuer = issuer.replace("{}", TENANT);
        keys(&json!({"preset": "entra", "tenant": TENANT, "issuer": issuer})).replace(TENANT, "{}")
    };
    let eks = |issuer: &str| keys(&json!({"preset": "aws-eks", "issuer": issuer}));
    let github = |issuer: &str| {
        keys(&json!({"preset": "github-actions", "repository_owner_ids": ["1"], "issuer": issuer}))
    };
    let cases = [
        (
            entra("https://login.microsoftonline.us/{}/v2.0"),
            "https://login.microsoftonline.us/{}/discovery/v2.0/keys",
        ),
        (
            entra("https://login.partner.microsoftonline.cn/{}/v2.0"),
            "https://login.partner.microsoftonline.cn/{}/discovery/v2.0/keys",
        ),
        (
            entra("https://sts.chinacloudapi.cn/{}/"),
            "https://login.partner.microsoftonline.cn/{}/discovery/keys",
        ),
        (
            eks("https://oidc.eks.us-gov-west-1.amazonaws.com/id/A"),
            "https://oidc.eks.us-gov-west-1.amazonaws.com/id/A/keys",
        ),
        (
            eks("https://oidc.eks.cn-north-1.amazonaws.com.cn/id/A"),
            "https://oidc.eks.cn-north-1.amazonaws.com.cn/id/A/keys",
        ),
        (
            eks("https://oidc-eks.eu-west-1.api.aws/id/A"),
            "https://oidc-eks.eu-west-1.api.aws/id/A/keys",
        ),
        (
            eks("https://oidc-eks.cn-north-1.api.amazonwebservices.com.cn/id/A"),
            "https://oidc-eks.cn-north-1.api.amazonwebservices.com.cn/id/A/keys",
        ),
        (
            github("https://token.actions.octocorp.ghe.com"),
            "https://token.actions.octocorp.ghe.com/.well-known/jwks",
        ),
        (
            github("https://token.actions.octocorp.ghe.com/octocorp"),
            "https://token.actions.octocorp.ghe.com/octocorp/.well-known/jwks",
        ),
        (
            github("https://github.example.com/_services/token"),
            "https://github.example.com/_services/token/.well-known/jwks",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    let refused = [
        json!({"preset": "entra", "tenant": TENANT, "issuer": format!("https://sts.chinacloudapi.cn/{TENANT}")}),
        json!({"preset": "entra", "tenant": TENANT, "issuer": format!("https://login.chinacloudapi.cn/{TENANT}/v2.0")}),
        json!({"preset": "aws-eks", "issuer": "https://oidc.eks.eu-west-1.amazonaws.com.evil.test/id/A"}),
        json!({"preset": "aws-eks", "issuer": "https://oidc-eks.eu-west-1.api.aws.evil.test/id/A"}),
        json!({"preset": "github-actions", "repository_owner_ids": ["1"], "issuer": "https://token.actions.ghe.com.evil.test"}),
    ];
    for provider in refused {
        let got = error(&provider, &json!({}));
        assert!(got.starts_with("providers[0].issuer: is"), "{got}");
    }
    for (preset, audience) in [
        ("entra", "https://graph.microsoft.us"),
        ("entra", "https://microsoftgraph.chinacloudapi.cn"),
        ("github-actions", "https://octocorp.ghe.com/octo"),
    ] {
        let mut provider = json!({"preset": preset, "audiences": [audience]});
        if preset == "entra" {
            provider["tenant"] = TENANT.into();
        } else {
            provider["repository_owner_ids"] = json!(["1"]);
        }
        let got = error(&provider, &json!({}));
        assert!(got.starts_with("providers[0].audiences[0]: is"), "{got}");
    }
}
