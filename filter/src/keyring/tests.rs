use alloc::format;

use super::*;
use crate::config::Config;

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
            r#"{"cluster":"c","uri":"https://far/keys?x=1","refresh_seconds":60}"#
        ),
    );
    Config::parse(document.as_bytes()).unwrap()
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ok(body: &str) -> Fetched<'_> {
    Fetched::Response {
        status: Some(200),
        body: body.as_bytes(),
    }
}

#[test]
fn inline_keys_are_there_and_others_are_fetched() {
    let config = config();
    let mut keyring = Keyring::new(&config);
    let [inline, far] = [&config.providers[0], &config.providers[1]];
    assert!(keyring.keys(inline).is_some());
    assert!(keyring.keys(far).is_none());
    assert!(keyring.is_waiting() && keyring.has_remote());

    let due = keyring.due(s(0));
    assert_eq!(due.len(), 1);
    let (index, remote) = &due[0];
    assert_eq!(
        (
            remote.scheme,
            remote.authority.as_str(),
            remote.path.as_str()
        ),
        ("https", "far", "/keys?x=1")
    );
    assert!(keyring.due(s(1)).is_empty(), "one fetch in flight");

    let set = format!(r#"{{"keys":[{KEY}]}}"#);
    let (provider, keys) = keyring.on_fetched(*index, s(1), ok(&set)).unwrap();
    assert_eq!((provider.name.as_str(), keys.unwrap().len()), ("far", 1));
    assert!(keyring.keys(far).is_some());
    assert!(!keyring.is_waiting());
    assert!(keyring.due(s(60)).is_empty());
    assert_eq!(keyring.due(s(61)).len(), 1);
}

#[test]
fn a_failed_fetch_changes_nothing_but_the_schedule() {
    let config = config();
    let far = &config.providers[1];
    let mut keyring = Keyring::new(&config);
    let set = format!(r#"{{"keys":[{KEY}]}}"#);
    keyring.on_fetched(1, s(0), ok(&set));
    let failures = [
        (Fetched::Unreachable, FetchError::Unreachable),
        (Fetched::TooLarge, FetchError::TooLarge),
        (
            Fetched::Response {
                status: Some(302),
                body: set.as_bytes(),
            },
            FetchError::Status { status: 302 },
        ),
        (
            Fetched::Response {
                status: None,
                body: set.as_bytes(),
            },
            FetchError::Status { status: 0 },
        ),
        (ok("<html>"), FetchError::KeySet(KeySetError::Malformed)),
        (
            ok(r#"{"keys":[]}"#),
            FetchError::KeySet(KeySetError::NoUsableKey { keys: 0 }),
        ),
    ];
    for (fetched, want) in failures {
        let (_provider, result) = keyring.on_fetched(1, s(60), fetched).unwrap();
        assert_eq!(result.unwrap_err(), want);
        assert!(keyring.keys(far).is_some(), "{want}");
    }
    assert!(keyring.due(s(60)).is_empty());
    assert_eq!(keyring.due(s(90)).len(), 1, "the back-off is bounded");
}

#[test]
fn answers_for_slots_that_fetch_nothing_are_ignored() {
    let mut keyring = Keyring::new(&config());
    assert!(keyring.on_fetched(0, s(0), Fetched::Unreachable).is_none());
    assert!(keyring.on_fetched(9, s(0), Fetched::Unreachable).is_none());
}

#[test]
fn an_unknown_key_brings_the_fetch_of_its_provider_forward() {
    let config = config();
    let mut keyring = Keyring::new(&config);
    let set = format!(r#"{{"keys":[{KEY}]}}"#);
    keyring.on_fetched(1, s(0), ok(&set));
    keyring.on_unknown_key(&config.providers[0]);
    assert!(keyring.due(s(59)).is_empty());
    keyring.on_unknown_key(&config.providers[1]);
    assert_eq!(keyring.due(s(10)).len(), 1);
}
