//! The document as it is written: fields, types and defaults, nothing checked beyond that.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::ConfigError;
use super::read::{Fields, Place, Read, object, words};
use crate::algorithm::Algorithm;
use crate::state::StateValue;

object! {
    struct Document {
        providers: Vec<Provider>,
        namespaces: Vec<Namespace>,
        identities: Vec<Identity> = Vec::new(),
        grants: Vec<Grant> = Vec::new(),
        policy: Policy,
        headers: Headers = Headers::default(),
        audit: Audit = Audit::default(),
        filter_state: FilterState = FilterState::default(),
        limits: Limits = Limits::default(),
    }
}

object! {
    struct Audit {
        log_allows: bool = false,
        allow_sample: Option<AllowSample> = None,
    }
}

object! {
    struct AllowSample {
        one_in: u32,
    }
}

object! {
    struct FilterState {
        values: Vec<StateValue> = Vec::new(),
    }
}

object! {
    struct Provider {
        name: String,
        preset: Option<String>,
        issuer: Option<String>,
        audiences: Option<Vec<String>>,
        algorithms: Option<Vec<Algorithm>>,
        jwks: Jwks,
        tokens: Option<Vec<Token>>,
        clock_skew_seconds: u32 = 60,
        max_lifetime_seconds: Option<u32>,
        types: Option<Vec<String>>,
        required_claims: Vec<Condition> = Vec::new(),
        certificate_binding: CertificateBinding = CertificateBinding::IfPresent,
        confirmations_checked_elsewhere: Option<Vec<String>>,
        accounts: Option<Vec<String>>,
        hosted_domains: Option<Vec<String>>,
        repository_owner_ids: Option<Vec<String>>,
        signer: Option<String>,
        tenant: Option<String>,
        token_use: Option<String>,
        trust_domain: Option<String>,
    }
}

words! {
    enum CertificateBinding {
        IfPresent = "if_present",
        Required = "required",
    }
}

object! {
    struct Jwks {
        inline: Option<Value>,
        cluster: Option<String>,
        uri: Option<String>,
        key_uri: Option<String>,
        max_stale_seconds: Option<u32>,
        refresh_max_seconds: Option<u32>,
        refresh_min_seconds: Option<u32>,
        refresh_seconds: Option<u32>,
        timeout_seconds: Option<u32>,
        wait_milliseconds: Option<u32>,
    }
}

object! {
    struct Token {
        cookie: Option<String>,
        header: Option<String>,
        scheme: Option<String>,
    }
}

object! {
    struct Namespace {
        name: String,
        routes: Vec<Route>,
    }
}

object! {
    struct Route {
        host: String,
        path_prefix: Option<String>,
    }
}

object! {
    struct Identity {
        name: String,
        provider: String,
        when: Vec<Condition> = Vec::new(),
        workload: String,
    }
}

object! {
    struct Grant {
        name: String,
        namespace: String,
        roles: Option<Vec<String>>,
        roles_from: Option<RolesFrom>,
        provider: Option<String>,
        workload: Option<String>,
        when: Vec<Condition> = Vec::new(),
    }
}

object! {
    struct RolesFrom {
        claim: String,
        allow: Vec<String>,
        words: Option<bool>,
    }
}

object! {
    struct Condition {
        all: Option<Vec<Condition>>,
        any: Option<Vec<Condition>>,
        not: Option<Box<Condition>>,
        claim: Option<String>,
        attribute: Option<Attribute>,
        header: Option<String>,
        contains: Option<String>,
        equals: Option<Value>,
        glob: Option<String>,
        one_of: Option<Vec<Value>>,
        prefix: Option<String>,
        present: Option<bool>,
        spiffe: Option<String>,
        words: Option<bool>,
    }
}

words! {
    enum Attribute {
        Certificate = "certificate",
        Provider = "provider",
        Workload = "workload",
    }
}

object! {
    struct Policy {
        mode: Mode = Mode::Enforce,
        rules: Vec<Rule>,
    }
}

words! {
    enum Mode {
        Enforce = "enforce",
        Shadow = "shadow",
    }
}

object! {
    struct Rule {
        name: String,
        namespace: String,
        action: Action = Action::Allow,
        mode: Option<Mode>,
        roles: Option<Vec<String>>,
        identities: Option<Vec<String>>,
        providers: Option<Vec<String>>,
        certificates: Option<Vec<String>>,
        sources: Option<Vec<String>>,
        when: Vec<Condition> = Vec::new(),
        anonymous: bool = false,
        authenticated: bool = false,
        methods: Option<Vec<String>>,
        hosts: Option<Vec<String>>,
        paths: Option<Vec<String>>,
    }
}

words! {
    enum Action {
        Allow = "allow",
        Deny = "deny",
    }
}

object! {
    struct Headers {
        prefix: String = "x-identity-".into(),
        forward_token: bool = false,
        set: Vec<ClaimHeader> = Vec::new(),
    }
}

object! {
    struct ClaimHeader {
        name: String,
        provider: Option<String>,
        when: Vec<Condition> = Vec::new(),
        value: Option<String>,
        list: Option<String>,
        words: Option<bool>,
    }
}

object! {
    struct Limits {
        token_bytes: u32 = 16 * 1024,
        identity_bytes: u32 = 16 * 1024,
        cached_tokens: u32 = 1000,
        cached_bytes: u32 = 4 * 1024 * 1024,
        failures_per_source: u32 = 100,
        failure_window_seconds: u32 = 60,
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
