//! The gateway of the front's benchmark: takes a PROXY header and TLS, then does what the first bytes ask for.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use e2e::{
    pki::{Identity, Pki},
    proxy_protocol,
};
use rustls::{RootCertStore, ServerConfig, crypto::CryptoProvider, server::WebPkiClientVerifier};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// What a connection asks for: one byte, then a length of eight.
pub(crate) const ORDER_BYTES: usize = 9;
/// Order: send so many bytes.
pub(crate) const DOWN: u8 = b'D';
/// Order: take so many bytes, then send one.
pub(crate) const UP: u8 = b'U';
/// Bytes handed to TLS or taken from it at a time.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Listens on a loopback port until the runtime ends.
pub(crate) async fn start(
    pki: &Pki,
    identity: &Identity,
    provider: Arc<CryptoProvider>,
) -> io::Result<SocketAddr> {
    let config = tls_config(pki, identity, provider).map_err(io::Error::other)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            let acceptor = acceptor.clone();
            // A subject that breaks off shows on the loader's side.
            tokio::spawn(async move { serve(stream, acceptor).await });
        }
    });
    Ok(address)
}

fn tls_config(
    pki: &Pki,
    identity: &Identity,
    provider: Arc<CryptoProvider>,
) -> Result<ServerConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(pki.mesh.root())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain(), identity.key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn serve(mut stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    read_header(&mut stream).await?;
    let mut tls = acceptor.accept(stream).await?;
    if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(io::Error::other("the subject did not ask for h2"));
    }
    let mut order = [0; ORDER_BYTES];
    tls.read_exact(&mut order).await?;
    let [kind, length @ ..] = order;
    let length = u64::from_be_bytes(length);
    let mut chunk = vec![0; CHUNK];
    match kind {
        DOWN => {
            let mut left = length;
            while left > 0 {
                let count = left.min(CHUNK as u64);
                tls.write_all(&chunk[..usize::try_from(count).unwrap_or(CHUNK)])
                    .await?;
                left -= count;
            }
        }
        UP => {
            let mut left = length;
            while left > 0 {
                let count = tls.read(&mut chunk).await?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                left = left.saturating_sub(count as u64);
            }
            tls.write_all(&[1]).await?;
        }
        _ => return Err(io::Error::other("no such order")),
    }
    // What TLS still holds would otherwise wait for a write that never comes.
    tls.flush().await?;
    // The loader decides when it is over.
    while tls.read(&mut chunk).await? > 0 {}
    tls.shutdown().await
}

/// Version 2: 16 fixed bytes, the last two of which are the length of the rest.
async fn read_header(stream: &mut TcpStream) -> io::Result<()> {
    let mut header = vec![0; 16];
    stream.read_exact(&mut header).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    header.resize(16 + rest, 0);
    stream.read_exact(&mut header[16..]).await?;
    match proxy_protocol::decode(&header) {
        Some(header)
            if header.checksum_is_right && header.text(proxy_protocol::AUTHORITY).is_some() =>
        {
            Ok(())
        }
        _ => Err(io::Error::other(
            "the subject's PROXY header is not as agreed",
        )),
    }
}
