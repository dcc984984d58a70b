//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

/// Asks `condition` until it gives a value. Panics with `what` after [`PATIENCE`].
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, condition)
}

/// The same with another patience.
pub fn until_within<T>(patience: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long anything may take before a test gives up on it: far longer than it does take, as the
/// machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The same for the start of a proxy, of which the kernel's verifier takes more than a second of
/// processor time alone: ten times as long where ten others want to run.
pub const START: Duration = Duration::from_secs(90);
