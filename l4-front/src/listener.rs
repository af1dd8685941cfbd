//! The accept loop: one per listener and worker, each with its own socket, so that the kernel
//! spreads the connections.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::admission::Refusal;
use crate::connection;
use crate::drain::Drain;
use crate::metrics::{Ended, OfListener};
use crate::shared::Shared;
use crate::throttle::Throttle;

/// After a failed accept(2): out of descriptors or memory does not get better by asking again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One listening socket of one worker.
pub(crate) struct Acceptor {
    shared: Arc<Shared>,
    labels: OfListener,
    drain: Drain,
    /// Each connection's task holds a clone.
    alive: mpsc::Sender<()>,
    /// Kept open for the day when there are no descriptors left.
    reserve: Option<File>,
    errors: Throttle,
    refusals: Throttle,
}

impl Acceptor {
    pub(crate) fn new(shared: Arc<Shared>, drain: Drain, alive: mpsc::Sender<()>) -> Self {
        Self {
            labels: OfListener {
                listener: shared.listener.name.clone(),
            },
            shared,
            drain,
            alive,
            reserve: reserve(),
            errors: Throttle::default(),
            refusals: Throttle::default(),
        }
    }

    /// Accepts until the drain begins, then takes what the kernel has queued and closes the socket.
    pub(crate) async fn run(mut self, listener: TcpListener) {
        let mut drain = self.drain.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.begun() => break,
            };
            match accepted {
                Ok((socket, peer)) => self.admit(socket, peer),
                Err(error) => {
                    self.failed(&listener, &error).await;
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // These clients have a connection already; closing the socket would reset them.
        while let Ok(Ok((socket, peer))) = timeout(Duration::ZERO, listener.accept()).await {
            self.admit(socket, peer);
        }
    }

    fn admit(&mut self, socket: TcpStream, peer: SocketAddr) {
        let shared = &self.shared;
        let admitted = shared.admit().and_then(|active| {
            let arrival = shared.admission.arrive(peer.ip(), Instant::now())?;
            Ok((active, arrival))
        });
        let (active, arrival) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return self.refuse(refusal, Some(peer)),
        };
        shared.metrics.accepted.get_or_create(&self.labels).inc();
        shared.listener.tcp.accepted.apply(&socket);
        let (shared, drain) = (Arc::clone(shared), self.drain.clone());
        let alive = self.alive.clone();
        tokio::spawn(async move {
            connection::serve(socket, peer, arrival, &shared, drain).await;
            drop(active);
            drop(alive);
        });
    }

    fn refuse(&mut self, refusal: Refusal, peer: Option<SocketAddr>) {
        let labels = Ended {
            listener: self.labels.listener.clone(),
            termination: refusal.label(),
        };
        self.shared.metrics.refused.get_or_create(&labels).inc();
        if let Some(unsaid) = self.refusals.pass(Instant::now()) {
            tracing::warn!(
                listener = labels.listener,
                reason = labels.termination,
                peer = peer.map(tracing::field::display),
                unsaid,
                "connection refused"
            );
        }
    }

    /// Out of descriptors, the kernel keeps the connection queued and says so again at once. The
    /// reserve makes room to take one connection and close it: its client learns that it must go
    /// elsewhere, instead of waiting for an answer that does not come.
    async fn failed(&mut self, listener: &TcpListener, error: &io::Error) {
        let metrics = &self.shared.metrics;
        metrics.accept_errors.get_or_create(&self.labels).inc();
        if let Some(unsaid) = self.errors.pass(Instant::now()) {
            let listener = &self.labels.listener;
            tracing::warn!(listener, %error, unsaid, "accept failed");
        }
        use nix::libc::{EMFILE, ENFILE};
        if !matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) {
            return;
        }
        self.reserve = None;
        while let Ok(Ok((socket, peer))) = timeout(Duration::ZERO, listener.accept()).await {
            drop(socket);
            self.refuse(Refusal::NoDescriptor, Some(peer));
        }
        self.reserve = reserve();
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}
