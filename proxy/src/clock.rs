//! A worker's clock: one reading of the system's wall clock, advanced by the monotonic one.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// Later than any other.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// Nanoseconds from `earlier` to this.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    epoch: Cell<Moment>,
    last: Cell<Moment>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let clock = Self { start: Instant::now(), epoch: Cell::new(Moment(0)), last: Cell::new(Moment(0)) };
        clock.adjust();
        clock
    }

    /// Follows the wall clock, which may have been set since the last time.
    pub(crate) fn adjust(&self) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.epoch.set(Moment(nanos(wall).saturating_sub(nanos(self.start.elapsed()))));
    }

    /// The time now, exactly.
    pub(crate) fn now(&self) -> Moment {
        let now = self.epoch.get() + self.start.elapsed();
        self.last.set(now);
        now
    }

    /// The time when it was last read: free of cost, behind by no more than the sweeper's tick.
    pub(crate) fn coarse(&self) -> Moment {
        self.last.get()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
