//! The retry budget: how much of a Service's load retries may be, so that they cannot make an
//! overload worse.

use std::time::Duration;

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
    /// When the least rate has made up for the retries so far.
    made_up: u64,
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
    /// no more than the policy's share of all tries, or than its least rate allows, which may be
    /// used for an interval at once. The least rate is shared among `workers`.
    pub fn retry(&mut self, policy: &RetryBudget, now: u64, workers: usize) -> bool {
        let slot = self.slot(policy, now);
        let retries = self.total.retries + 1;
        let share = u64::from(policy.percent) * (self.total.requests + retries);
        let apart = apart(policy, workers);
        // As many as fit into an interval, a part of one included.
        let at_once = nanos(policy.interval).div_ceil(apart).saturating_mul(apart);
        let owed_max = now.saturating_add(at_once);
        // No more is owed than that, whatever policy was in force before.
        self.made_up = self.made_up.clamp(now, owed_max);
        let owes = self.made_up.saturating_add(apart);
        let within_least = policy.min_retries > 0 && owes <= owed_max;
        let allowed = retries * 100 <= share || within_least;
        if allowed {
            self.slots[slot].retries += 1;
            self.total.retries = retries;
            // What the share allowed does not pile up as a debt.
            self.made_up = owes.min(owed_max);
        }
        allowed
    }

    /// Moves on to the slot of this moment, and forgets what is older than the interval.
    fn slot(&mut self, policy: &RetryBudget, now: u64) -> usize {
        let width = nanos(policy.interval) / SLOTS as u64;
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

/// How far apart retries are at the least rate, as one of `workers` has it; never 0.
fn apart(policy: &RetryBudget, workers: usize) -> u64 {
    let workers = u64::try_from(workers.max(1)).unwrap_or(u64::MAX);
    let all = nanos(policy.min_interval).saturating_mul(workers);
    all.div_ceil(policy.min_retries.max(1).into()).max(1)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds of a slot at least, whatever the interval.
const WIDTH_MIN: u64 = 1_000_000;

fn place(at: u64) -> usize {
    usize::try_from(at % SLOTS as u64).unwrap_or_default()
}
