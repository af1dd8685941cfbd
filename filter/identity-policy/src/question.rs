//! A request and its caller, put to the filter's core.

use std::time::Duration;

use identity_filter::audit::Sample;
use identity_filter::cache::TokenCache;
use identity_filter::confirmation::Connection;
use identity_filter::gate::explanation::{self, Explanation};
use identity_filter::gate::{self, Context, Outcome};
use identity_filter::headers::Headers;
use identity_filter::jwks::KeySet;
use identity_filter::keyring::Keyring;
use identity_filter::throttle::Throttle;
use identity_filter::time::UnixTime;

use crate::caller::{Caller, Signature, Signatures};
use crate::error::Error;
use crate::policy::Policy;
use crate::report::Report;

/// All that a decision depends on besides the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) caller: Caller,
    /// The keys of the caller's provider, where they are not in the configuration.
    pub(crate) keys: Option<KeySet>,
    pub(crate) now: UnixTime,
}

/// A request as it reaches the gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The client's address, with a port.
    pub(crate) source: Option<String>,
    pub(crate) certificate: Certificate,
}

/// What the front hands over of the client certificate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certificate {
    pub(crate) spiffe_id: Option<String>,
    pub(crate) sha256: Option<String>,
}

impl Connection for Certificate {
    fn certificate_sha256(&self) -> Option<String> {
        self.sha256.clone()
    }

    fn spiffe_id(&self) -> Option<String> {
        self.spiffe_id.clone()
    }
}

/// What the core says.
pub(crate) struct Answer<'a> {
    pub(crate) outcome: Outcome,
    pub(crate) explanation: Explanation<'a>,
    pub(crate) signature: Signature,
}

impl Question {
    /// Lets the core decide, and puts down why.
    pub(crate) fn ask(&self, policy: &Policy<'_>) -> Result<Report, Error> {
        let mut config = policy.config()?;
        // The record holds what the report is about, also of what is let in.
        config.allow_sample = Some(Sample::ALL);
        let request = &self.request;
        let mut entries: Vec<_> = [
            (":method", &request.method),
            (":authority", &request.host),
            (":path", &request.path),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect();
        let others = request.headers.iter();
        entries.extend(others.map(|(name, value)| (name.clone(), value.as_bytes().to_vec())));
        entries.extend(self.caller.header(&config, self.now)?);
        let headers = Headers::new(entries);
        let mut stripped = headers.clone();
        let _any = config.headers.strip(&mut stripped);
        let signature = self
            .caller
            .supply_keys(&mut config, &stripped, self.keys.as_ref())?;
        let (keyring, engine) = (Keyring::new(&config, 0), Signatures(signature));
        let mut cache = TokenCache::new(config.limits.cache, 0);
        let mut throttle = Throttle::new(config.limits.failures, 0);
        let context = Context {
            now: self.now,
            decision_id: String::new(),
            elapsed: &|| Duration::ZERO,
            waited: None,
            connection_id: None,
            source: &|| request.source.clone(),
            connection: &request.certificate,
            keyring: &keyring,
            engine: &engine,
            cache: &mut cache,
            throttle: &mut throttle,
        };
        let explanation = explanation::explain(&config, &headers, &context);
        let answer = Answer {
            outcome: gate::decide(&config, headers, context),
            explanation,
            signature,
        };
        Ok(Report::of(policy, self, &answer))
    }
}
