//! When a relayed connection must end though neither side ends it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A connection past its age ends when nothing was moved for this long: the least harmful moment
/// that can be told from outside.
const QUIET: Duration = Duration::from_secs(1);

/// How long past its age a connection may stay that is never quiet.
const GRACE: Duration = Duration::from_secs(30);

/// What one connection is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// Without a byte in either direction.
    pub(crate) idle: Duration,
    /// The same once one direction has ended.
    pub(crate) half_closed: Duration,
    /// When the connection is too old.
    pub(crate) age: Option<Instant>,
}

/// Which deadline is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    Idle,
    HalfClosed,
    /// Too old, and quiet just now or not even that.
    Aged {
        quiet: bool,
    },
}

/// Watches the deadlines with one timer, which is set anew only when it fires.
pub(super) struct Watch<'a> {
    deadlines: Deadlines,
    timer: Pin<&'a mut Sleep>,
    last_moved: Instant,
    half_closed: Option<Instant>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(deadlines: Deadlines, timer: Pin<&'a mut Sleep>) -> Self {
        let mut watch = Self {
            deadlines,
            timer,
            last_moved: Instant::now(),
            half_closed: None,
        };
        watch.reset();
        watch
    }

    /// Something was relayed.
    pub(super) fn moved(&mut self) {
        self.last_moved = Instant::now();
    }

    /// One direction has ended, the other has not.
    pub(super) fn half_closed(&mut self) {
        if self.half_closed.is_none() {
            self.half_closed = Some(Instant::now());
            self.reset();
        }
    }

    /// Ready when a deadline is over; must be polled again whenever the task runs.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let (at, what) = self.next();
            if at <= Instant::now() {
                return Poll::Ready(what);
            }
            self.timer.as_mut().reset(at);
        }
        Poll::Pending
    }

    fn reset(&mut self) {
        let (at, _what) = self.next();
        self.timer.as_mut().reset(at);
    }

    fn next(&self) -> (Instant, Expired) {
        let Deadlines {
            idle,
            half_closed,
            age,
        } = self.deadlines;
        let mut next = (self.last_moved + idle, Expired::Idle);
        if let Some(since) = self.half_closed {
            let end = since.max(self.last_moved) + half_closed;
            if end < next.0 {
                next = (end, Expired::HalfClosed);
            }
        }
        if let Some(age) = age {
            let (calm, last) = (age.max(self.last_moved + QUIET), age + GRACE);
            let quiet = calm <= last;
            let end = calm.min(last);
            if end < next.0 {
                next = (end, Expired::Aged { quiet });
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, sleep_until};

    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// Which deadline is over, and after how many seconds, if a byte moves at these seconds and one
    /// direction ends at that one.
    async fn over(deadlines: Deadlines, moves: &[u32], half_closed: Option<u32>) -> (u32, Expired) {
        let start = Instant::now();
        let timer = sleep_until(start);
        tokio::pin!(timer);
        let mut watch = Watch::new(deadlines, timer.as_mut());
        for second in 0..1000 {
            if moves.contains(&second) {
                watch.moved();
            }
            if half_closed == Some(second) {
                watch.half_closed();
            }
            let polled = poll_fn(|cx| Poll::Ready(watch.poll(cx))).await;
            if let Poll::Ready(what) = polled {
                return (second, what);
            }
            advance(S).await;
        }
        unreachable!("no deadline is over");
    }

    fn deadlines(age: Option<u32>) -> Deadlines {
        Deadlines {
            idle: 100 * S,
            half_closed: 20 * S,
            age: age.map(|age| Instant::now() + age * S),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection_and_bytes_put_it_off() {
        assert_eq!(over(deadlines(None), &[], None).await, (100, Expired::Idle));
        assert_eq!(
            over(deadlines(None), &[70], None).await,
            (170, Expired::Idle)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn half_closed_connections_have_less_time() {
        let after = over(deadlines(None), &[], Some(10)).await;
        assert_eq!(after, (30, Expired::HalfClosed));
        let after = over(deadlines(None), &[25], Some(10)).await;
        assert_eq!(after, (45, Expired::HalfClosed));
        let after = over(deadlines(None), &[], Some(90)).await;
        assert_eq!(after, (100, Expired::Idle), "never more time than before");
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_connection_ends_at_a_quiet_moment_or_after_the_grace() {
        let quiet = Expired::Aged { quiet: true };
        assert_eq!(over(deadlines(Some(50)), &[], None).await, (50, quiet));
        let moves = [50, 51, 52];
        assert_eq!(over(deadlines(Some(50)), &moves, None).await, (53, quiet));
        let always: Vec<u32> = (0..200).collect();
        assert_eq!(
            over(deadlines(Some(50)), &always, None).await,
            (80, Expired::Aged { quiet: false })
        );
    }
}
