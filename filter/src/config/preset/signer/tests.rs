use alloc::format;

use serde_json::{Value, json};

use super::super::tests::{error, keys};

const BALANCER: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188";

#[test]
fn a_signer_is_one_load_balancer_and_says_where_keys_are() {
    let alb = |signer: &str, extra: Value| {
        let mut provider =
            json!({"preset": "aws-alb", "issuer": "https://id.test", "signer": signer});
        let members = provider.as_object_mut().unwrap();
        members.extend(extra.as_object().unwrap().clone());
        provider
    };
    let ava = |region: &str, extra: Value| {
        let signer = format!("arn:{region}:123456789012:verified-access-instance/vai-0ce0");
        let mut provider = json!({"preset": "aws-verified-access", "issuer": "https://id.test", "signer": signer,
            "audiences": null});
        let members = provider.as_object_mut().unwrap();
        members.extend(extra.as_object().unwrap().clone());
        provider
    };
    let government = BALANCER
        .replace("aws:", "aws-us-gov:")
        .replace("eu-west-1", "us-gov-west-1");
    assert_eq!(
        keys(&alb(BALANCER, json!({}))),
        "https://public-keys.auth.elb.eu-west-1.amazonaws.com/"
    );
    assert_eq!(
        keys(&alb(&government, json!({}))),
        "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1/"
    );
    assert_eq!(
        keys(&ava("aws:ec2:eu-west-1", json!({}))),
        "https://public-keys.prod.verified-access.eu-west-1.amazonaws.com/"
    );
    let mirror = json!({"jwks": {"cluster": "c", "key_uri": "http://mirror.test:81/a/b/{kid}"}});
    assert_eq!(keys(&alb(BALANCER, mirror)), "http://mirror.test:81/a/b/");
    let china = BALANCER.replace("aws:", "aws-cn:");
    let key_uri = |uri: &str| json!({"jwks": {"cluster": "c", "key_uri": uri}});
    let signer = "providers[0].signer: is";
    let cases = [
        (
            alb(BALANCER, json!({"signer": null})),
            "providers[0]: missing field `signer`: the load balancer's ARN",
        ),
        (alb("*", json!({})), signer),
        (alb(&format!("{BALANCER}*"), json!({})), signer),
        (alb(&format!("{BALANCER}:x"), json!({})), signer),
        (alb(&BALANCER.replace("/app/", "/net/"), json!({})), signer),
        (
            alb(&BALANCER.replace("123456789012", "12345678901"), json!({})),
            signer,
        ),
        (
            alb(&BALANCER.replace("eu-west-1", "evil.test/"), json!({})),
            signer,
        ),
        (alb(&BALANCER.replace("eu-west-1", ""), json!({})), signer),
        (alb(&BALANCER.replace("aws:", "evil:"), json!({})), signer),
        (alb(&china, json!({})), "providers[0].jwks: either `inline`"),
        (alb(&china, key_uri("https://keys.test/{kid}")), "accepted"),
        (
            ava("aws-us-gov:ec2:us-gov-west-1", json!({})),
            "providers[0].jwks: either `inline`",
        ),
        (
            alb(BALANCER, json!({"audiences": null})),
            "providers[0]: missing field `audiences`",
        ),
        (
            alb(BALANCER, json!({"max_lifetime_seconds": 60})),
            "providers[0].max_lifetime_seconds: tokens of this preset do not",
        ),
        (
            alb(BALANCER, json!({"algorithms": ["ES384"]})),
            "providers[0].algorithms[0]: there is no algorithm of this preset",
        ),
        (
            alb(BALANCER, json!({"issuer": null})),
            "providers[0]: missing field `issuer`",
        ),
        (
            alb(
                BALANCER,
                json!({"tokens": [{"header": "X-Amzn-Oidc-AccessToken"}]}),
            ),
            "providers[0].tokens[0].header: is",
        ),
        (
            ava("aws:ec2:eu-west-1", json!({"audiences": ["x"]})),
            "providers[0].audiences: tokens of this preset name no",
        ),
        (ava("aws:elasticloadbalancing:eu-west-1", json!({})), signer),
        (
            json!({"issuer": "https://id.test", "algorithms": ["RS256"], "signer": BALANCER}),
            "providers[0].signer: is a field of a preset",
        ),
        (
            json!({"preset": "okta", "issuer": "https://id.test/oauth2/a", "signer": BALANCER}),
            "providers[0].signer: is a field of another preset",
        ),
        (
            alb(BALANCER, key_uri("https://keys.test/{kid}/x")),
            "providers[0].jwks.key_uri: is",
        ),
        (
            alb(BALANCER, key_uri("https://keys.test/x{kid}")),
            "providers[0].jwks.key_uri: is",
        ),
        (
            alb(BALANCER, key_uri("https://keys.test/{kid}/{kid}")),
            "providers[0].jwks.key_uri: is",
        ),
        (
            alb(BALANCER, key_uri("https://keys.test?x=/{kid}")),
            "providers[0].jwks.key_uri: is",
        ),
        (
            alb(BALANCER, key_uri("https://{kid}")),
            "providers[0].jwks.key_uri: is",
        ),
        (
            alb(BALANCER, key_uri("https:///{kid}")),
            "providers[0].jwks.key_uri: is",
        ),
        (
            alb(BALANCER, key_uri("https://keys.test/a#b/{kid}")),
            "providers[0].jwks.key_uri: is",
        ),
        (
            alb(
                BALANCER,
                json!({"jwks": {"cluster": "c", "uri": "https://a/b", "key_uri": "https://a/{kid}"}}),
            ),
            "providers[0].jwks: either `inline`",
        ),
        (
            json!({"issuer": "https://id.test", "algorithms": ["ES256", "RS256"],
                "jwks": {"cluster": "c", "key_uri": "https://a/{kid}"}}),
            "providers[0].jwks.key_uri: is for ES256, ES384 and ES512 alone",
        ),
    ];
    for (provider, want) in cases {
        let got = error(&provider, &json!({}));
        assert!(got.starts_with(want), "{provider}: {got}");
    }
}
