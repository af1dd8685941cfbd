//! The requests that wait for keys, in one worker: who, for what, and until when.
//!
//! Invariant: a stream that joined is given out exactly once, by [`Waiting::take_ready`], unless it left
//! before. The list is bounded: a paused request costs memory, and anybody can send one.

use alloc::vec::Vec;
use core::time::Duration;

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The key set, by its place in the keyring.
    pub slot: usize,
    /// How many key sets had come when it began to wait; where keys are fetched one by one, the number
    /// of the one that it waits for.
    pub mark: u64,
    /// When it began to wait.
    pub since: Duration,
    /// When it is decided whatever has come.
    pub deadline: Duration,
}

/// The streams that wait.
#[derive(Debug, Default)]
pub struct Waiting(Vec<(u32, Wait)>);

/// There is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Waiting {
    /// The stream waits from now on.
    ///
    /// # Errors
    /// When [`LIMIT`] streams wait already.
    pub fn join(&mut self, stream: u32, wait: Wait) -> Result<(), Full> {
        self.leave(stream);
        if self.0.len() >= LIMIT {
            return Err(Full);
        }
        self.0.push((stream, wait));
        Ok(())
    }

    /// The stream has ended.
    pub fn leave(&mut self, stream: u32) {
        self.0.retain(|(other, _)| *other != stream);
    }

    /// Takes out the streams that need not wait any longer, in the order in which they came.
    pub fn take_ready(&mut self, is_ready: impl Fn(&Wait) -> bool) -> Vec<(u32, Wait)> {
        let mut ready = Vec::new();
        self.0.retain(|(stream, wait)| {
            let is_ready = is_ready(wait);
            if is_ready {
                ready.push((*stream, *wait));
            }
            !is_ready
        });
        ready
    }

    /// How many wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// True when nobody waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Requests that wait at a time. More are answered at once: they would only pile up.
pub const LIMIT: usize = 256;

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn until(seconds: u64) -> Wait {
        Wait {
            slot: 0,
            mark: 0,
            since: Duration::ZERO,
            deadline: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn no_more_than_the_limit_wait() {
        let mut waiting = Waiting::default();
        for stream in 0..256 {
            assert_eq!(waiting.join(stream, until(1)), Ok(()));
        }
        assert_eq!(waiting.join(256, until(1)), Err(Full));
        waiting.leave(7);
        waiting.leave(7);
        assert_eq!(waiting.join(256, until(1)), Ok(()));
        assert_eq!(waiting.take_ready(|_wait| true).len(), 256);
        assert!(waiting.is_empty());
    }

    /// What can happen to a worker with waiting streams.
    #[derive(Debug, Clone)]
    enum Event {
        Arrives { slot: usize, patience: u64 },
        Ends { which: usize },
        KeysCome { slot: usize },
        TimePasses { seconds: u64 },
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            4 => (0..3_usize, 0..20_u64).prop_map(|(slot, patience)| Event::Arrives { slot, patience }),
            1 => (0..300_usize).prop_map(|which| Event::Ends { which }),
            1 => (0..3_usize).prop_map(|slot| Event::KeysCome { slot }),
            1 => (0..5_u64).prop_map(|seconds| Event::TimePasses { seconds }),
        ];
        proptest::collection::vec(event, 0..600)
    }

    proptest! {
        #[test]
        fn every_stream_is_given_out_exactly_once_unless_it_ended(events in events()) {
            let (mut waiting, mut sets, mut now) = (Waiting::default(), [0_u64; 3], Duration::ZERO);
            let mut paused: BTreeMap<u32, Wait> = BTreeMap::new();
            let (mut ended, mut given) = (BTreeSet::new(), BTreeSet::new());
            for (number, event) in (0..).zip(events) {
                match event {
                    Event::Arrives { slot, patience } => {
                        let wait = Wait { slot, mark: sets[slot], since: now, deadline: now + Duration::from_secs(patience) };
                        let room = paused.len() < LIMIT;
                        prop_assert_eq!(waiting.join(number, wait).is_ok(), room);
                        if room {
                            paused.insert(number, wait);
                        }
                    }
                    Event::Ends { which } => {
                        // Streams that never waited, or do no longer, end as well.
                        let stream = u32::try_from(which).unwrap();
                        waiting.leave(stream);
                        if paused.remove(&stream).is_some() {
                            ended.insert(stream);
                        }
                    }
                    Event::KeysCome { slot } => sets[slot] += 1,
                    Event::TimePasses { seconds } => now += Duration::from_secs(seconds),
                }
                let is_ready = |wait: &Wait| now >= wait.deadline || sets[wait.slot] != wait.mark;
                for (stream, given_wait) in waiting.take_ready(is_ready) {
                    let wait = paused.remove(&stream);
                    prop_assert_eq!(wait, Some(given_wait));
                    prop_assert!(is_ready(&given_wait));
                    prop_assert!(given.insert(stream), "given out twice");
                    prop_assert!(!ended.contains(&stream), "given out after its end");
                }
                prop_assert!(!paused.values().any(is_ready), "forgotten");
                prop_assert_eq!(waiting.is_empty(), paused.is_empty());
            }
        }
    }
}
