//! The document as it is written: fields, types and defaults, nothing checked beyond that.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::Value;

use crate::token::Algorithm;

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
    pub(super) limits: Limits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) jwks: Jwks,
    #[serde(default = "bearer_in_authorization")]
    pub(super) tokens: Vec<Token>,
    #[serde(default = "sixty")]
    pub(super) clock_skew_seconds: u32,
    pub(super) max_lifetime_seconds: Option<u32>,
    #[serde(default)]
    pub(super) required_claims: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Jwks {
    pub(super) inline: Option<Value>,
    pub(super) cluster: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) refresh_seconds: Option<u32>,
    pub(super) timeout_seconds: Option<u32>,
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            token_bytes: 16 * 1024,
        }
    }
}

fn bearer_in_authorization() -> Vec<Token> {
    vec![Token {
        cookie: None,
        header: Some("authorization".into()),
        scheme: Some("Bearer".into()),
    }]
}

const fn sixty() -> u32 {
    60
}
