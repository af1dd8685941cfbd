//! Connections that wait until an endpoint has a place for them: bounded in number and in time.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::count::Count;

/// How long a queue may be, and how long one waits in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    pub(crate) length: usize,
    pub(crate) timeout: Duration,
}

/// Why a connection does not get a place by waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("every endpoint has all the connections it may have, and as many wait as may")]
    QueueFull,
    #[error("every endpoint has all the connections it may have, and none became free in time")]
    Timeout,
}

/// First come, first served.
///
/// No wake-up is lost: who waits is counted before it looks for a place, who gives a place back
/// does so before it looks whether anybody waits, and of the two one sees the other ([`Count`]).
#[derive(Debug)]
pub(crate) struct Queue {
    limits: QueueLimits,
    waiting: Count,
    free: Notify,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            waiting: Count::new(),
            free: Notify::new(),
        }
    }

    /// How many wait.
    pub(crate) fn length(&self) -> usize {
        self.waiting.now()
    }

    /// True if somebody waits, so that others must wait behind.
    pub(crate) fn is_used(&self) -> bool {
        self.length() > 0
    }

    /// Waits until `look` finds something.
    pub(crate) async fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> Result<T, Refused> {
        let waiting = Waiting::join(self).ok_or(Refused::QueueFull)?;
        let found = async {
            let mut turn = waiting.is_first;
            loop {
                let mut free = pin!(self.free.notified());
                free.as_mut().enable();
                if turn && let Some(found) = look() {
                    return found;
                }
                free.await;
                turn = true;
            }
        };
        timeout(self.limits.timeout, found)
            .await
            .map_err(|_elapsed| Refused::Timeout)
    }

    /// A place was given back.
    pub(crate) fn one_is_free(&self) {
        if self.is_used() {
            self.free.notify_one();
        }
    }

    /// The endpoints have changed: everybody looks again.
    pub(crate) fn all_changed(&self) {
        self.free.notify_waiters();
    }
}

/// Counts one who waits while held.
struct Waiting<'a> {
    queue: &'a Queue,
    is_first: bool,
}

impl<'a> Waiting<'a> {
    /// `None` if the queue is full.
    fn join(queue: &'a Queue) -> Option<Self> {
        let before = queue.waiting.join(queue.limits.length);
        before.map(|before| Self {
            queue,
            is_first: before == 0,
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.waiting.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::join;
    use tokio::task::yield_now;

    use super::*;

    fn queue(length: usize) -> Queue {
        Queue::new(QueueLimits {
            length,
            timeout: Duration::from_secs(5),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_first_is_served_first() {
        let (queue, places, served) = (queue(3), Cell::new(0), RefCell::new(Vec::new()));
        let customer = async |name| {
            let look = || (places.get() > 0).then(|| places.set(places.get() - 1));
            queue.wait(look).await.unwrap();
            served.borrow_mut().push(name);
        };
        let owner = async {
            for _place in 0..3 {
                yield_now().await;
                places.set(places.get() + 1);
                queue.one_is_free();
            }
        };
        join!(customer(1), customer(2), customer(3), owner);
        assert_eq!(*served.borrow(), [1, 2, 3]);
        assert_eq!(queue.length(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn length_and_time_are_bounded() {
        let queue = queue(1);
        let waiting = queue.wait(|| None::<()>);
        let refused = async {
            yield_now().await;
            queue.wait(|| Some(())).await
        };
        let (waited, refused) = join!(waiting, refused);
        assert_eq!(waited, Err(Refused::Timeout));
        assert_eq!(refused, Err(Refused::QueueFull));
        assert_eq!(queue.length(), 0, "both have left");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_its_turn_to_the_next() {
        let (queue, place) = (queue(2), Cell::new(None));
        let mut first = Box::pin(queue.wait(|| place.take()));
        let second = async {
            yield_now().await;
            queue.wait(|| place.take()).await
        };
        let owner = async {
            assert!(timeout(Duration::ZERO, &mut first).await.is_err());
            yield_now().await;
            place.set(Some(7));
            queue.one_is_free();
            drop(first);
        };
        let (served, ()) = join!(second, owner);
        assert_eq!(served, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_the_endpoints_wakes_everybody() {
        let (queue, changed) = (queue(2), Cell::new(false));
        let look = || changed.get().then_some(());
        let owner = async {
            yield_now().await;
            changed.set(true);
            queue.all_changed();
        };
        let (first, second, ()) = join!(queue.wait(look), queue.wait(look), owner);
        assert_eq!((first, second), (Ok(()), Ok(())));
    }
}
