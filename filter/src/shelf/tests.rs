use alloc::format;

use super::*;
use crate::lease::tests::Shared;
use crate::pem::PemError;
use crate::refresh::Schedule;
use crate::time::UnixTime;

const ID: &str = "0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c11";

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(elapsed: Duration) -> Moment {
    let millis = u64::try_from(elapsed.as_millis()).unwrap();
    Moment {
        elapsed,
        wall: UnixTime::from_millis(1_800_000_000_000 + millis),
    }
}

fn shelf(seed: u64) -> Shelf {
    let schedule = Schedule {
        refresh: s(300),
        refresh_min: s(60),
        refresh_max: s(3600),
        timeout: s(5),
        max_stale: s(1000),
        wait: s(1),
    };
    let remote = RemoteKeys {
        cluster: "c".into(),
        scheme: "https",
        authority: "keys.test".into(),
        path: "/".into(),
        schedule,
    };
    let lease = Lease::new(&remote, seed);
    Shelf::new(&remote, lease, Jitter::new(seed))
}

fn uuid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

fn found() -> Result<(KeySet, Freshness), FetchError> {
    Ok((KeySet::default(), Freshness::Unsaid))
}

fn status(status: u16) -> Result<(KeySet, Freshness), FetchError> {
    Err(FetchError::Status { status })
}

/// A shelf that has fetched the key `ID` at this moment.
fn with_key(board: &Shared) -> Shelf {
    let mut shelf = shelf(1);
    assert!(shelf.on_wanted(Some(ID), s(0)).is_some());
    fetch(&mut shelf, s(0), board, found());
    shelf
}

/// Fetches what is due; gives the path.
fn fetch(
    shelf: &mut Shelf,
    now: Duration,
    board: &Shared,
    answer: Result<(KeySet, Freshness), FetchError>,
) -> Option<String> {
    let (number, remote) = shelf.due(at(now), board)?;
    let _result = shelf.on_answer(number, at(now), board, |_id| answer);
    Some(remote.path)
}

/// The key of `ID`: not asked for yet, there, or known not to be there.
fn key(shelf: &Shelf) -> Option<bool> {
    let is_nothing = |keys: &KeySet| core::ptr::eq(keys, &raw const shelf.nothing);
    shelf.keys(Some(ID)).map(|keys| !is_nothing(keys))
}

#[test]
fn a_key_is_fetched_when_a_token_first_names_it() {
    let (mut shelf, board) = (shelf(1), Shared::default());
    assert_eq!((key(&shelf), shelf.is_waiting()), (None, false));
    assert!(shelf.due(at(s(0)), &board).is_none(), "nobody has asked");
    let (number, deadline) = shelf.on_wanted(Some(ID), s(0)).unwrap();
    assert_eq!(deadline, s(1));
    assert!(!shelf.is_over(number, deadline));
    assert_eq!(shelf.on_wanted(Some(ID), s(0)), Some((number, deadline)));
    let (fetched, remote) = shelf.due(at(s(0)), &board).unwrap();
    assert_eq!((fetched, remote.path), (number, format!("/{ID}")));
    assert!(shelf.due(at(s(1)), &board).is_none(), "one is in flight");
    assert!(shelf.is_waiting());
    let answer = shelf.on_answer(number, at(s(1)), &board, |id| {
        assert_eq!(id, ID);
        found()
    });
    assert!(answer.unwrap().is_ok());
    assert!(shelf.is_over(number, deadline) && !shelf.is_waiting());
    assert_eq!(key(&shelf), Some(true));
    assert_eq!(shelf.on_wanted(Some(ID), s(1)), None);
}

#[test]
fn what_is_no_uuid_is_never_asked_for() {
    let (mut shelf, board) = (shelf(1), Shared::default());
    let upper = ID.to_uppercase();
    for id in [
        None,
        Some(""),
        Some("key-1"),
        Some("../x"),
        Some(upper.as_str()),
    ] {
        assert_eq!(shelf.on_wanted(id, s(0)), None, "{id:?}");
        assert!(shelf.keys(id).is_some_and(KeySet::is_empty), "{id:?}");
    }
    assert!(shelf.due(at(s(0)), &board).is_none());
}

#[test]
fn that_there_is_no_key_is_believed_for_a_while() {
    for answer in [
        status(404),
        status(403),
        status(410),
        Err(FetchError::Pem(PemError::Malformed)),
    ] {
        let (mut shelf, board) = (shelf(1), Shared::default());
        let (number, deadline) = shelf.on_wanted(Some(ID), s(0)).unwrap();
        assert!(fetch(&mut shelf, s(0), &board, answer).is_some());
        assert!(shelf.is_over(number, deadline));
        assert_eq!(key(&shelf), Some(false));
        assert_eq!(shelf.on_wanted(Some(ID), s(29)), None);
        assert!(fetch(&mut shelf, s(29), &board, found()).is_none());
        assert_eq!(fetch(&mut shelf, s(30), &board, found()), None);
        assert_eq!(key(&shelf), None, "forgotten");
        assert!(shelf.on_wanted(Some(ID), s(30)).is_some());
    }
}

#[test]
fn a_flood_of_names_is_no_flood_of_fetches() {
    let board = Shared::default();
    let mut shelf = with_key(&board);
    let mut fetches = 0;
    for number in 0..6000 {
        let now = Duration::from_millis(number * 10);
        let _wait = shelf.on_wanted(Some(&uuid(number)), now);
        if fetch(&mut shelf, now, &board, status(404)).is_some() {
            fetches += 1;
        }
        assert!(shelf.entries.len() <= NAMES_LIMIT);
        assert_eq!(key(&shelf), Some(true), "the key that is there stays");
    }
    assert!((60..=60 + NAMES_AT_ONCE).contains(&fetches), "{fetches}");
    // A name that is new gets its turn as soon as the flood leaves one.
    assert!(shelf.on_wanted(Some(&uuid(9999)), s(61)).is_some());
    assert_eq!(board.notes(), [16], "one note for all names, of one size");
}

#[test]
fn a_flood_while_the_provider_is_down_is_remembered_within_bounds() {
    let (mut shelf, board) = (shelf(1), Shared::default());
    let mut fetches = 0;
    for number in 0..6000 {
        let now = Duration::from_millis(number * 10);
        let _wait = shelf.on_wanted(Some(&uuid(number)), now);
        fetches += usize::from(fetch(&mut shelf, now, &board, status(500)).is_some());
        assert!(shelf.entries.len() <= NAMES_LIMIT);
    }
    assert!(
        fetches <= 8,
        "{fetches}: 1, 2, 4, 8, 16 and 30 seconds, less a quarter at most"
    );
}

#[test]
fn a_failure_pauses_all_names_longer_each_time() {
    let (mut shelf, board) = (shelf(1), Shared::default());
    let (number, deadline) = shelf.on_wanted(Some(ID), s(0)).unwrap();
    assert!(fetch(&mut shelf, s(0), &board, status(500)).is_some());
    assert!(
        shelf.is_over(number, deadline),
        "gone: whoever waits is answered"
    );
    assert_eq!(key(&shelf), None, "nobody said that there is none");
    assert!(
        shelf.on_wanted(Some(&uuid(1)), s(0)).is_some(),
        "in a second it may come"
    );
    assert!(shelf.due(at(s(0)), &board).is_none());
    assert!(fetch(&mut shelf, s(1), &board, Err(FetchError::Unreachable)).is_some());
    assert!(
        shelf
            .on_wanted(Some(ID), Duration::from_millis(1200))
            .is_none()
    );
    assert!(fetch(&mut shelf, Duration::from_millis(2400), &board, found()).is_none());
    assert!(shelf.on_wanted(Some(ID), s(3)).is_some());
    assert!(fetch(&mut shelf, s(3), &board, found()).is_some());
    assert_eq!(key(&shelf), Some(true));
}

#[test]
fn a_late_answer_is_of_no_other_name() {
    let (mut shelf, board) = (shelf(1), Shared::default());
    let _wait = shelf.on_wanted(Some(ID), s(0)).unwrap();
    let (late, _remote) = shelf.due(at(s(0)), &board).unwrap();
    assert!(
        shelf.due(at(s(10)), &board).is_none(),
        "lost: that is a failure"
    );
    let (other, _deadline) = shelf.on_wanted(Some(&uuid(1)), s(11)).unwrap();
    let (number, _remote) = shelf.due(at(s(12)), &board).unwrap();
    assert_eq!(number, other);
    assert!(
        shelf
            .on_answer(late, at(s(12)), &board, |_id| found())
            .is_none()
    );
    assert!(shelf.keys(Some(&uuid(1))).is_none(), "still in flight");
}

#[test]
fn keys_that_are_used_stay_fresh_and_others_are_forgotten() {
    let board = Shared::default();
    let mut shelf = with_key(&board);
    assert_eq!(key(&shelf), Some(true), "which is a use");
    assert!(fetch(&mut shelf, s(269), &board, found()).is_none());
    assert!(fetch(&mut shelf, s(300), &board, found()).is_some());
    // Not used since then.
    assert!(fetch(&mut shelf, s(600), &board, found()).is_none());
    assert_eq!(key(&shelf), None);
}

#[test]
fn a_key_goes_when_the_provider_says_so_or_when_it_is_too_old() {
    let board = Shared::default();
    for (answer, is_kept) in [
        (status(404), false),
        (status(410), false),
        (status(403), true),
        (status(302), true),
        (status(500), true),
        (Err(FetchError::TooLarge), true),
        (Err(FetchError::Unreachable), true),
        (Err(FetchError::Pem(PemError::Malformed)), true),
    ] {
        let mut shelf = with_key(&board);
        assert_eq!(key(&shelf), Some(true));
        assert!(fetch(&mut shelf, s(300), &board, answer.clone()).is_some());
        assert_eq!(key(&shelf), Some(is_kept), "{answer:?}");
        assert_eq!(shelf.is_stale(s(300)), is_kept, "{answer:?}");
        assert!(!shelf.drop_stale(s(1299)));
        assert_eq!(shelf.drop_stale(s(1300)), is_kept, "{answer:?}");
        assert!(key(&shelf).is_none_or(|is_there| !is_there), "{answer:?}");
    }
}

#[test]
fn workers_take_turns() {
    let board = Shared::default();
    let (mut one, mut two) = (shelf(1), shelf(2));
    for shelf in [&mut one, &mut two] {
        assert!(shelf.on_wanted(Some(ID), s(0)).is_some());
    }
    let (number, _remote) = one.due(at(s(0)), &board).unwrap();
    assert!(two.due(at(s(0)), &board).is_none());
    let _answer = one.on_answer(number, at(s(0)), &board, |_id| found());
    assert!(two.due(at(s(0)), &board).is_some());
}
