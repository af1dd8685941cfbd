//! One listener at work, and who accepts from its sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::{Fingerprint, Listener};
use crate::drain::{DrainTrigger, Phase};
use crate::listener::reserve;
use crate::shared::{Shared, Surroundings};
use crate::worker::Order;

/// A listener at work.
pub(super) struct Serving {
    pub(super) bind: SocketAddr,
    fingerprint: Fingerprint,
    pub(super) slot: Arc<ArcSwap<Shared>>,
    removal: DrainTrigger,
    /// The workers have copies of these.
    pub(super) sockets: Vec<TcpListener>,
}

impl Serving {
    pub(super) fn start(
        listener: Arc<Listener>,
        fingerprint: Fingerprint,
        around: &Surroundings,
        sockets: Sockets,
    ) -> (Self, Vec<(usize, Order)>) {
        let bind = listener.bind;
        tracing::info!(name = listener.name, address = %bind, "listening");
        for socket in sockets.kept.iter().filter(|_socket| sockets.foreign) {
            if let Err(error) = listener.tcp.set(socket) {
                tracing::warn!(name = listener.name, %error, "a TCP option stays as it was");
            }
        }
        let slot = Arc::new(ArcSwap::from_pointee(Shared::new(listener, around, None)));
        let (removal, removed) = DrainTrigger::new();
        let order = |(worker, socket)| {
            let order = Order {
                socket,
                slot: Arc::clone(&slot),
                removal: removed.clone(),
                reserve: reserve(),
            };
            (worker, order)
        };
        let orders = sockets.of_workers.into_iter().map(order).collect();
        let serving = Self {
            bind,
            fingerprint,
            slot,
            removal,
            sockets: sockets.kept,
        };
        (serving, orders)
    }

    /// On the same sockets. What is written as before, and read from the same certificates, is
    /// kept with its sessions and tickets.
    pub(super) fn go_on_as(
        self,
        listener: Arc<Listener>,
        fingerprint: Fingerprint,
        around: &Surroundings,
    ) -> Self {
        let before = self.slot.load_full();
        let listener = if fingerprint == self.fingerprint {
            Arc::clone(&before.listener)
        } else {
            tracing::info!(name = listener.name, address = %self.bind, "listener changed");
            listener
        };
        for socket in &self.sockets {
            if let Err(error) = listener.tcp.change(&before.listener.tcp, socket) {
                tracing::warn!(name = listener.name, %error, "a TCP option stays as it was");
            }
        }
        let after = Shared::new(listener, around, Some(&before));
        self.slot.store(Arc::new(after));
        Self {
            fingerprint,
            ..self
        }
    }

    /// Accepts no more; connections live on.
    pub(super) fn remove(self) {
        let name = &self.slot.load().labels.listener;
        tracing::info!(name, address = %self.bind, "no longer listening");
        // The workers' are the last then, and are closed when nothing waits in them.
        drop(self.sockets);
        self.removal.set(Phase::Draining);
    }
}

/// The sockets of one address.
pub(super) struct Sockets {
    kept: Vec<TcpListener>,
    /// Each with the worker that is to accept from it.
    of_workers: Vec<(usize, TcpListener)>,
    /// Bound by somebody else, with options of their own.
    foreign: bool,
}

impl Sockets {
    /// Every worker accepts from a socket, and every socket is accepted from: workers share those
    /// that are fewer than they, and take several where there are more.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub(super) fn share(
        sockets: Vec<TcpListener>,
        workers: usize,
        foreign: bool,
    ) -> io::Result<Self> {
        let turns = sockets.len().max(workers);
        let numbers = (0..workers).cycle().zip(sockets.iter().cycle()).take(turns);
        let of_workers = numbers.map(|(worker, socket)| Ok((worker, socket.try_clone()?)));
        Ok(Self {
            of_workers: of_workers.collect::<io::Result<_>>()?,
            kept: sockets,
            foreign,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::tcp::Listening;

    #[test]
    fn every_worker_and_every_socket_has_its_part() {
        for (count, workers) in [(1, 1), (2, 2), (1, 4), (3, 2), (5, 2), (2, 3)] {
            let first = Listening::PLAIN.bind("127.0.0.1:0".parse().unwrap());
            let mut sockets = vec![first.unwrap()];
            let address = sockets[0].local_addr().unwrap();
            sockets.resize_with(count, || Listening::PLAIN.bind(address).unwrap());
            let inode = |socket: &TcpListener| {
                let number = std::os::fd::AsRawFd::as_raw_fd(socket);
                std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap()
            };
            let all: HashSet<_> = sockets.iter().map(inode).collect();
            let shared = Sockets::share(sockets, workers, false).unwrap();
            let served: HashSet<_> = shared.of_workers.iter().map(|(_, it)| inode(it)).collect();
            let busy: HashSet<_> = shared
                .of_workers
                .iter()
                .map(|(worker, _)| *worker)
                .collect();
            assert_eq!(served, all, "{count} sockets, {workers} workers");
            assert_eq!(busy.len(), workers, "{count} sockets, {workers} workers");
        }
    }
}
