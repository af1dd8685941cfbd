//! See `filter/tests/fuzzing/claim_path.rs`.

#![no_main]

#[path = "../../tests/fuzzing/claim_path.rs"]
mod claim_path;

libfuzzer_sys::fuzz_target!(|data: &[u8]| claim_path::check(data));
