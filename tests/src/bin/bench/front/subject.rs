//! The subjects of the front's benchmark: l4-front and its peers, set up to do the same, each with one worker.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use e2e::{
    error::HarnessError,
    pki::{self, Pki, read_pem},
    ports,
    process::Process,
    run_folder::RunFolder,
};
use tokio::net::TcpStream;

mod envoy;
mod haproxy;
mod l4_front;
mod nginx;

/// Where the gateways listen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gateways {
    pub(crate) classic: SocketAddr,
    pub(crate) hybrid: SocketAddr,
    /// Ends the client's own TLS.
    pub(crate) passed: SocketAddr,
    /// Its certificate is of an authority that nobody trusts.
    pub(crate) untrusted: SocketAddr,
    /// Its certificate is another's.
    pub(crate) misnamed: SocketAddr,
}

/// Where a subject listens: for each gateway a port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub(crate) classic: SocketAddr,
    pub(crate) hybrid: SocketAddr,
    pub(crate) passed: SocketAddr,
    pub(crate) untrusted: SocketAddr,
    pub(crate) misnamed: SocketAddr,
}

impl Places {
    fn free() -> Result<Self, HarnessError> {
        Ok(Self {
            classic: ports::free()?,
            hybrid: ports::free()?,
            passed: ports::free()?,
            untrusted: ports::free()?,
            misnamed: ports::free()?,
        })
    }

    /// Those that end TLS, with a name for each.
    fn terminating(&self, to: &Gateways) -> [(&'static str, SocketAddr, SocketAddr); 4] {
        [
            ("classic", self.classic, to.classic),
            ("hybrid", self.hybrid, to.hybrid),
            ("untrusted", self.untrusted, to.untrusted),
            ("misnamed", self.misnamed, to.misnamed),
        ]
    }
}

/// Which subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    L4Front,
    HaProxy,
    Nginx,
    Envoy,
}

impl Kind {
    /// l4-front first, then its peers.
    pub(crate) const ALL: [Self; 4] = [Self::L4Front, Self::HaProxy, Self::Nginx, Self::Envoy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::L4Front => "l4-front",
            Self::HaProxy => "HAProxy",
            Self::Nginx => "nginx stream",
            Self::Envoy => "Envoy tcp_proxy",
        }
    }

    /// The PROXY header that it can send.
    pub(crate) const fn header_version(self) -> u8 {
        match self {
            Self::L4Front | Self::HaProxy | Self::Envoy => 2,
            Self::Nginx => 1,
        }
    }

    /// Whether it writes the server name into that header.
    pub(crate) const fn sends_authority(self) -> bool {
        matches!(self, Self::L4Front | Self::HaProxy)
    }

    /// Whether it asks the gateway for a protocol.
    pub(crate) const fn sends_alpn(self) -> bool {
        !matches!(self, Self::Nginx)
    }

    /// Whether it knows X25519MLKEM768; Debian's OpenSSL 3.0 does not.
    pub(crate) const fn is_hybrid(self) -> bool {
        matches!(self, Self::L4Front | Self::Envoy)
    }

    /// Starts it on CPU 0 and waits until it takes connections.
    pub(crate) async fn start(
        self,
        gateways: &Gateways,
        material: &Material<'_>,
    ) -> Result<Subject, HarnessError> {
        let places = Places::free()?;
        let mut process = match self {
            Self::L4Front => l4_front::start(&places, gateways, material)?,
            Self::HaProxy => haproxy::start(&places, gateways, material)?,
            Self::Nginx => nginx::start(&places, gateways, material)?,
            Self::Envoy => envoy::start(&places, gateways, material)?,
        };
        process
            .ready_when(START_LIMIT, async || {
                TcpStream::connect(places.classic).await.is_ok()
            })
            .await?;
        Ok(Subject {
            kind: self,
            process,
            places,
        })
    }
}

/// A running subject.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) process: Process,
    pub(crate) places: Places,
}

/// What the subjects are configured with.
pub(crate) struct Material<'run> {
    pub(crate) pki: &'run Pki,
    pub(crate) folder: &'run RunFolder,
}

impl Material<'_> {
    /// Certificate and key in one file, as HAProxy takes them.
    fn together(&self, name: &str, identity: &pki::Identity) -> Result<PathBuf, HarnessError> {
        let pem = read_pem(&identity.certificate)? + &read_pem(&identity.private_key)?;
        self.folder.write_secret(name, &pem)
    }
}

/// All of them bind and are ready at once, the slowest in a few seconds.
const START_LIMIT: Duration = Duration::from_secs(20);
