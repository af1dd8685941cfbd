//! Bytes from one leg to the other and back, until both directions have ended.
//!
//! A direction reads only when everything read before is with the kernel on the other side: a slow
//! reader stops its sender and never grows memory. Half-close, close_notify and truncation are
//! carried across as they came; the relay never makes a clean end of one that was not.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::{Instant, sleep_until, timeout};

use self::watch::Watch;
pub(crate) use self::watch::{Deadlines, Expired};
use crate::leg::{Leg, LegError};
use crate::tls::session::{Opened, TlsError};

pub(crate) mod pass_through;
mod watch;

/// How long the downstream may take to read the last bytes while it still sends: closing a socket
/// with unread input makes the kernel reset the connection, and what it had still to send is lost.
const LINGER: Duration = Duration::from_secs(2);

/// How a relayed connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Both directions, each by close_notify.
    Closed,
    /// By the front: a deadline is over.
    Expired(Expired),
    /// A side went without close_notify: by FIN, or by a reset or another error of its socket.
    Cut { by: Side, error: Option<LegError> },
    /// A side broke the protocol.
    Broken { by: Side, error: LegError },
}

/// Which leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Downstream,
    Upstream,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Downstream => Self::Upstream,
            Self::Upstream => Self::Downstream,
        }
    }
}

/// Data relayed, in bytes; counted as it is sealed for the other side.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// Of both, what the kernel moved by splice(2).
    pub(crate) spliced: u64,
}

/// Relays until the end. `traffic` is kept up to date, so that it is true even if the future is
/// dropped half-way.
///
/// The legs are boxed: a future holds its arguments twice, and this one lives long.
pub(crate) async fn relay(
    mut downstream: Box<Leg>,
    mut upstream: Box<Leg>,
    deadlines: Deadlines,
    traffic: &mut Traffic,
) -> End {
    let mut up = Direction::new(Side::Downstream);
    let mut down = Direction::new(Side::Upstream);
    let early = up
        .relay_early(&mut downstream, &mut upstream, &mut traffic.up)
        .and_then(|()| down.relay_early(&mut upstream, &mut downstream, &mut traffic.down));
    if let Err(error) = early {
        return End::Broken {
            by: Side::Upstream,
            error: error.into(),
        };
    }

    let timer = sleep_until(Instant::now());
    tokio::pin!(timer);
    let mut watch = Watch::new(deadlines, timer.as_mut());
    let mut cut = None;
    let end = poll_fn(|cx| {
        let mut moved = false;
        loop {
            let moved_up = match up.poll(cx, &mut downstream, &mut upstream, &mut traffic.up) {
                Ok(moved) => moved,
                Err(error) => return Poll::Ready(Some(End::Broken { by: up.from, error })),
            };
            let moved_down = match down.poll(cx, &mut upstream, &mut downstream, &mut traffic.down)
            {
                Ok(moved) => moved,
                Err(error) => {
                    return Poll::Ready(Some(End::Broken {
                        by: down.from,
                        error,
                    }));
                }
            };
            cut = cut
                .take()
                .or_else(|| up.cut.take())
                .or_else(|| down.cut.take());
            // A socket that failed can neither be read nor written.
            if up.source == Source::Lost {
                down.state = State::Finished;
            }
            if down.source == Source::Lost {
                up.state = State::Finished;
            }
            match (up.state == State::Finished, down.state == State::Finished) {
                (true, true) => return Poll::Ready(None),
                (true, false) | (false, true) => watch.half_closed(),
                (false, false) => {}
            }
            if !moved_up && !moved_down {
                break;
            }
            moved = true;
        }
        if moved {
            watch.moved();
        }
        watch.poll(cx).map(|what| Some(End::Expired(what)))
    })
    .await;

    match end {
        None => {
            if up.source == Source::Open {
                linger(&mut downstream).await;
            }
            cut.unwrap_or(End::Closed)
        }
        Some(end) => {
            if matches!(end, End::Expired(Expired::Aged { quiet: true })) {
                up.close_if_all_is_said(&mut upstream);
                down.close_if_all_is_said(&mut downstream);
            }
            // An alert may be queued for the side that broke the protocol.
            let _ = timeout(LINGER, downstream.give_up()).await;
            let _ = timeout(LINGER, upstream.give_up()).await;
            if matches!(end, End::Expired(Expired::Aged { .. })) {
                linger(&mut downstream).await;
            }
            end
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Reading.
    Open,
    /// The source ended with close_notify: so must we.
    Close,
    /// Nothing more is read; what is sealed goes out, then the socket's sending side ends.
    Shut,
    /// Over.
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Open,
    /// It said that it ends, by close_notify or FIN.
    Ended,
    /// Its socket failed.
    Lost,
}

/// One direction of the relay.
struct Direction {
    from: Side,
    state: State,
    source: Source,
    /// The first thing that kept this direction from a clean end.
    cut: Option<End>,
}

impl Direction {
    const fn new(from: Side) -> Self {
        Self {
            from,
            state: State::Open,
            source: Source::Open,
            cut: None,
        }
    }

    /// What came along with the source's last handshake message goes first.
    fn relay_early(
        &mut self,
        from: &mut Leg,
        to: &mut Leg,
        count: &mut u64,
    ) -> Result<(), TlsError> {
        let (early, ended) = from.session.take_early();
        *count += early.len() as u64;
        if ended {
            self.end_cleanly();
        }
        to.session.seal(&early, &mut to.outgoing)
    }

    /// Moves what can be moved now; true if something was done, so that more may be possible. If
    /// it is false, the task will be woken.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Leg,
        to: &mut Leg,
        count: &mut u64,
    ) -> Result<bool, LegError> {
        if self.state == State::Finished {
            return Ok(false);
        }
        match to.poll_flush(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => {
                // There is nowhere to send to, though the sink may still have something to say.
                to.outgoing.clear();
                self.cut.get_or_insert(End::Cut {
                    by: self.from.other(),
                    error: Some(error.into()),
                });
                self.state = State::Finished;
                return Ok(true);
            }
        }
        match self.state {
            State::Open => match from.poll_receive(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(0)) => self.end_by_cut(Source::Ended, None),
                Poll::Ready(Ok(_)) => {
                    let Leg {
                        session, outgoing, ..
                    } = from;
                    let opened = session.open(outgoing, |data| {
                        *count += data.len() as u64;
                        to.session.seal(data, &mut to.outgoing)
                    })?;
                    if opened == Opened::PeerClosed {
                        self.end_cleanly();
                    }
                }
                Poll::Ready(Err(error @ LegError::Io(_))) => {
                    self.end_by_cut(Source::Lost, Some(error));
                }
                Poll::Ready(Err(error)) => return Err(error),
            },
            State::Close => {
                to.session.close(&mut to.outgoing)?;
                self.state = State::Shut;
            }
            State::Shut => {
                // A socket that is gone already needs no end.
                let _ = to.poll_shutdown(cx);
                self.state = State::Finished;
            }
            State::Finished => {}
        }
        Ok(true)
    }

    /// For an end that the front chooses. Where something may still be on its way, the end stays
    /// without close_notify: the peer must not take it for a whole message.
    fn close_if_all_is_said(&self, to: &mut Leg) {
        if self.state == State::Open && to.outgoing.is_empty() {
            // An exhausted session cannot say it; then the peer sees a truncation.
            let _ = to.session.close(&mut to.outgoing);
        }
    }

    fn end_cleanly(&mut self) {
        self.source = Source::Ended;
        self.state = State::Close;
    }

    fn end_by_cut(&mut self, source: Source, error: Option<LegError>) {
        self.cut.get_or_insert(End::Cut {
            by: self.from,
            error,
        });
        self.source = source;
        self.state = State::Shut;
    }
}

/// Reads and drops what the downstream still sends, until it ends or [`LINGER`] is over.
async fn linger(downstream: &mut Leg) {
    let drained = poll_fn(|cx| {
        // Of this call, not of the future: that one has room for it for as long as the relay lives.
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match tokio::io::AsyncRead::poll_read(
                std::pin::Pin::new(&mut downstream.socket),
                cx,
                &mut buf,
            ) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    });
    // Either way the connection is over.
    let _ = timeout(LINGER, drained).await;
}

#[cfg(test)]
mod tests;
