//! The side that serves: it waits for a successor and hands its sockets over.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::wire::{Answer, MOST_SOCKETS, PROTOCOL, Request};
use super::{READY, STEP, UpgradeError, wire};

/// After a failed accept(2).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where successors connect. Its file has the mode 0600, and who connects is asked for besides.
#[derive(Debug)]
pub(crate) struct Endpoint {
    listener: UnixListener,
    path: PathBuf,
    /// Where the file is: beside `path` until it takes its place.
    file: PathBuf,
    inode: u64,
}

impl Endpoint {
    /// Listens beside `path`, where nobody looks yet.
    ///
    /// # Errors
    /// [`UpgradeError::Listen`].
    pub(crate) fn bind(path: &Path) -> Result<Self, UpgradeError> {
        let mut file = path.as_os_str().to_owned();
        file.push(format!(".{}", std::process::id()));
        let file = PathBuf::from(file);
        let bind = || {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            // Before it is bound, so that the file never has another mode (unix(7)).
            fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
            socket.set_nonblocking(true)?;
            socket.bind(&SockAddr::unix(&file)?)?;
            socket.listen(8)?;
            let listener = UnixListener::from_std(socket.into())?;
            let inode = fs::symlink_metadata(&file)?.ino();
            Ok((listener, inode))
        };
        match bind() {
            Ok((listener, inode)) => Ok(Self {
                listener,
                path: path.to_owned(),
                file,
                inode,
            }),
            Err(source) => {
                let path = path.to_owned();
                Err(UpgradeError::Listen { path, source })
            }
        }
    }

    /// Takes the place of whatever is at its path, in one step.
    ///
    /// # Errors
    /// [`UpgradeError::Listen`].
    pub(crate) fn publish(&mut self) -> Result<(), UpgradeError> {
        fs::rename(&self.file, &self.path).map_err(|source| UpgradeError::Listen {
            path: self.path.clone(),
            source,
        })?;
        self.file.clone_from(&self.path);
        Ok(())
    }

    /// The next process that wants to be the successor.
    pub(crate) async fn next(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _unnamed)) => return stream,
                Err(error) => {
                    tracing::warn!(%error, "upgrade.socket: accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // A successor has put its own in this place.
        let ours = fs::symlink_metadata(&self.file).is_ok_and(|file| file.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.file) {
            tracing::warn!(%error, "upgrade.socket: the file stays");
        }
    }
}

/// A successor that accepts.
pub(crate) struct Taken {
    pub(crate) pid: i32,
    /// Addresses that it does not accept from: what is queued there is left to this process.
    pub(crate) unwanted: Vec<SocketAddr>,
    stream: UnixStream,
}

impl Taken {
    /// Ends when the successor's own endpoint is where this process had its own.
    pub(crate) async fn settled(mut self) {
        // It says no more, it hangs up; if it does not, nothing depends on it.
        let _ = timeout(STEP, self.stream.read_u8()).await;
    }
}

/// Hands the sockets over. On success the successor was told that this process accepts no more:
/// the caller must see to that at once.
///
/// # Errors
/// Then nothing has changed.
pub(crate) async fn hand_over(
    mut stream: UnixStream,
    sockets: &[(SocketAddr, &TcpListener)],
) -> Result<Taken, UpgradeError> {
    let pid = wire::trusted_peer(&stream)?;
    let hello = timeout(STEP, wire::receive(&mut stream)).await??;
    let Request::Hello { protocol } = hello else {
        return Err(UpgradeError::Unexpected);
    };
    let reason = if protocol != PROTOCOL {
        Some(format!(
            "it asks for version {protocol} of the hand-over, this process knows {PROTOCOL}"
        ))
    } else if sockets.len() > MOST_SOCKETS {
        Some(format!("at most {MOST_SOCKETS} sockets are handed over"))
    } else {
        None
    };
    if let Some(reason) = reason {
        return Err(refuse(stream, reason).await);
    }
    let offer = Answer::Offer {
        sockets: sockets.iter().map(|(address, _)| *address).collect(),
    };
    let hand_out = async {
        wire::send(&mut stream, &offer).await?;
        for (_address, socket) in sockets {
            wire::send_descriptor(&stream, socket.as_fd()).await?;
        }
        Ok::<_, UpgradeError>(())
    };
    timeout(STEP, hand_out).await??;
    let Ok(ready) = timeout(READY, wire::receive(&mut stream)).await else {
        let reason = format!("it was not ready in {} s", READY.as_secs());
        return Err(refuse(stream, reason).await);
    };
    let Request::Ready { unwanted } = ready? else {
        return Err(UpgradeError::Unexpected);
    };
    timeout(STEP, wire::send(&mut stream, &Answer::Taken)).await??;
    Ok(Taken {
        pid,
        unwanted,
        stream,
    })
}

/// A successor that is told so ends, where one that only loses its predecessor goes on.
async fn refuse(mut stream: UnixStream, reason: String) -> UpgradeError {
    let answer = Answer::Refused {
        reason: reason.clone(),
    };
    let _gone = timeout(STEP, wire::send(&mut stream, &answer)).await;
    UpgradeError::Refused { reason }
}
