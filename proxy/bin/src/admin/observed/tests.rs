//! What counts as ready and as alive.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proxy::Limits;

use super::{CONTROL_STUCK, Observed};
use crate::redirection::Current;

/// The control side of a process with `workers` workers that have not begun.
fn observed(workers: usize) -> Observed {
    let workers = (0..workers).map(|_| Arc::default()).collect();
    Observed::new(workers, Current::new(Arc::default()), Arc::default(), Arc::default(), Limits::default())
}

#[test]
fn is_ready_once_every_worker_serves_and_until_it_drains() {
    let waits = observed(2);
    assert!(waits.ready().unwrap_err().contains("worker 0"));
    let serves = observed(0);
    assert_eq!(serves.ready(), Ok(()));
    serves.drain();
    assert_eq!(serves.ready(), Err("draining".into()));
}

#[test]
fn is_alive_while_the_control_loop_turns_or_drains() {
    let observed = observed(1);
    let wall = Duration::from_secs(1_700_000_000);
    assert_eq!(observed.live_at(wall, CONTROL_STUCK), Ok(()));
    let late = CONTROL_STUCK + Duration::from_secs(1);
    assert!(observed.live_at(wall, late).unwrap_err().contains("control thread"));
    observed.beat_ms.store(2000, Ordering::Relaxed);
    assert_eq!(observed.live_at(wall, late), Ok(()));
    observed.drain();
    assert_eq!(observed.live_at(wall, late * 10), Ok(()));
}

#[test]
fn has_the_lowest_revision_of_all_parts() {
    let observed = observed(0);
    observed.set_applied(7);
    assert_eq!(observed.revision(), 7);
}
