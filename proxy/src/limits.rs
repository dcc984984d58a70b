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
    /// How long a connection without a request is kept when the proxy ends, for a request that may
    /// be on its way already.
    pub drain_idle: Duration,
    /// How long a proxy that ends waits until endpoints have been told so.
    pub goodbye_timeout: Duration,
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
    /// How long a TLS handshake may take, with a client from its accept. Beyond: a plain close; 502
    /// where it is an endpoint's.
    pub handshake_timeout: Duration,
    /// TLS handshakes with clients under way per worker. Beyond: reset.
    pub handshakes: usize,
    /// TCP connect to an endpoint.
    pub connect_timeout: Duration,
    /// Bytes of a request body that are read and thrown away to keep a connection after an answer
    /// that did not need them; a longer body costs the connection.
    pub discard_bytes: u64,
    /// How long a request may wait until a Service whose breaker is at its limit has room.
    pub pending_timeout: Duration,
    /// Bytes of a request body kept so that it can be sent again; a longer one is not retried.
    pub retry_bytes: usize,
    /// Bytes of a request body kept for its mirrors; a longer one is not mirrored.
    pub mirror_bytes: usize,
    /// Mirrored requests under way per worker; more are not mirrored.
    pub mirrors: usize,
    /// How long a mirrored request may take.
    pub mirror_timeout: Duration,
    /// Bytes that one read may take at most; buffers grow up to it.
    pub buffer_bytes: usize,
    /// Pipes for the bytes of tunnels, each of up to 256 KiB of the kernel's memory. Without one, bytes
    /// are copied through a buffer.
    pub pipes: usize,
    /// Client connections in all, and streams of those that speak HTTP/2. Beyond: a reset, or
    /// REFUSED_STREAM.
    pub connections: usize,
    /// The same of one pod.
    pub connections_per_pod: usize,
    /// Bytes of memory that buffers of one pod's connections hold. A connection that needs more is
    /// closed.
    pub buffered_bytes_per_pod: usize,
    /// Flows of datagrams in all. A datagram that would begin another is dropped.
    pub datagram_flows: usize,
    /// Flows of datagrams of one client address.
    pub datagram_flows_per_client: usize,
    /// How long a flow of datagrams may stand still.
    pub datagram_timeout: Duration,
    /// Bounds on what the peer of one HTTP/2 connection may do, clients and endpoints alike. Bytes
    /// and fields of a head are bounded as in HTTP/1.1.
    pub http2: codec::h2::Limits,
    /// A connection to an endpoint that carried no stream for so long is asked by PING whether it
    /// is still there, before it is used again.
    pub http2_ping_after: Duration,
    /// How long an endpoint may take to answer the PING of an HTTP/2 connection that was idle.
    /// Beyond: another connection is used.
    pub http2_ping_timeout: Duration,
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
            drain_idle: Duration::from_secs(1),
            goodbye_timeout: Duration::from_millis(100),
            stall_timeout: Duration::from_secs(300),
            half_closed_timeout: Duration::from_secs(10),
            linger_timeout: Duration::from_secs(2),
            tunnel_timeout: Duration::from_secs(3600),
            handshake_timeout: Duration::from_secs(5),
            handshakes: 4_096,
            connect_timeout: Duration::from_secs(2),
            discard_bytes: 64 * 1024,
            pending_timeout: Duration::from_secs(2),
            retry_bytes: 64 * 1024,
            mirror_bytes: 64 * 1024,
            mirrors: 256,
            mirror_timeout: Duration::from_secs(10),
            buffer_bytes: 64 * 1024,
            pipes: 256,
            connections: 100_000,
            connections_per_pod: 20_000,
            buffered_bytes_per_pod: 64 * 1024 * 1024,
            datagram_flows: 16_384,
            datagram_flows_per_client: 2_048,
            datagram_timeout: Duration::from_secs(60),
            http2: codec::h2::Limits::default(),
            http2_ping_after: Duration::from_secs(5),
            http2_ping_timeout: Duration::from_secs(1),
            idle_upstream: 1_024,
            idle_upstream_per_key: 128,
            idle_upstream_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// The same with the counts that so many file descriptors allow, of which some are left to the
    /// rest of the process. A client connection takes two: its own and the one upstream; so do a
    /// pipe and a flow of datagrams, if nobody else sends to its Service.
    #[must_use]
    pub fn within(mut self, descriptors: u64, workers: usize) -> Self {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let workers = workers.max(1);
        let usable = descriptors - DESCRIPTORS_KEPT.min(descriptors / 2);
        self.idle_upstream = self.idle_upstream.min(usable / 8 / workers);
        self.idle_upstream_per_key = self.idle_upstream_per_key.min(self.idle_upstream);
        self.mirrors = self.mirrors.min(usable / 16 / workers);
        self.datagram_flows = self.datagram_flows.min(usable / 16);
        self.datagram_flows_per_client = self.datagram_flows_per_client.min(self.datagram_flows / 2).max(1);
        self.pipes = self.pipes.min(usable / 32);
        let beside = workers * (self.idle_upstream + self.mirrors) + 2 * (self.datagram_flows + self.pipes);
        self.connections = self.connections.min((usable - beside) / 2).max(1);
        // One pod must not be able to keep out all others.
        self.connections_per_pod = self.connections_per_pod.min(self.connections / 2).max(1);
        self
    }

    /// One worker's share of a count for the whole proxy, rounded up.
    pub(crate) fn share(count: usize, workers: usize) -> usize {
        count.div_ceil(workers.max(1))
    }

    /// The HTTP/2 engine's part.
    pub(crate) fn http2(&self) -> codec::h2::Limits {
        codec::h2::Limits {
            header_list_bytes: u32::try_from(self.head_bytes).unwrap_or(u32::MAX),
            header_fields: u32::try_from(self.head_fields).unwrap_or(u32::MAX),
            ..self.http2
        }
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
