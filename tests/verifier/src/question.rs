//! A question, and what each engine says to it.

use identity_filter::algorithm::Algorithm;
use identity_filter::base64url;
use identity_filter::jwks::KeySet;
use identity_filter::signature::choice::Engines;
use identity_filter::signature::software::Software;
use identity_filter::signature::{Engine, PublicKey};
use identity_filter::token::{Header, Jws};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType};
use serde_json::{Value, json};

use crate::engine::Host;

mod entry {
    proxy_wasm::main! {{
        proxy_wasm::set_http_context(|_id, _root| Box::new(super::Question));
    }}
}

/// One request.
struct Question;

impl Context for Question {}

impl HttpContext for Question {
    /// The answer is in the body.
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        Action::Pause
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if end_of_stream {
            let body = hostcalls::get_buffer(BufferType::HttpRequestBody, 0, size);
            let body = body.ok().flatten().unwrap_or_default();
            let (status, answer) = match answer(&body) {
                Some(answer) => (200, answer.to_string()),
                None => (400, String::new()),
            };
            let _status = hostcalls::send_http_response(status, vec![], Some(answer.as_bytes()));
        }
        Action::Pause
    }
}

/// `None`: the question is none.
fn answer(body: &[u8]) -> Option<Value> {
    let question: Value = serde_json::from_slice(body).ok()?;
    // A set that the filter does not read has no key that could have signed anything.
    let keys = KeySet::parse(question.get("keys")?.to_string().as_bytes()).unwrap_or_default();
    let signed = question.get("signed")?.as_array()?;
    let verdicts: Option<Vec<_>> = signed.iter().map(|signed| judge(&keys, signed)).collect();
    let engines = Engines::choose(Box::new(Host));
    Some(json!({ "engines": engines.to_string(), "verdicts": verdicts? }))
}

fn judge(keys: &KeySet, signed: &Value) -> Option<[Option<bool>; 2]> {
    const REFUSED: [Option<bool>; 2] = [Some(false); 2];
    let text = |name: &str| signed.get(name).and_then(Value::as_str);
    if let Some(token) = text("token") {
        let Ok(jws) = Jws::parse(token, TOKEN_LIMIT) else {
            return Some(REFUSED);
        };
        let Some(algorithm) = Algorithm::from_name(&jws.header().algorithm) else {
            return Some(REFUSED);
        };
        let key = keys.pick(jws.header(), algorithm);
        let text = jws.signing_input().as_bytes();
        return Some(ask(algorithm, key, text, jws.signature()));
    }
    let name = text("algorithm")?;
    let header = Header {
        algorithm: name.to_owned(),
        key_id: None,
        kind: None,
        origin: None,
    };
    let algorithm = Algorithm::from_name(name)?;
    let bytes = |name: &str| base64url::decode(text(name)?.as_bytes());
    let key = keys.pick(&header, algorithm);
    Some(ask(algorithm, key, &bytes("text")?, &bytes("signature")?))
}

/// What each engine says; without a key, nobody has signed.
fn ask(
    algorithm: Algorithm,
    key: Option<&PublicKey>,
    text: &[u8],
    signature: &[u8],
) -> [Option<bool>; 2] {
    [&Host as &dyn Engine, &Software].map(|engine| {
        engine
            .checks(algorithm)
            .then(|| key.is_some_and(|key| engine.is_valid(algorithm, key, text, signature)))
    })
}

/// Above every token of the vectors.
const TOKEN_LIMIT: usize = 64 * 1024;
