//! Whose turn it is to fetch a key set: one worker of the gateway at a time.
//!
//! The workers share nothing but the host's board of notes, and every plugin in the gateway can read
//! and write it. So what stands there is only a time and a number of its author: never a key, never a
//! verdict. Whoever writes lies there can make a worker wait, and only as long as `refresh` has
//! patience; that is the same bound as for a worker that died with the lease in its hand.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::RemoteKeys;
use crate::time::UnixTime;

/// Notes that all workers can read and write.
pub trait Board {
    /// What stands at `key`, with its version.
    fn read(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>);

    /// Writes, where nobody has written since `version` was read; without one, in any case. False when
    /// somebody has.
    fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool;
}

/// One worker's hand for the lease of one key set.
#[derive(Debug)]
pub struct Lease {
    key: String,
    owner: u64,
}

/// The answer to a worker that wants the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It has the lease now.
    Mine,
    /// Somebody has looked, and nothing was new: no need to look again for this long.
    Quiet(Duration),
    /// Another worker fetches.
    Theirs,
}

/// A note, as it stands on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note {
    until: UnixTime,
    /// 0: nobody fetches, the time is one of quiet.
    owner: u64,
}

impl Lease {
    /// `owner` must differ between workers.
    #[must_use]
    pub fn new(remote: &RemoteKeys, owner: u64) -> Self {
        let RemoteKeys {
            cluster,
            scheme,
            authority,
            path,
            ..
        } = remote;
        Self {
            key: format!("sallyport/identity-filter/lease/{cluster}/{scheme}://{authority}{path}"),
            owner: owner.max(1),
        }
    }

    /// Asks for the lease, for a fetch that takes no longer than `length`. `cause` says whether a time
    /// of quiet matters.
    pub fn take(&self, board: &dyn Board, now: UnixTime, length: Duration, cause: Cause) -> Turn {
        let (mut note, mut version) = board.read(&self.key);
        if version.is_none() {
            // Without a version the host cannot tell who was first: so somebody's empty note is.
            board.write(&self.key, &Note::FREE.bytes(), None);
            (note, version) = board.read(&self.key);
        }
        if let Some((note, rest)) = note
            .as_deref()
            .and_then(Note::parse)
            .and_then(|note| Some((note, note.rest(now)?)))
        {
            match (note.owner, cause) {
                (0, Cause::UnknownKey) => return Turn::Quiet(rest),
                (0, Cause::Due) => {}
                (owner, _) if owner == self.owner => {}
                _ => return Turn::Theirs,
            }
        }
        let mine = Note {
            until: now.after(length.min(LENGTH_MAX)),
            owner: self.owner,
        };
        if version.is_some() && board.write(&self.key, &mine.bytes(), version) {
            Turn::Mine
        } else {
            Turn::Theirs
        }
    }

    /// Gives the lease back, if it is still ours; with a time of quiet, if there was nothing new.
    pub fn give_back(&self, board: &dyn Board, now: UnixTime, quiet: Option<Duration>) {
        let (note, version) = board.read(&self.key);
        let is_mine = note
            .as_deref()
            .and_then(Note::parse)
            .is_some_and(|note| note.owner == self.owner);
        if is_mine && version.is_some() {
            let note = quiet.map_or(Note::FREE, |quiet| Note {
                until: now.after(quiet),
                owner: 0,
            });
            // Where somebody was faster, the lease is theirs.
            let _is_written = board.write(&self.key, &note.bytes(), version);
        }
    }
}

/// Why keys are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There are none, or they are old.
    Due,
    /// A token named one that is not there.
    UnknownKey,
}

impl Note {
    const FREE: Self = Self {
        until: UnixTime::from_millis(0),
        owner: 0,
    };

    fn bytes(self) -> [u8; 16] {
        let [until, owner] = [self.until.millis(), self.owner].map(u64::to_le_bytes);
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(until.into_iter().chain(owner)) {
            *to = from;
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (until, owner) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            until: UnixTime::from_millis(u64::from_le_bytes(*until)),
            owner: u64::from_le_bytes(owner.try_into().ok()?),
        })
    }

    /// How long it still holds. A time farther away than any lease can be is a lie, or the clock was
    /// set: it holds no more.
    fn rest(self, now: UnixTime) -> Option<Duration> {
        let rest = Duration::from_millis(self.until.millis().checked_sub(now.millis())?);
        (!rest.is_zero() && rest <= LENGTH_MAX).then_some(rest)
    }
}

/// Longer than any fetch takes, and than any time of quiet.
const LENGTH_MAX: Duration = Duration::from_secs(61);

#[cfg(test)]
pub(crate) mod tests;
