//! Tokens that were verified, so that the next request with the same token costs no signature check.
//!
//! Only what [`verify`](crate::verify::verify) gave out comes in, and the cache never decides alone: whoever
//! takes an entry out asks [`Verified::still_holds`] first. So a token is never accepted for longer, or
//! with another key, than a verification at that moment would allow; the cache saves the signature check and
//! nothing else. A token is known by its SHA-256 digest, never by its signature, of which one token may
//! have several.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use crate::caller::Caller;
use crate::config::TokenSource;
use crate::verify::Verified;

/// How much may be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Tokens; 0 remembers none.
    pub tokens: usize,
    /// Bytes of memory that they take, as [`Verified::bytes`] and [`Caller::bytes`] count.
    pub bytes: usize,
}

/// Which token, where it stood, under which configuration. The provider follows from these three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenDigest([u8; 32]);

/// A verified token and the place of its provider in the configuration.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Index in `Config::providers`.
    pub provider: usize,
    /// What was verified.
    pub verified: Rc<Verified>,
    /// Who that is in the namespace that asked last.
    pub caller: Rc<Caller>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.verified.bytes() + self.caller.bytes()
    }
}

/// The verified tokens of one worker under one configuration.
///
/// Invariant: `places` leads from the digest of every slot to that slot, and `bytes` is the sum of theirs;
/// neither ever exceeds the bounds.
#[derive(Debug)]
pub struct TokenCache {
    epoch: u64,
    bounds: Bounds,
    slots: Vec<Slot>,
    places: BTreeMap<TokenDigest, usize>,
    bytes: usize,
    /// The slot that is looked at next when room is needed.
    hand: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Slot {
    digest: TokenDigest,
    entry: Entry,
    bytes: usize,
    /// Used since the hand last passed.
    is_recent: bool,
}

impl TokenCache {
    /// An empty cache. `epoch` stands for the configuration: no digest of another one is found here.
    #[must_use]
    pub const fn new(bounds: Bounds, epoch: u64) -> Self {
        Self {
            epoch,
            bounds,
            slots: Vec::new(),
            places: BTreeMap::new(),
            bytes: 0,
            hand: 0,
            evicted: 0,
        }
    }

    /// What `token`, found at the place `source`, is known by; nothing when nothing is remembered at all.
    #[must_use]
    pub fn digest(&self, source: &TokenSource, token: &str) -> Option<TokenDigest> {
        // A header is read with one scheme only, whoever reads it.
        let (kind, name) = match source {
            TokenSource::Cookie { name } => (0, name),
            TokenSource::Header { name, .. } => (1, name),
        };
        (self.bounds.tokens > 0).then(|| {
            let mut hash = Sha256::new();
            hash.update(self.epoch.to_le_bytes());
            hash.update([kind]);
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update(token);
            TokenDigest(hash.finalize().into())
        })
    }

    /// The entry of this token. Whether it still holds is for the caller to ask.
    pub fn find(&mut self, digest: &TokenDigest) -> Option<&Entry> {
        let slot = self.slots.get_mut(*self.places.get(digest)?)?;
        slot.is_recent = true;
        Some(&slot.entry)
    }

    /// Remembers a token. Others that were not used lately make room; one that is too large for the
    /// bounds is not remembered.
    pub fn insert(&mut self, digest: TokenDigest, entry: Entry) {
        self.remove(&digest);
        let bytes = entry.bytes().saturating_add(SLOT_BYTES);
        if self.bounds.tokens == 0 || bytes > self.bounds.bytes {
            return;
        }
        while self.slots.len() >= self.bounds.tokens
            || self.bytes.saturating_add(bytes) > self.bounds.bytes
        {
            self.evict();
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.places.insert(digest, self.slots.len());
        self.slots.push(Slot {
            digest,
            entry,
            bytes,
            is_recent: false,
        });
    }

    /// Forgets a token.
    pub fn remove(&mut self, digest: &TokenDigest) {
        let Some(place) = self.places.remove(digest) else {
            return;
        };
        // The last slot takes the place of the one that goes.
        let gone = self.slots.swap_remove(place);
        self.bytes = self.bytes.saturating_sub(gone.bytes);
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.digest, place);
        }
    }

    /// How many tokens have had to make room for others so far.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How many tokens are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The clock algorithm: the hand goes round, spares what was used since its last visit, and takes
    /// the first that was not. Each step clears a mark that a hit has set, so its cost is that hit's.
    fn evict(&mut self) {
        while let Some(slot) = self.slots.get_mut(self.hand) {
            if !slot.is_recent {
                let digest = slot.digest;
                self.remove(&digest);
                self.evicted += 1;
                return;
            }
            slot.is_recent = false;
            self.hand += 1;
        }
        self.hand = 0;
    }
}

/// What a slot and its place take besides the token's own bytes: the tree's nodes are half empty at worst.
const SLOT_BYTES: usize = 160;

#[cfg(test)]
mod tests;
