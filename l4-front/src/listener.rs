//! The accept loop: one per listener and worker, each with its own socket, so that the kernel
//! spreads the connections.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep, timeout};

use crate::admission::Refusal;
use crate::connection;
use crate::drain::Drain;
use crate::metrics::Ended;
use crate::shared::Shared;
use crate::spread::{Accepted, Workers};
use crate::throttle::Throttle;

/// After a failed accept(2): out of descriptors or memory does not get better by asking again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One listening socket of one worker.
pub(crate) struct Acceptor {
    /// What the present configuration makes of the listener.
    slot: Arc<ArcSwap<Shared>>,
    drain: Drain,
    /// Ends when the listener has left the configuration.
    removal: Drain,
    /// Each connection's task holds a clone.
    alive: mpsc::Sender<()>,
    workers: Workers,
    reserve: Option<File>,
    errors: Throttle,
    refusals: Throttle,
}

impl Acceptor {
    pub(crate) fn new(
        slot: Arc<ArcSwap<Shared>>,
        drain: Drain,
        removal: Drain,
        reserve: Option<File>,
        alive: mpsc::Sender<()>,
        workers: Workers,
    ) -> Self {
        Self {
            slot,
            drain,
            removal,
            alive,
            workers,
            reserve,
            errors: Throttle::default(),
            refusals: Throttle::default(),
        }
    }

    /// Accepts until the drain begins or the listener is removed, then takes what the kernel has
    /// queued and closes the socket. What is handed over is left as it is.
    pub(crate) async fn run(mut self, listener: TcpListener) {
        let (mut drain, mut removal) = (self.drain.clone(), self.removal.clone());
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.begun() => break,
                () = removal.begun() => break,
            };
            match accepted {
                Ok((socket, peer)) => self.admit(socket, peer),
                Err(error) => {
                    self.failed(&listener, &error).await;
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        if drain.is_handed_over() && removal.is_running() {
            return;
        }
        // These clients have a connection already; closing the socket would reset them.
        for _queued in 0..self.slot.load().listener.tcp.backlog {
            // Unconstrained, or the runtime would have it wait after some of them.
            let next = timeout(Duration::ZERO, unconstrained(listener.accept()));
            let Ok(Ok((socket, peer))) = next.await else {
                break;
            };
            self.admit(socket, peer);
        }
    }

    fn admit(&mut self, socket: TcpStream, peer: SocketAddr) {
        let shared = self.slot.load_full();
        let admitted = shared.admit().and_then(|active| {
            let arrival = shared.admission.arrive(peer.ip(), Instant::now())?;
            Ok((active, arrival))
        });
        let (active, arrival) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return self.refuse(refusal, Some(peer)),
        };
        shared.metrics.accepted.get_or_create(&shared.labels).inc();
        shared.listener.tcp.accepted.apply(&socket);
        let other = self.workers.less_loaded();
        let accepted = Accepted {
            socket,
            peer,
            arrival,
            active,
            load: self.workers.load(other),
            shared: Arc::clone(&shared),
        };
        let Some(worker) = other else {
            return start(accepted, &self.drain, &self.alive);
        };
        // A socket that cannot be taken out of this worker's runtime is of no use to any.
        let Ok(accepted) = accepted.try_map(TcpStream::into_std) else {
            return;
        };
        match self.workers.hand_over(worker, accepted) {
            Ok(()) => {
                let handed_over = &shared.metrics.handed_over;
                handed_over.get_or_create(&shared.labels).inc();
            }
            Err(mut accepted) => {
                accepted.load = self.workers.load(None);
                take(accepted, &self.drain, &self.alive);
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal, peer: Option<SocketAddr>) {
        let shared = self.slot.load();
        let labels = Ended {
            listener: shared.labels.listener.clone(),
            termination: refusal.label(),
        };
        shared.metrics.refused.get_or_create(&labels).inc();
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
        let shared = self.slot.load_full();
        let metrics = &shared.metrics;
        metrics.accept_errors.get_or_create(&shared.labels).inc();
        if let Some(unsaid) = self.errors.pass(Instant::now()) {
            let listener = &shared.labels.listener;
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

/// Takes what other workers hand over, until none of them accepts any more.
pub(crate) async fn take_over(
    mut queue: mpsc::Receiver<Accepted>,
    drain: Drain,
    alive: mpsc::Sender<()>,
) {
    while let Some(accepted) = queue.recv().await {
        take(accepted, &drain, &alive);
    }
}

/// Takes a socket into the runtime of the worker that this is called on.
fn take(accepted: Accepted, drain: &Drain, alive: &mpsc::Sender<()>) {
    match accepted.try_map(TcpStream::from_std) {
        Ok(accepted) => start(accepted, drain, alive),
        Err(error) => tracing::error!(%error, "a connection could not be started"),
    }
}

/// Serves a connection on the worker that this is called on.
fn start(accepted: Accepted<TcpStream>, drain: &Drain, alive: &mpsc::Sender<()>) {
    let (drain, alive) = (drain.clone(), alive.clone());
    tokio::spawn(async move {
        let Accepted {
            socket,
            peer,
            arrival,
            active,
            load,
            shared,
        } = accepted;
        connection::serve(socket, peer, arrival, &shared, drain).await;
        drop((active, load));
        drop(alive);
    });
}

/// A descriptor for the day when there are none left. The first one is taken with the socket, before
/// the process says that it is ready: what it then has open is what it has open at rest.
pub(crate) fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}
