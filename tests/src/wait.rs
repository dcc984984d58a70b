//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

/// Asks `condition` until it gives a value. Panics with `what` after [`PATIENCE`].
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long anything may take before a test gives up on it: far longer than it does take, as the
/// machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);
