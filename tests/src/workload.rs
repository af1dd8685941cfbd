//! A workload of the mesh: it answers with the request as it saw it, so that a test can tell what
//! the gateway made of it. It also takes uploads, gives downloads, and echoes on a WebSocket.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
    upgrade,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use crate::{
    error::HarnessError,
    network::PodNetwork,
    pattern::{Pattern, Sum},
};

/// A workload that serves until it is dropped.
#[derive(Debug)]
pub struct Workload {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Workload {
    /// Serves under this name on a free loopback port.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`] if no port can be bound.
    pub async fn start(name: &'static str) -> Result<Self, HarnessError> {
        let failed = |source| HarnessError::NoPort { source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self::serving(name, listener, address))
    }

    /// Serves in a pod, at [`PORT`].
    ///
    /// # Errors
    /// [`HarnessError::NoPort`] if something serves there already.
    pub fn start_in(pod: &PodNetwork, name: &'static str) -> Result<Self, HarnessError> {
        let listener = pod.listen(PORT)?;
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(listener))
            .map_err(|source| HarnessError::NoPort { source })?;
        Ok(Self::serving(name, listener, pod.port(PORT)))
    }

    fn serving(name: &'static str, listener: TcpListener, address: SocketAddr) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn(serve(listener, name, Arc::clone(&requests)));
        Self {
            address,
            requests,
            serving,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests have reached it.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, name: &'static str, requests: Arc<AtomicUsize>) {
    while let Ok((stream, _gateway)) = listener.accept().await {
        tokio::spawn(converse(stream, name, Arc::clone(&requests)));
    }
}

async fn converse(stream: TcpStream, name: &'static str, requests: Arc<AtomicUsize>) {
    let service = service_fn(async |request| {
        requests.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Infallible>(answer(name, request).await)
    });
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let _gateway_went_away = connection.await;
}

/// What is done is chosen by the last segment of the path, so that it works below every route.
async fn answer(
    name: &str,
    request: Request<Incoming>,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let action = request
        .uri()
        .path()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    match action.as_str() {
        "upload" => json_response(&summed_up(request).await),
        "download" => Response::new(Pattern::of(wanted_bytes(&request)).boxed_unsync()),
        "ws" => switched_to_websocket(request),
        _ => json_response(&mirrored(name, &request)),
    }
}

fn mirrored(name: &str, request: &Request<Incoming>) -> Value {
    json!({
        "workload": name,
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "version": format!("{:?}", request.version()),
        "headers": fields(request.headers()),
    })
}

/// Every field as `name: value`, doubled ones as often as they came.
fn fields(headers: &HeaderMap) -> Vec<String> {
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect()
}

async fn summed_up(request: Request<Incoming>) -> Value {
    let (mut body, mut sum) = (request.into_body(), Sum::default());
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            sum.add(&data);
        }
    }
    json!({ "length": sum.length(), "sha256": sum.hex() })
}

/// `?bytes=N`, nothing without it.
fn wanted_bytes(request: &Request<Incoming>) -> u64 {
    let query = request.uri().query().unwrap_or_default();
    query
        .strip_prefix("bytes=")
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn switched_to_websocket(
    mut request: Request<Incoming>,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() else {
        return with_status(
            StatusCode::BAD_REQUEST,
            Response::new(Full::default().boxed_unsync()),
        );
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade::on(&mut request).await {
            let io = TokioIo::new(upgraded);
            echo(WebSocketStream::from_raw_socket(io, Role::Server, None).await).await;
        }
    });
    let mut response = with_status(
        StatusCode::SWITCHING_PROTOCOLS,
        Response::new(Full::default().boxed_unsync()),
    );
    let headers = response.headers_mut();
    headers.insert(
        header::CONNECTION,
        header::HeaderValue::from_static("upgrade"),
    );
    headers.insert(
        header::UPGRADE,
        header::HeaderValue::from_static("websocket"),
    );
    if let Ok(accepted) = derive_accept_key(key.as_bytes()).try_into() {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    }
    response
}

/// Greets first, so that a test sees the workload speak unasked as well.
async fn echo(mut socket: WebSocketStream<TokioIo<upgrade::Upgraded>>) {
    let mut alive = socket.send(WEBSOCKET_GREETING.into()).await.is_ok();
    while alive {
        alive = match socket.next().await {
            Some(Ok(message)) if message.is_text() || message.is_binary() => {
                socket.send(message).await.is_ok()
            }
            Some(Ok(_control)) => true,
            Some(Err(_)) | None => false,
        };
    }
}

fn json_response(body: &Value) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Full::from(format!("{body:#}\n")).boxed_unsync());
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn with_status<B>(status: StatusCode, mut response: Response<B>) -> Response<B> {
    *response.status_mut() = status;
    response
}

/// Where a workload in a pod serves.
pub const PORT: u16 = 8080;

/// What the workload says on a WebSocket before it is spoken to.
pub const WEBSOCKET_GREETING: &str = "hello from the workload";
