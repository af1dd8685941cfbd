//! Bytes from one socket to the other and back without looking at them: for connections whose TLS
//! ends at the endpoint.
//!
//! Each direction climbs a ladder by itself: it copies through a pooled buffer until it has proven
//! to be more than a short exchange, then the kernel moves the bytes through a pooled pipe
//! (splice(2)), which costs more per connection and less per byte. Where the kernel refuses that,
//! it copies for good. A direction with nothing to move holds neither buffer nor pipe.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::watch::{Deadlines, Watch};
use super::{End, Side, Source, Traffic};
use crate::buffer::{Buffer, READ_MAX};
use crate::pipe::Pipe;

/// A direction that has moved this much is worth a pipe: below it, two copies cost less than the
/// system calls around one.
const SPLICE_AFTER_BYTES: u64 = 64 * 1024;

/// And one that still moves bytes at this age: slow streams gain by holding no buffer.
const SPLICE_AFTER: Duration = Duration::from_secs(5);

/// How often one connection moves bytes before the worker's others get their turn.
const ROUNDS: u32 = 16;

/// Relays until the end. `first` is what goes to the upstream before anything else. `traffic` is
/// kept up to date, so that it is true even if the future is dropped half-way.
pub(crate) async fn relay(
    downstream: TcpStream,
    upstream: TcpStream,
    first: Buffer,
    deadlines: Deadlines,
    traffic: &mut Traffic,
) -> End {
    let mut up = Direction::new(Side::Downstream, Cargo::Buffer(first));
    let mut down = Direction::new(Side::Upstream, Cargo::None);
    let timer = sleep_until(Instant::now());
    tokio::pin!(timer);
    let mut watch = Watch::new(deadlines, timer.as_mut());
    let end = poll_fn(|cx| {
        for round in 0.. {
            if round == ROUNDS {
                cx.waker().wake_by_ref();
                break;
            }
            let spliced = &mut traffic.spliced;
            let moved_up = up.poll(cx, &downstream, &upstream, &mut traffic.up, spliced);
            let moved_down = down.poll(cx, &upstream, &downstream, &mut traffic.down, spliced);
            // A socket that failed can neither be read nor written.
            if up.source == Source::Lost || down.source == Source::Lost {
                return Poll::Ready(None);
            }
            match (up.finished, down.finished) {
                (true, true) => return Poll::Ready(None),
                (true, false) | (false, true) => watch.half_closed(),
                (false, false) => {}
            }
            let moved = moved_up.max(moved_down);
            if moved == Moved::Nothing {
                break;
            }
            watch.moved();
            if moved == Moved::ByPipe {
                pause(cx);
                break;
            }
        }
        // Also for a connection that always has something to move.
        watch.poll(cx).map(Some)
    })
    .await;
    if let Some(expired) = end {
        return End::Expired(expired);
    }
    match up.cut.or(down.cut) {
        None => End::Closed,
        Some((by, error)) => {
            // A reset is carried across as one: the other side must not take it for an end.
            for socket in [&downstream, &upstream] {
                let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            }
            End::Cut {
                by,
                error: Some(error.into()),
            }
        }
    }
}

/// What was read and is not yet with the kernel on the other side.
enum Cargo {
    None,
    Buffer(Buffer),
    Pipe(Pipe),
}

/// What one turn of a direction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moved {
    /// The task will be woken when there is something to do.
    Nothing,
    /// More may be possible.
    Something,
    /// The same, and the kernel moved it.
    ByPipe,
}

struct Direction {
    from: Side,
    cargo: Cargo,
    /// The source said that it ends, or failed.
    source: Source,
    /// The sink has been told.
    finished: bool,
    /// Whose socket failed first, and how.
    cut: Option<(Side, io::Error)>,
    start: Instant,
    moved: u64,
    /// The kernel cannot splice these sockets.
    copies: bool,
}

impl Direction {
    fn new(from: Side, cargo: Cargo) -> Self {
        Self {
            from,
            cargo,
            source: Source::Open,
            finished: false,
            cut: None,
            start: Instant::now(),
            moved: 0,
            copies: false,
        }
    }

    /// Moves what can be moved now.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        to: &TcpStream,
        count: &mut u64,
        spliced: &mut u64,
    ) -> Moved {
        if self.finished || self.source == Source::Lost {
            return Moved::Nothing;
        }
        if self.unload(cx, to).is_pending() {
            return Moved::Nothing;
        }
        if self.finished {
            return Moved::Something;
        }
        if self.source == Source::Ended {
            // A socket that is gone already needs no end.
            let _ = SockRef::from(to).shutdown(std::net::Shutdown::Write);
            self.finished = true;
            return Moved::Something;
        }
        match self.poll_load(cx, from) {
            Poll::Pending => return Moved::Nothing,
            Poll::Ready(Ok(0)) => self.source = Source::Ended,
            Poll::Ready(Ok(bytes)) => {
                let bytes = bytes as u64;
                self.moved += bytes;
                *count += bytes;
                let by_pipe = matches!(self.cargo, Cargo::Pipe(_));
                if by_pipe {
                    *spliced += bytes;
                }
                // In the same turn: after a pause it would be later, and out of the caches. Where
                // the sink has no room, the task is woken when it has: a pause would be one more.
                if self.unload(cx, to).is_ready() && by_pipe {
                    return Moved::ByPipe;
                }
            }
            Poll::Ready(Err(error)) => {
                self.cut = Some((self.from, error));
                self.source = Source::Lost;
            }
        }
        Moved::Something
    }

    /// Ready when all that was read is with the kernel, or never will be: the direction is finished.
    fn unload(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<()> {
        if let Err(error) = ready!(self.poll_unload(cx, to)) {
            // There is nowhere to send to, though the sink may still have something to say.
            self.cut = Some((self.from.other(), error));
            self.cargo = Cargo::None;
            self.finished = true;
        }
        Poll::Ready(())
    }

    /// Ready when all that was read is with the kernel.
    fn poll_unload(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<()>> {
        loop {
            let result = match &mut self.cargo {
                Cargo::None => return Poll::Ready(Ok(())),
                Cargo::Buffer(buffer) if buffer.is_empty() => {
                    self.cargo = Cargo::None;
                    continue;
                }
                Cargo::Pipe(pipe) if pipe.is_empty() => {
                    self.cargo = Cargo::None;
                    continue;
                }
                Cargo::Buffer(buffer) => match to.try_write(buffer.filled()) {
                    Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => {
                        buffer.consume(count);
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Cargo::Pipe(pipe) => to
                    .try_io(Interest::WRITABLE, || pipe.drain(to))
                    .map(|_count| ()),
            };
            match result {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(to.poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Reads once, into a pipe or into a buffer; 0: the source has ended.
    fn poll_load(&mut self, cx: &mut Context<'_>, from: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            let result = match self.pipe() {
                Some(mut pipe) => match from.try_io(Interest::READABLE, || pipe.fill(from)) {
                    Ok(count) => {
                        self.cargo = Cargo::Pipe(pipe);
                        Ok(count)
                    }
                    Err(error) if cannot_splice(&error) => {
                        self.copies = true;
                        continue;
                    }
                    Err(error) => Err(error),
                },
                None => {
                    let mut buffer = Buffer::default();
                    let room = buffer.space();
                    let room = room.len().min(READ_MAX);
                    match from.try_read(&mut buffer.space()[..room]) {
                        Ok(count) => {
                            buffer.fill(count);
                            self.cargo = Cargo::Buffer(buffer);
                            Ok(count)
                        }
                        Err(error) => {
                            buffer.release_if_empty();
                            Err(error)
                        }
                    }
                }
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(from.poll_read_ready(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// A pipe, if this direction is worth one now.
    fn pipe(&self) -> Option<Pipe> {
        let proven = !self.copies
            && self.moved > 0
            && (self.moved >= SPLICE_AFTER_BYTES || self.start.elapsed() >= SPLICE_AFTER);
        proven.then(Pipe::take).flatten()
    }
}

/// Has the task woken once the event queue was looked at: the worker's other connections get their
/// turn, and the more the kernel has collected by then, the fewer system calls move it.
fn pause(cx: &mut Context<'_>) {
    let _pending = pin!(yield_now()).poll(cx);
}

/// These say that splice(2) is not for these sockets or not for this process: a filter of system
/// calls may forbid it. The pipe was empty, so nothing is lost.
fn cannot_splice(error: &io::Error) -> bool {
    use nix::libc::{EINVAL, ENOSYS, EPERM};
    matches!(error.raw_os_error(), Some(EINVAL | ENOSYS | EPERM))
}

#[cfg(test)]
mod tests;
