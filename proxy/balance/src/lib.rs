//! The choice of backend and endpoint, and what protects endpoints: ejection, limits, back-off and
//! the budget of retries. Pure: time and randomness are arguments, state is the caller's.

use model::route::WeightedBackend;

mod backoff;
mod breaker;
mod budget;
mod choose;
mod outlier;
mod random;

pub use backoff::backoff;
pub use breaker::Caps;
pub use budget::Budget;
pub use choose::{Choice, Condition, Tiers, Wish, choose};
pub use outlier::{Health, may_eject};

#[cfg(test)]
mod tests;

/// The backend for one request, by weight. `None` when no reference has a weight: the request is
/// answered with 500. An invalid reference is chosen for its share like any other.
///
/// `random` is uniform over all 64 bits.
pub fn backend(backends: &[WeightedBackend], random: u64) -> Option<&WeightedBackend> {
    let total: u64 = backends.iter().map(|b| u64::from(b.weight)).sum();
    let mut at = random::below(random, total);
    backends.iter().find(|b| {
        let mine = at < u64::from(b.weight);
        at = at.saturating_sub(u64::from(b.weight));
        mine
    })
}
