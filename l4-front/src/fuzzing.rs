//! What the fuzzers look for in the front, one file a target. `l4-front/fuzz` has these functions behind libFuzzer;
//! the tests below try them on every seed with the stable compiler. No part of the product: it is compiled for tests
//! and for fuzzing alone.
//!
//! A function that returns has found nothing.

#[expect(clippy::unwrap_used, reason = "what panics here has found something")]
mod client_hello;
#[expect(clippy::unwrap_used, reason = "what panics here has found something")]
mod configuration;
mod draw;
#[expect(clippy::unwrap_used, reason = "what panics here has found something")]
mod material;
#[expect(clippy::unwrap_used, reason = "what panics here has found something")]
mod proxy_in;
#[expect(clippy::unwrap_used, reason = "what panics here has found something")]
mod proxy_out;

pub use client_hello::check as client_hello;
pub use configuration::check as front_configuration;
pub use proxy_in::check as proxy_in;
pub use proxy_out::check as proxy_out;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 4] = [
        ("client_hello", client_hello),
        ("front_configuration", front_configuration),
        ("proxy_in", proxy_in),
        ("proxy_out", proxy_out),
    ];

    fn folder(path: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    fn files(path: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder(path)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Without their endings.
    fn names(path: &str) -> BTreeSet<String> {
        let stem = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
        files(path).iter().map(stem).collect()
    }

    fn replay(folder: &str, check: fn(&[u8])) {
        let seeds = files(folder);
        assert!(!seeds.is_empty(), "{folder} has no seed");
        for path in seeds {
            eprintln!("{}", path.display());
            check(&fs::read(path).unwrap());
        }
    }

    #[test]
    fn what_is_checked_holds_for_every_seed() {
        for (name, check) in TARGETS {
            replay(&format!("fuzz/seeds/{name}"), check);
        }
    }

    /// Of which each is there to show something.
    #[test]
    fn what_is_checked_of_configurations_holds_for_the_fixtures_of_the_end_to_end_tests() {
        for kind in ["valid", "invalid"] {
            let fixtures = format!("../tests/fixtures/config/{kind}");
            replay(&fixtures, front_configuration);
        }
    }

    proptest! {
        /// Facts are drawn from any bytes, so that chance finds them too.
        #[test]
        fn headers_of_any_facts_are_read_back(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            proxy_out(&bytes);
        }
    }

    #[test]
    fn every_target_has_its_program_and_its_seeds() {
        let replayed: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names("fuzz/targets"), replayed);
        assert_eq!(names("fuzz/seeds"), replayed);
    }
}
