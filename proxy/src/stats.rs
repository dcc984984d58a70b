//! Counters of a worker, readable from the control side.

use std::sync::atomic::{AtomicU64, Ordering};

mod outcome;

pub use outcome::{BUCKET_SECONDS, CLASSES, Outcomes, SERVICES_MAX, ServiceRequests};

use outcome::OutcomeCounters;

/// A number that one worker writes and anybody may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one. The worker is the only writer: no locked instruction is needed.
    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    /// Adds as many.
    pub(crate) fn add_many(&self, count: u64) {
        self.0.store(self.get().wrapping_add(count), Ordering::Relaxed);
    }

    /// Takes one away, of a count of things that are there.
    pub(crate) fn sub(&self) {
        self.0.store(self.get().saturating_sub(1), Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter as metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The field's name in [`Totals`].
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// How many.
    pub value: u64,
}

// The documentation of a counter is its help text in metrics: plain words, no links.
macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Counters of one worker, written by it alone.
        #[derive(Debug, Default)]
        pub struct Stats {
            /// Revision of the Snapshot in force.
            pub(crate) revision: Counter,
            /// The worker's clock at its last tick; 0 before the first.
            pub(crate) ticked: Counter,
            /// What requests and connections came to.
            pub(crate) outcomes: OutcomeCounters,
            $(pub(crate) $name: Counter,)*
        }

        /// The counters of all workers, summed up. Each counts from the start unless said otherwise.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Totals {
            /// Sums up the counters of workers.
            pub fn of<'s>(workers: impl IntoIterator<Item = &'s Stats>) -> Self {
                let mut totals = Self::default();
                for stats in workers {
                    $(totals.$name += stats.$name.get();)*
                }
                totals
            }

            /// Every counter with its name, for metrics.
            pub fn each(&self) -> impl Iterator<Item = Sample> {
                [$(Sample {
                    name: stringify!($name),
                    help: concat!($($doc),*).trim_ascii_start(),
                    value: self.$name,
                },)*].into_iter()
            }
        }
    };
}

counters! {
    /// Client connections accepted.
    accepted,
    /// Client connections open now.
    open,
    /// HTTP requests answered, by us or by an endpoint.
    requests,
    /// Requests and connections that policy denied.
    denied,
    /// Live connections closed because a policy change no longer allows them.
    revoked,
    /// Failures to accept, mostly for want of file descriptors; accepting pauses after each.
    accept_errors,
    /// Connections and HTTP/2 streams refused because the proxy has as many as it may.
    limit_connections,
    /// Connections and HTTP/2 streams refused because their pod has as many as it may.
    limit_connections_per_pod,
    /// Connections and HTTP/2 streams refused because their client, which is no pod, has as many as it may.
    limit_connections_per_client,
    /// Reads given up because the buffers of one pod's or client's connections are full; each ends its connection or stream.
    limit_buffered,
    /// Heads with too many bytes or fields, or too long a target.
    limit_head,
    /// Answers given up because of too many interim responses.
    limit_interim,
    /// Connections closed because a head took too long.
    limit_head_timeout,
    /// Connections closed because no further request came.
    limit_idle_timeout,
    /// Reads of tunnels that were copied because as many pipes are in use as may be.
    limit_pipes,
    /// Exchanges given up because nothing moved.
    limit_stall_timeout,
    /// Tunnels closed because nothing moved.
    limit_tunnel_timeout,
    /// TLS handshakes given up because they took too long, or their first message did.
    limit_handshake_timeout,
    /// Connections reset because as many TLS handshakes are under way as may be.
    limit_handshakes,
    /// TLS handshakes with clients.
    tls_handshakes,
    /// Those of them that resumed a session.
    tls_resumed,
    /// Connections of clients that failed to do TLS as their listener asks.
    tls_failed,
    /// TLS handshakes that failed with endpoints.
    tls_upstream_failed,
    /// TLS handshakes with endpoints that resumed a session.
    tls_upstream_resumed,
    /// Connects to endpoints that took too long.
    limit_connect_timeout,
    /// Waits given up because a Service at the limit of its breaker had no room in time.
    limit_pending_timeout,
    /// Closing connections whose client did not read the last answer in time.
    limit_linger_timeout,
    /// Mirrored requests given up because they took too long.
    limit_mirror_timeout,
    /// Requests that could not be retried because their body is too long to be kept.
    limit_retry_bytes,
    /// Requests that took longer than their route allows.
    route_request_timeouts,
    /// Tries that took longer than their route allows for one.
    route_try_timeouts,
    /// gRPC calls that took longer than their client allows (grpc-timeout).
    grpc_deadlines,
    /// Requests refused because their Service has as many under way as it may.
    breaker_requests,
    /// Requests refused because their Service or its endpoints are at their limits.
    breaker_connections,
    /// Requests refused because as many as may wait for a connection of their Service.
    breaker_pending,
    /// Ejections of endpoints that failed too often in a row.
    ejections,
    /// Endpoints ejected now, counted by each worker that ejected them.
    ejected,
    /// Request bodies too long to be read to the end for the sake of their connection.
    limit_discard,
    /// Requests not mirrored: the body is too long, or too many mirrors are under way.
    limit_mirror,
    /// Datagrams dropped because there are as many flows of datagrams as there may be.
    limit_datagram_flows,
    /// Datagrams lost because a socket had no room for them, or their endpoint was not there.
    datagrams_lost,
    /// Upstream connections closed because enough are idle.
    limit_idle_upstream,
    /// Idle HTTP/2 connections to endpoints closed because enough are there, and requests refused because their endpoint has as many as it may.
    limit_http2_connections,
    /// Header lists in HTTP/2 with too many bytes.
    limit_http2_header_list_bytes,
    /// Header lists in HTTP/2 with too many fields.
    limit_http2_header_fields,
    /// Header lists in HTTP/2 with too many cookie fields.
    limit_http2_cookie_crumbs,
    /// HTTP/2 connections closed because of too many CONTINUATION frames.
    limit_http2_continuation_frames,
    /// HTTP/2 connections closed because of too long a header block.
    limit_http2_header_block_bytes,
    /// HTTP/2 streams refused because their connection has as many as it may.
    limit_http2_streams,
    /// HTTP/2 streams reset because of too many interim responses at once.
    limit_http2_interim_heads,
    /// HTTP/2 connections closed because of too many streams reset.
    limit_http2_resets,
    /// HTTP/2 connections closed because of too many PING frames.
    limit_http2_pings,
    /// HTTP/2 connections closed because of too many SETTINGS frames.
    limit_http2_settings,
    /// HTTP/2 connections closed because of too many PRIORITY frames.
    limit_http2_priorities,
    /// HTTP/2 connections closed because of too many empty DATA frames.
    limit_http2_empty_data,
    /// HTTP/2 connections closed because of too many small DATA frames.
    limit_http2_small_data,
    /// HTTP/2 connections closed because of too many WINDOW_UPDATE frames.
    limit_http2_window_updates,
    /// HTTP/2 connections closed because of too many frames of unknown types.
    limit_http2_unknown_frames,
    /// HTTP/2 connections closed because of too many frames for closed streams.
    limit_http2_stray_frames,
    /// HTTP/2 connections closed because the peer does not read what it asks for.
    limit_http2_control_bytes,
    /// Endpoints that did not answer the PING of an idle HTTP/2 connection in time.
    limit_http2_ping_timeout,
    /// HTTP/2 streams begun by clients.
    streams,
    /// HTTP/2 streams of clients open now.
    streams_open,
    /// Upstream connections opened.
    upstream_opened,
    /// Those of them that are for HTTP/2.
    upstream_http2_opened,
    /// Requests sent on an upstream connection that was already open.
    upstream_reused,
    /// Those of them that were sent in HTTP/2.
    upstream_http2_reused,
    /// Upstream connections of HTTP/1.1 idle now.
    upstream_idle,
    /// Bytes of tunnels that were passed on inside the kernel.
    spliced_bytes,
    /// Pipes for that, in use or kept for the next use.
    pipes_open,
    /// Tries repeated on another connection or endpoint.
    retries,
    /// Tries not repeated because the retry budget of their Service is used up.
    retries_over_budget,
    /// Mirrored requests sent.
    mirrored,
    /// Connections ended by a defect of ours.
    panics,
}

impl Stats {
    /// What a limit of HTTP/2 stopped.
    pub(crate) fn http2_limit(&self, limit: codec::h2::LimitHit) -> &Counter {
        use codec::h2::LimitHit;
        match limit {
            LimitHit::HeaderListBytes => &self.limit_http2_header_list_bytes,
            LimitHit::HeaderFields => &self.limit_http2_header_fields,
            LimitHit::CookieCrumbs => &self.limit_http2_cookie_crumbs,
            LimitHit::ContinuationFrames => &self.limit_http2_continuation_frames,
            LimitHit::HeaderBlockBytes => &self.limit_http2_header_block_bytes,
            LimitHit::Streams => &self.limit_http2_streams,
            LimitHit::InterimHeads => &self.limit_http2_interim_heads,
            LimitHit::Resets => &self.limit_http2_resets,
            LimitHit::Pings => &self.limit_http2_pings,
            LimitHit::Settings => &self.limit_http2_settings,
            LimitHit::Priorities => &self.limit_http2_priorities,
            LimitHit::EmptyData => &self.limit_http2_empty_data,
            LimitHit::SmallData => &self.limit_http2_small_data,
            LimitHit::WindowUpdates => &self.limit_http2_window_updates,
            LimitHit::UnknownFrames => &self.limit_http2_unknown_frames,
            LimitHit::StrayFrames => &self.limit_http2_stray_frames,
            LimitHit::ControlBytes => &self.limit_http2_control_bytes,
        }
    }

    /// Revision of the Snapshot that the worker has in force.
    pub fn revision(&self) -> u64 {
        self.revision.get()
    }

    /// Nanoseconds since the Unix epoch at the worker's last tick, one each 100 ms; 0 before it
    /// serves. A worker that is stuck does not tick.
    pub fn ticked_ns(&self) -> u64 {
        self.ticked.get()
    }
}

#[cfg(test)]
mod tests;
