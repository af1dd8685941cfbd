use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;

use super::state::KeyState;
use super::*;
use crate::lease::tests::{Hostile, Shared};

const KEY: &str = r#"{"kty":"EC","kid":"e","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

fn config() -> Config {
    let provider = |name: &str, jwks: &str| {
        format!(
            r#"{{"name":"{name}","issuer":"https://{name}","audiences":["x"],"algorithms":["ES256"],"jwks":{jwks}}}"#
        )
    };
    let document = format!(
        r#"{{"providers":[{},{}],"namespaces":[],"policy":{{"rules":[]}}}}"#,
        provider("inline", &format!(r#"{{"inline":{{"keys":[{KEY}]}}}}"#)),
        provider(
            "far",
            r#"{"cluster":"c","uri":"https://far/keys?x=1","refresh_seconds":60,"refresh_max_seconds":100,"max_stale_seconds":90}"#
        ),
    );
    Config::parse(document.as_bytes()).unwrap()
}

/// The fetch of the keys of the second provider.
const FAR: FetchId = FetchId::of_set(1);

fn wanted(provider: &Rc<Provider>) -> WantedKey {
    WantedKey {
        provider: Rc::clone(provider),
        id: None,
    }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Moment {
    Moment {
        elapsed: s(seconds),
        wall: UnixTime::from_millis((1_800_000_000 + seconds) * 1000),
    }
}

fn ok(body: &str) -> Fetched<'_> {
    Fetched::Response {
        status: Some(200),
        freshness: Freshness::Unsaid,
        body: body.as_bytes(),
    }
}

fn set() -> String {
    format!(r#"{{"keys":[{KEY}]}}"#)
}

/// A set with the same key under another name.
fn rotated() -> String {
    set().replace(r#""kid":"e""#, r#""kid":"f""#)
}

/// How many fetches begin now.
fn begins(keyring: &mut Keyring, seconds: u64, board: &dyn Board) -> usize {
    keyring.due(at(seconds), board).len()
}

/// A worker that has fetched `set()` at this second.
fn worker(config: &Config, seed: u64, seconds: u64, board: &dyn Board) -> Keyring {
    let mut keyring = Keyring::new(config, seed);
    assert_eq!(begins(&mut keyring, seconds, board), 1);
    keyring.on_fetched(FAR, at(seconds), board, ok(&set()));
    keyring
}

#[test]
fn inline_keys_are_there_and_others_are_fetched() {
    let (config, board) = (config(), Shared::default());
    let mut keyring = Keyring::new(&config, 1);
    let [inline, far] = [&config.providers[0], &config.providers[1]];
    assert!(keyring.keys(inline, None).is_some());
    assert!(keyring.keys(far, None).is_none());
    assert!(keyring.is_waiting() && keyring.has_remote());

    let due = keyring.due(at(0), &board);
    assert_eq!(due.len(), 1);
    let (id, remote) = &due[0];
    assert_eq!(
        (
            remote.scheme,
            remote.authority.as_str(),
            remote.path.as_str()
        ),
        ("https", "far", "/keys?x=1")
    );
    assert_eq!(begins(&mut keyring, 1, &board), 0, "one fetch in flight");

    let (provider, keys) = keyring.on_fetched(*id, at(1), &board, ok(&set())).unwrap();
    assert_eq!((provider.name.as_str(), keys.unwrap().len()), ("far", 1));
    assert!(keyring.keys(far, None).is_some());
    assert!(!keyring.is_waiting());
    assert_eq!(begins(&mut keyring, 54, &board), 0);
    assert_eq!(begins(&mut keyring, 61, &board), 1);
}

#[test]
fn a_failed_fetch_changes_nothing_but_the_schedule() {
    let (config, board) = (config(), Shared::default());
    let far = &config.providers[1];
    let mut keyring = worker(&config, 1, 0, &board);
    let set = set();
    let response = |status| Fetched::Response {
        status,
        freshness: Freshness::For(s(0)),
        body: set.as_bytes(),
    };
    let failures = [
        (Fetched::Unreachable, FetchError::Unreachable),
        (Fetched::TooLarge, FetchError::TooLarge),
        (response(Some(302)), FetchError::Status { status: 302 }),
        (response(None), FetchError::Status { status: 0 }),
        (ok("<html>"), FetchError::KeySet(KeySetError::Malformed)),
        (
            ok(r#"{"keys":[]}"#),
            FetchError::KeySet(KeySetError::NoUsableKey { keys: 0 }),
        ),
    ];
    for (fetched, want) in failures {
        let (_provider, result) = keyring.on_fetched(FAR, at(60), &board, fetched).unwrap();
        assert_eq!(result.unwrap_err(), want);
        assert!(keyring.keys(far, None).is_some(), "{want}");
    }
    assert_eq!(begins(&mut keyring, 60, &board), 0);
    assert_eq!(
        begins(&mut keyring, 90, &board),
        1,
        "the back-off is bounded"
    );
}

#[test]
fn keys_that_are_too_old_are_no_keys() {
    let (config, board) = (config(), Shared::default());
    let far = &config.providers[1];
    let state = |keyring: &Keyring, now| {
        let states: Vec<_> = keyring
            .states(s(now))
            .map(|(name, state)| (name.to_owned(), state))
            .collect();
        assert_eq!(states.len(), 1, "inline keys have no state: {states:?}");
        assert_eq!(states[0].0, "far");
        states[0].1
    };
    assert_eq!(state(&Keyring::new(&config, 1), 0), KeyState::Missing);
    let mut keyring = worker(&config, 1, 0, &board);
    assert_eq!(state(&keyring, 59), KeyState::Fresh);
    assert_eq!(state(&keyring, 60), KeyState::Stale);
    assert!(keyring.drop_stale(at(149)).is_empty());
    assert_eq!(state(&keyring, 149), KeyState::Stale);
    assert!(keyring.keys(far, None).is_some());
    let dropped = keyring.drop_stale(at(150));
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0].name, "far");
    assert!(keyring.keys(far, None).is_none() && keyring.is_waiting());
    assert!(keyring.drop_stale(at(151)).is_empty(), "it is said once");
    assert_eq!(state(&keyring, 151), KeyState::Missing);
}

#[test]
fn answers_for_slots_that_fetch_nothing_are_ignored() {
    let board = Shared::default();
    let mut keyring = Keyring::new(&config(), 1);
    for slot in [0, 9] {
        assert!(
            keyring
                .on_fetched(FetchId::of_set(slot), at(0), &board, Fetched::Unreachable)
                .is_none()
        );
    }
}

#[test]
fn a_request_waits_for_the_fetch_that_it_causes() {
    let (config, board) = (config(), Shared::default());
    let [inline, far] = [&config.providers[0], &config.providers[1]];
    let mut keyring = worker(&config, 1, 0, &board);
    assert_eq!(
        keyring.on_wanted(&wanted(inline), s(5)),
        None,
        "nothing is fetched there"
    );
    assert_eq!(begins(&mut keyring, 5, &board), 0);
    let wait = keyring.on_wanted(&wanted(far), s(5)).unwrap();
    assert_eq!(wait.deadline, s(6), "one second is the default");
    assert!(!keyring.is_over(&wait, s(5)));
    assert_eq!(begins(&mut keyring, 5, &board), 1);
    assert!(!keyring.is_over(&wait, s(5)));
    let joined_late = keyring.on_wanted(&wanted(far), s(5)).unwrap();
    keyring.on_fetched(FAR, at(5), &board, ok(&rotated()));
    assert!(keyring.is_over(&wait, s(5)), "keys have come");
    assert!(keyring.is_over(&joined_late, s(5)));
    assert!(keyring.is_over(&Wait { slot: 9, ..wait }, s(5)));
}

#[test]
fn a_request_waits_for_the_first_keys_until_its_deadline() {
    let (config, board) = (config(), Shared::default());
    let far = &config.providers[1];
    let mut keyring = Keyring::new(&config, 1);
    let wait = keyring.on_wanted(&wanted(far), s(0)).unwrap();
    assert_eq!(begins(&mut keyring, 0, &board), 1);
    assert!(!keyring.is_over(&wait, Duration::from_millis(999)));
    assert!(keyring.is_over(&wait, s(1)));
    for _failure in 0..6 {
        keyring.on_fetched(FAR, at(1), &board, Fetched::Unreachable);
    }
    assert_eq!(
        keyring.on_wanted(&wanted(far), s(1)),
        None,
        "the next attempt is too far away"
    );
}

#[test]
fn a_token_with_an_invented_key_costs_one_look_for_all_workers() {
    let (config, board) = (config(), Shared::default());
    let far = &config.providers[1];
    let mut workers: Vec<_> = (0..8)
        .map(|seed| worker(&config, seed, 0, &board))
        .collect();
    let mut fetches = 0;
    for second in 2..22 {
        for keyring in &mut workers {
            let _wait = keyring.on_wanted(&wanted(far), s(second));
            for (id, _remote) in keyring.due(at(second), &board) {
                fetches += 1;
                keyring.on_fetched(id, at(second), &board, ok(&set()));
            }
        }
    }
    assert_eq!(fetches, 2, "one in ten seconds");
}

#[test]
fn when_keys_change_every_worker_sees_them_at_once() {
    let (config, board) = (config(), Shared::default());
    let far = &config.providers[1];
    let mut workers: Vec<_> = (0..8)
        .map(|seed| worker(&config, seed, 0, &board))
        .collect();
    for keyring in &mut workers {
        assert!(keyring.on_wanted(&wanted(far), s(2)).is_some());
        assert_eq!(begins(keyring, 2, &board), 1);
        keyring.on_fetched(FAR, at(2), &board, ok(&rotated()));
    }
}

#[test]
fn two_workers_do_not_fetch_at_the_same_time() {
    let (config, board) = (config(), Shared::default());
    let mut workers: Vec<_> = (0..8).map(|seed| Keyring::new(&config, seed)).collect();
    let started: usize = workers
        .iter_mut()
        .map(|keyring| begins(keyring, 0, &board))
        .sum();
    assert_eq!(started, 1);
    workers[0].on_fetched(FAR, at(1), &board, ok(&set()));
    assert_eq!(begins(&mut workers[1], 1, &board), 1);
}

#[test]
fn a_hostile_neighbour_delays_keys_but_does_not_keep_them_away() {
    let config = config();
    // Another worker has the lease, as it seems, and for ever.
    let until = 1_800_000_010_000_u64.to_le_bytes();
    let boards = [
        Hostile(until.into_iter().chain(9_u64.to_le_bytes()).collect()),
        Hostile(alloc::vec![0xff; 16]),
        Hostile(Vec::new()),
    ];
    for board in boards {
        let mut keyring = Keyring::new(&config, 1);
        assert_eq!(begins(&mut keyring, 0, &board), 0);
        assert_eq!(begins(&mut keyring, 4, &board), 1, "{board:?}");
        keyring.on_fetched(FAR, at(4), &board, ok(&set()));
        assert!(keyring.keys(&config.providers[1], None).is_some());
    }
}
