//! The filter's configuration: JSON (the WasmPlugin's `pluginConfig`) to a validated [`Config`].
//!
//! A document is taken whole or refused with the place, the value and what is allowed. What this
//! version does not do is refused too: nothing is accepted and then ignored. `docs/filter.md` is the reference.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::audit::Sample;
use crate::claim_header::ClaimHeader;
use crate::claims::ClaimPath;
use crate::condition::{Condition, Fact, Test};
use crate::confirmation::Confirmations;
use crate::headers::IdentityHeaders;
use crate::identity::IdentityRule;
use crate::json;
use crate::jwks::{KeySet, KeySetError};
use crate::namespace::Routes;
use crate::refresh::Schedule;
use crate::state::StateValue;
use crate::token_type::TokenTypes;

mod access;
mod claim_header;
mod condition;
mod confirmation;
mod error;
mod grant;
mod limits;
mod preset;
mod provider;
mod read;
mod record;
mod reliance;
mod rule;
mod schedule;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
mod warning;
mod wire;

pub use condition::OVERRIDES;
pub use error::{ConfigError, Problem};
pub use limits::Limits;
pub use warning::{Concern, Warning};

use read::{Place, Read as _};

/// Everything that decisions depend on, besides the keys and the clock.
#[derive(Debug)]
pub struct Config {
    /// In the order of the document; no two have the same name or issuer.
    pub providers: Vec<Rc<Provider>>,
    /// Where each namespace's grants and rules are found.
    pub routes: Routes,
    /// Which headers are stripped and set.
    pub headers: IdentityHeaders,
    /// Which of the requests that are let in have a line of the log too.
    pub allow_sample: Option<Sample>,
    /// What the gateway's own filters can read of a decision.
    pub state: Vec<StateValue>,
    /// Whether who a caller is depends on the client certificate.
    pub maps_certificates: bool,
    /// How much work and memory the network may cause.
    pub limits: Limits,
}

/// An issuer of tokens and how its tokens are verified.
#[derive(Debug)]
pub struct Provider {
    /// Its name in the configuration, in the headers and in the audit record.
    pub name: String,
    /// Compared byte for byte with `iss` (RFC 7519 section 4.1.1).
    pub issuer: String,
    /// A token must be for one of these.
    pub audiences: Vec<String>,
    /// Where a token says whom it is for.
    pub audience_claim: AudienceClaim,
    /// The load balancer that must have made a token, compared byte for byte with `signer`.
    pub signer: Option<String>,
    /// Whether its tokens have padding.
    pub accepts_padding: bool,
    /// A token must be signed with one of these.
    pub algorithms: Vec<Algorithm>,
    /// Where the keys come from.
    pub keys: KeySource,
    /// Where a credential may stand.
    pub tokens: Vec<TokenSource>,
    /// Leeway for `exp`, `nbf` and `iat`.
    pub clock_skew: Duration,
    /// The longest time from `iat` to `exp`.
    pub max_lifetime: Option<Duration>,
    /// What `typ` may say.
    pub types: TokenTypes,
    /// Conditions on claims that hold of every token that is believed.
    pub required_claims: Vec<Condition>,
    /// What its tokens may be bound to.
    pub confirmations: Confirmations,
    /// Whether a token that has no room for the caller's groups is refused: something asks for them.
    pub refuses_groups_overage: bool,
    /// An issuer of the same house whose tokens nobody but itself can read.
    pub opaque_issuer: Option<String>,
    /// Claims on which alone no identity and no grant may rest.
    pub weak_claims: Vec<ClaimPath>,
    /// Who the callers of this provider are; the first match decides.
    pub identities: Vec<IdentityRule>,
    /// What workloads are told of them besides; no two have the same name.
    pub claim_headers: Vec<ClaimHeader>,
}

impl Provider {
    /// Whether `sub` of every token that is believed is a SPIFFE id.
    fn has_spiffe_subjects(&self) -> bool {
        self.required_claims.iter().any(|condition| {
            matches!(
                condition,
                Condition::Is {
                    test: Test::InTrustDomain(_),
                    ..
                }
            )
        })
    }
}

/// Where a token says whom it is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum AudienceClaim {
    /// `aud` (RFC 7519 section 4.1.3).
    #[default]
    Aud,
    /// `client_id`: Cognito's access tokens have no `aud`.
    ClientId,
    /// `client` of the header: so a load balancer says for which client the caller has signed in.
    HeaderClient,
    /// Nowhere: what the load balancer makes is for whoever stands behind it.
    Signer,
}

/// Where a provider's keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// From the configuration itself.
    Inline(KeySet),
    /// From the provider, each under its `kid`, which follows the path.
    OneByOne(RemoteKeys),
    /// From the provider, over a cluster of the gateway.
    Remote(RemoteKeys),
}

/// Keys to be fetched.
#[derive(Debug, Clone)]
pub struct RemoteKeys {
    /// The gateway's cluster that leads to the provider.
    pub cluster: String,
    /// `http` or `https`: what the request says; the cluster decides about TLS.
    pub scheme: &'static str,
    /// The provider's host, with a port where the URI has one.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// When it is fetched.
    pub schedule: Schedule,
}

/// Where a credential may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// In a cookie.
    Cookie {
        /// The cookie's name; letter case counts.
        name: String,
    },
    /// In a header.
    Header {
        /// The header's name, in lower case.
        name: String,
        /// The scheme before the token (RFC 9110 section 11.4); without one the value is the token.
        scheme: Option<String>,
    },
}

impl Config {
    /// Reads and checks the whole document.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(document: &[u8]) -> Result<Self, ConfigError> {
        Self::build(Self::read(document)?)
    }

    /// What a document that is right says in vain, or otherwise than its reader may think.
    ///
    /// # Errors
    /// The first thing that is wrong with a document that is not.
    pub fn warnings(document: &[u8]) -> Result<Vec<Warning>, ConfigError> {
        // Reading again is cheaper than what every worker would hold to be able to answer.
        let config = Self::parse(document)?;
        Ok(warning::find(&Self::read(document)?, &config))
    }

    /// The form of a document as a JSON Schema (draft 2020-12), for editors: which members there are, of which
    /// types and with which defaults. What holds between members it does not say.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn schema() -> Value {
        schema::of::<wire::Document>(preset::names())
    }

    fn read(document: &[u8]) -> Result<wire::Document, ConfigError> {
        let problem = |at: &str, problem: Problem| ConfigError {
            at: at.into(),
            problem,
        };
        // For its message: the strict reader below does not say where a document is broken.
        let _syntax: serde::de::IgnoredAny = serde_json::from_slice(document).map_err(|error| {
            problem(
                "",
                Problem::Syntax {
                    detail: error.to_string(),
                },
            )
        })?;
        let members =
            json::parse_object(document).map_err(|_refused| problem("", Problem::NotStrict))?;
        wire::Document::read(Value::Object(members), &Place::Document)
    }

    fn build(document: wire::Document) -> Result<Self, ConfigError> {
        let headers = IdentityHeaders::new(&document.headers.prefix).ok_or_else(|| {
            ConfigError::value("headers.prefix", &document.headers.prefix, PREFIXES)
        })?;
        let limits = Limits::build(&document.limits)?;
        let group_readers = reliance::group_readers(&document);
        let headers = headers.distrusting(preset::unsigned(&document.providers));
        let mut providers = provider::build(document.providers, &headers)?;
        for provider in &mut providers {
            let is_it =
                |name: &Option<String>| name.as_ref().is_none_or(|name| *name == provider.name);
            provider.refuses_groups_overage &= group_readers.iter().any(is_it);
        }
        access::add_identities(document.identities, &mut providers)?;
        claim_header::add_claim_headers(document.headers.set, &mut providers, &headers)?;
        let routes = access::build_routes(
            document.namespaces,
            document.grants,
            document.policy,
            &providers,
            &headers,
        )?;
        let asks_for_certificate = |when: &[Condition]| {
            let is_it = |fact: &Fact| matches!(fact, Fact::Certificate);
            when.iter().any(|condition| condition.is_about(is_it))
        };
        let maps_certificates = providers.iter().any(|provider| {
            let mut identities = provider.identities.iter();
            let mut headers = provider.claim_headers.iter();
            identities.any(|rule| asks_for_certificate(&rule.when))
                || headers.any(|header| asks_for_certificate(&header.when))
        }) || routes.namespaces().any(|namespace| {
            let mut grants = namespace.grants.iter();
            grants.any(|grant| asks_for_certificate(&grant.when))
        });
        let headers = if document.headers.forward_token {
            headers
        } else {
            let sources = providers.iter().flat_map(|provider| &provider.tokens);
            headers.removing(sources.cloned().collect())
        };
        Ok(Self {
            providers: providers.into_iter().map(Rc::new).collect(),
            routes,
            headers,
            maps_certificates,
            allow_sample: record::build_sample(&document.audit)?,
            state: record::build_state(document.filter_state)?,
            limits,
        })
    }
}

impl KeySource {
    /// What is fetched, if anything is.
    #[must_use]
    pub const fn remote(&self) -> Option<&RemoteKeys> {
        match self {
            Self::Inline(_) => None,
            Self::OneByOne(remote) | Self::Remote(remote) => Some(remote),
        }
    }

    fn inline(document: &Value) -> Result<Self, KeySetError> {
        KeySet::parse(document.to_string().as_bytes()).map(Self::Inline)
    }
}

const PREFIXES: &str = "a name such as x-identity-: lower-case letters, digits and dashes, beginning \
    with x- and ending with -, 5 to 32 long, and not one that strips headers of the gateway itself";

#[cfg(test)]
mod tests;
