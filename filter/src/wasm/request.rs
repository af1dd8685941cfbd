//! One request: read the header map once, decide, write what is different, record. A request whose key may
//! come soon waits, and is decided anew from its headers when the root wakes it.

use super::std::time::SystemTime;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel, MapType};

use super::connection::Connection;
use super::{Shared, abi, log};
use crate::audit::excerpt;
use crate::decision::{Denial, Reply};
use crate::gate::{self, Outcome};
use crate::headers::{Change, Headers};
use crate::state::ALLOW_RECORD;
use crate::stats;
use crate::time::UnixTime;
use crate::waiting::Wait;

/// One HTTP stream.
pub(super) struct Request {
    id: u32,
    shared: Option<Rc<Shared>>,
}

impl Request {
    pub(super) const fn new(id: u32, shared: Option<Rc<Shared>>) -> Self {
        Self { id, shared }
    }
}

/// However a stream ends: it waits no longer.
impl Drop for Request {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.waiting.borrow_mut().leave(self.id);
        }
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let decided = self
            .shared
            .as_deref()
            .and_then(|shared| decide_or_wait(shared, self.id));
        match decided {
            Some(Verdict::Pass) => Action::Continue,
            Some(Verdict::Deny(denial, reply)) => answer(denial, &reply),
            Some(Verdict::Wait) => Action::Pause,
            None => refuse(),
        }
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        match self.shared.as_deref().and_then(strip_trailers) {
            Some(()) => Action::Continue,
            None => refuse(),
        }
    }
}

/// Trailers become headers in many servers. `None`: a host call failed.
fn strip_trailers(shared: &Shared) -> Option<()> {
    let mut trailers = read(MapType::HttpRequestTrailers)?;
    let _any = shared.config.headers.strip(&mut trailers);
    write(MapType::HttpRequestTrailers, &trailers)
}

/// What becomes of a request now.
enum Verdict {
    Pass,
    Deny(Denial, Reply),
    Wait,
}

/// Decides, unless a key is missing that may come soon. `None`: a host call failed.
fn decide_or_wait(shared: &Shared, stream: u32) -> Option<Verdict> {
    let (mut outcome, now) = judge(shared, None)?;
    if let Some(wanted) = &outcome.wanted_key {
        let wait = shared
            .keyring
            .borrow_mut()
            .on_wanted(wanted, shared.elapsed());
        if let Some(wait) = wait {
            // Stripped before it is paused: it may end here, and the gateway may log its headers.
            write(MapType::HttpRequestHeaders, &outcome.headers)?;
            let joined = shared.waiting.borrow_mut().join(stream, wait);
            if joined.is_ok() {
                shared.set_pace();
                return Some(Verdict::Wait);
            }
            outcome.deny(Denial::TooManyWaiting);
        }
    }
    conclude(shared, &outcome, now)
}

/// Decides about the request in whose name host calls are made now, and lets it go on or answers it.
pub(super) fn resume(shared: &Shared, wait: &Wait) {
    let waited = shared.elapsed().saturating_sub(wait.since);
    let decided =
        judge(shared, Some(waited)).and_then(|(outcome, now)| conclude(shared, &outcome, now));
    match decided {
        Some(Verdict::Pass) => {
            let _status = hostcalls::resume_http_request();
        }
        Some(Verdict::Deny(denial, reply)) => {
            answer(denial, &reply);
        }
        Some(Verdict::Wait) | None => {
            refuse();
        }
    }
}

/// The wall clock.
pub(super) fn wall_clock() -> Option<UnixTime> {
    let now = hostcalls::get_current_time().ok()?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(UnixTime::from_millis(u64::try_from(now.as_millis()).ok()?))
}

fn judge(shared: &Shared, waited: Option<Duration>) -> Option<(Outcome, UnixTime)> {
    let start = shared.elapsed();
    let headers = read(MapType::HttpRequestHeaders)?;
    let now = wall_clock()?;
    let context = gate::Context {
        now,
        decision_id: shared.ids.borrow_mut().next(now),
        elapsed: &|| shared.elapsed().saturating_sub(start),
        waited,
        connection_id: Connection.id(),
        source: &|| property(&["source", "address"]),
        connection: &Connection,
        keyring: &shared.keyring.borrow(),
        engine: &shared.engines,
        cache: &mut shared.cache.borrow_mut(),
        throttle: &mut shared.throttle.borrow_mut(),
    };
    let outcome = gate::decide(&shared.config, headers, context);
    Some((outcome, now))
}

/// Records the decision and makes it so.
fn conclude(shared: &Shared, outcome: &Outcome, now: UnixTime) -> Option<Verdict> {
    outcome.settle(&mut shared.throttle.borrow_mut(), now);
    if let Some(allowed) = &outcome.allowed {
        abi::set_state(ALLOW_RECORD, allowed).then_some(())?;
    }
    for (value, text) in &outcome.state {
        abi::set_state(value.key(), text).then_some(())?;
    }
    if let Some(record) = &outcome.record {
        log(LogLevel::Warn, &record.line());
    }
    stats::count(outcome, &shared.engines, |series, by| {
        shared.counters.add(&series, by);
    });
    shared.memory.record();
    write(MapType::HttpRequestHeaders, &outcome.headers)?;
    if outcome.target_changed {
        // Otherwise the request would go where the spelling that came leads.
        hostcalls::call_foreign_function("clear_route_cache", None).ok()?;
    }
    Some(match outcome.denial {
        Some(denial) => Verdict::Deny(
            denial,
            denial.reply(&outcome.decision_id, outcome.retry_after),
        ),
        None => Verdict::Pass,
    })
}

fn read(map: MapType) -> Option<Headers> {
    Headers::read(abi::header_map(map)?)
}

/// Writes what is different: the fewer headers, the less the gateway has to do.
fn write(map: MapType, headers: &Headers) -> Option<()> {
    let Some(mut changes) = headers.changes() else {
        return hostcalls::set_map_bytes(map, headers.iter().collect()).ok();
    };
    changes.try_for_each(|change| {
        match change {
            Change::Removed(name) => hostcalls::remove_map_value(map, name),
            Change::Replaced(name, value) => hostcalls::set_map_value_bytes(map, name, Some(value)),
            Change::Added(name, value) => hostcalls::add_map_value_bytes(map, name, value),
        }
        .ok()
    })
}

fn answer(denial: Denial, reply: &Reply) -> Action {
    let mut headers = reply.headers.clone();
    let retry_after = reply.retry_after.as_deref();
    headers.extend(retry_after.map(|seconds| ("retry-after", seconds)));
    send(reply.status, headers, &reply.body, &denial.details())
}

/// The host did not do its part. Nothing may pass that was not judged.
fn refuse() -> Action {
    log(
        LogLevel::Error,
        "a host call failed: the request is answered with 500",
    );
    send(500, vec![], "", "identity_filter_host_call_failed")
}

fn send(status: u16, headers: Vec<(&str, &str)>, body: &str, details: &str) -> Action {
    // Paused either way: when even this fails, the request hangs until its timeout and passes nothing.
    let _sent = abi::send_local_response(status, &headers, body, details);
    Action::Pause
}

/// The same where a part of it would be something else.
pub(super) fn whole_property(path: &[&str]) -> Option<String> {
    let value = hostcalls::get_property(path.to_vec()).ok().flatten()?;
    String::from_utf8(value).ok()
}

pub(super) fn property(path: &[&str]) -> Option<String> {
    let value = hostcalls::get_property(path.to_vec()).ok().flatten()?;
    (!value.is_empty()).then(|| excerpt(&value))
}
