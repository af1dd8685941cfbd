//! See `filter/tests/fuzzing/policy.rs`.

#![no_main]

#[path = "../../tests/fuzzing/gateway.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod gateway;
#[path = "../../tests/fuzzing/policy.rs"]
mod policy;
#[path = "../../tests/fuzzing/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| policy::check(data));
