//! See `l4-front/src/fuzzing/client_hello.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| l4_front::fuzzing::client_hello(data));
