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
    ClientConfig, HandshakeKind, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    gateway::{CHUNK, DOWN, ORDER_BYTES, UP},
    suite::Suite,
};

/// The name that is asked for, of the front and of the gateway behind it.
pub(crate) const NAME: &str = "bench.example.com";

/// One downstream connection.
pub(crate) type Stream = TlsStream<TcpStream>;

/// Connections that load a subject at the same time.
const CONCURRENT: usize = 8;

/// Far more than any of this takes: a subject that stands still is an error, not a figure.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a subject may take to end a connection that both of its sides have ended.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The answer to a small request.
const SMALL: usize = 1024;

/// Whether downstreams come back with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// Every handshake is a full one.
    Fresh,
    /// Every handshake but the first ones is resumed.
    Resumed,
}

/// Opens connections to one place of one subject.
#[derive(Clone)]
pub(crate) struct Loader {
    target: SocketAddr,
    connector: TlsConnector,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    full: AtomicU32,
    resumed: AtomicU32,
    left_open: AtomicU32,
    truncated: AtomicU32,
}

impl Loader {
    pub(crate) fn new(
        target: SocketAddr,
        root: CertificateDer<'static>,
        suite: Suite,
        sessions: Sessions,
    ) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root).map_err(io::Error::other)?;
        let mut config = ClientConfig::builder_with_provider(suite.provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        if sessions == Sessions::Fresh {
            config.resumption = Resumption::disabled();
        }
        Ok(Self {
            target,
            connector: TlsConnector::from(Arc::new(config)),
            counts: Arc::default(),
        })
    }

    /// So many connections, each for one small request.
    pub(crate) async fn connections(&self, count: u32) -> io::Result<()> {
        self.spread(count, |loader| async move {
            let stream = loader.small().await?;
            loader.close(stream).await
        })
        .await
        .map(drop)
    }

    /// So many MiB to the gateway, over a few connections.
    pub(crate) async fn up(&self, mib: u32) -> io::Result<()> {
        self.bulk(UP, mib).await
    }

    /// So many MiB from the gateway.
    pub(crate) async fn down(&self, mib: u32) -> io::Result<()> {
        self.bulk(DOWN, mib).await
    }

    /// So many connections that have had one answer and now wait.
    pub(crate) async fn waiting(&self, count: u32) -> io::Result<Vec<Stream>> {
        self.spread(count, |loader| async move { loader.small().await })
            .await
    }

    async fn bulk(&self, kind: u8, mib: u32) -> io::Result<()> {
        const STREAMS: u32 = 4;
        let share = u64::from(mib) * 1024 * 1024 / u64::from(STREAMS);
        self.spread(STREAMS, move |loader| async move {
            let mut stream = loader.open().await?;
            stream.write_all(&order(kind, share)).await?;
            let mut chunk = vec![0; CHUNK];
            let mut left = share;
            if kind == UP {
                while left > 0 {
                    let count = left.min(CHUNK as u64);
                    let whole = usize::try_from(count).unwrap_or(CHUNK);
                    stream.write_all(&chunk[..whole]).await?;
                    left -= count;
                }
                stream.flush().await?;
                stream.read_exact(&mut chunk[..1]).await?;
            } else {
                stream.flush().await?;
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
        .map(drop)
    }

    async fn spread<T, F>(&self, count: u32, work: impl Fn(Self) -> F) -> io::Result<Vec<T>>
    where
        T: Send + 'static,
        F: Future<Output = io::Result<T>> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        let mut results = Vec::new();
        for _ in 0..count {
            if tasks.len() == CONCURRENT
                && let Some(done) = tasks.join_next().await
            {
                results.push(done.map_err(io::Error::other)??);
            }
            let one = work(self.clone());
            tasks.spawn(async move {
                timeout(LIMIT, one)
                    .await
                    .unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))
            });
        }
        while let Some(done) = tasks.join_next().await {
            results.push(done.map_err(io::Error::other)??);
        }
        Ok(results)
    }

    async fn small(&self) -> io::Result<Stream> {
        let mut stream = self.open().await?;
        ask(&mut stream).await?;
        Ok(stream)
    }

    /// A connection after its handshake.
    pub(crate) async fn open(&self) -> io::Result<Stream> {
        let tcp = TcpStream::connect(self.target).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let stream = self.connector.connect(name, tcp).await?;
        let counter = match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Resumed) => &self.counts.resumed,
            _ => &self.counts.full,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(stream)
    }

    /// Ends the stream and waits for the subject to have ended it too. One that does not is counted,
    /// not waited for: it would stop the others. So is one that ends without close_notify.
    pub(crate) async fn close(&self, mut stream: Stream) -> io::Result<()> {
        stream.shutdown().await?;
        match timeout(CLOSE_LIMIT, stream.read(&mut [0; 1])).await {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(_)) => Err(io::Error::other("more came than was asked for")),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.counts.truncated.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => {
                self.counts.left_open.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// How many connections the subject has not ended in time.
    pub(crate) fn left_open(&self) -> u32 {
        self.counts.left_open.load(Ordering::Relaxed)
    }

    /// How many connections the subject has ended without close_notify.
    pub(crate) fn truncated(&self) -> u32 {
        self.counts.truncated.load(Ordering::Relaxed)
    }

    /// Full and resumed handshakes so far.
    pub(crate) fn handshakes(&self) -> (u32, u32) {
        let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        (count(&self.counts.full), count(&self.counts.resumed))
    }
}

/// A small request and its answer.
pub(crate) async fn ask(stream: &mut Stream) -> io::Result<()> {
    stream.write_all(&order(DOWN, SMALL as u64)).await?;
    stream.flush().await?;
    stream.read_exact(&mut [0; SMALL]).await.map(drop)
}

/// What the gateway is to do.
pub(crate) fn order(kind: u8, length: u64) -> [u8; ORDER_BYTES] {
    let mut order = [0; ORDER_BYTES];
    order[0] = kind;
    order[1..9].copy_from_slice(&length.to_be_bytes());
    order
}
