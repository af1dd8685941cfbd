//! A WebSocket downstream (RFC 6455) on a connection that is already open.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::{dialer::Dialer, error::HarnessError};

/// An open WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    peer: SocketAddr,
    stream: WebSocketStream<TlsStream<TcpStream>>,
}

impl WebSocket {
    /// Dials and upgrades, with this bearer token.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::WebSocket`].
    pub async fn open(
        dialer: &Dialer,
        host: &str,
        path: &str,
        token: &str,
    ) -> Result<Self, HarnessError> {
        let peer = dialer.target();
        let failed = |error| HarnessError::WebSocket {
            peer,
            source: Box::new(error),
        };
        let mut request = format!("wss://{host}{path}")
            .into_client_request()
            .map_err(failed)?;
        let credential = format!("Bearer {token}").try_into().map_err(Error::from);
        request
            .headers_mut()
            .insert("authorization", credential.map_err(failed)?);
        let tls = dialer.connect_tls().await?;
        let (stream, _response) = client_async(request, tls).await.map_err(failed)?;
        Ok(Self { peer, stream })
    }

    /// Sends a text.
    ///
    /// # Errors
    /// [`HarnessError::WebSocket`].
    pub async fn say(&mut self, text: &str) -> Result<(), HarnessError> {
        let sent = self.stream.send(Message::text(text)).await;
        sent.map_err(|error| HarnessError::WebSocket {
            peer: self.peer,
            source: Box::new(error),
        })
    }

    /// The next text; empty once the peer has closed.
    ///
    /// # Errors
    /// [`HarnessError::WebSocket`].
    pub async fn hear(&mut self) -> Result<String, HarnessError> {
        match self.stream.next().await {
            Some(Ok(message)) => Ok(message
                .into_text()
                .map(|text| text.to_string())
                .unwrap_or_default()),
            Some(Err(error)) => Err(HarnessError::WebSocket {
                peer: self.peer,
                source: Box::new(error),
            }),
            None => Ok(String::new()),
        }
    }
}
