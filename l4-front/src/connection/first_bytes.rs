//! What a downstream says before anything is decided about it: read into one buffer, in whatever
//! pieces it comes, until a parser has seen enough.

use std::io;

use tokio::net::TcpStream;

use crate::buffer::Buffer;

/// Why there is nothing to be parsed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError<E> {
    #[error("the peer closed the connection in its first message")]
    Closed,
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(E),
}

/// Reads until `parse` finds something in all that was read. It must refuse `most` bytes.
///
/// A downstream that says nothing holds no buffer.
pub(super) async fn read_until<T, E>(
    socket: &TcpStream,
    read: &mut Buffer,
    most: usize,
    mut parse: impl FnMut(&[u8]) -> Result<Option<T>, E>,
) -> Result<T, ReadError<E>> {
    loop {
        if let Some(found) = parse(read.filled()).map_err(ReadError::Malformed)? {
            return Ok(found);
        }
        socket.readable().await?;
        let room = most.saturating_sub(read.filled().len());
        let result = match read.space().get_mut(..room) {
            Some(space) => socket.try_read(space),
            None => Ok(0),
        };
        match result {
            Ok(count) if count > 0 => read.fill(count),
            other => {
                read.release_if_empty();
                match other {
                    Ok(_) => return Err(ReadError::Closed),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}
