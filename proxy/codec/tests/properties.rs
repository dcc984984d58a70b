//! The fuzz targets' checks on seeded mutations of the fuzz seeds: deterministic, without an engine.
//! The engine goes further: `scripts/fuzz.sh 60 path`.

#[path = "../fuzz/checks.rs"]
mod checks;

#[path = "support/mutations.rs"]
mod mutations;

use mutations::{Random, mutate, seeds};

fn holds(target: &str, check: fn(&[u8])) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for seed in seeds(target) {
        check(&seed);
        for _ in 0..2_000 {
            let mut input = seed.clone();
            mutate(&mut input, &mut random);
            let outcome = std::panic::catch_unwind(|| check(&input));
            assert!(outcome.is_ok(), "{target}: {:?}", String::from_utf8_lossy(&input));
        }
    }
}

#[test]
fn request() {
    holds("request", checks::request);
}

#[test]
fn response() {
    holds("response", checks::response);
}

#[test]
fn chunked() {
    holds("chunked", checks::chunked);
}

#[test]
fn path() {
    holds("path", checks::path);
}

#[test]
fn hpack() {
    holds("hpack", checks::hpack);
}

#[test]
fn tls() {
    holds("tls", checks::tls);
}

#[test]
fn h2() {
    holds("h2", checks::h2);
}
