use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const SCHEDULE: Schedule = Schedule {
    refresh: Duration::from_secs(300),
    refresh_min: Duration::from_secs(60),
    refresh_max: Duration::from_secs(3600),
    timeout: Duration::from_secs(5),
    max_stale: Duration::from_secs(1000),
    wait: Duration::from_secs(1),
};

fn refresh() -> Refresh {
    Refresh::new(SCHEDULE, Jitter::new(1))
}

/// Starts what is due, as a worker does that is alone.
fn start(refresh: &mut Refresh, now: Duration) -> Option<Cause> {
    let cause = refresh.due(now)?;
    assert!(refresh.starts(now, cause, Turn::Mine));
    Some(cause)
}

/// A worker that has fetched keys at `now`.
fn fetched(now: Duration) -> Refresh {
    let mut refresh = refresh();
    assert_eq!(start(&mut refresh, now), Some(Cause::Due));
    assert_eq!(refresh.on_success(now, Freshness::Unsaid, News::Some), None);
    refresh
}

#[test]
fn one_fetch_at_a_time_then_before_the_interval_ends() {
    let mut refresh = refresh();
    assert_eq!(start(&mut refresh, s(0)), Some(Cause::Due), "at once");
    assert_eq!(refresh.due(s(1)), None, "one is in flight");
    refresh.on_success(s(2), Freshness::Unsaid, News::Some);
    assert_eq!(refresh.due(s(271)), None);
    assert_eq!(refresh.due(s(302)), Some(Cause::Due));
}

#[test]
fn the_providers_word_counts_within_bounds() {
    let cases = [
        ("as it says", Freshness::For(s(600)), 600),
        ("not too often", Freshness::For(s(0)), 60),
        ("not too rarely", Freshness::For(s(86_400)), 3600),
        ("where it says nothing", Freshness::Unsaid, 300),
    ];
    for (name, freshness, lifetime) in cases {
        let mut moments: Vec<_> = (0..100)
            .map(|seed| {
                let mut refresh = Refresh::new(SCHEDULE, Jitter::new(seed));
                assert!(start(&mut refresh, s(0)).is_some());
                refresh.on_success(s(0), freshness, News::Some);
                refresh.next
            })
            .collect();
        let earliest = s(lifetime) - s(lifetime) / 10;
        assert!(
            moments
                .iter()
                .all(|next| (earliest..=s(lifetime)).contains(next)),
            "{name}"
        );
        moments.sort_unstable();
        moments.dedup();
        assert!(moments.len() > 50, "{name}: the workers are spread");
    }
}

#[test]
fn failures_wait_longer_and_longer_up_to_a_bound() {
    let mut refresh = refresh();
    let mut now = s(0);
    for wait in [1, 2, 4, 8, 16, 30, 30, 30] {
        assert!(start(&mut refresh, now).is_some());
        refresh.on_failure(now);
        assert_eq!(refresh.due(now + s(wait) * 74 / 100), None, "wait {wait}");
        assert_eq!(refresh.due(now + s(wait)), Some(Cause::Due), "wait {wait}");
        now += s(wait);
    }
    assert!(start(&mut refresh, now).is_some());
    refresh.on_success(now, Freshness::Unsaid, News::Some);
    now += s(300);
    assert!(start(&mut refresh, now).is_some());
    refresh.on_failure(now);
    assert_eq!(
        refresh.due(now + s(1)),
        Some(Cause::Due),
        "a success starts the waits anew"
    );
}

#[test]
fn retries_are_never_rarer_than_the_interval() {
    let schedule = Schedule {
        refresh: s(5),
        ..SCHEDULE
    };
    let mut refresh = Refresh::new(schedule, Jitter::new(1));
    for _failure in 0..40 {
        refresh.on_failure(s(0));
    }
    assert_eq!(refresh.due(s(5)), Some(Cause::Due));
}

#[test]
fn a_lost_answer_is_a_failure() {
    let mut refresh = refresh();
    assert!(start(&mut refresh, s(0)).is_some());
    assert_eq!(refresh.due(s(9)), None);
    assert_eq!(refresh.due(s(10)), None, "the loss is noticed");
    assert_eq!(
        refresh.due(s(11)),
        Some(Cause::Due),
        "and the back-off begins"
    );
}

#[test]
fn unknown_keys_bring_the_next_fetch_forward_within_limits() {
    let mut refresh = fetched(s(100));
    refresh.on_unknown_key();
    assert_eq!(refresh.due(s(100)), None, "just fetched");
    assert_eq!(start(&mut refresh, s(101)), Some(Cause::UnknownKey));
    refresh.on_unknown_key();
    assert_eq!(refresh.due(s(102)), None, "one is in flight");
    let quiet = refresh.on_success(s(102), Freshness::Unsaid, News::None);
    assert_eq!(quiet, Some(UNKNOWN_KEY_GAP), "for the other workers too");
    refresh.on_unknown_key();
    assert_eq!(
        refresh.due(s(111)),
        None,
        "nothing was new, so not again so soon"
    );
    assert_eq!(start(&mut refresh, s(112)), Some(Cause::UnknownKey));
    let quiet = refresh.on_success(s(112), Freshness::Unsaid, News::Some);
    assert_eq!(
        quiet, None,
        "the other workers have yet to see the new keys"
    );
    refresh.on_unknown_key();
    assert_eq!(
        start(&mut refresh, s(113)),
        Some(Cause::UnknownKey),
        "new keys lift the gap"
    );
    refresh.on_failure(s(113));
    refresh.on_unknown_key();
    assert_eq!(refresh.due(s(113)), None, "the back-off stands");
    assert_eq!(refresh.due(s(114)), Some(Cause::Due));
}

#[test]
fn without_keys_none_can_be_unknown() {
    let mut refresh = refresh();
    refresh.on_unknown_key();
    assert_eq!(start(&mut refresh, s(0)), Some(Cause::Due));
}

#[test]
fn keys_go_when_they_are_too_old_and_not_before() {
    let mut refresh = fetched(s(0));
    for second in [300, 600, 1200] {
        assert!(start(&mut refresh, s(second)).is_some());
        refresh.on_failure(s(second));
        assert!(!refresh.lets_go(s(second)));
    }
    assert!(!refresh.lets_go(s(1299)));
    assert!(refresh.lets_go(s(1300)));
    assert!(!refresh.lets_go(s(1301)), "once");
}

#[test]
fn it_is_worth_waiting_only_for_a_fetch_that_comes() {
    let mut refresh = refresh();
    assert!(refresh.is_expected_by(s(0)), "not yet begun");
    assert!(start(&mut refresh, s(0)).is_some());
    assert!(refresh.is_expected_by(s(0)), "in flight");
    for _failure in 0..5 {
        refresh.on_failure(s(10));
    }
    assert!(!refresh.is_expected_by(s(11)), "the back-off is longer");
    assert!(refresh.is_expected_by(s(26)));
    let mut refresh = fetched(s(100));
    assert!(!refresh.is_expected_by(s(101)), "nothing is wanted");
    refresh.on_unknown_key();
    assert!(refresh.is_expected_by(s(101)));
    assert_eq!(start(&mut refresh, s(101)), Some(Cause::UnknownKey));
    refresh.on_success(s(101), Freshness::Unsaid, News::None);
    refresh.on_unknown_key();
    assert!(
        !refresh.is_expected_by(s(110)),
        "a look that brought nothing is not repeated"
    );
}

#[test]
fn other_workers_go_first_but_not_for_ever() {
    let mut refresh = refresh();
    let cause = refresh.due(s(0)).unwrap();
    let quarter = SCHEDULE.wait / 4;
    assert!(!refresh.starts(s(0), cause, Turn::Theirs));
    assert!(!refresh.starts(quarter * 99 / 100, cause, Turn::Theirs));
    assert!(
        refresh.starts(quarter * 2, cause, Turn::Theirs),
        "requests wait"
    );
    refresh.on_success(s(1), Freshness::Unsaid, News::Some);
    let cause = refresh.due(s(301)).unwrap();
    assert!(!refresh.starts(s(301), cause, Turn::Theirs));
    assert!(
        !refresh.starts(s(302), cause, Turn::Theirs),
        "there are keys"
    );
    assert!(refresh.starts(s(305), cause, Turn::Theirs));
    let mut refresh = fetched(s(4));
    refresh.on_unknown_key();
    let cause = refresh.due(s(5)).unwrap();
    assert!(!refresh.starts(s(5), cause, Turn::Quiet(s(7))));
    assert!(
        !refresh.is_expected_by(s(11)),
        "another worker has just looked"
    );
    assert_eq!(refresh.due(s(11)), None);
    assert_eq!(refresh.due(s(12)), Some(Cause::UnknownKey));
}

#[test]
fn a_time_of_quiet_does_not_use_up_the_patience_for_a_turn() {
    let mut refresh = fetched(s(0));
    refresh.on_unknown_key();
    for second in [1, 11, 21] {
        let cause = refresh.due(s(second)).unwrap();
        assert!(!refresh.starts(s(second), cause, Turn::Theirs));
        assert!(!refresh.starts(s(second), cause, Turn::Quiet(s(10))));
    }
    assert!(
        refresh.starts(s(63), Cause::UnknownKey, Turn::Theirs),
        "but nothing holds for ever"
    );
}

proptest! {
    /// Whatever stands on the board, it delays a fetch by no more than patience and spread.
    #[test]
    fn nobody_can_keep_a_worker_from_fetching(
        seed: u64,
        notes in proptest::collection::vec((0..3_u8, 0..100_u64), 1..400),
        known: bool,
    ) {
        let mut refresh = if known { fetched(s(0)) } else { refresh() };
        refresh.jitter = Jitter::new(seed);
        refresh.on_unknown_key();
        let begin = if known { FETCH_GAP } else { Duration::ZERO };
        let bound = begin + QUIET_PATIENCE + SPREAD;
        let mut now = begin;
        let mut notes = notes.iter().cycle();
        loop {
            prop_assert!(now <= bound, "held up until {now:?}");
            let (kind, rest) = notes.next().copied().unwrap_or_default();
            let turn = if kind == 0 { Turn::Quiet(s(rest)) } else { Turn::Theirs };
            if let Some(cause) = refresh.due(now) && refresh.starts(now, cause, turn) {
                break;
            }
            now += Duration::from_millis(250);
        }
    }
}
