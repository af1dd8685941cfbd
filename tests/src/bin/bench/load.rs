//! The downstreams of the front's benchmark.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::sink::{CHUNK, DOWN, UP};

/// The name that is asked for, of the front and of the gateway behind it.
pub(crate) const NAME: &str = "bench.example.com";

/// Connections that load a subject at the same time.
const CONCURRENT: usize = 8;

/// Far more than any of this takes: a subject that stands still is an error, not a figure.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a subject may take to end a connection that both of its sides have ended.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Opens connections to one subject.
#[derive(Clone)]
pub(crate) struct Loader {
    target: SocketAddr,
    connector: TlsConnector,
    left_open: Arc<AtomicU32>,
}

impl Loader {
    /// Full handshakes only, with the ciphers and groups of `provider`.
    pub(crate) fn new(
        target: SocketAddr,
        root: CertificateDer<'static>,
        provider: Arc<CryptoProvider>,
    ) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root).map_err(io::Error::other)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self {
            target,
            connector: TlsConnector::from(Arc::new(config)),
            left_open: Arc::default(),
        })
    }

    /// So many connections, each for a request and an answer of 64 bytes.
    pub(crate) async fn connections(&self, count: usize) -> io::Result<()> {
        self.spread(count, |loader| async move {
            let stream = loader.small().await?;
            loader.close(stream).await
        })
        .await
    }

    /// So many MiB to the gateway, over a few connections.
    pub(crate) async fn up(&self, mib: u64) -> io::Result<()> {
        self.bulk(UP, mib).await
    }

    /// So many MiB from the gateway.
    pub(crate) async fn down(&self, mib: u64) -> io::Result<()> {
        self.bulk(DOWN, mib).await
    }

    /// So many connections that have had their answer and now wait.
    pub(crate) async fn idle(&self, count: usize) -> io::Result<Vec<TlsStream<TcpStream>>> {
        let mut open = Vec::new();
        for _ in 0..count {
            open.push(self.small().await?);
        }
        Ok(open)
    }

    async fn bulk(&self, kind: u8, mib: u64) -> io::Result<()> {
        const STREAMS: u64 = 4;
        let share = mib * 1024 * 1024 / STREAMS;
        self.spread(4, move |loader| async move {
            let mut stream = loader.open(kind, share).await?;
            let mut chunk = vec![0; CHUNK];
            if kind == UP {
                let mut left = share;
                while left > 0 {
                    let count = left.min(CHUNK as u64);
                    stream
                        .write_all(&chunk[..usize::try_from(count).unwrap_or(CHUNK)])
                        .await?;
                    left -= count;
                }
                stream.flush().await?;
                stream.read_exact(&mut chunk[..1]).await?;
            } else {
                let mut left = share;
                while left > 0 {
                    let count = stream.read(&mut chunk).await?;
                    if count == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    left = left.saturating_sub(count as u64);
                }
            }
            loader.close(stream).await
        })
        .await
    }

    async fn spread<F>(&self, count: usize, work: impl Fn(Self) -> F) -> io::Result<()>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            if tasks.len() == CONCURRENT
                && let Some(done) = tasks.join_next().await
            {
                done.map_err(io::Error::other)??;
            }
            let one = work(self.clone());
            tasks.spawn(async move {
                timeout(LIMIT, one)
                    .await
                    .unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.map_err(io::Error::other)??;
        }
        Ok(())
    }

    async fn small(&self) -> io::Result<TlsStream<TcpStream>> {
        let mut stream = self.open(DOWN, 64).await?;
        stream.read_exact(&mut [0; 64]).await?;
        Ok(stream)
    }

    async fn open(&self, kind: u8, length: u64) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.target).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let mut stream = self.connector.connect(name, tcp).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("the subject did not agree on h2"));
        }
        let mut order = vec![kind];
        order.extend(length.to_be_bytes());
        stream.write_all(&order).await?;
        stream.flush().await?;
        Ok(stream)
    }

    /// Ends the stream and waits for the subject to have ended it too. One that does not is counted,
    /// not waited for: it would stop the others.
    async fn close(&self, mut stream: TlsStream<TcpStream>) -> io::Result<()> {
        stream.shutdown().await?;
        match timeout(CLOSE_LIMIT, stream.read(&mut [0; 1])).await {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(_)) => Err(io::Error::other("more came than was asked for")),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => {
                self.left_open.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// How many connections the subject has not ended in time.
    pub(crate) fn left_open(&self) -> u32 {
        self.left_open.load(Ordering::Relaxed)
    }
}
