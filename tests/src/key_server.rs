//! A fake in the place of the OpenID provider's key set: it answers every fetch with something that no
//! gateway may take for keys, each time with something else.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use crate::{deadline::eventually, error::HarnessError, pki::Identity};

/// Serves until it is dropped.
#[derive(Debug)]
pub struct HostileKeyServer {
    answered: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl HostileKeyServer {
    /// Listens at the address of the provider, with its certificate.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`] if somebody else listens there.
    pub async fn start(address: SocketAddr, identity: &Identity) -> Result<Self, HarnessError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| HarnessError::NoPort { source })?;
        let acceptor = TlsAcceptor::from(Arc::new(tls_config(identity)));
        let answered = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn(serve(listener, acceptor, Arc::clone(&answered)));
        Ok(Self { answered, serving })
    }

    /// Waits until every kind of answer was given this often.
    ///
    /// # Errors
    /// [`HarnessError::Deadline`].
    pub async fn has_tried_everything(&self, times: usize) -> Result<usize, HarnessError> {
        let wanted = ANSWERS.len() * times;
        eventually("the fetches of spoilt key sets", ASKED_LIMIT, async || {
            let answered = self.answered.load(Ordering::SeqCst);
            (answered >= wanted).then_some(answered)
        })
        .await
    }
}

impl Drop for HostileKeyServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
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

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, answered: Arc<AtomicUsize>) {
    while let Ok((stream, _gateway)) = listener.accept().await {
        tokio::spawn(answer(stream, acceptor.clone(), Arc::clone(&answered)));
    }
}

/// One answer on each connection.
async fn answer(stream: TcpStream, acceptor: TlsAcceptor, answered: Arc<AtomicUsize>) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut request = vec![0; 4096];
    if !stream.read(&mut request).await.is_ok_and(|read| read > 0) {
        return;
    }
    let number = answered.fetch_add(1, Ordering::SeqCst);
    let (status, body) = match ANSWERS[number % ANSWERS.len()] {
        Answer::Garbage => ("200 OK", "<html>we moved</html>".to_owned()),
        Answer::Huge => ("200 OK", " ".repeat(HUGE_BYTES)),
        Answer::NoKeys => ("200 OK", r#"{"keys":[]}"#.to_owned()),
        Answer::Redirect => ("302 Found\r\nlocation: /elsewhere", String::new()),
        Answer::Slow => return sleep(ASKED_LIMIT).await,
    };
    let length = body.len();
    let response =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    // The gateway may hang up in the middle.
    let _is_sent = stream.write_all(response.as_bytes()).await;
    let _is_closed = stream.shutdown().await;
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Garbage,
    Huge,
    NoKeys,
    Redirect,
    Slow,
}

const ANSWERS: [Answer; 5] = [
    Answer::Garbage,
    Answer::Redirect,
    Answer::Huge,
    Answer::NoKeys,
    Answer::Slow,
];

/// Above what the filter takes for a key set.
const HUGE_BYTES: usize = 300 * 1024;

/// Longer than all fetches of a test take together.
const ASKED_LIMIT: Duration = Duration::from_secs(60);
