//! The limits of one connection, and the budgets that hold a peer to a rate.

/// Bounds on what one connection's peer may do. Every one is advertised where HTTP/2 has a setting for it,
/// and enforced whether the peer heeds it or not; what stops a peer is named by [`super::LimitHit`].
/// The defaults are safe for strangers and let heavy gRPC pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one header list, counted as RFC 9113 §6.5.2 does: name, value and 32 for each field.
    /// Advertised as SETTINGS_MAX_HEADER_LIST_SIZE. A request beyond it is answered 431.
    pub header_list_bytes: u32,
    /// Fields of one header list, pseudo-header fields and cookies not counted. 431 beyond.
    pub header_fields: u32,
    /// `cookie` fields of one header list (RFC 9113 §8.2.3 lets a client split one cookie in many). 431 beyond.
    pub cookie_crumbs: u32,
    /// CONTINUATION frames of one header block (CVE-2024-27316).
    pub continuation_frames: u32,
    /// Compressed bytes of one header block.
    pub header_block_bytes: u32,
    /// Bytes of the decoder's dynamic table. Advertised as SETTINGS_HEADER_TABLE_SIZE.
    pub header_table_bytes: u32,
    /// Streams open at once: the peer's, advertised as SETTINGS_MAX_CONCURRENT_STREAMS (REFUSED_STREAM
    /// beyond); of a client, its own.
    pub streams: u32,
    /// Interim responses (1xx) of one stream that the user has not taken.
    pub interim_heads: u32,
    /// Received bytes that one stream may hold. Advertised as SETTINGS_INITIAL_WINDOW_SIZE; at most 2^31-1.
    pub stream_window: u32,
    /// Received bytes that all streams together may hold; at least 65,535, at most 2^31-1.
    pub connection_window: u32,
    /// Bytes that wait in the out buffer before [`super::Connection::send_data`] takes no more.
    pub out_bytes: usize,
    /// Bytes of answers (PING, SETTINGS, RST_STREAM, WINDOW_UPDATE) queued for a peer that does not read.
    pub control_bytes: usize,
    /// Streams per second that the peer resets or makes us reset (CVE-2023-44487, CVE-2025-8671). A stream
    /// that completes gives one back.
    pub resets: u32,
    /// PING frames per second. A DATA frame sent gives one back: gRPC measures bandwidth with a PING for DATA.
    pub pings: u32,
    /// SETTINGS frames per second (CVE-2019-9515).
    pub settings: u32,
    /// PRIORITY frames per second (CVE-2019-9513).
    pub priorities: u32,
    /// DATA frames without bytes and without END_STREAM per second (CVE-2019-9518).
    pub empty_data: u32,
    /// DATA frames of less than [`Self::small_data_bytes`] without END_STREAM per second (CVE-2019-9511 in
    /// the other direction).
    pub small_data: u32,
    /// Below this, a DATA frame counts as small.
    pub small_data_bytes: u32,
    /// WINDOW_UPDATE frames per second. A DATA frame of a useful size gives some back (CVE-2019-9511).
    pub window_updates: u32,
    /// Frames of unknown types per second.
    pub unknown_frames: u32,
    /// Frames per second for streams that are closed.
    pub stray_frames: u32,
    /// A window update of less, while more waits, is no progress ([`super::Connection::stalled_since`]).
    pub useful_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_list_bytes: 32 * 1024,
            header_fields: 100,
            cookie_crumbs: 64,
            continuation_frames: 16,
            header_block_bytes: 64 * 1024,
            header_table_bytes: 4096,
            streams: 100,
            interim_heads: 8,
            stream_window: 64 * 1024,
            connection_window: 1024 * 1024,
            out_bytes: 128 * 1024,
            control_bytes: 16 * 1024,
            resets: 200,
            pings: 100,
            settings: 50,
            priorities: 1000,
            empty_data: 100,
            small_data: 50_000,
            small_data_bytes: 32,
            window_updates: 2000,
            unknown_frames: 200,
            stray_frames: 2000,
            useful_bytes: 1024,
        }
    }
}

/// A count of events that starts anew each second, and that useful traffic pays back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    per_second: u32,
    used: u32,
    /// Start of the current second, ns.
    since: u64,
    /// Events that we have given cause for: they may come at any time, and count for nothing.
    granted: u32,
}

impl Budget {
    pub(super) const fn new(per_second: u32) -> Self {
        Self { per_second, used: 0, since: 0, granted: 0 }
    }

    /// Counts one event; whether it is within the budget.
    #[must_use]
    pub(super) fn spend(&mut self, now: u64) -> bool {
        if self.granted > 0 {
            self.granted -= 1;
            return true;
        }
        if now.saturating_sub(self.since) >= SECOND {
            self.since = now;
            self.used = 0;
        }
        self.used = self.used.saturating_add(1);
        self.used <= self.per_second
    }

    /// What we did gives the peer cause for so many events, now or later. What it never makes use of does
    /// not add up to a licence.
    pub(super) fn grant(&mut self, events: u32) {
        self.granted = self.granted.saturating_add(events).min(GRANTED_MAX);
    }

    /// Useful traffic allows this many events more.
    pub(super) fn earn(&mut self, events: u32) {
        self.used = self.used.saturating_sub(events);
    }
}

const SECOND: u64 = 1_000_000_000;
/// What a hundred streams can have on their way when all are reset at once, and some more.
const GRANTED_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests;
