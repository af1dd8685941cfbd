//! Pipes for splice(2), from a per-worker pool: like a buffer, a full pipe is at work and an empty
//! one belongs to nobody.
//!
//! Invariant: bytes go only into an empty pipe. Hence `WouldBlock` from [`Pipe::fill`] means that
//! the source has nothing to read, never that the pipe is full, and a pipe in the pool is empty.

use std::cell::{Cell, RefCell};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};

/// What the first pipes of a worker may hold: what fits is moved by one system call.
const LARGE: usize = 1024 * 1024;

/// How many are large. An unprivileged user's allowance for all pipes of all workers is 64 MiB
/// (`pipe-user-pages-soft`).
const LARGE_PIPES: usize = 8;

/// What the others may hold.
const SMALL: usize = 256 * 1024;

/// A pipe that holds less than this is no gain over copying. Beyond the allowance the kernel makes
/// pipes of two pages, and lets none grow.
const LEAST: usize = 64 * 1024;

/// Pipes that a worker keeps for reuse, two descriptors each.
const POOLED: usize = 32;

/// Pipes that a worker has at work at once: each may hold [`SMALL`] bytes for a slow reader.
const AT_WORK: usize = 512;

thread_local! {
    static POOL: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
    static TAKEN: Cell<usize> = const { Cell::new(0) };
    static LARGE_ONES: Cell<usize> = const { Cell::new(0) };
}

struct Ends {
    reader: PipeReader,
    writer: PipeWriter,
    capacity: usize,
}

/// A pipe that is at work.
pub(crate) struct Pipe {
    /// `None` only while it is dropped.
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// A pipe from the pool, or a new one; `None` if there are none to be had now.
    pub(crate) fn take() -> Option<Self> {
        if TAKEN.get() >= AT_WORK {
            return None;
        }
        let pooled = POOL.with_borrow_mut(Vec::pop);
        let ends = pooled.or_else(Ends::new)?;
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
        let Some(ends) = &self.ends else {
            return Ok(0);
        };
        let count = splice(from, None, &ends.writer, None, ends.capacity, flags())?;
        self.held += count;
        Ok(count)
    }

    /// Moves what the pipe holds to `to`; gives how much it took.
    ///
    /// # Errors
    /// `WouldBlock` if `to` takes nothing now; every other error of splice(2) unchanged.
    pub(crate) fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let Some(ends) = &self.ends else {
            return Ok(0);
        };
        let count = splice(&ends.reader, None, to, None, self.held, flags())?;
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
                    // The large ones are taken first.
                    let place = if ends.is_large() { pool.len() } else { 0 };
                    pool.insert(place, ends);
                }
            });
        }
    }
}

impl Ends {
    /// A new pipe; `None` if there is none to be had, or only one that is no gain.
    fn new() -> Option<Self> {
        let (reader, writer) = io::pipe().ok()?;
        let wanted = if LARGE_ONES.get() < LARGE_PIPES {
            LARGE
        } else {
            SMALL
        };
        let capacity = [wanted, SMALL].into_iter().find_map(|size| {
            let size = i32::try_from(size).ok()?;
            fcntl(&writer, FcntlArg::F_SETPIPE_SZ(size)).ok()
        });
        // As it was made, if it cannot be changed.
        let capacity = capacity.or_else(|| fcntl(&writer, FcntlArg::F_GETPIPE_SZ).ok())?;
        let capacity = usize::try_from(capacity).ok()?;
        if capacity < LEAST {
            return None;
        }
        let ends = Self {
            reader,
            writer,
            capacity,
        };
        if ends.is_large() {
            LARGE_ONES.set(LARGE_ONES.get() + 1);
        }
        Some(ends)
    }

    const fn is_large(&self) -> bool {
        self.capacity >= LARGE
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        if self.is_large() {
            let _ = LARGE_ONES.try_with(|count| count.set(count.get().saturating_sub(1)));
        }
    }
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

    fn is_large(pipe: &Pipe) -> bool {
        pipe.ends.as_ref().is_some_and(Ends::is_large)
    }

    #[test]
    fn pipes_at_work_are_bounded() {
        let pipes: Vec<_> = (0..AT_WORK).map_while(|_| Pipe::take()).collect();
        assert_eq!(pipes.len(), AT_WORK);
        assert!(Pipe::take().is_none());
        drop(pipes);
        assert_eq!(count(), (0, POOLED));
    }

    #[test]
    fn the_first_pipes_are_large_and_taken_first_again() {
        let pipes: Vec<_> = (0..LARGE_PIPES * 2).map_while(|_| Pipe::take()).collect();
        let large = pipes.iter().filter(|pipe| is_large(pipe)).count();
        assert_eq!((pipes.len(), large), (LARGE_PIPES * 2, LARGE_PIPES));
        drop(pipes);
        let again: Vec<_> = (0..LARGE_PIPES).map_while(|_| Pipe::take()).collect();
        assert!(again.iter().all(is_large));
        // A large one that is not reused makes room for another.
        let (from, mut source) = sockets();
        source.write_all(b"secret").unwrap();
        let mut residue = again;
        residue[0].fill(&from).unwrap();
        drop(residue);
        let pipes: Vec<_> = (0..LARGE_PIPES * 2).map_while(|_| Pipe::take()).collect();
        let large = pipes.iter().filter(|pipe| is_large(pipe)).count();
        assert_eq!(large, LARGE_PIPES, "one of them is new");
    }
}
