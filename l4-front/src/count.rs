//! How many there are of something of which there may be so many, and nothing that needs a lock.
//!
//! It knows atomics alone and takes them from its parent, so that `tests/orderings.rs` can give it loom's and try every
//! order in which threads may see each other's steps.

use super::atomic::{AtomicUsize, Ordering, fence};

/// A bounded count.
///
/// Who changes one count and then looks at another sees what others changed before they looked at the first: of two
/// that do so crosswise at least one sees the other. That is what the fences are for; the atomic steps alone would
/// let both look too early.
#[derive(Debug)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// One more, unless there are `most`; gives how many there were.
    pub(crate) fn join(&self, most: usize) -> Option<usize> {
        let more = |count| (count < most).then_some(count + 1);
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        fence(Ordering::SeqCst);
        before.ok()
    }

    /// One of those that have joined is gone.
    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
