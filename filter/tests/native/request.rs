//! Requests as the gateway would hand them to the filter.

use std::cell::Cell;
use std::time::Duration;

use identity_filter::cache::TokenCache;
use identity_filter::config::Config;
use identity_filter::confirmation::Connection;
use identity_filter::decision::Denial;
use identity_filter::gate::explanation::{Explanation, explain};
use identity_filter::gate::{self, Context, Outcome};
use identity_filter::headers::Headers;
use identity_filter::keyring::Keyring;
use identity_filter::signature::Engine;
use identity_filter::throttle::Throttle;
use identity_filter::time::UnixTime;

use crate::host::HostStandIn;

/// The time of every test, in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// What every decision takes.
pub(crate) const TOOK: Duration = Duration::from_nanos(17_999);

/// A request under construction.
#[derive(Clone)]
pub(crate) struct Request {
    headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    pub(crate) fn new(method: &str, host: &str, target: &str) -> Self {
        Self {
            headers: Vec::new(),
        }
        .with(":method", method)
        .with(":authority", host)
        .with(":path", target)
        .with("x-request-id", "r-1")
    }

    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    /// The decision about it, with signatures checked as the gateway does.
    pub(crate) fn decide(self, config: &Config) -> Outcome {
        self.decide_with(config, &Keyring::new(config, 1), &HostStandIn::engines())
    }

    pub(crate) fn decide_with(
        self,
        config: &Config,
        keyring: &Keyring,
        engine: &dyn Engine,
    ) -> Outcome {
        Worker::new(config).decide(self, config, keyring, engine)
    }

    /// Why it is denied, if it is.
    pub(crate) fn denial(self, config: &Config) -> Option<Denial> {
        self.decide(config).denial
    }
}

/// What a worker remembers from one request to the next.
pub(crate) struct Worker {
    pub(crate) cache: TokenCache,
    throttle: Throttle,
    pub(crate) now: UnixTime,
    pub(crate) source: &'static str,
    pub(crate) connection: Handed,
    pub(crate) decision_id: String,
    pub(crate) waited: Option<Duration>,
}

/// What the front hands over about the client's certificate.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) thumbprint: Option<String>,
    pub(crate) spiffe_id: Option<String>,
    /// How often it was asked for.
    pub(crate) asked: Cell<u32>,
}

impl Connection for Handed {
    fn certificate_sha256(&self) -> Option<String> {
        self.asked.set(self.asked.get() + 1);
        self.thumbprint.clone()
    }

    fn spiffe_id(&self) -> Option<String> {
        self.spiffe_id.clone()
    }
}

impl Worker {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            cache: TokenCache::new(config.limits.cache, 1),
            throttle: Throttle::new(config.limits.failures, 1),
            now: UnixTime::from_millis(NOW * 1000 + 123),
            source: "192.0.2.1:5",
            connection: Handed::default(),
            decision_id: "d-1".into(),
            waited: None,
        }
    }

    pub(crate) fn decide(
        &mut self,
        request: Request,
        config: &Config,
        keyring: &Keyring,
        engine: &dyn Engine,
    ) -> Outcome {
        let headers = Headers::new(request.headers);
        self.with_context(keyring, engine, |context| {
            gate::decide(config, headers, context)
        })
    }

    pub(crate) fn explain<'a>(
        &mut self,
        request: &Request,
        config: &'a Config,
        keyring: &Keyring,
        engine: &dyn Engine,
    ) -> Explanation<'a> {
        let headers = Headers::new(request.headers.clone());
        self.with_context(keyring, engine, |context| {
            explain(config, &headers, &context)
        })
    }

    fn with_context<T>(
        &mut self,
        keyring: &Keyring,
        engine: &dyn Engine,
        use_it: impl FnOnce(Context<'_>) -> T,
    ) -> T {
        let source = self.source;
        use_it(Context {
            now: self.now,
            decision_id: self.decision_id.clone(),
            elapsed: &|| TOOK,
            waited: self.waited,
            connection_id: Some("c-1".into()),
            source: &|| Some(source.into()),
            connection: &self.connection,
            keyring,
            engine,
            cache: &mut self.cache,
            throttle: &mut self.throttle,
        })
    }

    /// The request does not wait for a key.
    pub(crate) fn settle(&mut self, outcome: &Outcome) {
        outcome.settle(&mut self.throttle, self.now);
    }
}

/// The value of a header that goes on, as text.
pub(crate) fn forwarded(outcome: &Outcome, name: &str) -> Option<String> {
    outcome
        .headers
        .only(name)
        .map(|value| String::from_utf8(value.to_vec()).unwrap())
}
