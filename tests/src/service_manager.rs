//! The part of a service manager that listens: what a service tells it (sd_notify(3)).

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram as Unbound},
    },
    path::Path,
    time::Duration,
};

use tokio::{net::UnixDatagram, time::timeout};

use crate::{error::HarnessError, run_folder::RunFolder};

/// See the module.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    address: String,
}

impl ServiceManager {
    /// Listens at a path.
    ///
    /// # Errors
    /// [`HarnessError::File`].
    pub fn at_a_path(folder: &RunFolder) -> Result<Self, HarnessError> {
        let path = folder.file("notify.sock");
        let socket = UnixDatagram::bind(&path);
        Ok(Self {
            socket: socket.map_err(failed(&path))?,
            address: path.to_string_lossy().into_owned(),
        })
    }

    /// Listens at a name that is no file (unix(7), abstract).
    ///
    /// # Errors
    /// [`HarnessError::File`].
    pub fn at_a_name(folder: &RunFolder) -> Result<Self, HarnessError> {
        let path = folder.file("notify");
        let name = path.to_string_lossy();
        let bind = || {
            let address = SocketAddr::from_abstract_name(name.as_bytes())?;
            let socket = Unbound::bind_addr(&address)?;
            socket.set_nonblocking(true)?;
            UnixDatagram::from_std(socket)
        };
        Ok(Self {
            socket: bind().map_err(failed(&path))?,
            address: format!("@{name}"),
        })
    }

    /// For the environment of the service.
    #[must_use]
    pub fn variable(&self) -> (&'static str, String) {
        ("NOTIFY_SOCKET", self.address.clone())
    }

    /// The next message.
    ///
    /// # Errors
    /// [`HarnessError::Deadline`] if there is none.
    pub async fn hear(&self) -> Result<String, HarnessError> {
        let mut bytes = [0; 512];
        match timeout(HEAR_LIMIT, self.socket.recv(&mut bytes)).await {
            Ok(Ok(length)) => Ok(String::from_utf8_lossy(&bytes[..length]).into_owned()),
            Ok(Err(_)) | Err(_) => Err(HarnessError::Deadline {
                what: "a message of the service".to_owned(),
                within: HEAR_LIMIT,
                log_tail: String::new(),
            }),
        }
    }

    /// The messages that have come and were not heard yet.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        let (mut bytes, mut messages) = ([0; 512], Vec::new());
        while let Ok(length) = self.socket.try_recv(&mut bytes) {
            messages.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        messages
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> HarnessError {
    let path = path.to_owned();
    |source| HarnessError::File {
        verb: "listen at",
        path,
        source,
    }
}

/// What is told is told at once.
const HEAR_LIMIT: Duration = Duration::from_secs(30);
