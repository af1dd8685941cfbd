//! A front before a gateway that says back what it is told, and clients that talk to it.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{
    dialer::Dialer, error::HarnessError, front::Front, pki::Pki, ports, process::Handed,
    receiver::Receiver, run_folder::RunFolder,
};

/// See the module.
#[derive(Debug)]
pub struct Echo {
    /// As it was started.
    pub front: Front,
    /// Whose certificates are used.
    pub pki: Pki,
    /// Where everything is.
    pub folder: RunFolder,
    _gateway: JoinSet<()>,
}

impl Echo {
    /// Starts both; the front with its configuration edited.
    ///
    /// # Errors
    /// As [`Front::start`].
    pub async fn start(edit: impl FnOnce(String) -> String) -> Result<Self, HarnessError> {
        let folder = RunFolder::create()?;
        let pki = Pki::create(&folder)?;
        Self::start_in(folder, pki, edit).await
    }

    /// The same in this folder and with these certificates.
    ///
    /// # Errors
    /// As [`Front::start`].
    pub async fn start_in(
        folder: RunFolder,
        pki: Pki,
        edit: impl FnOnce(String) -> String,
    ) -> Result<Self, HarnessError> {
        let address = ports::free()?;
        Self::start_by_manager(address, folder, pki, edit, Handed::default()).await
    }

    /// The same at this address, the front as a service manager would start it.
    ///
    /// # Errors
    /// As [`Front::start`].
    pub async fn start_by_manager(
        address: SocketAddr,
        folder: RunFolder,
        pki: Pki,
        edit: impl FnOnce(String) -> String,
        handed: Handed,
    ) -> Result<Self, HarnessError> {
        let receiver = Arc::new(Receiver::start(&pki).await?);
        let gateways = [receiver.address()];
        let mut gateway = JoinSet::new();
        for _acceptor in 0..ACCEPTORS {
            gateway.spawn(answer(Arc::clone(&receiver)));
        }
        let front =
            Front::start_by_manager(address, &gateways, &pki, &folder, edit, handed).await?;
        Ok(Self {
            front,
            pki,
            folder,
            _gateway: gateway,
        })
    }

    /// A client of the front at this address.
    #[must_use]
    pub fn dialer(&self, address: SocketAddr) -> Dialer {
        Dialer::public(address, "api.example.com", self.pki.edge.root()).speaking(&["h2"])
    }

    /// A TLS connection to the front at this address.
    ///
    /// # Errors
    /// [`HarnessError::Connection`].
    pub async fn open(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, HarnessError> {
        self.dialer(address).connect_tls().await
    }

    /// A TLS connection to the front.
    ///
    /// # Errors
    /// [`HarnessError::Connection`].
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>, HarnessError> {
        self.open(self.front.address()).await
    }

    /// The front's configuration as it is now.
    ///
    /// # Errors
    /// [`HarnessError::File`].
    pub fn config(&self) -> Result<String, HarnessError> {
        read(self.front.config())
    }

    /// What the front has logged.
    ///
    /// # Errors
    /// [`HarnessError::File`].
    pub fn log(&self) -> Result<String, HarnessError> {
        read(&self.folder.file("front.log"))
    }
}

/// One request and its answer: what is said comes back.
///
/// # Errors
/// [`HarnessError::Connection`] if it does not.
pub async fn say(connection: &mut TlsStream<TcpStream>) -> Result<(), HarnessError> {
    let request = [7; 64];
    let mut answer = [0; 64];
    let round = async {
        connection.write_all(&request).await?;
        connection.read_exact(&mut answer).await?;
        Ok::<_, io::Error>(())
    };
    let said = timeout(ANSWER_LIMIT, round).await;
    let outcome = match said.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into())) {
        Ok(()) if answer == request => return Ok(()),
        Ok(()) => io::ErrorKind::InvalidData.into(),
        Err(error) => error,
    };
    let peer = connection.get_ref().0.peer_addr();
    Err(HarnessError::Connection {
        peer: peer.unwrap_or_else(|_gone| SocketAddr::from(([0, 0, 0, 0], 0))),
        source: outcome,
    })
}

/// Takes connections of the front, one after the other, and says back what they say. Each goes on
/// in a task of its own.
async fn answer(receiver: Arc<Receiver>) {
    loop {
        if let Ok(received) = receiver.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(received.tls);
                let _ended = tokio::io::copy(&mut read, &mut write).await;
                let _gone = write.shutdown().await;
            });
        }
    }
}

fn read(path: &Path) -> Result<String, HarnessError> {
    fs::read_to_string(path).map_err(|source| HarnessError::File {
        verb: "read",
        path: path.to_owned(),
        source,
    })
}

/// Handshakes with the gateway at the same time.
const ACCEPTORS: usize = 16;

/// Nothing on loopback takes as long.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
