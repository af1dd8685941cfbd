//! See `filter/tests/fuzzing/claims.rs`.

#![no_main]

#[path = "../../tests/fuzzing/claims.rs"]
mod claims;
#[path = "../../tests/fuzzing/gateway.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod gateway;

libfuzzer_sys::fuzz_target!(|data: &[u8]| claims::check(data));
