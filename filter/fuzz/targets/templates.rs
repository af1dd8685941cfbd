//! See `filter/tests/fuzzing/templates.rs`.

#![no_main]

#[path = "../../tests/fuzzing/templates.rs"]
mod templates;

libfuzzer_sys::fuzz_target!(|data: &[u8]| templates::check(data));
