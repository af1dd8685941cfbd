//! One request: read the header map once, decide, write the map once, record.

use super::std::time::SystemTime;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel, MapType};

use super::{Shared, log};
use crate::audit::excerpt;
use crate::decision::Reply;
use crate::gate;
use crate::headers::Headers;
use crate::time::UnixTime;

/// One HTTP stream.
pub(super) struct Request {
    shared: Option<Rc<Shared>>,
}

impl Request {
    pub(super) const fn new(shared: Option<Rc<Shared>>) -> Self {
        Self { shared }
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        match self.shared.as_deref().and_then(decide) {
            Some(None) => Action::Continue,
            Some(Some(reply)) => {
                let mut headers = reply.headers;
                let retry_after = reply.retry_after.as_deref();
                headers.extend(retry_after.map(|seconds| ("retry-after", seconds)));
                send(reply.status, headers, &reply.body)
            }
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
    let mut trailers = Headers::new(hostcalls::get_map_bytes(MapType::HttpRequestTrailers).ok()?);
    if shared.config.headers.strip(&mut trailers) {
        write(MapType::HttpRequestTrailers, &trailers)
    } else {
        Some(())
    }
}

/// The reply to a denied request, or nothing for one that goes on. `None`: a host call failed.
fn decide(shared: &Shared) -> Option<Option<Reply>> {
    let headers = Headers::new(hostcalls::get_map_bytes(MapType::HttpRequestHeaders).ok()?);
    let now = hostcalls::get_current_time()
        .ok()?
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    let now = UnixTime::from_millis(u64::try_from(now.as_millis()).ok()?);
    let outcome = {
        let context = gate::Context {
            now,
            decision_id: shared.ids.borrow_mut().next(now),
            connection_id: property(&[
                "filter_state",
                "envoy.network.proxy_protocol.tlv",
                "unique_id",
            ]),
            source: property(&["source", "address"]),
            keyring: &shared.keyring.borrow(),
            engine: &shared.engines,
            cache: &mut shared.cache.borrow_mut(),
            throttle: &mut shared.throttle.borrow_mut(),
        };
        gate::decide(&shared.config, headers, context)
    };
    if let Some(provider) = &outcome.unknown_key {
        shared.keyring.borrow_mut().on_unknown_key(provider);
    }
    log(LogLevel::Warn, &outcome.record.line());
    shared.memory.record();
    if outcome.headers_changed {
        write(MapType::HttpRequestHeaders, &outcome.headers)?;
    }
    if outcome.target_changed {
        // Otherwise the request would go where the spelling that came leads.
        hostcalls::call_foreign_function("clear_route_cache", None).ok()?;
    }
    Some(
        outcome
            .denial
            .map(|denial| denial.reply(&outcome.record.decision_id, outcome.retry_after)),
    )
}

fn write(map: MapType, headers: &Headers) -> Option<()> {
    hostcalls::set_map_bytes(map, headers.iter().collect()).ok()
}

/// The host did not do its part. Nothing may pass that was not judged.
fn refuse() -> Action {
    log(
        LogLevel::Error,
        "a host call failed: the request is answered with 500",
    );
    send(500, vec![], "")
}

fn send(status: u16, headers: Vec<(&str, &str)>, body: &str) -> Action {
    // Paused either way: when even this fails, the request hangs until its timeout and passes nothing.
    let _status = hostcalls::send_http_response(status.into(), headers, Some(body.as_bytes()));
    Action::Pause
}

fn property(path: &[&str]) -> Option<String> {
    let value = hostcalls::get_property(path.to_vec()).ok().flatten()?;
    (!value.is_empty()).then(|| excerpt(&value))
}
