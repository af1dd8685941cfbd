use alloc::collections::BTreeMap;
use core::cell::RefCell;

use super::*;

/// The host's board, as one worker after the other sees it.
#[derive(Debug, Default)]
pub(crate) struct Shared(RefCell<BTreeMap<String, (Vec<u8>, u32)>>);

impl Shared {
    /// How long each note is.
    pub(crate) fn notes(&self) -> Vec<usize> {
        self.0
            .borrow()
            .values()
            .map(|(note, _)| note.len())
            .collect()
    }
}

impl Board for Shared {
    fn read(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        match self.0.borrow().get(key) {
            Some((value, version)) => (Some(value.clone()), Some(*version)),
            None => (None, None),
        }
    }

    fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        let mut notes = self.0.borrow_mut();
        let (old, current) = notes.entry(key.into()).or_default();
        if version.is_some_and(|version| version != *current) {
            return false;
        }
        *old = value.into();
        *current += 1;
        true
    }
}

/// A neighbour's plugin that answers every question with the same note, and takes no other.
#[derive(Debug)]
pub(crate) struct Hostile(pub(crate) Vec<u8>);

impl Board for Hostile {
    fn read(&self, _key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        (Some(self.0.clone()), Some(1))
    }

    fn write(&self, _key: &str, _value: &[u8], _version: Option<u32>) -> bool {
        false
    }
}

fn lease(owner: u64) -> Lease {
    Lease {
        key: "k".into(),
        owner,
    }
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_millis(seconds * 1000)
}

const TEN: Duration = Duration::from_secs(10);

#[test]
fn one_worker_at_a_time_has_the_lease() {
    let board = Shared::default();
    let [one, two] = [lease(1), lease(2)];
    assert_eq!(one.take(&board, at(100), TEN, Cause::Due), Turn::Mine);
    assert_eq!(two.take(&board, at(101), TEN, Cause::Due), Turn::Theirs);
    assert_eq!(
        two.take(&board, at(101), TEN, Cause::UnknownKey),
        Turn::Theirs
    );
    two.give_back(&board, at(102), None);
    assert_eq!(
        two.take(&board, at(102), TEN, Cause::Due),
        Turn::Theirs,
        "nobody gives back what another has"
    );
    one.give_back(&board, at(102), None);
    assert_eq!(two.take(&board, at(102), TEN, Cause::Due), Turn::Mine);
    assert_eq!(
        one.take(&board, at(112), TEN, Cause::Due),
        Turn::Mine,
        "a worker that died had it for its time only"
    );
}

#[test]
fn who_found_nothing_new_spares_the_others_the_look() {
    let board = Shared::default();
    let [one, two] = [lease(1), lease(2)];
    assert_eq!(one.take(&board, at(1), TEN, Cause::UnknownKey), Turn::Mine);
    one.give_back(&board, at(2), Some(TEN));
    assert_eq!(
        two.take(&board, at(4), TEN, Cause::UnknownKey),
        Turn::Quiet(Duration::from_secs(8))
    );
    assert_eq!(
        two.take(&board, at(4), TEN, Cause::Due),
        Turn::Mine,
        "a refresh that is due needs no reason"
    );
    two.give_back(&board, at(5), None);
    assert_eq!(two.take(&board, at(5), TEN, Cause::UnknownKey), Turn::Mine);
}

#[test]
fn of_two_who_read_the_same_note_one_is_first() {
    /// Lets another worker write between a read and the write that follows it.
    struct Raced<'a>(&'a Shared);
    impl Board for Raced<'_> {
        fn read(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
            let read = self.0.read(key);
            self.0.write(key, &[1], None);
            read
        }
        fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
            self.0.write(key, value, version)
        }
    }
    let board = Shared::default();
    assert!(board.write("k", &Note::FREE.bytes(), None));
    assert_eq!(
        lease(1).take(&Raced(&board), at(1), TEN, Cause::Due),
        Turn::Theirs
    );
}

#[test]
fn garbage_on_the_board_is_no_lease() {
    let note = |until: UnixTime, owner| Note { until, owner }.bytes().to_vec();
    let garbage: [(&str, Vec<u8>); 6] = [
        ("empty", Vec::new()),
        ("short", alloc::vec![0xff; 15]),
        ("long", alloc::vec![0xff; 17]),
        ("large", alloc::vec![0xff; 1 << 20]),
        ("far away", note(UnixTime::from_millis(u64::MAX), 9)),
        ("over", note(at(99), 9)),
    ];
    for (name, value) in garbage {
        let board = Shared::default();
        assert!(board.write("k", &value, None));
        assert_eq!(
            lease(1).take(&board, at(100), TEN, Cause::UnknownKey),
            Turn::Mine,
            "{name}"
        );
    }
}
