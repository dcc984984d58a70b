//! Every limit by name, with a safe default. What they stop is counted in [`crate::Stats`].

use std::time::Duration;

mod table;

pub use table::{Limit, Unit};

use table::{HOUR, KIB, MIB, SECOND, table};

/// Descriptors that connections leave alone: files, watches, listeners, maps and their like.
const DESCRIPTORS_KEPT: usize = 256;

table! {
    own {
        /// Bytes of a message head, start line included. Beyond: 431 to a client, 502 for an endpoint.
        head_bytes: usize = 32 * KIB, bytes KIB..=512 * KIB;
        /// Bytes of a request target. Beyond: 414.
        target_bytes: usize = 16 * KIB, bytes 256..=512 * KIB;
        /// Fields of a message head. Beyond: 431 to a client, 502 for an endpoint.
        head_fields: usize = 100, count 1..=128;
        /// From a connection's first byte wanted (on a new connection: from its accept) to the end of
        /// the head. Beyond: 408, or a plain close where nothing came. Also bounds protocol detection.
        head_timeout: Duration = 10 * SECOND, time 100..=HOUR;
        /// Interim responses (1xx) to one request. Beyond: 502.
        interim_responses: usize = 16, count 0..=1_000;
        /// How long a connection may wait for its next request.
        idle_timeout: Duration = 60 * SECOND, time 100..=24 * HOUR;
        /// How long a connection without a request is kept when the proxy ends, for a request that may
        /// be on its way already.
        drain_idle: Duration = SECOND, time 0..=60 * SECOND;
        /// How long a proxy that ends waits until endpoints have been told so.
        goodbye_timeout: Duration = 100, time 0..=10 * SECOND;
        /// How long an exchange may stand still: nothing moves in either direction, the wait for the
        /// answer included. Beyond: 504 if nothing was answered yet.
        stall_timeout: Duration = 300 * SECOND, time 100..=24 * HOUR;
        /// Bytes that count as a move, where more is there to be taken or due to come: a reader has to
        /// take as many within the stall time-out, or all there is, and a body has to bring as many.
        stall_bytes: usize = KIB, bytes 1..=MIB;
        /// How long a client that has closed its sending side is still owed the answer. A client that
        /// went away looks the same until something is written to it.
        half_closed_timeout: Duration = 10 * SECOND, time 100..=HOUR;
        /// How long a closing connection waits for the client to have read the last answer.
        linger_timeout: Duration = 2 * SECOND, time 0..=60 * SECOND;
        /// How long a tunnel (bytes, WebSocket) may stand still in both directions.
        tunnel_timeout: Duration = HOUR, time 100..=168 * HOUR;
        /// How long a TLS handshake may take, with a client from its accept. Beyond: a plain close; 502
        /// where it is an endpoint's.
        handshake_timeout: Duration = 5 * SECOND, time 100..=60 * SECOND;
        /// TLS handshakes with clients under way per worker. Beyond: reset.
        handshakes: usize = 4_096, count 1..=1_000_000;
        /// TCP connect to an endpoint.
        connect_timeout: Duration = 2 * SECOND, time 10..=60 * SECOND;
        /// Bytes of a request body that are read and thrown away to keep a connection after an answer
        /// that did not need them; a longer body costs the connection.
        discard_bytes: u64 = 64 * KIB, bytes 0..=16 * MIB;
        /// How long a request may wait until a Service whose breaker is at its limit has room.
        pending_timeout: Duration = 2 * SECOND, time 0..=60 * SECOND;
        /// Bytes of a request body kept so that it can be sent again; a longer one is not retried.
        retry_bytes: usize = 64 * KIB, bytes 0..=16 * MIB;
        /// Bytes of a request body kept for its mirrors; a longer one is not mirrored.
        mirror_bytes: usize = 64 * KIB, bytes 0..=16 * MIB;
        /// Mirrored requests under way per worker; more are not mirrored.
        mirrors: usize = 256, count 0..=100_000;
        /// How long a mirrored request may take.
        mirror_timeout: Duration = 10 * SECOND, time 100..=600 * SECOND;
        /// Bytes that one read may take at most; buffers grow up to it.
        buffer_bytes: usize = 64 * KIB, bytes 16 * KIB..=MIB;
        /// Pipes for the bytes of tunnels, each of up to 256 KiB of the kernel's memory. Without one, bytes
        /// are copied through a buffer.
        pipes: usize = 256, count 0..=65_536;
        /// Client connections in all, and streams of those that speak HTTP/2. Beyond: a reset, or
        /// REFUSED_STREAM.
        connections: usize = 100_000, count 1..=10_000_000;
        /// The same of one pod.
        connections_per_pod: usize = 20_000, count 1..=10_000_000;
        /// The same of one client that is no pod, by its address (IPv6: its /64). Many may be behind one
        /// address, and that of a load balancer is everybody's.
        connections_per_client: usize = 25_000, count 1..=10_000_000;
        /// Bytes of memory that buffers of one pod's connections hold. A connection that needs more is
        /// closed.
        buffered_bytes_per_pod: usize = 64 * MIB, bytes MIB..=64 * 1024 * MIB;
        /// The same of one client that is no pod.
        buffered_bytes_per_client: usize = 256 * MIB, bytes MIB..=64 * 1024 * MIB;
        /// Flows of datagrams in all. A datagram that would begin another is dropped.
        datagram_flows: usize = 16_384, count 1..=1_000_000;
        /// Flows of datagrams of one client address.
        datagram_flows_per_client: usize = 2_048, count 1..=1_000_000;
        /// How long a flow of datagrams may stand still.
        datagram_timeout: Duration = 60 * SECOND, time 100..=24 * HOUR;
        /// A connection to an endpoint that carried no stream for so long is asked by PING whether it
        /// is still there, before it is used again.
        http2_ping_after: Duration = 5 * SECOND, time 0..=HOUR;
        /// How long an endpoint may take to answer the PING of an HTTP/2 connection that was idle.
        /// Beyond: another connection is used.
        http2_ping_timeout: Duration = SECOND, time 10..=60 * SECOND;
        /// HTTP/2 connections to endpoints per worker. Beyond: those without a stream are closed. Those
        /// with one are paid for by their clients' connections.
        http2_connections: usize = 1_024, count 0..=1_000_000;
        /// The same of one key (endpoint, source address). Beyond: 503.
        http2_connections_per_key: usize = 256, count 1..=1_000_000;
        /// Idle upstream connections of HTTP/1.1 per worker.
        idle_upstream: usize = 1_024, count 0..=1_000_000;
        /// Idle upstream connections per worker and key (endpoint, source address).
        idle_upstream_per_key: usize = 128, count 0..=1_000_000;
        /// How long an upstream connection may stay idle; shorter than servers usually allow.
        idle_upstream_timeout: Duration = 30 * SECOND, time 100..=HOUR;
    }
    http2 {
        /// `cookie` fields of a header list. Beyond: 431.
        cookie_crumbs: count 1..=1_000;
        /// CONTINUATION frames of a header block. Beyond: the connection.
        continuation_frames: count 0..=1_000;
        /// Compressed bytes of a header block. Beyond: the connection.
        header_block_bytes: bytes 4 * KIB..=MIB;
        /// Bytes of HPACK's dynamic table for what the peer sends.
        header_table_bytes: bytes 0..=64 * KIB;
        /// Streams of a connection at a time. Beyond: REFUSED_STREAM.
        streams: count 1..=1_000;
        /// Interim responses of a stream not yet passed on. Beyond: the stream.
        interim_heads: count 1..=1_000;
        /// Received bytes that a stream may hold.
        stream_window: bytes 16 * KIB..=16 * MIB;
        /// Received bytes that all streams of a connection may hold.
        connection_window: bytes 64 * KIB..=256 * MIB;
        /// Bytes that wait to be sent before no more are taken.
        out_bytes: bytes 16 * KIB..=4 * MIB;
        /// Bytes of answers queued for a peer that does not read. Beyond: the connection.
        control_bytes: bytes KIB..=MIB;
        /// Streams reset in a second. Beyond: the connection.
        resets: count 1..=1_000_000;
        /// PING frames in a second. Beyond: the connection.
        pings: count 1..=1_000_000;
        /// SETTINGS frames in a second. Beyond: the connection.
        settings: count 1..=1_000_000;
        /// PRIORITY frames in a second. Beyond: the connection.
        priorities: count 1..=1_000_000;
        /// Empty DATA frames in a second. Beyond: the connection.
        empty_data: count 1..=1_000_000;
        /// Small DATA frames in a second. Beyond: the connection.
        small_data: count 1..=1_000_000;
        /// A DATA frame of fewer bytes is small.
        small_data_bytes: bytes 0..=16 * KIB;
        /// WINDOW_UPDATE frames in a second that no data pays for. Beyond: the connection.
        window_updates: count 1..=1_000_000;
        /// Frames of unknown types in a second. Beyond: the connection.
        unknown_frames: count 1..=1_000_000;
        /// Frames for closed streams in a second. Beyond: the connection.
        stray_frames: count 1..=1_000_000;
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
        self.http2_connections = self.http2_connections.min(usable / 8 / workers);
        self.mirrors = self.mirrors.min(usable / 16 / workers);
        self.datagram_flows = self.datagram_flows.min(usable / 16);
        self.datagram_flows_per_client = self.datagram_flows_per_client.min(self.datagram_flows / 2).max(1);
        self.pipes = self.pipes.min(usable / 32);
        let upstream = self.idle_upstream + self.http2_connections + self.mirrors;
        let beside = workers * upstream + 2 * (self.datagram_flows + self.pipes);
        let asked = self.connections;
        self.connections = asked.min((usable - beside) / 2).max(1);
        // One pod must not be able to keep out all others.
        self.connections_per_pod = self.connections_per_pod.min(self.connections / 2).max(1);
        // Nor may a client, unless it is asked for: the same part of what there is.
        let of_client = self.connections_per_client.saturating_mul(self.connections) / asked.max(1);
        self.connections_per_client = of_client.min(self.connections).max(1);
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
            useful_bytes: u32::try_from(self.stall_bytes).unwrap_or(u32::MAX),
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
