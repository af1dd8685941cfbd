//! What the two processes say to each other: messages of bounded length, and descriptors.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, getsockopt, sendmsg};
use nix::unistd::geteuid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use super::UpgradeError;

/// Changes with every change that a process of another version would misread.
pub(super) const PROTOCOL: u16 = 1;

/// Sockets of one hand-over: more than workers and listeners can make of a sane configuration.
pub(super) const MOST_SOCKETS: usize = 16_384;

/// Room for that many addresses, and for ticket keys.
const MOST_BYTES: usize = 2 << 20;

/// From the successor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    Hello { protocol: u16 },
    Ready { unwanted: Vec<SocketAddr> },
}

/// From the predecessor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// One entry for each socket, in the order in which they follow.
    Offer {
        sockets: Vec<SocketAddr>,
    },
    Refused {
        reason: String,
    },
    Taken,
}

/// Sends one message: its length in four bytes, then JSON.
pub(super) async fn send(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&text).await
}

/// Receives one message.
pub(super) async fn receive<M: DeserializeOwned>(
    stream: &mut UnixStream,
) -> Result<M, UpgradeError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MOST_BYTES {
        return Err(UpgradeError::Unexpected);
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await?;
    serde_json::from_slice(&text).map_err(|_other| UpgradeError::Unexpected)
}

/// Sends one byte, and a descriptor with it.
pub(super) async fn send_descriptor(
    stream: &UnixStream,
    descriptor: BorrowedFd<'_>,
) -> io::Result<()> {
    let numbers = [descriptor.as_raw_fd()];
    let send = || {
        let rights = [ControlMessage::ScmRights(&numbers)];
        let byte = [IoSlice::new(b".")];
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<UnixAddr>(stream.as_raw_fd(), &byte, &rights, flags, None)?;
        Ok(())
    };
    stream.async_io(Interest::WRITABLE, send).await
}

/// Receives one byte, and the descriptor that must come with it.
pub(super) async fn receive_descriptor(stream: &UnixStream) -> Result<OwnedFd, UpgradeError> {
    let receive = || crate::sys::descriptor::receive(stream.as_fd());
    let received = stream.async_io(Interest::READABLE, receive).await?;
    received.ok_or(UpgradeError::Unexpected)
}

/// Who is on the other side: its process id, if it may have or hand over sockets.
pub(super) fn trusted_peer(stream: &UnixStream) -> Result<i32, UpgradeError> {
    let peer = getsockopt(stream, PeerCredentials).map_err(io::Error::from)?;
    if may_take_part(peer.uid(), geteuid().as_raw()) {
        Ok(peer.pid())
    } else {
        Err(UpgradeError::Foreign { uid: peer.uid() })
    }
}

const fn may_take_part(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_user_and_root_take_part() {
        for (peer, own, want) in [
            (1000, 1000, true),
            (0, 1000, true),
            (0, 0, true),
            (1001, 1000, false),
            (1000, 0, false),
        ] {
            assert_eq!(may_take_part(peer, own), want, "{peer} with {own}");
        }
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_not_waited_for() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        ours.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        let got = receive::<Request>(&mut theirs).await;
        assert!(matches!(got, Err(UpgradeError::Unexpected)), "{got:?}");
    }
}
