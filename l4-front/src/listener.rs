//! Listening sockets: bound with SO_REUSEPORT, one per worker, so that the kernel spreads the
//! connections; and the accept loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::connection;
use crate::drain::Drain;
use crate::metrics::{Ended, OfListener};
use crate::shared::Shared;

/// Connections that the kernel may hold for us; it lowers this to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// After a failed accept(2): out of descriptors or memory does not get better by asking again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// First probe of a silent peer; together with the kernel's defaults for interval and count.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Binds one socket. All sockets of one address must be bound this way to share it.
///
/// # Errors
/// From the system: the address is taken, or not ours.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Options for a connection on either side. They help but are not needed, so failure is no error:
/// a peer that has gone already is found out by the first read.
pub(crate) fn tune(socket: &TcpStream) {
    let socket = SockRef::from(socket);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

/// Accepts until the drain begins, then takes what the kernel has queued and closes the socket.
/// Each connection's task holds a clone of `alive`.
pub(crate) async fn accept_loop(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut drain: Drain,
    alive: mpsc::Sender<()>,
) {
    let labels = OfListener {
        listener: shared.listener.name.clone(),
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.begun() => break,
        };
        match accepted {
            Ok((socket, peer)) => admit(socket, peer, &shared, &labels, &drain, &alive),
            Err(error) => {
                shared.metrics.accept_errors.get_or_create(&labels).inc();
                tracing::warn!(listener = %labels.listener, %error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // These clients have a connection already; closing the socket would reset them.
    while let Ok(Ok((socket, peer))) = timeout(Duration::ZERO, listener.accept()).await {
        admit(socket, peer, &shared, &labels, &drain, &alive);
    }
}

fn admit(
    socket: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    labels: &OfListener,
    drain: &Drain,
    alive: &mpsc::Sender<()>,
) {
    let Some(active) = shared.admit() else {
        let termination = "connection_limit";
        let labels = Ended {
            listener: labels.listener.clone(),
            termination,
        };
        shared.metrics.refused.get_or_create(&labels).inc();
        return;
    };
    shared.metrics.accepted.get_or_create(labels).inc();
    tune(&socket);
    let (shared, drain, alive) = (Arc::clone(shared), drain.clone(), alive.clone());
    tokio::spawn(async move {
        connection::serve(socket, peer, &shared, drain).await;
        drop(active);
        drop(alive);
    });
}
