//! See `filter/tests/fuzzing/token.rs`.

#![no_main]

#[path = "../../tests/fuzzing/gateway.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod gateway;
#[path = "../../tests/fuzzing/token.rs"]
mod token;

libfuzzer_sys::fuzz_target!(|data: &[u8]| token::check(data));
