//! The retry budget: how much of a Service's load retries may be, so that they cannot make an
//! overload worse.

use model::traffic::RetryBudget;

#[cfg(test)]
mod tests;

/// Parts that an interval is counted in: how smoothly it moves on.
const SLOTS: usize = 10;

/// Requests and retries of the last interval. Moments are nanoseconds of one clock.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    slots: [Count; SLOTS],
    total: Count,
    /// Number of the slot in use, counted from the clock's zero.
    current: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    requests: u64,
    retries: u64,
}

impl Budget {
    /// Counts a request's first try.
    pub fn request(&mut self, policy: &RetryBudget, now: u64) {
        let slot = self.slot(policy, now);
        self.slots[slot].requests += 1;
        self.total.requests += 1;
    }

    /// Whether one more retry is within the budget; if so it is counted. It is when retries are
    /// no more than the policy's share of all tries, or than its least rate allows. The least rate
    /// is shared among `workers`.
    pub fn retry(&mut self, policy: &RetryBudget, now: u64, workers: usize) -> bool {
        let slot = self.slot(policy, now);
        let retries = self.total.retries + 1;
        let share = u64::from(policy.percent) * (self.total.requests + retries);
        let least = u128::from(policy.min_per_second) * policy.interval.as_millis() / 1000;
        let least = least.div_ceil(workers.max(1) as u128);
        let allowed = retries * 100 <= share || u128::from(retries) <= least;
        if allowed {
            self.slots[slot].retries += 1;
            self.total.retries = retries;
        }
        allowed
    }

    /// Moves on to the slot of this moment, and forgets what is older than the interval.
    fn slot(&mut self, policy: &RetryBudget, now: u64) -> usize {
        let width = u64::try_from(policy.interval.as_nanos() / SLOTS as u128).unwrap_or(u64::MAX);
        let at = now / width.max(WIDTH_MIN);
        if at != self.current {
            // A clock that went back, or an interval that was changed, begins anew.
            let passed = at.checked_sub(self.current).unwrap_or(SLOTS as u64).min(SLOTS as u64);
            for back in 0..passed {
                let old = std::mem::take(&mut self.slots[place(at.saturating_sub(back))]);
                self.total.requests -= old.requests;
                self.total.retries -= old.retries;
            }
            self.current = at;
        }
        place(at)
    }
}

/// Nanoseconds of a slot at least, whatever the interval.
const WIDTH_MIN: u64 = 1_000_000;

fn place(at: u64) -> usize {
    usize::try_from(at % SLOTS as u64).unwrap_or_default()
}
