use alloc::format;

use super::*;
use crate::algorithm::Algorithm;
use crate::config::Config;
use crate::jwks::KeySet;
use crate::namespace::Namespace;
use crate::policy::Policy;
use crate::signature::{Engine, PublicKey};
use crate::time::UnixTime;
use crate::token::Jws;
use crate::verify;

#[derive(Debug)]
struct AlwaysValid;

impl Engine for AlwaysValid {
    fn checks(&self, _algorithm: Algorithm) -> bool {
        true
    }

    fn is_valid(&self, _: Algorithm, _: &PublicKey, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// Any point of the curve: the generator of P-256 (FIPS 186-4 section D.1.2.3).
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k",
    "x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}"#;

fn config() -> Config {
    let document = format!(
        r#"{{"providers":[{{"name":"a","issuer":"https://a","audiences":["x"],"algorithms":["ES256"],
            "jwks":{{"inline":{KEYS}}}}}],"namespaces":[],"policy":{{"rules":[]}}}}"#
    );
    Config::parse(document.as_bytes()).unwrap()
}

fn entry(padding: usize) -> Entry {
    let config = config();
    let encode = |text: &str| crate::base64url::encode(text.as_bytes());
    let claims = format!(
        r#"{{"aud":"x","sub":"s","exp":2000,"p":"{}"}}"#,
        "p".repeat(padding)
    );
    let token = format!(
        "{}.{}.AA",
        encode(r#"{"alg":"ES256","kid":"k"}"#),
        encode(&claims)
    );
    let jws = Jws::parse(&token, 1 << 20).unwrap();
    let claims = crate::claims::Claims::parse(jws.payload()).unwrap();
    let keys = KeySet::parse(KEYS.as_bytes()).unwrap();
    let provider = config.providers.first().unwrap();
    let now = UnixTime::from_millis(1_000_000);
    let verified = verify::verify(provider, Some(&keys), &AlwaysValid, &jws, claims, now).unwrap();
    let namespace = Namespace {
        name: "n".into(),
        grants: Vec::new(),
        policy: Policy::default(),
    };
    let caller = Caller::new(provider, &namespace, &verified, None).unwrap();
    Entry {
        provider: 0,
        verified: Rc::new(verified),
        caller: Rc::new(caller),
    }
}

fn header(name: &str) -> TokenSource {
    TokenSource::Header {
        name: name.into(),
        scheme: None,
    }
}

fn cache(tokens: usize, bytes: usize) -> TokenCache {
    TokenCache::new(Bounds { tokens, bytes }, 1)
}

fn check_invariants(cache: &TokenCache) {
    assert_eq!(cache.places.len(), cache.slots.len());
    for (place, slot) in cache.slots.iter().enumerate() {
        assert_eq!(cache.places.get(&slot.digest), Some(&place));
    }
    let bytes: usize = cache.slots.iter().map(|slot| slot.bytes).sum();
    assert_eq!(cache.bytes, bytes);
    assert!(cache.slots.len() <= cache.bounds.tokens && cache.bytes <= cache.bounds.bytes);
}

#[test]
fn token_place_and_configuration_tell_entries_apart() {
    let cache = cache(1, 1 << 20);
    let digest = cache.digest(&header("authorization"), "a.b.c");
    assert_eq!(digest, cache.digest(&header("authorization"), "a.b.c"));
    assert_ne!(digest, cache.digest(&header("authorization"), "a.b.d"));
    assert_ne!(digest, cache.digest(&header("x-token"), "a.b.c"));
    assert_ne!(
        cache.digest(&header("x-token"), "a.b.c"),
        cache.digest(&header("x-toke"), "na.b.c"),
        "no byte moves from one part to the other"
    );
    let cookie = TokenSource::Cookie {
        name: "authorization".into(),
    };
    assert_ne!(digest, cache.digest(&cookie, "a.b.c"));
    let other = TokenCache::new(cache.bounds, 2);
    assert_ne!(digest, other.digest(&header("authorization"), "a.b.c"));
}

#[test]
fn what_was_used_lately_stays() {
    let (mut cache, entry) = (cache(4, 1 << 20), entry(1));
    let digest = |cache: &TokenCache, name: &str| cache.digest(&header("h"), name).unwrap();
    for name in ["a", "b", "c", "d"] {
        cache.insert(digest(&cache, name), entry.clone());
    }
    for name in ["a", "c"] {
        assert!(cache.find(&digest(&cache, name)).is_some());
    }
    for name in ["e", "f"] {
        cache.insert(digest(&cache, name), entry.clone());
        check_invariants(&cache);
    }
    let there: Vec<&str> = ["a", "b", "c", "d", "e", "f"]
        .into_iter()
        .filter(|name| cache.places.contains_key(&digest(&cache, name)))
        .collect();
    assert_eq!(there, ["a", "c", "e", "f"]);
}

#[test]
fn entries_and_bytes_are_bounded_whatever_comes() {
    let large = entry(3000);
    let bytes = large.verified.bytes() + SLOT_BYTES;
    let mut cache = cache(50, 10 * bytes);
    let small = entry(1);
    for number in 0..1000_u32 {
        let digest = cache
            .digest(&header("h"), &format!("{}", number % 300))
            .unwrap();
        if number % 7 == 0 {
            cache.remove(&digest);
        } else {
            let entry = if number % 3 == 0 { &large } else { &small };
            cache.insert(digest, entry.clone());
            assert!(cache.find(&digest).is_some());
        }
        check_invariants(&cache);
    }
    assert!(!cache.is_empty());
}

#[test]
fn a_token_that_is_larger_than_the_bounds_is_not_remembered() {
    let mut small = cache(10, 100);
    let digest = small.digest(&header("h"), "a").unwrap();
    small.insert(digest, entry(1));
    assert_eq!((small.len(), small.bytes), (0, 0));
}

#[test]
fn without_room_for_tokens_nothing_is_done() {
    assert_eq!(cache(0, 1 << 20).digest(&header("h"), "a"), None);
}

#[test]
fn bytes_grow_with_what_the_token_holds() {
    let bytes = |padding| entry(padding).verified.bytes();
    assert!(bytes(1) > 200);
    assert_eq!(bytes(1001) - bytes(1), 1000);
}
