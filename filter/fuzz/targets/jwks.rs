//! See `filter/tests/fuzzing/jwks.rs`.

#![no_main]

#[path = "../../tests/fuzzing/jwks.rs"]
mod jwks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| jwks::check(data));
