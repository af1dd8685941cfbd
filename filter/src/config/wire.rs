//! The document as it is written: fields, types and defaults, nothing checked beyond that.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::Value;

use crate::algorithm::Algorithm;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) providers: Vec<Provider>,
    pub(super) namespaces: Vec<Namespace>,
    #[serde(default)]
    pub(super) identities: Vec<Identity>,
    #[serde(default)]
    pub(super) grants: Vec<Grant>,
    pub(super) policy: Policy,
    #[serde(default)]
    pub(super) headers: Headers,
    #[serde(default)]
    pub(super) audit: Audit,
    #[serde(default)]
    pub(super) limits: Limits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Audit {
    pub(super) log_allows: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) preset: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) audiences: Option<Vec<String>>,
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) jwks: Jwks,
    pub(super) tokens: Option<Vec<Token>>,
    #[serde(default = "sixty")]
    pub(super) clock_skew_seconds: u32,
    pub(super) max_lifetime_seconds: Option<u32>,
    pub(super) types: Option<Vec<String>>,
    #[serde(default)]
    pub(super) required_claims: Vec<Condition>,
    #[serde(default)]
    pub(super) certificate_binding: CertificateBinding,
    pub(super) confirmations_checked_elsewhere: Option<Vec<String>>,
    pub(super) accounts: Option<Vec<String>>,
    pub(super) hosted_domains: Option<Vec<String>>,
    pub(super) repository_owner_ids: Option<Vec<String>>,
    pub(super) signer: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) token_use: Option<String>,
    pub(super) trust_domain: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CertificateBinding {
    #[default]
    IfPresent,
    Required,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Jwks {
    pub(super) inline: Option<Value>,
    pub(super) cluster: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) key_uri: Option<String>,
    pub(super) max_stale_seconds: Option<u32>,
    pub(super) refresh_max_seconds: Option<u32>,
    pub(super) refresh_min_seconds: Option<u32>,
    pub(super) refresh_seconds: Option<u32>,
    pub(super) timeout_seconds: Option<u32>,
    pub(super) wait_milliseconds: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) cookie: Option<String>,
    pub(super) header: Option<String>,
    pub(super) scheme: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Namespace {
    pub(super) name: String,
    pub(super) routes: Vec<Route>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub(super) host: String,
    pub(super) path_prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) provider: String,
    #[serde(default)]
    pub(super) when: Vec<Condition>,
    pub(super) workload: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) roles: Option<Vec<String>>,
    pub(super) roles_from: Option<RolesFrom>,
    pub(super) provider: Option<String>,
    pub(super) workload: Option<String>,
    #[serde(default)]
    pub(super) when: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RolesFrom {
    pub(super) claim: String,
    pub(super) allow: Vec<String>,
    pub(super) words: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    pub(super) claim: Option<String>,
    pub(super) attribute: Option<Attribute>,
    pub(super) contains: Option<String>,
    pub(super) equals: Option<Value>,
    pub(super) glob: Option<String>,
    pub(super) one_of: Option<Vec<Value>>,
    pub(super) prefix: Option<String>,
    pub(super) present: Option<bool>,
    pub(super) words: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Attribute {
    Provider,
    Workload,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    #[serde(default)]
    #[expect(dead_code, reason = "one mode so far; reading it refuses every other")]
    pub(super) mode: Mode,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    #[default]
    Enforce,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) action: Action,
    pub(super) roles: Option<Vec<String>>,
    #[serde(default)]
    pub(super) anonymous: bool,
    #[serde(default)]
    pub(super) authenticated: bool,
    pub(super) methods: Option<Vec<String>>,
    pub(super) hosts: Option<Vec<String>>,
    pub(super) paths: Option<Vec<String>>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    #[default]
    Allow,
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Headers {
    pub(super) prefix: String,
    pub(super) forward_token: bool,
}

impl Default for Headers {
    fn default() -> Self {
        Self {
            prefix: "x-identity-".into(),
            forward_token: false,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) token_bytes: u32,
    pub(super) cached_tokens: u32,
    pub(super) cached_bytes: u32,
    pub(super) failures_per_source: u32,
    pub(super) failure_window_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            token_bytes: 16 * 1024,
            cached_tokens: 1000,
            cached_bytes: 4 * 1024 * 1024,
            failures_per_source: 100,
            failure_window_seconds: 60,
        }
    }
}

impl Token {
    pub(super) fn bearer() -> Self {
        Self {
            scheme: Some("Bearer".into()),
            ..Self::alone_in("authorization")
        }
    }

    pub(super) fn alone_in(header: &str) -> Self {
        Self {
            cookie: None,
            header: Some(header.into()),
            scheme: None,
        }
    }
}

const fn sixty() -> u32 {
    60
}
