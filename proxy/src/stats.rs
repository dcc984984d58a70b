//! Counters of a worker, readable from the control side.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one worker writes and anybody may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one. The worker is the only writer: no locked instruction is needed.
    pub(crate) fn add(&self) {
        self.0.store(self.get() + 1, Ordering::Relaxed);
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

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one worker, written by it alone.
        #[derive(Debug, Default)]
        pub struct Stats {
            /// Revision of the Snapshot in force.
            pub(crate) revision: Counter,
            $(pub(crate) $name: Counter,)*
        }

        /// The counters of all workers, summed up. Each counts from the start unless said otherwise.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Totals {
            /// Sums up the counters of workers.
            pub fn of<'s>(workers: impl Iterator<Item = &'s Stats>) -> Self {
                let mut totals = Self::default();
                for stats in workers {
                    $(totals.$name += stats.$name.get();)*
                }
                totals
            }

            /// Every counter with its name, for metrics.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
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
    /// `accept` failed, mostly for want of file descriptors; accepting pauses after each.
    accept_errors,
    /// Connections refused by [`crate::Limits::connections`].
    limit_connections,
    /// Connections refused by [`crate::Limits::connections_per_pod`].
    limit_connections_per_pod,
    /// Reads given up by [`crate::Limits::buffered_bytes_per_pod`]; each ends its connection.
    limit_buffered,
    /// Heads beyond [`crate::Limits::head_bytes`], `target_bytes` or `head_fields`.
    limit_head,
    /// Answers given up by [`crate::Limits::interim_responses`].
    limit_interim,
    /// Connections closed by [`crate::Limits::head_timeout`].
    limit_head_timeout,
    /// Connections closed by [`crate::Limits::idle_timeout`].
    limit_idle_timeout,
    /// Exchanges given up by [`crate::Limits::stall_timeout`] or `half_closed_timeout`.
    limit_stall_timeout,
    /// Tunnels closed by [`crate::Limits::tunnel_timeout`].
    limit_tunnel_timeout,
    /// Connects given up by [`crate::Limits::connect_timeout`].
    limit_connect_timeout,
    /// Request bodies not read to the end by [`crate::Limits::discard_bytes`].
    limit_discard,
    /// Requests not mirrored by [`crate::Limits::mirror_bytes`] or `mirrors`.
    limit_mirror,
    /// Idle upstream connections closed by [`crate::Limits::idle_upstream`] or `idle_upstream_per_key`.
    limit_idle_upstream,
    /// Upstream connections opened.
    upstream_opened,
    /// Requests sent on an upstream connection that was already open.
    upstream_reused,
    /// Tries repeated on another connection or endpoint because nothing had been written.
    retries,
    /// Mirrored requests sent.
    mirrored,
    /// Connections ended by a defect of ours.
    panics,
}
