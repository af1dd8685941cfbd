//! What stands behind the front: an endpoint that speaks HTTP where that was agreed on, and else greets and says back what
//! it hears. It can stop taking connections, be gone at once, and come back at the same address.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use e2e::{
    deadline::eventually,
    error::HarnessError,
    pattern::{Pattern, Sum},
    pki::{Identity, Pki},
    receiver::Receiver,
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// A running endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    accepting: JoinSet<()>,
    /// True once it is gone.
    gone: watch::Sender<bool>,
    busy: Busy,
}

/// Connections that are in a handshake or speak HTTP.
#[derive(Debug, Clone, Default)]
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn one_more(&self) -> Self {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.clone()
    }

    fn one_less(self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Endpoint {
    /// A gateway: PROXY header, mutual TLS.
    pub(crate) fn start(receiver: Receiver) -> Self {
        let (gone, is_gone) = watch::channel(false);
        let (busy, address) = (Busy::default(), receiver.address());
        let (receiver, all) = (Arc::new(receiver), busy.clone());
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            while let Ok(stream) = receiver.arrival().await {
                let (receiver, mut is_gone) = (Arc::clone(&receiver), is_gone.clone());
                let busy = all.one_more();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = is_gone.wait_for(|gone| *gone) => {}
                        () = converse(address.port(), receiver, stream, busy) => {}
                    }
                });
            }
        });
        Self {
            address,
            accepting,
            gone,
            busy,
        }
    }

    /// Takes no connection any more, lets handshakes and requests end, and is then gone at once with all that is open.
    pub(crate) async fn die(mut self) -> Result<(), HarnessError> {
        self.accepting.shutdown().await;
        eventually("the end of an endpoint's requests", LIMIT, async || {
            (self.busy.0.load(Ordering::SeqCst) == 0).then_some(())
        })
        .await?;
        self.gone.send_replace(true);
        Ok(())
    }
}

/// The listener is closed with the last that holds the receiver: nobody who only talks does.
async fn converse(port: u16, receiver: Arc<Receiver>, stream: TcpStream, busy: Busy) {
    let received = receiver.receive(stream).await;
    drop(receiver);
    match received {
        // Hostile senders break off.
        Err(_broken) => busy.one_less(),
        Ok(received) => match received.protocol() {
            None => {
                busy.one_less();
                greet_and_echo(port, received.tls).await;
            }
            Some(protocol) => {
                serve(received.header.source, &protocol, received.tls).await;
                busy.one_less();
            }
        },
    }
}

/// A server with TLS of its own, for what passes the front as it is.
pub(crate) async fn serve_directly(pki: &Pki) -> Result<(SocketAddr, JoinSet<()>), HarnessError> {
    let failed = |source| HarnessError::NoPort { source };
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let acceptor = TlsAcceptor::from(Arc::new(direct_tls(&pki.public)));
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(tls) = acceptor.accept(stream).await {
                    let protocol = tls.get_ref().1.alpn_protocol().unwrap_or_default();
                    let protocol = String::from_utf8_lossy(protocol).into_owned();
                    serve(peer, &protocol, tls).await;
                }
            });
        }
    });
    Ok((address, serving))
}

fn direct_tls(identity: &Identity) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(identity.chain(), identity.key())
        })
        .expect("a certificate that the harness made itself");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn greet_and_echo(port: u16, tls: impl AsyncRead + AsyncWrite) {
    let (mut read, mut write) = tokio::io::split(tls);
    let conversation = async {
        write.write_all(&port.to_be_bytes()).await?;
        write.flush().await?;
        let mut bytes = vec![0; 16 * 1024];
        loop {
            match read.read(&mut bytes).await? {
                0 => return write.shutdown().await,
                length => {
                    write.write_all(&bytes[..length]).await?;
                    write.flush().await?;
                }
            }
        }
    };
    let _cut_by_hostile_senders = conversation.await;
}

async fn serve(
    source: SocketAddr,
    protocol: &str,
    tls: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let service =
        service_fn(
            move |request| async move { Ok::<_, Infallible>(answer(source, request).await) },
        );
    let io = TokioIo::new(tls);
    let _cut_by_hostile_senders = if protocol == "h2" {
        http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service)
            .await
    } else {
        http1::Builder::new().serve_connection(io, service).await
    };
}

async fn answer(
    source: SocketAddr,
    request: Request<Incoming>,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let query = request.uri().query().unwrap_or_default();
    let bytes = query
        .strip_prefix("bytes=")
        .and_then(|bytes| bytes.parse().ok());
    let text = match request.uri().path() {
        "/download" => return Response::new(Pattern::of(bytes.unwrap_or(0)).boxed_unsync()),
        "/upload" => sum(request.into_body()).await,
        "/source" => source.to_string(),
        _ => SMALL.to_owned(),
    };
    Response::new(Full::from(text).boxed_unsync())
}

async fn sum(mut body: Incoming) -> String {
    let mut sum = Sum::default();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            sum.add(&data);
        }
    }
    sum.hex()
}

/// The answer to a small request.
pub(crate) const SMALL: &str = "so small that a record has room for it";

const LIMIT: Duration = Duration::from_secs(30);
