//! Requests of one kind, one after the other on a few connections, while something else happens.
//! What became of each is counted by its status, so that a test can say what may have come and what
//! not.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::{
    deadline::eventually,
    dialer::Dialer,
    error::HarnessError,
    http::{Ask, Exchange},
};

/// Goes on until [`Load::end`].
#[derive(Debug)]
pub struct Load {
    seen: Arc<Mutex<Tally>>,
    ends: Arc<AtomicBool>,
    connections: Vec<JoinHandle<()>>,
}

/// How often each status came; a request that got none stands under what its connection met.
pub type Tally = BTreeMap<String, usize>;

impl Load {
    /// Starts it.
    #[must_use]
    pub fn start(dialer: &Dialer, ask: impl Fn() -> Ask + Clone + Send + Sync + 'static) -> Self {
        let (seen, ends) = (Arc::default(), Arc::default());
        let connection = |_number| {
            let (dialer, ask) = (dialer.clone(), ask.clone());
            tokio::spawn(run(dialer, ask, Arc::clone(&seen), Arc::clone(&ends)))
        };
        Self {
            connections: (0..CONNECTIONS).map(connection).collect(),
            seen,
            ends,
        }
    }

    /// Waits until so many more requests have ended with this status, or a connection has broken
    /// off: that stands in the tally then.
    ///
    /// # Errors
    /// [`HarnessError::Deadline`] with what came instead.
    pub async fn goes_on(&self, more: usize, status: &str) -> Result<(), HarnessError> {
        let so_far = || locked(&self.seen).get(status).copied().unwrap_or(0);
        let wanted = so_far() + more;
        let waited = eventually("", LIMIT, async || {
            let is_broken = self.connections.iter().any(JoinHandle::is_finished);
            (is_broken || so_far() >= wanted).then_some(())
        })
        .await;
        waited.map_err(|_late| HarnessError::Deadline {
            what: format!("{more} more requests that end with {status}"),
            within: LIMIT,
            log_tail: format!("{:?}", locked(&self.seen)),
        })
    }

    /// Ends it when the requests under way have ended, and says what became of all of them.
    pub async fn end(self) -> Tally {
        self.ends.store(true, Ordering::SeqCst);
        for connection in self.connections {
            let _panicked = connection.await;
        }
        locked(&self.seen).clone()
    }
}

/// A connection that breaks off is the last of its task: what a test forbids need not come twice.
async fn run(
    dialer: Dialer,
    ask: impl Fn() -> Ask,
    seen: Arc<Mutex<Tally>>,
    ends: Arc<AtomicBool>,
) {
    let count = |what: String| *locked(&seen).entry(what).or_default() += 1;
    while !ends.load(Ordering::SeqCst) {
        let mut exchange = match Exchange::open(&dialer).await {
            Ok(exchange) => exchange,
            Err(error) => return count(error.chain()),
        };
        for _request in 0..REQUESTS {
            match exchange.send(ask()).await {
                Ok(reply) => count(reply.status.as_str().to_owned()),
                Err(error) => return count(error.chain()),
            }
        }
    }
}

fn locked(seen: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At the same time, each with one request at a time.
pub const CONNECTIONS: usize = 2;

/// On a connection, before it is opened anew.
const REQUESTS: usize = 20;

const LIMIT: Duration = Duration::from_secs(60);
