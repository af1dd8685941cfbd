//! A fake in the place of an OpenID provider's key set: what it answers is chosen by the test, page by
//! page, and it counts who asks. It can answer with things that no gateway may take for keys.

use std::{
    collections::HashMap,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use crate::{deadline::eventually, error::HarnessError, pki::Identity};

/// Serves until it is dropped.
#[derive(Debug)]
pub struct KeyServer {
    address: SocketAddr,
    pages: Arc<Mutex<Pages>>,
    serving: JoinHandle<()>,
}

/// What stands at one path, and how it was asked for.
#[derive(Debug, Default)]
struct Page {
    /// Given in turn, from the first again after the last.
    answers: Vec<Answer>,
    asked: usize,
    at_work: usize,
    most_at_work: usize,
}

#[derive(Debug, Default)]
struct Pages {
    known: HashMap<String, Page>,
    strays: Vec<String>,
}

/// What is answered to a fetch.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A key set, or whatever is in its place.
    Document(String),
    /// The same, after a while.
    Late(Duration, String),
    /// The same, once the semaphore is closed.
    Held(Arc<Semaphore>, String),
    /// No JSON.
    Garbage,
    /// 300 KiB: above what the filter takes for a key set.
    Huge,
    /// 10 MiB of spaces, packed by gzip into 10 KiB.
    Bomb,
    /// A key set without keys.
    NoKeys,
    /// 500.
    Failure,
    /// To another page of the same server.
    Redirect(String),
    /// None, longer than all fetches of a test take together.
    Never,
}

impl Answer {
    /// Everything that no gateway may take for keys.
    #[must_use]
    pub fn hostile() -> Vec<Self> {
        vec![
            Self::Garbage,
            Self::Redirect("/elsewhere".to_owned()),
            Self::Huge,
            Self::Bomb,
            Self::NoKeys,
            Self::Failure,
            Self::Never,
        ]
    }

    /// These public keys.
    #[must_use]
    pub fn keys<'a>(keys: impl IntoIterator<Item = &'a Value>) -> Self {
        let keys: Vec<&Value> = keys.into_iter().collect();
        Self::Document(json!({ "keys": keys }).to_string())
    }
}

impl KeyServer {
    /// Listens at any free port of loopback, with this certificate.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`].
    pub async fn start(identity: &Identity) -> Result<Self, HarnessError> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), identity).await
    }

    /// Listens where somebody else has listened before.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`] if somebody still does.
    pub async fn start_at(address: SocketAddr, identity: &Identity) -> Result<Self, HarnessError> {
        let failed = |source| HarnessError::NoPort { source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let acceptor = TlsAcceptor::from(Arc::new(tls_config(identity)));
        let pages = Arc::new(Mutex::default());
        let serving = tokio::spawn(serve(listener, acceptor, Arc::clone(&pages)));
        Ok(Self {
            address,
            pages,
            serving,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this path is answered so.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.answer_in_turn(path, vec![answer]);
    }

    /// From now on this path is answered so, one after the other.
    pub fn answer_in_turn(&self, path: &str, answers: Vec<Answer>) {
        let mut pages = locked(&self.pages);
        pages.known.entry(path.to_owned()).or_default().answers = answers;
    }

    /// How often this path was asked for.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        locked(&self.pages)
            .known
            .get(path)
            .map_or(0, |page| page.asked)
    }

    /// How many fetches of this path there were at most at the same time.
    #[must_use]
    pub fn most_at_once(&self, path: &str) -> usize {
        locked(&self.pages)
            .known
            .get(path)
            .map_or(0, |page| page.most_at_work)
    }

    /// What was asked for and never offered.
    #[must_use]
    pub fn strays(&self) -> Vec<String> {
        locked(&self.pages).strays.clone()
    }

    /// Waits until this path was asked for so many times in all.
    ///
    /// # Errors
    /// [`HarnessError::Deadline`].
    pub async fn was_asked(&self, path: &str, times: usize) -> Result<usize, HarnessError> {
        let what = format!("fetch {times} of {path}");
        eventually(&what, ASKED_LIMIT, async || {
            let asked = self.asked(path);
            (asked >= times).then_some(asked)
        })
        .await
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(pages: &Mutex<Pages>) -> MutexGuard<'_, Pages> {
    pages.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::unwrap_used,
    reason = "the certificate was made by the harness itself"
)]
fn tls_config(identity: &Identity) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain(), identity.key())
        .unwrap()
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, pages: Arc<Mutex<Pages>>) {
    while let Ok((stream, _gateway)) = listener.accept().await {
        tokio::spawn(converse(stream, acceptor.clone(), Arc::clone(&pages)));
    }
}

/// One answer on each connection.
async fn converse(stream: TcpStream, acceptor: TlsAcceptor, pages: Arc<Mutex<Pages>>) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut request = vec![0; 4096];
    let Ok(read @ 1..) = stream.read(&mut request).await else {
        return;
    };
    let head = String::from_utf8_lossy(&request[..read]).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let answer = locked(&pages).begin(path);
    let response = match answer {
        Some(Answer::Never) => return sleep(ASKED_LIMIT).await,
        Some(Answer::Late(after, document)) => {
            sleep(after).await;
            response("200 OK", document.as_bytes())
        }
        Some(Answer::Held(gate, document)) => {
            // It has no permits: the wait ends when it is closed.
            let _closed = gate.acquire().await;
            response("200 OK", document.as_bytes())
        }
        Some(Answer::Document(document)) => response("200 OK", document.as_bytes()),
        Some(Answer::Garbage) => response("200 OK", b"<html>we moved</html>"),
        Some(Answer::Huge) => response("200 OK", &[b' '; HUGE_BYTES]),
        Some(Answer::Bomb) => response("200 OK\r\ncontent-encoding: gzip", &bomb()),
        Some(Answer::NoKeys) => response("200 OK", br#"{"keys":[]}"#),
        Some(Answer::Failure) => response("500 Internal Server Error", b""),
        Some(Answer::Redirect(to)) => response(&format!("302 Found\r\nlocation: {to}"), b""),
        None => response("404 Not Found", b""),
    };
    // With the answer the gateway may begin the next fetch.
    locked(&pages).end(path);
    // It may hang up in the middle.
    let _is_sent = stream.write_all(&response).await;
    let _is_closed = stream.shutdown().await;
}

impl Pages {
    fn begin(&mut self, path: &str) -> Option<Answer> {
        let Some(page) = self.known.get_mut(path) else {
            self.strays.push(path.to_owned());
            return None;
        };
        let answer = page.answers.get(page.asked % page.answers.len().max(1));
        page.asked += 1;
        page.at_work += 1;
        page.most_at_work = page.most_at_work.max(page.at_work);
        answer.cloned()
    }

    fn end(&mut self, path: &str) {
        if let Some(page) = self.known.get_mut(path) {
            page.at_work = page.at_work.saturating_sub(1);
        }
    }
}

fn response(status: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn bomb() -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    for _part in 0..10 {
        let _is_written = packed.write_all(&[b' '; 1 << 20]);
    }
    packed.finish().unwrap_or_default()
}

/// Above what the filter takes for a key set.
const HUGE_BYTES: usize = 300 * 1024;

/// Longer than all fetches of a test take together.
const ASKED_LIMIT: Duration = Duration::from_secs(60);
