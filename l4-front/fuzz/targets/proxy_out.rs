//! See `l4-front/src/fuzzing/proxy_out.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| l4_front::fuzzing::proxy_out(data));
