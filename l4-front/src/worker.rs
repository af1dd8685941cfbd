//! The threads that relay: each with its own runtime, its own listening sockets, and the orders it
//! gets.

use std::fs::File;
use std::io;
use std::net::TcpListener as Socket;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::drain::Drain;
use crate::listener::{Acceptor, take_over};
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::spread::{Accepted, Workers};

/// Orders that may wait: one reload brings one for each new listener.
const ORDERS: usize = 64;

/// A socket that a worker is to accept from.
pub(crate) struct Order {
    pub(crate) socket: Socket,
    pub(crate) slot: Arc<ArcSwap<Shared>>,
    /// Ends the accepting; connections live on.
    pub(crate) removal: Drain,
    /// See [`crate::listener::reserve`].
    pub(crate) reserve: Option<File>,
}

/// What a worker is told.
enum Word {
    Listen(Order),
    /// Answer, as soon as it is your turn.
    Answer(oneshot::Sender<()>),
}

/// All workers, as the control thread sees them.
pub(crate) struct Crew {
    orders: Vec<mpsc::Sender<Word>>,
    threads: Vec<JoinHandle<()>>,
    pinned: bool,
}

impl Crew {
    /// `count` workers; each holds a clone of `alive` for as long as it has connections.
    ///
    /// # Errors
    /// If there are no threads to be had.
    pub(crate) fn start(
        count: usize,
        pinned: bool,
        metrics: &Metrics,
        drain: &Drain,
        alive: &mpsc::Sender<()>,
    ) -> io::Result<Self> {
        let (mut all, mut threads) = (Vec::new(), Vec::new());
        let views = Workers::new(count, metrics);
        for (number, (workers, queue)) in views.into_iter().enumerate() {
            let runtime = runtime()?;
            let (sender, orders) = mpsc::channel(ORDERS);
            let work = Work {
                orders,
                workers,
                queue,
                drain: drain.clone(),
            };
            let alive = alive.clone();
            let thread = thread::Builder::new().name(format!("worker-{number}"));
            threads.push(thread.spawn(move || {
                if pinned && let Err(error) = pin(number) {
                    tracing::warn!(number, %error, "pin_workers: a worker is not pinned");
                }
                runtime.block_on(work.run());
                drop(alive);
            })?);
            all.push(sender);
        }
        Ok(Self {
            orders: all,
            threads,
            pinned,
        })
    }

    pub(crate) const fn size(&self) -> usize {
        self.orders.len()
    }

    pub(crate) const fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Orders, each with the number of the worker that it is for.
    pub(crate) async fn give(&self, orders: Vec<(usize, Order)>) {
        for (worker, order) in orders {
            let given = match self.orders.get(worker) {
                Some(worker) => worker.send(Word::Listen(order)).await.is_ok(),
                None => false,
            };
            if !given {
                tracing::error!("a worker takes no more orders");
            }
        }
    }

    /// Whom to ask whether the workers make progress. It keeps none of them from its end.
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse(self.orders.iter().map(mpsc::Sender::downgrade).collect())
    }

    /// No more orders: each thread ends with its last connection.
    pub(crate) fn dismiss(self) -> Vec<JoinHandle<()>> {
        self.threads
    }
}

/// See [`Crew::pulse`].
pub(crate) struct Pulse(Vec<mpsc::WeakSender<Word>>);

impl Pulse {
    /// Asks every worker and waits for the answers, which come when a worker has done what it is at:
    /// from one that hangs, never. False if there are no workers any more.
    pub(crate) async fn beat(&self) -> bool {
        let mut answers = Vec::new();
        for worker in &self.0 {
            let Some(worker) = worker.upgrade() else {
                return false;
            };
            let (asker, answer) = oneshot::channel();
            if worker.send(Word::Answer(asker)).await.is_err() {
                return false;
            }
            answers.push(answer);
        }
        for answer in answers {
            if answer.await.is_err() {
                return false;
            }
        }
        true
    }
}

/// What one worker does.
struct Work {
    orders: mpsc::Receiver<Word>,
    workers: Workers,
    queue: mpsc::Receiver<Accepted>,
    drain: Drain,
}

impl Work {
    async fn run(mut self) {
        let (task, mut tasks) = mpsc::channel(1);
        tokio::spawn(take_over(self.queue, self.drain.clone(), task.clone()));
        while let Some(word) = self.orders.recv().await {
            let Order {
                socket,
                slot,
                removal,
                reserve,
            } = match word {
                Word::Listen(order) => order,
                Word::Answer(asker) => {
                    // Who no longer waits has given this worker up.
                    let _ = asker.send(());
                    continue;
                }
            };
            match TcpListener::from_std(socket) {
                Ok(socket) => {
                    let (drain, task) = (self.drain.clone(), task.clone());
                    let workers = self.workers.clone();
                    let acceptor = Acceptor::new(slot, drain, removal, reserve, task, workers);
                    tokio::spawn(acceptor.run(socket));
                }
                Err(error) => tracing::error!(%error, "a listener could not be started"),
            }
        }
        // Its queue ends when no acceptor of any worker is left.
        drop(self.workers);
        drop(task);
        // Nothing is ever sent: this ends when the last task has dropped its end.
        let _ = tasks.recv().await;
    }
}

/// Keeps this thread on one of the processors that the process may use.
fn pin(number: usize) -> nix::Result<()> {
    let me = Pid::from_raw(0);
    let allowed = sched_getaffinity(me)?;
    let mut processors = Vec::new();
    for processor in 0..CpuSet::count() {
        if allowed.is_set(processor)? {
            processors.push(processor);
        }
    }
    let turn = number.checked_rem(processors.len()).unwrap_or_default();
    let mut one = CpuSet::new();
    one.set(processors.get(turn).copied().unwrap_or_default())?;
    sched_setaffinity(me, &one)
}

/// A runtime for one thread.
///
/// # Errors
/// If the system has no event queue left.
pub(crate) fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::drain::DrainTrigger;

    #[tokio::test]
    async fn workers_that_work_answer_until_they_are_dismissed() {
        let (_trigger, drain) = DrainTrigger::new();
        let (alive, mut all_done) = mpsc::channel(1);
        let crew = Crew::start(3, false, &Metrics::default(), &drain, &alive).unwrap();
        drop(alive);
        let pulse = crew.pulse();
        assert!(pulse.beat().await && pulse.beat().await);
        let threads = crew.dismiss();
        assert!(!pulse.beat().await, "they are not kept from their end");
        assert!(all_done.recv().await.is_none());
        assert!(threads.into_iter().all(|thread| thread.join().is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_missed() {
        let (works, mut words) = mpsc::channel(1);
        let (hangs, _unread) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(Word::Answer(asker)) = words.recv().await {
                let _ = asker.send(());
            }
        });
        let first = Pulse(vec![works.downgrade()]);
        assert!(first.beat().await);
        let both = Pulse(vec![works.downgrade(), hangs.downgrade()]);
        assert!(timeout(Duration::from_secs(1), both.beat()).await.is_err());
    }
}
