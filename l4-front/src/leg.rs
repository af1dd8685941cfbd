//! One side of a relayed connection: a socket, its TLS session, and what waits to be sent on it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::buffer::Buffer;
use crate::tls::session::{Session, TlsError};

/// Why a leg cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LegError {
    #[error("the peer closed the connection during the handshake")]
    Closed,
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

pub(crate) struct Leg {
    pub(crate) socket: TcpStream,
    pub(crate) session: Session,
    /// Sealed and waiting for the socket to take it.
    pub(crate) outgoing: Buffer,
}

impl Leg {
    pub(crate) fn new(socket: TcpStream, session: Session) -> Self {
        Self {
            socket,
            session,
            outgoing: Buffer::default(),
        }
    }

    /// Takes the handshake to its end; what is in `outgoing` already goes out before it, in the
    /// same write. Waits as long as the peer does: the caller sets the time limit.
    ///
    /// # Errors
    /// On a TLS error the alert has been queued, not sent.
    pub(crate) async fn handshake(&mut self) -> Result<(), LegError> {
        self.handshake_until(|_session| false).await
    }

    /// The same as far as the peer's ClientHello has been read.
    pub(crate) async fn read_hello(&mut self) -> Result<(), LegError> {
        self.handshake_until(|session| session.hello().is_some())
            .await
    }

    async fn handshake_until(&mut self, enough: fn(&Session) -> bool) -> Result<(), LegError> {
        loop {
            let done = self.session.handshake(&mut self.outgoing)?;
            poll_fn(|cx| self.poll_flush(cx)).await?;
            if done || enough(&self.session) {
                return Ok(());
            }
            if poll_fn(|cx| self.poll_receive(cx)).await? == 0 {
                return Err(LegError::Closed);
            }
        }
    }

    /// Sends what is left to say, then ends the sending side; for the way out after an error.
    pub(crate) async fn give_up(&mut self) {
        // The peer may be gone; there is nobody left to tell.
        let _ = poll_fn(|cx| self.poll_flush(cx)).await;
        let _ = poll_fn(|cx| self.poll_shutdown(cx)).await;
    }

    /// Ready when all of `outgoing` is with the kernel.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let count = ready!(Pin::new(&mut self.socket).poll_write(cx, self.outgoing.filled()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.consume(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once into the session; 0 is the end of the stream. The session must open what came.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, LegError>> {
        let mut space = ReadBuf::new(self.session.space()?);
        let poll = Pin::new(&mut self.socket).poll_read(cx, &mut space);
        let count = space.filled().len();
        self.session.received(count);
        ready!(poll)?;
        Poll::Ready(Ok(count))
    }

    /// Ends the sending side of the socket.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
