//! Every limit by name, with a safe default. What they stop is counted in [`crate::Stats`].

use std::time::Duration;

/// Descriptors that connections leave alone: files, watches, listeners, maps and their like.
const DESCRIPTORS_KEPT: usize = 256;

/// Bounds on what connections may use. Counts are for the whole proxy unless said otherwise; each
/// worker enforces its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message head, start line included. Beyond: 431 to a client, 502 for an endpoint.
    pub head_bytes: usize,
    /// Bytes of a request target. Beyond: 414.
    pub target_bytes: usize,
    /// Fields of a message head; at most 128. Beyond: 431 to a client, 502 for an endpoint.
    pub head_fields: usize,
    /// From a connection's first byte wanted (on a new connection: from its accept) to the end of
    /// the head. Beyond: 408, or a plain close where nothing came. Also bounds protocol detection.
    pub head_timeout: Duration,
    /// Interim responses (1xx) to one request. Beyond: 502.
    pub interim_responses: usize,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long an exchange may stand still: no byte moves in either direction, the wait for the
    /// answer included. Beyond: 504 if nothing was answered yet.
    pub stall_timeout: Duration,
    /// How long a client that has closed its sending side is still owed the answer. A client that
    /// went away looks the same until something is written to it.
    pub half_closed_timeout: Duration,
    /// How long a closing connection waits for the client to have read the last answer.
    pub linger_timeout: Duration,
    /// How long a tunnel (bytes, WebSocket) may stand still in both directions.
    pub tunnel_timeout: Duration,
    /// TCP connect to an endpoint.
    pub connect_timeout: Duration,
    /// Bytes of a request body that are read and thrown away to keep a connection after an answer
    /// that did not need them; a longer body costs the connection.
    pub discard_bytes: u64,
    /// Bytes of a request body kept for its mirrors; a longer one is not mirrored.
    pub mirror_bytes: usize,
    /// Mirrored requests under way per worker; more are not mirrored.
    pub mirrors: usize,
    /// How long a mirrored request may take.
    pub mirror_timeout: Duration,
    /// Bytes that one read may take at most; buffers grow up to it.
    pub buffer_bytes: usize,
    /// Client connections in all.
    pub connections: usize,
    /// Client connections of one pod.
    pub connections_per_pod: usize,
    /// Bytes of memory that buffers of one pod's connections hold. A connection that needs more is
    /// closed.
    pub buffered_bytes_per_pod: usize,
    /// Idle upstream connections per worker.
    pub idle_upstream: usize,
    /// Idle upstream connections per worker and key (endpoint, source address).
    pub idle_upstream_per_key: usize,
    /// How long an upstream connection may stay idle; shorter than servers usually allow.
    pub idle_upstream_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            target_bytes: 16 * 1024,
            head_fields: 100,
            head_timeout: Duration::from_secs(10),
            interim_responses: 16,
            idle_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(300),
            half_closed_timeout: Duration::from_secs(10),
            linger_timeout: Duration::from_secs(2),
            tunnel_timeout: Duration::from_secs(3600),
            connect_timeout: Duration::from_secs(2),
            discard_bytes: 64 * 1024,
            mirror_bytes: 64 * 1024,
            mirrors: 256,
            mirror_timeout: Duration::from_secs(10),
            buffer_bytes: 64 * 1024,
            connections: 100_000,
            connections_per_pod: 20_000,
            buffered_bytes_per_pod: 64 * 1024 * 1024,
            idle_upstream: 1_024,
            idle_upstream_per_key: 128,
            idle_upstream_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// The same with the counts that so many file descriptors allow, of which some are left to the
    /// rest of the process. A client connection takes two: its own and the one upstream.
    #[must_use]
    pub fn within(mut self, descriptors: u64, workers: usize) -> Self {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let workers = workers.max(1);
        let usable = descriptors - DESCRIPTORS_KEPT.min(descriptors / 2);
        self.idle_upstream = self.idle_upstream.min(usable / 8 / workers);
        self.idle_upstream_per_key = self.idle_upstream_per_key.min(self.idle_upstream);
        self.mirrors = self.mirrors.min(usable / 16 / workers);
        let beside = workers * (self.idle_upstream + self.mirrors);
        self.connections = self.connections.min((usable - beside) / 2).max(1);
        // One pod must not be able to keep out all others.
        self.connections_per_pod = self.connections_per_pod.min(self.connections / 2).max(1);
        self
    }

    /// One worker's share of a count for the whole proxy, rounded up.
    pub(crate) fn share(count: usize, workers: usize) -> usize {
        count.div_ceil(workers.max(1))
    }

    /// The codec's part.
    pub(crate) fn codec(&self) -> codec::http1::Limits {
        codec::http1::Limits {
            head_bytes: self.head_bytes,
            target_bytes: self.target_bytes,
            fields: self.head_fields,
            ..codec::http1::Limits::default()
        }
    }
}

#[cfg(test)]
mod tests;
