//! What the fuzzers look for, tried on every seed by the stable compiler. `filter/fuzz` has the same functions behind
//! libFuzzer; its seeds are all inputs worth keeping, those of mended faults among them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, also in its helpers"
)]

mod claim_path;
mod claims;
mod configuration;
mod credential;
mod gateway;
mod jwks;
mod location;
mod policy;
mod templates;
mod token;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

const TARGETS: [&str; 9] = [
    "claim_path",
    "claims",
    "configuration",
    "credential",
    "jwks",
    "location",
    "policy",
    "templates",
    "token",
];

fn folder(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(path)
}

/// The files of a folder, without their endings.
fn names(path: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder(path)).unwrap();
    let stem = |file: fs::DirEntry| {
        file.path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    files.map(|file| stem(file.unwrap())).collect()
}

fn replay(target: &str, check: fn(&[u8])) {
    let mut count = 0;
    for seed in fs::read_dir(folder("seeds").join(target)).unwrap() {
        let path = seed.unwrap().path();
        eprintln!("{}", path.display());
        check(&fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{target} has no seed");
}

#[test]
fn what_is_checked_of_claim_paths_holds_for_every_seed() {
    replay("claim_path", claim_path::check);
}

#[test]
fn what_is_checked_of_claims_holds_for_every_seed() {
    replay("claims", claims::check);
}

#[test]
fn what_is_checked_of_configurations_holds_for_every_seed() {
    replay("configuration", configuration::check);
}

#[test]
fn what_is_checked_of_credentials_holds_for_every_seed() {
    replay("credential", credential::check);
}

#[test]
fn what_is_checked_of_key_sets_holds_for_every_seed() {
    replay("jwks", jwks::check);
}

#[test]
fn what_is_checked_of_locations_holds_for_every_seed() {
    replay("location", location::check);
}

#[test]
fn what_is_checked_of_policies_holds_for_every_seed() {
    replay("policy", policy::check);
}

#[test]
fn what_is_checked_of_templates_holds_for_every_seed() {
    replay("templates", templates::check);
}

#[test]
fn what_is_checked_of_tokens_holds_for_every_seed() {
    replay("token", token::check);
}

#[test]
fn every_target_has_its_program_and_its_seeds() {
    let replayed = TARGETS.map(str::to_owned).into();
    assert_eq!(names("targets"), replayed);
    assert_eq!(names("seeds"), replayed);
}

#[test]
fn the_signed_tokens_are_believed() {
    assert_eq!(gateway::signed_tokens().count(), 3);
    for token in gateway::signed_tokens() {
        let value = format!("Bearer {token}");
        let headers: [(&str, &[u8]); 4] = [
            (":method", b"GET"),
            (":authority", b"api.test"),
            (":path", b"/orders/1"),
            ("authorization", value.as_bytes()),
        ];
        let engine = identity_filter::signature::software::Software;
        assert_eq!(gateway::decide(&headers, &engine).denial, None);
    }
}
