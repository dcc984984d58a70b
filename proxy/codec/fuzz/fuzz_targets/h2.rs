//! What an HTTP/2 peer sends: see `checks::h2`.
#![no_main]

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::h2(bytes));
