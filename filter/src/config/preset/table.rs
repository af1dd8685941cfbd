//! The presets. Where a fact is from stands on the preset's page.

use super::signer::{
    SIGNER, is_load_balancer, is_verified_access, load_balancer_keys, verified_access_keys,
};
use super::{
    AudienceClaim, Issuer, Need, Parameter, Preset, Wanted, is_account, is_domain, is_number,
    is_token_use,
};
use crate::uuid::is_uuid;

const PLAIN: Preset = Preset {
    name: "",
    issuers: &[],
    issuer_form: "",
    algorithms: &["RS256"],
    header: None,
    accepts_padding: false,
    unsigned: &[],
    types: &[],
    audience_claim: AudienceClaim::Aud,
    key_uri: |_signer| None,
    audience_prefix: "",
    refused_audiences: &[],
    refuses_issuer_as_audience: false,
    max_lifetime_seconds: None,
    parameter: None,
    required: &[],
    weak_claims: &[],
    may_omit_groups: false,
    opaque_before: None,
};

const ENTRA_1: &[(&str, Wanted)] = &[("ver", Wanted::Is("1.0")), ("appid", Wanted::Present)];
const ENTRA_2: &[(&str, Wanted)] = &[("ver", Wanted::Is("2.0")), ("azp", Wanted::Present)];
/// Legacy tokens have no such object.
const SERVICE_ACCOUNT: &[(&str, Wanted)] = &[
    ("sub", Wanted::Prefix("system:serviceaccount:")),
    ("\"kubernetes.io\".namespace", Wanted::Present),
    ("\"kubernetes.io\".serviceaccount.name", Wanted::Present),
];

pub(super) static PRESETS: &[Preset] = &[
    Preset {
        name: "aws-alb",
        issuers: &[Issuer {
            pattern: "https://*",
            keys: "",
            required: &[],
        }],
        issuer_form: "the issuer at which the load balancer lets people sign in, which begins with https://",
        algorithms: &["ES256"],
        header: Some("x-amzn-oidc-data"),
        accepts_padding: true,
        unsigned: &["x-amzn-oidc-accesstoken", "x-amzn-oidc-identity"],
        audience_claim: AudienceClaim::HeaderClient,
        key_uri: load_balancer_keys,
        parameter: Some(Parameter {
            field: SIGNER,
            claim: "",
            need: Need::Required,
            fits: is_load_balancer,
            form: "the load balancer's ARN, arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID: all \
                load balancers of a region share their keys",
        }),
        weak_claims: &["email", "name", "preferred_username", "username"],
        ..PLAIN
    },
    Preset {
        name: "aws-cognito",
        issuers: &[Issuer {
            pattern: "https://cognito-idp.*.amazonaws.com*/*_*",
            keys: "/.well-known/jwks.json",
            required: &[],
        }],
        issuer_form: "https://cognito-idp.REGION.amazonaws.com/POOL",
        parameter: Some(Parameter {
            field: "token_use",
            claim: "token_use",
            need: Need::Default("access"),
            fits: is_token_use,
            form: "access or id",
        }),
        weak_claims: &["email", "phone_number", "name"],
        ..PLAIN
    },
    Preset {
        name: "aws-eks",
        issuers: &[
            Issuer {
                pattern: "https://oidc.eks.*.amazonaws.com/id/*",
                keys: "/keys",
                required: &[],
            },
            Issuer {
                pattern: "https://oidc-eks.*.api.aws/id/*",
                keys: "/keys",
                required: &[],
            },
            Issuer {
                pattern: "https://oidc.eks.*.amazonaws.com.cn/id/*",
                keys: "/keys",
                required: &[],
            },
            Issuer {
                pattern: "https://oidc-eks.*.api.amazonwebservices.com.cn/id/*",
                keys: "/keys",
                required: &[],
            },
        ],
        issuer_form: "https://oidc.eks.REGION.amazonaws.com/id/ID, https://oidc-eks.REGION.api.aws/id/ID, or in China \
            https://oidc.eks.REGION.amazonaws.com.cn/id/ID, https://oidc-eks.REGION.api.amazonwebservices.com.cn/id/ID",
        refused_audiences: &[
            "sts.amazonaws.com*",
            "pods.eks.amazonaws.com*",
            "https://kubernetes.default*",
        ],
        refuses_issuer_as_audience: true,
        max_lifetime_seconds: Some(86_400),
        required: SERVICE_ACCOUNT,
        ..PLAIN
    },
    Preset {
        name: "aws-iam",
        issuers: &[Issuer {
            pattern: "https://*.tokens.sts.global.api.aws",
            keys: "/.well-known/jwks.json",
            required: &[],
        }],
        issuer_form: "https://ID.tokens.sts.global.api.aws, the issuer of exactly one account",
        algorithms: &["RS256", "ES384"],
        max_lifetime_seconds: Some(3600),
        parameter: Some(Parameter {
            field: "accounts",
            claim: "\"https://sts.amazonaws.com/\".aws_account",
            need: Need::Required,
            fits: is_account,
            form: "account numbers of 12 digits",
        }),
        required: &[("sub", Wanted::Prefix("arn:aws"))],
        weak_claims: &["\"https://sts.amazonaws.com/\".request_tags"],
        ..PLAIN
    },
    Preset {
        name: "aws-verified-access",
        issuers: &[Issuer {
            pattern: "https://*",
            keys: "",
            required: &[],
        }],
        issuer_form: "the issuer of the instance's OIDC trust provider, which begins with https://",
        algorithms: &["ES384"],
        header: Some("x-amzn-ava-user-context"),
        audience_claim: AudienceClaim::Signer,
        key_uri: verified_access_keys,
        parameter: Some(Parameter {
            field: SIGNER,
            claim: "",
            need: Need::Required,
            fits: is_verified_access,
            form: "the instance's ARN, arn:aws:ec2:REGION:ACCOUNT:verified-access-instance/ID: all instances of a \
                region share their keys",
        }),
        weak_claims: &["email", "name", "preferred_username"],
        ..PLAIN
    },
    Preset {
        name: "entra",
        issuers: &[
            Issuer {
                pattern: "https://login.microsoftonline.com/{}/v2.0",
                keys: "https://login.microsoftonline.com/{}/discovery/v2.0/keys",
                required: ENTRA_2,
            },
            Issuer {
                pattern: "https://sts.windows.net/{}/",
                keys: "https://login.microsoftonline.com/{}/discovery/keys",
                required: ENTRA_1,
            },
            Issuer {
                pattern: "https://login.microsoftonline.us/{}/v2.0",
                keys: "https://login.microsoftonline.us/{}/discovery/v2.0/keys",
                required: ENTRA_2,
            },
            Issuer {
                pattern: "https://login.partner.microsoftonline.cn/{}/v2.0",
                keys: "https://login.partner.microsoftonline.cn/{}/discovery/v2.0/keys",
                required: ENTRA_2,
            },
            Issuer {
                pattern: "https://sts.chinacloudapi.cn/{}/",
                keys: "https://login.partner.microsoftonline.cn/{}/discovery/keys",
                required: ENTRA_1,
            },
        ],
        issuer_form: "https://login.microsoftonline.com/TENANT/v2.0 (also login.microsoftonline.us and \
            login.partner.microsoftonline.cn) or, with the slash, https://sts.windows.net/TENANT/ (also \
            sts.chinacloudapi.cn), for the tenant of this provider",
        // Microsoft Graph; its tokens cannot be verified by anybody else.
        refused_audiences: &[
            "00000003-0000-0000-c000-000000000000",
            "https://graph.microsoft.com*",
            "https://graph.microsoft.us*",
            "https://dod-graph.microsoft.us*",
            "https://microsoftgraph.chinacloudapi.cn*",
        ],
        parameter: Some(Parameter {
            field: "tenant",
            claim: "tid",
            need: Need::Required,
            fits: is_uuid,
            form: "the tenant's UUID in lower case",
        }),
        weak_claims: &["email", "name", "preferred_username", "unique_name", "upn"],
        may_omit_groups: true,
        ..PLAIN
    },
    Preset {
        name: "github-actions",
        issuers: &[
            Issuer {
                pattern: "https://token.actions.githubusercontent.com",
                keys: "/.well-known/jwks",
                required: &[],
            },
            Issuer {
                pattern: "https://token.actions.githubusercontent.com/*",
                keys: "/.well-known/jwks",
                required: &[],
            },
            Issuer {
                pattern: "https://token.actions.*.ghe.com",
                keys: "/.well-known/jwks",
                required: &[],
            },
            Issuer {
                pattern: "https://token.actions.*.ghe.com/*",
                keys: "/.well-known/jwks",
                required: &[],
            },
            Issuer {
                pattern: "https://*/_services/token",
                keys: "/.well-known/jwks",
                required: &[],
            },
        ],
        issuer_form: "https://token.actions.githubusercontent.com or https://token.actions.SUBDOMAIN.ghe.com, the same \
            with /ENTERPRISE, or https://HOST/_services/token",
        refused_audiences: &["https://github.com/*", "https://*.ghe.com/*"],
        max_lifetime_seconds: Some(3600),
        parameter: Some(Parameter {
            field: "repository_owner_ids",
            claim: "repository_owner_id",
            need: Need::Required,
            fits: is_number,
            form: "numbers of organisations or users: every repository on GitHub can have a token for any audience",
        }),
        required: &[("repository_id", Wanted::Present), ("ref", Wanted::Present)],
        weak_claims: &["actor", "actor_id", "head_ref", "workflow"],
        ..PLAIN
    },
    Preset {
        name: "google",
        issuers: &[
            Issuer {
                pattern: "https://accounts.google.com",
                keys: "https://www.googleapis.com/oauth2/v3/certs",
                required: &[],
            },
            Issuer {
                pattern: "accounts.google.com",
                keys: "https://www.googleapis.com/oauth2/v3/certs",
                required: &[],
            },
        ],
        issuer_form: "https://accounts.google.com or accounts.google.com",
        parameter: Some(Parameter {
            field: "hosted_domains",
            claim: "hd",
            need: Need::OrRequiredClaims,
            fits: is_domain,
            form: "domains of Google Workspace; or else `required_claims`: everybody with an account at Google can \
                have a token",
        }),
        weak_claims: &["email", "name"],
        ..PLAIN
    },
    Preset {
        name: "google-iap",
        issuers: &[Issuer {
            pattern: "https://cloud.google.com/iap",
            keys: "https://www.gstatic.com/iap/verify/public_key-jwk",
            required: &[],
        }],
        issuer_form: "https://cloud.google.com/iap",
        algorithms: &["ES256"],
        header: Some("x-goog-iap-jwt-assertion"),
        audience_prefix: "/projects/",
        max_lifetime_seconds: Some(600),
        ..PLAIN
    },
    Preset {
        name: "keycloak",
        issuers: &[Issuer {
            pattern: "https://*/realms/*",
            keys: "/protocol/openid-connect/certs",
            required: &[],
        }],
        issuer_form: "https://HOST/realms/REALM, without a slash at its end",
        algorithms: &[
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
            "EdDSA",
        ],
        refused_audiences: &["account"],
        // ID and refresh tokens are signed with the same keys and have another one.
        required: &[("typ", Wanted::Is("Bearer"))],
        weak_claims: &["email", "name"],
        ..PLAIN
    },
    Preset {
        name: "kubernetes",
        issuers: &[Issuer {
            pattern: "https://*",
            keys: "/openid/v1/jwks",
            required: &[],
        }],
        issuer_form: "the cluster's --service-account-issuer, which begins with https://",
        algorithms: &["RS256", "ES256", "ES384", "ES512"],
        refused_audiences: &["https://kubernetes.default*", "kubernetes*"],
        refuses_issuer_as_audience: true,
        required: SERVICE_ACCOUNT,
        ..PLAIN
    },
    Preset {
        name: "okta",
        issuers: &[Issuer {
            pattern: "https://*/oauth2/*",
            keys: "/v1/keys",
            required: &[],
        }],
        issuer_form: "https://HOST/oauth2/ID, the issuer of a custom authorization server",
        // ID tokens have no client id.
        required: &[("cid", Wanted::Present)],
        opaque_before: Some("/oauth2/"),
        ..PLAIN
    },
    Preset {
        name: "spiffe-jwt-svid",
        issuers: &[
            Issuer {
                pattern: "spiffe://{}",
                keys: "",
                required: &[],
            },
            Issuer {
                pattern: "https://*",
                keys: "",
                required: &[],
            },
        ],
        issuer_form: "nothing, or what the trust domain's server writes into iss, which begins with https://",
        algorithms: &[
            "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
        ],
        // JWT-SVID section 2.3.
        types: &["jwt", "jose"],
        parameter: Some(Parameter {
            field: "trust_domain",
            claim: "sub",
            need: Need::Required,
            fits: is_domain,
            form: "the name of a trust domain, without spiffe://",
        }),
        ..PLAIN
    },
];
