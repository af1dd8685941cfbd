//! See `filter/tests/fuzzing/credential.rs`.

#![no_main]

#[path = "../../tests/fuzzing/credential.rs"]
mod credential;
#[path = "../../tests/fuzzing/gateway.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod gateway;

libfuzzer_sys::fuzz_target!(|data: &[u8]| credential::check(data));
