//! See `filter/tests/fuzzing/location.rs`.

#![no_main]

#[path = "../../tests/fuzzing/location.rs"]
mod location;

libfuzzer_sys::fuzz_target!(|data: &[u8]| location::check(data));
