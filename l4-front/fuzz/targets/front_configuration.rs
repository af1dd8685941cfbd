//! See `l4-front/src/fuzzing/configuration.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| l4_front::fuzzing::front_configuration(data));
