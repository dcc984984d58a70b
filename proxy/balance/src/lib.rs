//! The choice of backend and endpoint. Pure: time and randomness are arguments.

use model::address::EndpointAddr;
use model::route::WeightedBackend;
use model::service::{Backend, Endpoint};

#[cfg(test)]
mod tests;

/// Random picks made before all endpoints are looked at one by one.
const PICKS_MAX: usize = 8;

/// The backend for one request, by weight. `None` when no reference has a weight: the request is
/// answered with 500. An invalid reference is chosen for its share like any other.
///
/// `random` is uniform over all 64 bits.
pub fn backend(backends: &[WeightedBackend], random: u64) -> Option<&WeightedBackend> {
    let total: u64 = backends.iter().map(|b| u64::from(b.weight)).sum();
    let mut at = below(random, total);
    backends.iter().find(|b| {
        let mine = at < u64::from(b.weight);
        at = at.saturating_sub(u64::from(b.weight));
        mine
    })
}

/// The endpoint for one try: the less loaded of two that are picked at random among those ready
/// and not in `tried`. `None` when there is none: the request is answered with 503.
///
/// `load` is the number of requests under way; `random` is uniform over all 64 bits.
pub fn endpoint<'b>(
    backend: &'b Backend,
    load: impl Fn(EndpointAddr) -> u32,
    random: u64,
    tried: &[EndpointAddr],
) -> Option<&'b Endpoint> {
    endpoint_among(backend, load, random, |e| !tried.contains(&e.address))
}

/// The same among the ready endpoints that `fit` allows: those of one address family, say.
pub fn endpoint_among(
    backend: &Backend,
    load: impl Fn(EndpointAddr) -> u32,
    random: u64,
    fit: impl Fn(&Endpoint) -> bool,
) -> Option<&Endpoint> {
    let fit = |e: &&Endpoint| e.ready && fit(e);
    let mut state = random;
    let first = pick(&backend.endpoints, &mut state, fit)?;
    let other = pick(&backend.endpoints, &mut state, |e| fit(e) && e.address != first.address);
    match other {
        Some(other) if load(other.address) < load(first.address) => Some(other),
        _ => Some(first),
    }
}

/// A random one of the fit endpoints, each as likely as the next.
fn pick<'b>(
    endpoints: &'b [Endpoint],
    state: &mut u64,
    fit: impl Fn(&&Endpoint) -> bool,
) -> Option<&'b Endpoint> {
    // Most endpoints are fit most of the time: throwing again costs less than counting them.
    for _ in 0..PICKS_MAX.min(endpoints.len()) {
        let at = index(below(next(state), endpoints.len() as u64));
        if let Some(endpoint) = endpoints.get(at).filter(&fit) {
            return Some(endpoint);
        }
    }
    let count = endpoints.iter().filter(&fit).count();
    let at = index(below(next(state), count as u64));
    endpoints.iter().filter(&fit).nth(at)
}

/// Scales a uniform number to `0..limit`; 0 for a limit of 0.
fn below(random: u64, limit: u64) -> u64 {
    let scaled = (u128::from(random) * u128::from(limit)) >> 64;
    // Less than `limit`, which is a u64.
    u64::try_from(scaled).unwrap_or_default()
}

/// A number below a slice's length as an index.
fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or_default()
}

/// The next number of SplitMix64, which makes several picks out of one random number.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
