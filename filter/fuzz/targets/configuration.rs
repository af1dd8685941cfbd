//! See `filter/tests/fuzzing/configuration.rs`.

#![no_main]

#[path = "../../tests/fuzzing/configuration.rs"]
mod configuration;

libfuzzer_sys::fuzz_target!(|data: &[u8]| configuration::check(data));
