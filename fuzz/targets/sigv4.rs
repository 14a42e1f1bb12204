//! Runs one target: see `src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| firehose::fuzz::run("sigv4", bytes));
