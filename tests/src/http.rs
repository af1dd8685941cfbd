//! HTTP/1.1 and HTTP/2 over a connection that is already open.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    client::conn::{http1, http2},
    header,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{dialer::Dialer, error::HarnessError, pattern::Sum};

/// A request, not yet sent.
#[derive(Debug)]
pub struct Ask {
    method: Method,
    host: String,
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: UnsyncBoxBody<Bytes, Infallible>,
}

impl Ask {
    /// A GET of this path on this host.
    #[must_use]
    pub fn get(host: &str, path: &str) -> Self {
        Self {
            method: Method::GET,
            host: host.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Empty::new().boxed_unsync(),
        }
    }

    /// A POST with this body.
    #[must_use]
    pub fn post(
        host: &str,
        path: &str,
        body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static,
    ) -> Self {
        Self {
            method: Method::POST,
            body: body.boxed_unsync(),
            ..Self::get(host, path)
        }
    }

    /// With this bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With one more header field, whatever bytes it holds.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, as far as it fits into [`KEPT_BYTES`].
    pub body: Vec<u8>,
    /// How many body bytes came.
    pub length: u64,
    /// SHA-256 of the whole body, in hex.
    pub sha256: String,
}

impl Reply {
    /// The body read as JSON, null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body, if it was a denial: what a failed expectation has to show.
    #[must_use]
    pub fn text_if_denied(&self) -> Option<String> {
        (!self.status.is_success()).then(|| self.text())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An open HTTP connection.
#[derive(Debug)]
pub struct Exchange {
    peer: SocketAddr,
    local: SocketAddr,
    protocol: Protocol,
}

#[derive(Debug)]
enum Protocol {
    Http1(http1::SendRequest<UnsyncBoxBody<Bytes, Infallible>>),
    Http2(http2::SendRequest<UnsyncBoxBody<Bytes, Infallible>>),
}

impl Exchange {
    /// Dials and speaks what was negotiated: HTTP/2 for `h2`, else HTTP/1.1.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Http`].
    pub async fn open(dialer: &Dialer) -> Result<Self, HarnessError> {
        Self::over(dialer.connect_tls().await?).await
    }

    /// Speaks what was negotiated on this connection.
    ///
    /// # Errors
    /// [`HarnessError::Http`].
    pub async fn over(stream: TlsStream<TcpStream>) -> Result<Self, HarnessError> {
        let (tcp, tls) = stream.get_ref();
        let (peer, local) = addresses(tcp)?;
        let negotiated_h2 = tls.alpn_protocol() == Some(b"h2");
        if negotiated_h2 {
            let opened = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (sender, connection) =
                opened.map_err(|source| HarnessError::Http { peer, source })?;
            tokio::spawn(connection);
            Ok(Self {
                peer,
                local,
                protocol: Protocol::Http2(sender),
            })
        } else {
            Self::http1(peer, local, stream).await
        }
    }

    /// HTTP/1.1 without TLS.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Http`].
    pub async fn open_clear(peer: SocketAddr) -> Result<Self, HarnessError> {
        let tcp = TcpStream::connect(peer)
            .await
            .map_err(|source| HarnessError::Connection { peer, source })?;
        let (peer, local) = addresses(&tcp)?;
        Self::http1(peer, local, tcp).await
    }

    /// Header names go out in title case, as many HTTP/1.1 clients write them.
    async fn http1(
        peer: SocketAddr,
        local: SocketAddr,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, HarnessError> {
        let (sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| HarnessError::Http { peer, source })?;
        tokio::spawn(connection);
        Ok(Self {
            peer,
            local,
            protocol: Protocol::Http1(sender),
        })
    }

    /// Our own end of the connection.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The protocol in use, as ALPN names it.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        match self.protocol {
            Protocol::Http1(_) => "http/1.1",
            Protocol::Http2(_) => "h2",
        }
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    /// [`HarnessError::Http`] if the connection breaks off, [`HarnessError::Deadline`] if no answer
    /// comes.
    pub async fn send(&mut self, ask: Ask) -> Result<Reply, HarnessError> {
        let what = format!("the answer of {} to {} {}", self.peer, ask.method, ask.path);
        timeout(ANSWER_LIMIT, self.send_and_read(ask))
            .await
            .unwrap_or(Err(HarnessError::Deadline {
                what,
                within: ANSWER_LIMIT,
                log_tail: String::new(),
            }))
    }

    async fn send_and_read(&mut self, ask: Ask) -> Result<Reply, HarnessError> {
        let peer = self.peer;
        let failed = |source| HarnessError::Http { peer, source };
        let response = match &mut self.protocol {
            Protocol::Http1(sender) => {
                let request = request(ask, |_host, path| path.to_owned())?;
                sender.send_request(request).await
            }
            Protocol::Http2(sender) => {
                let request = request(ask, |host, path| format!("https://{host}{path}"))?;
                sender.send_request(request).await
            }
        };
        read(response.map_err(failed)?).await.map_err(failed)
    }
}

/// HTTP/1.1 names the host in a field, HTTP/2 in the target.
fn request(
    ask: Ask,
    target: impl Fn(&str, &str) -> String,
) -> Result<Request<UnsyncBoxBody<Bytes, Infallible>>, HarnessError> {
    let target = target(&ask.host, &ask.path);
    let mut request = Request::builder().method(ask.method).uri(&target);
    if target.starts_with('/') {
        request = request.header(header::HOST, ask.host);
    }
    for (name, value) in ask.headers {
        request = request.header(name, value);
    }
    request
        .body(ask.body)
        .map_err(|error| HarnessError::Answer {
            peer: target,
            got: error.to_string(),
            expected: "a request that can be written",
        })
}

async fn read(response: Response<Incoming>) -> Result<Reply, hyper::Error> {
    let (parts, mut incoming) = response.into_parts();
    let (mut body, mut sum) = (Vec::new(), Sum::default());
    while let Some(frame) = incoming.frame().await {
        if let Ok(data) = frame?.into_data() {
            sum.add(&data);
            body.extend_from_slice(&data[..data.len().min(KEPT_BYTES - body.len())]);
        }
    }
    Ok(Reply {
        status: parts.status,
        headers: parts.headers,
        body,
        length: sum.length(),
        sha256: sum.hex(),
    })
}

fn addresses(tcp: &TcpStream) -> Result<(SocketAddr, SocketAddr), HarnessError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    tcp.peer_addr()
        .and_then(|peer| tcp.local_addr().map(|local| (peer, local)))
        .map_err(|source| HarnessError::Connection {
            peer: unknown,
            source,
        })
}

/// Enough for every answer that is looked into; a download is only summed up.
pub const KEPT_BYTES: usize = 1 << 20;

/// A 64 MiB transfer on two busy cores stays far below it.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
