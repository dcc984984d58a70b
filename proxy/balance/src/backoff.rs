//! The wait between two tries.

use std::time::Duration;

use crate::random::below;

#[cfg(test)]
mod tests;

/// The first wait's bound where a route does not say one.
const BASE: Duration = Duration::from_millis(25);
/// No wait is longer than this many times the base.
const GROWTH_MAX: u32 = 10;

/// The wait before the `nth` retry, counted from 0; `random` is uniform over all 64 bits.
///
/// Without a `backoff` of the route: any time up to a bound that begins with 25 ms and doubles
/// (full jitter). A route's own is the least time (`retry.backoff` of the Gateway API): what
/// varies comes on top. Neither is longer than ten times its base.
pub fn backoff(least: Option<Duration>, nth: u32, random: u64) -> Duration {
    let base = least.unwrap_or(BASE);
    let doubled = 1u32.checked_shl(nth + u32::from(least.is_some())).unwrap_or(GROWTH_MAX);
    let bound = base.saturating_mul(doubled.min(GROWTH_MAX));
    let floor = least.unwrap_or_default();
    let varies = u64::try_from(bound.saturating_sub(floor).as_nanos()).unwrap_or(u64::MAX);
    floor + Duration::from_nanos(below(random, varies))
}
