//! A connection whose TLS ends at the endpoint: its ClientHello is read for routing and goes on as
//! it came, behind the PROXY header.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::first_bytes::{ReadError, read_until};
use super::{Legs, Termination, header, no_endpoint};
use crate::access_log::Record;
use crate::buffer::Buffer;
use crate::client_hello::{self, HelloReader};
use crate::cluster::endpoint::Lease;
use crate::config::Listener;
use crate::route::{Mode, Target};
use crate::shared::Shared;
use crate::tls::alert;
use crate::tls::session::SessionFacts;
use crate::upstream::{self, Attempts};

/// Reads the ClientHello into `read`. `None`: its TLS ends here, and what was read is part of it.
pub(super) async fn read_hello(
    socket: &mut TcpStream,
    start: Instant,
    read: &mut Buffer,
    listener: &Listener,
    record: &mut Record,
) -> Result<Option<Target>, Termination> {
    let terminates = listener.tls.is_some();
    let mut reader = HelloReader::default();
    let receive = read_until(socket, read, client_hello::MAX_BYTES, |bytes| {
        reader.read(bytes)
    });
    let hello = match timeout_at(start + listener.timeouts.client_hello, receive).await {
        Err(_elapsed) => return Err(Termination::plain("client_hello_timeout")),
        Ok(Ok(hello)) => hello,
        Ok(Err(ReadError::Closed)) if read.is_empty() => {
            return Err(Termination::plain("closed_before_hello"));
        }
        // rustls finds the same, and the fitting alert.
        Ok(Err(ReadError::Malformed(_))) if terminates => return Ok(None),
        Ok(Err(error)) => {
            if matches!(error, ReadError::Malformed(_)) {
                refuse(socket, &alert::DECODE_ERROR, listener).await;
            }
            return Err(Termination::because("handshake_failed", &error));
        }
    };
    let offered: Vec<_> = hello.alpn.iter().map(Vec::as_slice).collect();
    let target = listener.routes.pick(hello.server_name.as_deref(), &offered);
    record.sni = hello.server_name;
    match target {
        Some(target) if target.mode == Mode::PassThrough => Ok(Some(target)),
        Some(_) => Ok(None),
        None => {
            refuse(socket, &alert::UNRECOGNIZED_NAME, listener).await;
            Err(Termination::plain("no_route"))
        }
    }
}

/// Dials. What was read goes there behind the PROXY header.
pub(super) async fn dial(
    socket: TcpStream,
    read: Buffer,
    target: Target,
    shared: &Shared,
    record: &mut Record,
) -> Result<(Legs, Lease), Termination> {
    let Some(cluster) = shared.clusters.get(target.cluster.0) else {
        return Err(Termination::plain("no_route"));
    };
    record.cluster = Some(cluster.name.clone());
    // The front has settled nothing with the client, so there are no facts about TLS.
    let header = header(cluster, record, &SessionFacts::default(), None)
        .map_err(|error| Termination::because("header_too_long", &error))?;
    let mut attempts = Attempts::default();
    let name = record.sni.as_deref();
    let dialled = upstream::dial_tcp(cluster, record.downstream, name, &mut attempts).await;
    record.attempts = attempts.made;
    record.endpoint = attempts.endpoint;
    let (upstream, lease) = dialled.ok_or_else(|| no_endpoint(attempts))?;
    let mut first = Buffer::default();
    if !first.append(&header) || !first.append(read.filled()) {
        return Err(Termination::plain("header_too_long"));
    }
    let legs = Legs::PassedThrough {
        downstream: socket,
        upstream,
        first,
        of_downstream: read.filled().len() as u64,
    };
    Ok((legs, lease))
}

/// Tells a client why it goes, and lets it read that: closing a socket with unread input would
/// make the kernel reset the connection.
async fn refuse(socket: &mut TcpStream, alert: &[u8], listener: &Listener) {
    let said = async {
        socket.write_all(alert).await?;
        socket.shutdown().await?;
        let mut rest = [0; 1024];
        while socket.read(&mut rest).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(listener.timeouts.handshake, said).await;
}
