//! The gateways of the front's benchmark: each takes a PROXY header and TLS, then does what is ordered, and keeps a
//! ledger of what it has seen.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    str::from_utf8,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use e2e::{
    pki::{Authority, Identity},
    proxy_protocol,
};
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{ServerConnection, WebPkiClientVerifier},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::suite::{Suite, Terms};

/// Bytes of an order: a kind and a length of eight, then nothing that counts. As large as a small request.
pub(crate) const ORDER_BYTES: usize = 256;
/// Order: send so many bytes.
pub(crate) const DOWN: u8 = b'D';
/// Order: take so many bytes, then send one.
pub(crate) const UP: u8 = b'U';
/// Order: send back so many bytes, at most [`CHUNK`].
pub(crate) const ECHO: u8 = b'E';
/// Bytes handed to TLS or taken from it at a time.
pub(crate) const CHUNK: usize = 64 * 1024;

/// A listening gateway.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Arc<Ledger>,
}

/// What has come in.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Connections, whatever became of them.
    pub(crate) connections: AtomicU32,
    pub(crate) full: AtomicU32,
    pub(crate) resumed: AtomicU32,
    /// What downstreams have asked for.
    pub(crate) orders: AtomicU32,
    last: Mutex<Option<Seen>>,
}

impl Ledger {
    /// The last handshake that was completed.
    pub(crate) fn last(&self) -> Option<Seen> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// Full and resumed handshakes that were completed so far.
    pub(crate) fn handshakes(&self) -> (u32, u32) {
        let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        (count(&self.full), count(&self.resumed))
    }
}

/// One connection after its handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) header: Header,
    pub(crate) terms: Terms,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) server_name: Option<String>,
    /// Whether it came with a certificate, which was then verified.
    pub(crate) certified: bool,
    pub(crate) resumed: bool,
}

/// A PROXY header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u8,
    pub(crate) source: Option<SocketAddr>,
    /// The server name in it.
    pub(crate) authority: Option<String>,
}

/// Listens on a loopback port until the runtime ends. Who connects must show a certificate of `clients`, if there is
/// one.
pub(crate) async fn start(
    identity: &Identity,
    clients: Option<&Authority>,
    suite: Suite,
) -> io::Result<Gateway> {
    let config = tls_config(identity, clients, suite).map_err(io::Error::other)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let ledger = Arc::<Ledger>::default();
    let shared = Arc::clone(&ledger);
    tokio::spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            shared.connections.fetch_add(1, Ordering::Relaxed);
            let (acceptor, ledger) = (acceptor.clone(), Arc::clone(&shared));
            // A subject that breaks off shows on the loader's side.
            tokio::spawn(async move { serve(stream, acceptor, &ledger).await });
        }
    });
    Ok(Gateway { address, ledger })
}

fn tls_config(
    identity: &Identity,
    clients: Option<&Authority>,
    suite: Suite,
) -> Result<ServerConfig, rustls::Error> {
    let provider = suite.provider();
    let verifier = match clients {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.root())?;
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain(), identity.key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.ticketer = Ticketer::new()?;
    Ok(config)
}

async fn serve(mut stream: TcpStream, acceptor: TlsAcceptor, ledger: &Ledger) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let header = read_header(&mut stream).await?;
    let mut tls = acceptor.accept(stream).await?;
    note(ledger, header, tls.get_ref().1);
    let mut chunk = vec![0; CHUNK];
    let mut order = [0; ORDER_BYTES];
    loop {
        match tls.read_exact(&mut order).await {
            Ok(_) => {
                ledger.orders.fetch_add(1, Ordering::Relaxed);
                carry_out(&mut tls, &order, &mut chunk).await?;
            }
            // The loader decides when it is over.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        // What TLS still holds would otherwise wait for a write that never comes.
        tls.flush().await?;
    }
    tls.shutdown().await
}

fn note(ledger: &Ledger, header: Header, connection: &ServerConnection) {
    let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    let counter = if resumed {
        &ledger.resumed
    } else {
        &ledger.full
    };
    counter.fetch_add(1, Ordering::Relaxed);
    let seen = Seen {
        header,
        terms: Terms::of(connection),
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        server_name: connection.server_name().map(str::to_owned),
        certified: connection.peer_certificates().is_some(),
        resumed,
    };
    let mut last = ledger.last.lock().unwrap_or_else(PoisonError::into_inner);
    *last = Some(seen);
}

async fn carry_out(
    tls: &mut TlsStream<TcpStream>,
    order: &[u8; ORDER_BYTES],
    chunk: &mut [u8],
) -> io::Result<()> {
    let Some((&[kind, ref length @ ..], _padding)) = order.split_first_chunk::<9>() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut left = u64::from_be_bytes(*length);
    match kind {
        DOWN => {
            while left > 0 {
                let count = left.min(CHUNK as u64);
                let whole = usize::try_from(count).unwrap_or(CHUNK);
                tls.write_all(&chunk[..whole]).await?;
                left -= count;
            }
            Ok(())
        }
        UP => {
            while left > 0 {
                let count = tls.read(chunk).await?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                left = left.saturating_sub(count as u64);
            }
            tls.write_all(&[1]).await
        }
        ECHO => {
            let whole = usize::try_from(left)
                .ok()
                .and_then(|length| chunk.get_mut(..length))
                .ok_or(io::ErrorKind::InvalidInput)?;
            tls.read_exact(whole).await?;
            tls.write_all(whole).await
        }
        _ => Err(io::Error::other("no such order")),
    }
}

/// The sixteen bytes that a header of version 2 has at least, one of version 1 has, too.
async fn read_header(stream: &mut TcpStream) -> io::Result<Header> {
    let bad = || io::Error::other("the subject's PROXY header is not as agreed");
    let mut header = vec![0; 16];
    stream.read_exact(&mut header).await?;
    if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\r\n") {
            if header.len() > LONGEST_VERSION_1 {
                return Err(bad());
            }
            header.push(stream.read_u8().await?);
        }
        return version_1(&header).ok_or_else(bad);
    }
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    header.resize(16 + rest, 0);
    stream.read_exact(&mut header[16..]).await?;
    let decoded = proxy_protocol::decode(&header).ok_or_else(bad)?;
    Ok(Header {
        version: 2,
        source: Some(decoded.source),
        authority: decoded.text(proxy_protocol::AUTHORITY).map(str::to_owned),
    })
}

/// `PROXY TCP4 SOURCE DESTINATION PORT PORT` (section 2.1).
fn version_1(header: &[u8]) -> Option<Header> {
    let mut words = from_utf8(header).ok()?.split_ascii_whitespace().skip(1);
    let family = words.next()?;
    let (source, _destination, port) = (words.next()?, words.next()?, words.next()?);
    let source = SocketAddr::new(source.parse().ok()?, port.parse().ok()?);
    (family == "TCP4").then_some(Header {
        version: 1,
        source: Some(source),
        authority: None,
    })
}

const LONGEST_VERSION_1: usize = 107;
