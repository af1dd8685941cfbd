//! Which worker serves a connection.
//!
//! The kernel spreads connections over the workers' sockets by a hash: evenly on average, and far
//! from it for a few long ones. A worker that has clearly more than the least loaded hands what it
//! accepts over to that one, through a bounded queue that nobody waits for.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;

use crate::admission::Arrival;
use crate::metrics::{Metrics, OfWorker};
use crate::shared::{Active, Shared};

/// Connections on their way to one worker. It takes them as fast as it takes any event; a full
/// queue means that it is too busy to be given more.
const QUEUE: usize = 1024;

/// An accepted connection. On its way to another worker its socket belongs to no runtime.
pub(crate) struct Accepted<Socket = TcpStream> {
    pub(crate) socket: Socket,
    pub(crate) peer: SocketAddr,
    pub(crate) arrival: Arrival,
    pub(crate) active: Active,
    pub(crate) load: Load,
    pub(crate) shared: Arc<Shared>,
}

impl<Socket> Accepted<Socket> {
    /// The same with its socket made into something else.
    pub(crate) fn try_map<Other, E>(
        self,
        map: impl FnOnce(Socket) -> Result<Other, E>,
    ) -> Result<Accepted<Other>, E> {
        Ok(Accepted {
            socket: map(self.socket)?,
            peer: self.peer,
            arrival: self.arrival,
            active: self.active,
            load: self.load,
            shared: self.shared,
        })
    }
}

/// All workers, as one of them sees them.
#[derive(Clone)]
pub(crate) struct Workers {
    me: usize,
    all: Arc<[Worker]>,
}

struct Worker {
    connections: Arc<AtomicUsize>,
    gauge: Gauge,
    queue: mpsc::Sender<Accepted>,
}

/// Counts a connection of a worker while held.
#[must_use = "dropping it ends the count"]
pub(crate) struct Load {
    connections: Arc<AtomicUsize>,
    gauge: Gauge,
}

impl Workers {
    /// For each of `count` workers its view of all, and the queue that it must take from.
    pub(crate) fn new(count: usize, metrics: &Metrics) -> Vec<(Self, mpsc::Receiver<Accepted>)> {
        let (workers, queues): (Vec<_>, Vec<_>) = (0..count)
            .map(|worker| {
                let (sender, receiver) = mpsc::channel(QUEUE);
                let worker = Worker {
                    connections: Arc::default(),
                    gauge: metrics
                        .worker_connections
                        .get_or_create_owned(&OfWorker { worker }),
                    queue: sender,
                };
                (worker, receiver)
            })
            .unzip();
        let all: Arc<[Worker]> = workers.into();
        let view = |(me, queue)| {
            let all = Arc::clone(&all);
            (Self { me, all }, queue)
        };
        queues.into_iter().enumerate().map(view).collect()
    }

    /// Another worker that has clearly less to do than this one.
    pub(crate) fn less_loaded(&self) -> Option<usize> {
        let connections = |worker: &Worker| worker.connections.load(Ordering::Relaxed);
        let mine = self.all.get(self.me).map_or(0, connections);
        let (index, least) = self
            .all
            .iter()
            .map(connections)
            .enumerate()
            .min_by_key(|(_, connections)| *connections)?;
        clearly_more(mine, least).then_some(index)
    }

    /// Counts a connection of that worker, or of this one.
    pub(crate) fn load(&self, worker: Option<usize>) -> Load {
        let worker = self.all.get(worker.unwrap_or(self.me));
        let (connections, gauge) = worker.map_or_else(Default::default, |worker| {
            (Arc::clone(&worker.connections), worker.gauge.clone())
        });
        connections.fetch_add(1, Ordering::Relaxed);
        gauge.inc();
        Load { connections, gauge }
    }

    /// Hands a connection over; gives it back if that worker takes no more now.
    pub(crate) fn hand_over(&self, worker: usize, accepted: Accepted) -> Result<(), Accepted> {
        match self.all.get(worker) {
            None => Err(accepted),
            Some(worker) => worker
                .queue
                .try_send(accepted)
                .map_err(mpsc::error::TrySendError::into_inner),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}

/// A hand-over costs two wake-ups: it must be worth more than a difference of chance.
const fn clearly_more(mine: usize, least: usize) -> bool {
    mine > least + 1 + least / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_difference_is_evened_out() {
        for (mine, least, want) in [
            (0, 0, false),
            (1, 0, false),
            (2, 0, true),
            (5, 4, false),
            (6, 4, false),
            (7, 4, true),
            (125, 100, false),
            (127, 100, true),
        ] {
            assert_eq!(clearly_more(mine, least), want, "{mine} and {least}");
        }
    }

    #[test]
    fn the_least_loaded_is_found_and_loads_are_given_back() {
        let views = Workers::new(3, &Metrics::default());
        let [first, second, third] = [0, 1, 2].map(|index| &views[index].0);
        assert_eq!(first.less_loaded(), None);
        let mut loads: Vec<Load> = (0..4).map(|_| first.load(None)).collect();
        loads.push(second.load(None));
        assert_eq!(first.less_loaded(), Some(2));
        loads.push(first.load(Some(2)));
        loads.push(third.load(None));
        assert_eq!(first.less_loaded(), Some(1));
        assert_eq!(second.less_loaded(), None);
        loads.clear();
        assert_eq!(first.less_loaded(), None);
        let left = first
            .all
            .iter()
            .map(|worker| worker.gauge.get())
            .sum::<i64>();
        assert_eq!(left, 0);
    }
}
