//! A warning that is given now and then, however often there is cause for it.

use std::cell::Cell;
use std::time::Duration;

use crate::clock::Moment;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    next: Cell<Moment>,
    left_out: Cell<u64>,
}

impl Seldom {
    /// Whether it is time to warn: then how many warnings were left out since the last.
    pub(crate) fn take(&self, now: Moment) -> Option<u64> {
        if now < self.next.get() {
            self.left_out.set(self.left_out.get() + 1);
            return None;
        }
        self.next.set(now + EVERY);
        Some(self.left_out.take())
    }
}

/// The least time between two.
const EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
