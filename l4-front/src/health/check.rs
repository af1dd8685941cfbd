//! One check of one endpoint: what is asked, and what answer passes.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};

use super::Thresholds;
use crate::leg::{Leg, LegError};
use crate::tls::session::{Session, TlsError};

/// How the endpoints of a cluster are checked.
#[derive(Debug)]
pub(crate) struct HealthCheck {
    pub(crate) question: Question,
    pub(crate) interval: Duration,
    /// Between the checks of an endpoint that is not plainly healthy.
    pub(crate) unhealthy_interval: Duration,
    /// For one whole check.
    pub(crate) timeout: Duration,
    pub(crate) thresholds: Thresholds,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Question {
    /// A GET in clear on this port; any 2xx passes. There is no PROXY header: Istio's health port
    /// speaks none.
    Http { port: u16, path: String },
    /// Does it accept connections.
    Tcp,
    /// Does it finish a full handshake, with both certificates, and let us go in peace.
    Tls {
        config: Arc<ClientConfig>,
        server_name: ServerName<'static>,
        /// What a receiver of PROXY headers needs first; empty if it is none.
        header: &'static [u8],
    },
}

/// Why a check did not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    #[error("connect: {0}")]
    Connect(std::io::Error),
    #[error("http: {0}")]
    Http(#[from] hyper::Error),
    #[error("no answer in time")]
    Late(#[from] Elapsed),
    #[error("the path cannot be asked for: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("http status {0}")]
    Status(StatusCode),
    #[error("handshake: {0}")]
    Tls(#[from] LegError),
}

impl HealthCheck {
    /// Checks the endpoint at this address once.
    ///
    /// # Errors
    /// Why it did not pass.
    pub(crate) async fn run(&self, endpoint: SocketAddr) -> Result<(), CheckError> {
        let answer = async {
            match &self.question {
                Question::Http { port, path } => {
                    ask_http(SocketAddr::new(endpoint.ip(), *port), path).await
                }
                Question::Tcp => connect(endpoint).await.map(drop),
                Question::Tls {
                    config,
                    server_name,
                    header,
                } => {
                    let session = Session::upstream(Arc::clone(config), server_name.clone(), None)
                        .map_err(LegError::from)?;
                    shake_hands(Leg::new(connect(endpoint).await?, session), header).await
                }
            }
        };
        timeout(self.timeout, answer).await?
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, CheckError> {
    TcpStream::connect(address)
        .await
        .map_err(CheckError::Connect)
}

async fn ask_http(address: SocketAddr, path: &str) -> Result<(), CheckError> {
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .header(USER_AGENT, "l4-front health check")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let stream = TokioIo::new(connect(address).await?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    let response = sender.send_request(request);
    // The connection must be driven for the answer to come; it ends after the answer, if ever.
    let mut connection = std::pin::pin!(connection);
    let mut response = std::pin::pin!(response);
    let response = tokio::select! {
        biased;
        response = &mut response => response?,
        ended = &mut connection => {
            ended?;
            response.await?
        }
    };
    let status = response.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(CheckError::Status(status))
    }
}

/// The handshake, then close_notify, then whatever the endpoint has to say until it closes too: in
/// TLS 1.3 it can refuse our certificate only after we are done, and a socket that is closed with
/// unread data resets, which would look like a fault in the endpoint's log.
async fn shake_hands(mut leg: Leg, header: &[u8]) -> Result<(), CheckError> {
    if !leg.outgoing.append(header) {
        return Err(LegError::from(TlsError::OutputFull).into());
    }
    if let Err(error) = leg.handshake().await {
        leg.give_up().await;
        return Err(error.into());
    }
    leg.session
        .close(&mut leg.outgoing)
        .map_err(LegError::from)?;
    leg.give_up().await;
    loop {
        match poll_fn(|cx| leg.poll_receive(cx)).await {
            Ok(0) | Err(LegError::Io(_)) => return Ok(()),
            Ok(_bytes) => {}
            Err(error) => return Err(error.into()),
        }
        leg.session
            .open(&mut leg.outgoing, |_data| Ok(()))
            .map_err(LegError::from)?;
    }
}
