//! Byte buffers from a per-worker pool: a full buffer is at work, an empty one belongs to nobody.
//!
//! A connection that waits for its peer holds no buffer at all. Each worker is one thread, so the
//! pool needs no lock. Bytes of an earlier connection may still lie in the unfilled part; only
//! the filled part can be read.

use std::cell::RefCell;

/// Bytes of one buffer. One read of [`READ_MAX`] bytes, opened and sealed again, must fit even if
/// it consists of the smallest records: a TLS 1.3 record with one byte of data takes 23 bytes, the
/// same byte in a TLS 1.2 AES-GCM record takes 30, so a read may grow by a factor of 1.31.
const CAPACITY: usize = 96 * 1024;

/// The most that is read from a socket at once. Larger reads cost fewer system calls; beyond this
/// the gain is lost in the noise.
pub(crate) const READ_MAX: usize = 64 * 1024;

/// Buffers that a worker keeps for reuse; more than this are given back to the allocator.
const POOLED: usize = 32;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A queue of bytes: filled at the end, consumed at the front.
///
/// Invariant: `start <= end <= CAPACITY`, and `bytes` is `Some` whenever `start < end`.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// True if nothing waits to be consumed.
    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The bytes that wait to be consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes
            .as_deref()
            .map_or(&[], |bytes| &bytes[self.start..self.end])
    }

    /// The same bytes, for decryption in place.
    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes
            .as_deref_mut()
            .map_or(&mut [], |bytes| &mut bytes[self.start..self.end])
    }

    /// All the room behind the filled part; empty only if the buffer is full.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let (start, end) = (self.start, self.end);
        let bytes = self.bytes.get_or_insert_with(take);
        if start > 0 {
            bytes.copy_within(start..end, 0);
            self.start = 0;
            self.end = end - start;
        }
        &mut bytes[self.end..]
    }

    /// Declares the first `count` bytes of [`Buffer::space`] filled.
    pub(crate) fn fill(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(CAPACITY);
    }

    /// Appends `bytes`; false, and nothing appended, if they do not fit.
    #[must_use]
    pub(crate) fn append(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.space().get_mut(..bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.fill(bytes.len());
        true
    }

    /// Drops `count` bytes from the front. An empty buffer goes back to the pool at once.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        self.release_if_empty();
    }

    /// Gives the memory back if nothing is in it: for the case that a read brought nothing.
    pub(crate) fn release_if_empty(&mut self) {
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
            if let Some(bytes) = self.bytes.take() {
                give_back(bytes);
            }
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.consume(usize::MAX);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.clear();
    }
}

fn take() -> Box<[u8]> {
    let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
    pooled.unwrap_or_else(|| vec![0; CAPACITY].into_boxed_slice())
}

fn give_back(bytes: Box<[u8]>) {
    // At the thread's end the pool may be gone already; then the memory is simply freed.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < POOLED {
            pool.push(bytes);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooled() -> usize {
        POOL.with(|pool| pool.borrow().len())
    }

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        let mut buffer = Buffer::default();
        assert!(buffer.append(b"hello "));
        buffer.consume(3);
        assert!(buffer.append(b"world"));
        assert_eq!(buffer.filled(), b"lo world");
    }

    #[test]
    fn an_empty_buffer_holds_no_memory() {
        let mut buffer = Buffer::default();
        assert!(buffer.append(b"x"));
        assert!(buffer.bytes.is_some());
        let before = pooled();
        buffer.consume(1);
        assert!(buffer.bytes.is_none());
        assert_eq!(pooled(), before + 1);
        let _room = buffer.space();
        buffer.release_if_empty();
        assert!(buffer.bytes.is_none());
    }

    #[test]
    fn what_does_not_fit_is_not_half_appended() {
        let mut buffer = Buffer::default();
        assert!(buffer.append(&vec![1; CAPACITY - 1]));
        assert!(!buffer.append(b"two"));
        assert_eq!(buffer.filled().len(), CAPACITY - 1);
        buffer.consume(2);
        assert!(buffer.append(b"two"), "room at the front is used");
        assert!(buffer.filled().ends_with(b"two"));
    }
}
