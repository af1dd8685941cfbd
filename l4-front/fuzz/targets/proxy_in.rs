//! See `l4-front/src/fuzzing/proxy_in.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| l4_front::fuzzing::proxy_in(data));
