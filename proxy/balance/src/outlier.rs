//! Ejection of endpoints that fail time after time, and their return. All moments are
//! nanoseconds of one clock.

use std::time::Duration;

use model::traffic::Outlier;

#[cfg(test)]
mod tests;

/// What is known of one endpoint. New ones are healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Failures in a row.
    errors: u32,
    /// Ejections in a row.
    ejections: u32,
    /// End of the last ejection.
    until: u64,
}

impl Health {
    /// Whether it is left out now.
    pub fn is_ejected(&self, now: u64) -> bool {
        now < self.until
    }

    /// It answered as it should: the count of failures begins anew.
    pub fn succeeded(&mut self) {
        self.errors = 0;
    }

    /// It failed: a 5xx answer, a connection refused or reset, a time-out. Returns whether it is to
    /// be ejected. What fails while it is ejected was under way before and does not count.
    pub fn failed(&mut self, policy: &Outlier, now: u64) -> bool {
        if self.is_ejected(now) {
            return false;
        }
        self.errors = self.errors.saturating_add(1);
        self.errors >= policy.consecutive_errors
    }

    /// Leaves it out, and returns for how long: the base time for the first ejection, as much more
    /// for each further one in a row. Every base time that it spends in service takes one back.
    pub fn eject(&mut self, policy: &Outlier, now: u64) -> Duration {
        let base = nanos(policy.base_ejection).max(1);
        let healed = now.saturating_sub(self.until) / base;
        let before = u64::from(self.ejections).saturating_sub(healed);
        let ejections = u32::try_from(before + 1).unwrap_or(u32::MAX);
        let time = base.saturating_mul(u64::from(ejections)).min(nanos(policy.max_ejection).max(base));
        *self = Self { errors: 0, ejections, until: now.saturating_add(time) };
        Duration::from_nanos(time)
    }
}

/// Whether one more of `endpoints` may be left out where `ejected` are: as long as the share stays
/// within `percent`, but always one.
pub fn may_eject(ejected: usize, endpoints: usize, percent: u8) -> bool {
    ejected == 0 || (ejected + 1) * 100 <= usize::from(percent) * endpoints
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
