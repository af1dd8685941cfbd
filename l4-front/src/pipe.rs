//! Pipes for splice(2), from a per-worker pool: like a buffer, a full pipe is at work and an empty
//! one belongs to nobody.
//!
//! Invariant: bytes go only into an empty pipe. Hence `WouldBlock` from [`Pipe::fill`] means that
//! the source has nothing to read, never that the pipe is full, and a pipe in the pool is empty.

use std::cell::{Cell, RefCell};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};

/// What one pipe may hold. The kernel's default of 64 KiB costs a third more system calls; with
/// 1 MiB an unprivileged user's allowance (`pipe-user-pages-soft`, 64 MiB) ends at 64 pipes.
const CAPACITY: i32 = 256 * 1024;

/// Pipes that a worker keeps for reuse, two descriptors each.
const POOLED: usize = 32;

/// Pipes that a worker has at work at once: each may hold [`CAPACITY`] bytes for a slow reader.
const AT_WORK: usize = 512;

thread_local! {
    static POOL: RefCell<Vec<(PipeReader, PipeWriter)>> = const { RefCell::new(Vec::new()) };
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// A pipe that is at work.
pub(crate) struct Pipe {
    /// `None` only while it is dropped.
    ends: Option<(PipeReader, PipeWriter)>,
    held: usize,
}

impl Pipe {
    /// A pipe from the pool, or a new one; `None` if there are none to be had now.
    pub(crate) fn take() -> Option<Self> {
        if TAKEN.get() >= AT_WORK {
            return None;
        }
        let pooled = POOL.with_borrow_mut(Vec::pop);
        let ends = match pooled {
            Some(ends) => ends,
            None => new().ok()?,
        };
        TAKEN.set(TAKEN.get() + 1);
        Some(Self {
            ends: Some(ends),
            held: 0,
        })
    }

    /// True if there is nothing left to drain.
    pub(crate) const fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves what `from` has to read into the empty pipe; 0: it has ended.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing to read; every other error of splice(2) unchanged.
    pub(crate) fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        let Some((_, writer)) = &self.ends else {
            return Ok(0);
        };
        let count = splice(
            from,
            None,
            writer,
            None,
            CAPACITY.unsigned_abs() as usize,
            flags(),
        )?;
        self.held += count;
        Ok(count)
    }

    /// Moves what the pipe holds to `to`; gives how much it took.
    ///
    /// # Errors
    /// `WouldBlock` if `to` takes nothing now; every other error of splice(2) unchanged.
    pub(crate) fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let Some((reader, _)) = &self.ends else {
            return Ok(0);
        };
        let count = splice(reader, None, to, None, self.held, flags())?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.held = self.held.saturating_sub(count);
        Ok(count)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = TAKEN.try_with(|taken| taken.set(taken.get().saturating_sub(1)));
        // With a residue it would give one connection's bytes to another.
        if let Some(ends) = self.ends.take().filter(|_| self.held == 0) {
            // At the thread's end the pool may be gone already; then the pipe is simply closed.
            let _ = POOL.try_with(|pool| {
                let mut pool = pool.borrow_mut();
                if pool.len() < POOLED {
                    pool.push(ends);
                }
            });
        }
    }
}

fn new() -> io::Result<(PipeReader, PipeWriter)> {
    let ends = io::pipe()?;
    // A smaller pipe works as well, with more system calls.
    let _ = fcntl(&ends.1, FcntlArg::F_SETPIPE_SZ(CAPACITY));
    Ok(ends)
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Pipes of this thread: at work, and waiting for work.
    pub(crate) fn count() -> (usize, usize) {
        (TAKEN.get(), POOL.with_borrow(Vec::len))
    }

    fn sockets() -> (UnixStream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        (near, far)
    }

    #[test]
    fn bytes_go_through_and_the_pipe_goes_back() {
        let ((from, mut source), (to, mut sink)) = (sockets(), sockets());
        let mut pipe = Pipe::take().unwrap();
        let nothing = pipe.fill(&from).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        source.write_all(b"some bytes").unwrap();
        assert_eq!(pipe.fill(&from).unwrap(), 10);
        assert_eq!(pipe.drain(&to).unwrap(), 10);
        let mut got = [0; 10];
        sink.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"some bytes");
        assert!(pipe.is_empty());
        drop(source);
        assert_eq!(pipe.fill(&from).unwrap(), 0, "the end");
        assert_eq!(count(), (1, 0));
        drop(pipe);
        assert_eq!(count(), (0, 1));
        let again = Pipe::take().unwrap();
        assert_eq!(count(), (1, 0));
        drop(again);
    }

    #[test]
    fn a_pipe_with_a_residue_is_not_reused() {
        let (from, mut source) = sockets();
        source.write_all(b"secret").unwrap();
        let mut pipe = Pipe::take().unwrap();
        pipe.fill(&from).unwrap();
        drop(pipe);
        assert_eq!(count(), (0, 0));
    }

    #[test]
    fn pipes_at_work_are_bounded() {
        let pipes: Vec<_> = (0..AT_WORK).map_while(|_| Pipe::take()).collect();
        assert_eq!(pipes.len(), AT_WORK);
        assert!(Pipe::take().is_none());
        drop(pipes);
        assert_eq!(count(), (0, POOLED));
    }
}
