//! The shell: the gateway's callbacks in, host calls out, no opinion about policy.
//!
//! Only host calls that give bytes are used: the SDK's getters of text panic on a header value that is
//! not UTF-8, which any client can send (a header's name cannot be one: the gateway refuses it). Each
//! call is made only where the gateway has no status for it but those that the SDK returns.

extern crate std;

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::time::Instant;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType, LogLevel, MapType};

use self::counters::{Counters, Memory, record_gauge};
use self::engine::Host;
use self::gauge::Gauges;
use self::request::Request;
use crate::cache::TokenCache;
use crate::config::{Config, KeySource, RemoteKeys};
use crate::decision::DecisionIds;
use crate::freshness::Freshness;
use crate::headers::Headers;
use crate::jwks::{KeySet, SIZE_LIMIT};
use crate::keyring::{FetchError, FetchId, Fetched, Keyring};
use crate::pem::PemError;
use crate::signature::Engine as _;
use crate::signature::choice::{Choice, Engines};
use crate::state::{self, StateValue};
use crate::stats::{Metric, Series};
use crate::throttle::Throttle;
use crate::waiting::Waiting;

mod abi;
mod board;
mod connection;
mod counters;
mod engine;
mod gauge;
mod pause;
mod request;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|id| Box::new(Root {
        id,
        started: now(),
        shared: None,
        counters: Rc::default(),
        gauges: Rc::default(),
        is_defined: false,
        fetches: Vec::new(),
    }));
}}

/// What every request of this worker sees.
struct Shared {
    config: Config,
    keyring: RefCell<Keyring>,
    engines: Engines,
    ids: RefCell<DecisionIds>,
    cache: RefCell<TokenCache>,
    throttle: RefCell<Throttle>,
    memory: Memory,
    counters: Rc<Counters>,
    waiting: RefCell<Waiting>,
    gauges: Rc<Gauges>,
    started: Instant,
    /// Between two ticks.
    pace: Cell<Option<Duration>>,
}

/// The plugin in one worker.
struct Root {
    id: u32,
    started: Instant,
    shared: Option<Rc<Shared>>,
    counters: Rc<Counters>,
    gauges: Rc<Gauges>,
    /// Whether the host knows of them: each definition takes a number of its own there.
    is_defined: bool,
    /// Which keys each call in flight is for.
    fetches: Vec<(u32, FetchId)>,
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let document = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size);
        let document = document.ok().flatten().unwrap_or_default();
        let config = match Config::parse(&document) {
            Ok(config) => config,
            Err(error) => {
                log(LogLevel::Error, &format!("configuration refused: {error}"));
                return false;
            }
        };
        if !self.is_defined {
            self.is_defined = true;
            self.counters.define();
            self.gauges.define();
            declare_state();
        }
        let engines = Engines::choose(Box::new(Host));
        for provider in &config.providers {
            if let KeySource::Inline(keys) = &provider.keys {
                self.report_skipped(&provider.name, keys);
            }
            for algorithm in &provider.algorithms {
                if !engines.checks(*algorithm) {
                    let message = format!(
                        "provider {} lists {}, which this gateway cannot check: tokens signed with it get 503",
                        provider.name,
                        algorithm.name()
                    );
                    log(LogLevel::Warn, &message);
                }
            }
        }
        log(
            LogLevel::Info,
            &format!("configured; signatures are checked by: {engines}"),
        );
        record_gauge(
            "identity_filter.host_checked_algorithms",
            engines.count(Choice::Host),
        );
        record_gauge(
            "identity_filter.software_checked_algorithms",
            engines.count(Choice::Software),
        );
        let random = || getrandom::u64().unwrap_or_default();
        let shared = Shared {
            memory: Memory::default(),
            counters: Rc::clone(&self.counters),
            cache: RefCell::new(TokenCache::new(config.limits.cache, random())),
            throttle: RefCell::new(Throttle::new(config.limits.failures, random())),
            keyring: RefCell::new(Keyring::new(&config, random())),
            config,
            engines,
            ids: RefCell::new(DecisionIds::new(random())),
            waiting: RefCell::default(),
            gauges: Rc::clone(&self.gauges),
            started: self.started,
            pace: Cell::new(None),
        };
        // Nobody would wake those who wait for the keys of an earlier configuration.
        self.resume(|_earlier, _wait| true);
        self.shared = Some(Rc::new(shared));
        // An answer for the keys of an earlier configuration would land in the wrong place.
        self.fetches.clear();
        self.set_pace();
        true
    }

    fn on_tick(&mut self) {
        let Some(shared) = self.shared.clone() else {
            return;
        };
        let now = shared.moment();
        for provider in shared.keyring.borrow_mut().drop_stale(now) {
            log(
                LogLevel::Error,
                &format!("the keys of provider {} are too old", provider.name),
            );
        }
        let due = shared.keyring.borrow_mut().due(now, &board::Host);
        for (id, remote) in due {
            match fetch(&remote) {
                Some(call) => self.fetches.push((call, id)),
                None => self.on_fetched(id, Fetched::Unreachable),
            }
        }
        self.resume(Shared::is_over);
        self.set_pace();
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request::new(id, self.shared.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, call: u32, headers: usize, body: usize, _trailers: usize) {
        let Some(place) = self.fetches.iter().position(|(other, _)| *other == call) else {
            return;
        };
        let (_call, id) = self.fetches.swap_remove(place);
        // The gateway tells a failure by an answer without any header.
        if headers == 0 {
            self.on_fetched(id, Fetched::Unreachable);
        } else if body > SIZE_LIMIT {
            self.on_fetched(id, Fetched::TooLarge);
        } else {
            let headers = abi::header_map(MapType::HttpCallResponseHeaders).and_then(Headers::read);
            let headers = headers.unwrap_or_default();
            let status = headers.only(":status").and_then(|status| {
                core::str::from_utf8(status)
                    .ok()
                    .and_then(|status| status.parse().ok())
            });
            let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body);
            let body = body.ok().flatten().unwrap_or_default();
            let response = Fetched::Response {
                status,
                freshness: Freshness::of(&headers),
                body: &body,
            };
            self.on_fetched(id, response);
        }
        self.resume(Shared::is_over);
        self.set_pace();
    }
}

impl Root {
    fn on_fetched(&self, id: FetchId, fetched: Fetched<'_>) {
        let Some(shared) = &self.shared else {
            return;
        };
        let mut keyring = shared.keyring.borrow_mut();
        match keyring.on_fetched(id, shared.moment(), &board::Host, fetched) {
            Some((provider, Ok(keys))) => {
                log(
                    LogLevel::Info,
                    &format!("{} keys of provider {}", keys.len(), provider.name),
                );
                self.report_skipped(&provider.name, keys);
                self.count_fetch(&provider.name, "success");
                if let Some(now) = request::wall_clock() {
                    let series = Series::new(Metric::KeysFetched, [&provider.name]);
                    self.counters.set(&series, now.seconds());
                }
            }
            Some((provider, Err(error))) => {
                log(
                    LogLevel::Warn,
                    &format!("no new keys of provider {}: {error}", provider.name),
                );
                self.count_fetch(&provider.name, "failure");
                self.count_private(usize::from(error == FetchError::Pem(PemError::Private)));
            }
            None => {}
        }
    }

    /// A provider that publishes private keys has lost them: that is counted, not only logged.
    fn report_skipped(&self, provider: &str, keys: &KeySet) {
        for skipped in keys.skipped() {
            let id = skipped.id.as_deref().unwrap_or_default();
            let message = format!(
                "key {} ({id:?}) of provider {provider} is not used: {}",
                skipped.index, skipped.reason
            );
            log(LogLevel::Warn, &message);
        }
        self.count_private(keys.private());
    }

    fn count_private(&self, private: usize) {
        let series = Series::new(Metric::PrivateKeysRefused, []);
        self.counters.add(&series, private as u64);
    }

    fn count_fetch(&self, provider: &str, result: &str) {
        let series = Series::new(Metric::KeyFetches, [provider, result]);
        self.counters.add(&series, 1);
    }
}

/// Starts a fetch; `None` when the cluster is not there.
fn fetch(remote: &RemoteKeys) -> Option<u32> {
    let headers = vec![
        (":method", "GET"),
        (":scheme", remote.scheme),
        (":authority", &remote.authority),
        (":path", &remote.path),
        ("accept", "application/json, */*;q=0.5"),
    ];
    hostcalls::dispatch_http_call(
        &remote.cluster,
        headers,
        None,
        vec![],
        remote.schedule.timeout,
    )
    .ok()
}

fn log(level: LogLevel, message: &str) {
    let _status = hostcalls::log(level, message);
}

/// Values in filter state are text: undeclared ones are bytes, which the gateway's expressions compare with no
/// text. A gateway that knows of no declarations keeps them as bytes.
fn declare_state() {
    let values = StateValue::NAMES.map(|(_name, value)| value.key());
    for key in values.into_iter().chain([state::ALLOW_RECORD]) {
        let declaration = state::declaration(key);
        let _answer = hostcalls::call_foreign_function("declare_property", Some(&declaration));
    }
}

/// The clock of the key schedule: it must not jump when the wall clock is set.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the filter reads it"
)]
fn now() -> Instant {
    Instant::now()
}
