//! A circuit breaker's limits as one worker enforces them.

use model::traffic::Breaker;

#[cfg(test)]
mod tests;

/// One worker's share of a [`Breaker`]; `u32::MAX` where there is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Connections of the Service port.
    pub connections: u32,
    /// Requests that wait for a connection: one that is being opened, or one that another has to be
    /// done with.
    pub pending: u32,
    /// Requests under way at the Service port.
    pub requests: u32,
    /// Connections of one endpoint.
    pub endpoint_connections: u32,
    /// Requests under way at one endpoint.
    pub endpoint_requests: u32,
}

impl Caps {
    /// The share of one of `workers`, rounded up: what all of them let through together can be more
    /// than the count by less than one per worker.
    pub fn of(breaker: &Breaker, workers: usize) -> Self {
        let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        let share = |count: Option<u32>| count.map_or(u32::MAX, |count| count.div_ceil(workers));
        Self {
            connections: share(breaker.connections),
            pending: share(breaker.pending),
            requests: share(breaker.requests),
            endpoint_connections: share(breaker.endpoint_connections),
            endpoint_requests: share(breaker.endpoint_requests),
        }
    }

    /// Whether a request may wait until a connection is free. Only where a bound was said for it:
    /// an endless queue would be the overload that the breaker is to prevent.
    pub fn queues(&self) -> bool {
        self.pending != u32::MAX
    }
}
