//! The side that starts: it gets the sockets of the process whose place it takes.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::wire::{self, Answer, MOST_SOCKETS, PROTOCOL, Request};
use super::{STEP, UpgradeError};
use crate::inherited::Inherited;

/// The process that still serves, and waits for this one to be ready.
#[derive(Debug)]
pub(crate) struct Predecessor(UnixStream);

/// What became of the predecessor once this process was ready.
#[derive(Debug)]
pub(crate) enum Handed {
    /// It accepts no more. It looks for this process's own endpoint until this is dropped.
    Over(UnixStream),
    /// It is gone, or does not answer: this process serves in any case.
    Alone(UpgradeError),
}

/// Connects to the process that serves at `path`, and gets its sockets; `None` if nobody does.
///
/// # Errors
/// If there is one, and it does not hand them over.
pub(crate) async fn connect(path: &Path) -> Result<Option<(Predecessor, Inherited)>, UpgradeError> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let mut stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ConnectionRefused | NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    wire::trusted_peer(&stream)?;
    let hello = Request::Hello { protocol: PROTOCOL };
    timeout(STEP, wire::send(&mut stream, &hello)).await??;
    let addresses = match timeout(STEP, wire::receive(&mut stream)).await?? {
        Answer::Offer { sockets } if sockets.len() <= MOST_SOCKETS => sockets,
        Answer::Refused { reason } => return Err(UpgradeError::Refused { reason }),
        Answer::Offer { .. } | Answer::Taken => return Err(UpgradeError::Unexpected),
    };
    let mut inherited = Inherited::default();
    let receive = async {
        for address in addresses {
            let descriptor = wire::receive_descriptor(&stream).await?;
            if !inherited.adopt(descriptor).is_ok_and(|got| got == address) {
                return Err(UpgradeError::Socket { address });
            }
        }
        Ok(())
    };
    timeout(STEP, receive).await??;
    Ok(Some((Predecessor(stream), inherited)))
}

/// True if a process serves at `path`.
pub(crate) async fn is_served(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

impl Predecessor {
    /// Tells that this process accepts, and from which addresses not.
    ///
    /// # Errors
    /// [`UpgradeError::Refused`]: the predecessor goes on, so this process must end.
    pub(crate) async fn ready(self, unwanted: Vec<SocketAddr>) -> Result<Handed, UpgradeError> {
        let Self(mut stream) = self;
        let exchange = async {
            wire::send(&mut stream, &Request::Ready { unwanted }).await?;
            wire::receive(&mut stream).await
        };
        let answer = timeout(STEP, exchange).await;
        match answer.unwrap_or(Err(UpgradeError::Timeout)) {
            Ok(Answer::Taken) => Ok(Handed::Over(stream)),
            Ok(Answer::Refused { reason }) => Err(UpgradeError::Refused { reason }),
            Ok(Answer::Offer { .. }) => Ok(Handed::Alone(UpgradeError::Unexpected)),
            Err(error) => Ok(Handed::Alone(error)),
        }
    }
}
