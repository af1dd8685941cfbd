//! What a door says to requests.

use std::net::SocketAddr;

use e2e::http::{Ask, Exchange, Reply};
use hyper::StatusCode;

use crate::{
    draft::Written,
    gateway::{HOST, SUBJECT},
};

/// What was said to one request.
#[derive(Debug)]
pub(crate) struct Verdict {
    status: StatusCode,
    /// Who was let in.
    pub(crate) subject: String,
    /// The body of a denial.
    pub(crate) text: String,
}

impl Verdict {
    fn of(reply: &Reply) -> Self {
        let subject = reply.headers.get(SUBJECT);
        Self {
            status: reply.status,
            subject: subject.map_or_else(String::new, |subject| {
                String::from_utf8_lossy(subject.as_bytes()).into_owned()
            }),
            text: reply.text_if_denied().unwrap_or_default(),
        }
    }

    pub(crate) fn is_allowed(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// Whether it is a verdict at all, and no failure of the gateway.
    pub(crate) fn is_one(&self) -> bool {
        matches!(self.status.as_u16(), 200 | 400 | 401 | 403 | 431)
    }

    /// The filter's name for this decision.
    pub(crate) fn decision(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.text).ok()?;
        body["decision"].as_str().map(str::to_owned)
    }
}

/// Asks about each, over a connection that is kept as long as the gateway keeps it.
pub(crate) async fn ask(door: SocketAddr, requests: &[Written]) -> Vec<Verdict> {
    let mut exchange = Exchange::open_clear(door).await.unwrap();
    let mut verdicts = Vec::with_capacity(requests.len());
    for request in requests {
        let mut reply = exchange.send(written(request)).await;
        if reply.is_err() {
            exchange = Exchange::open_clear(door).await.unwrap();
            reply = exchange.send(written(request)).await;
        }
        verdicts.push(match reply {
            Ok(reply) => Verdict::of(&reply),
            // Not a denial, and nobody's: unless a rule says why, the test fails.
            Err(broken) => Verdict {
                status: StatusCode::OK,
                subject: format!("no HTTP: {broken}"),
                text: String::new(),
            },
        });
    }
    verdicts
}

fn written(request: &Written) -> Ask {
    let ask = Ask::get(HOST, &request.path);
    request
        .fields
        .iter()
        .fold(ask, |ask, (name, value)| ask.header(name, value.clone()))
}
