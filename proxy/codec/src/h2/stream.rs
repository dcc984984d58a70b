//! One stream: its state, windows and what was received and not yet taken.

use std::collections::VecDeque;

use super::encoding::Asked;
use super::{Fields, StreamId};

/// A stream (RFC 9113 §5.1). It is *open* while a side has not ended and nobody reset it; it stays in its
/// slot until the user lets go of it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// We have sent END_STREAM: half-closed (local).
    pub(super) local_ended: bool,
    /// The peer has: half-closed (remote).
    pub(super) remote_ended: bool,
    pub(super) over: Over,
    /// Still counts as one of the streams open.
    pub(super) counted: bool,
    pub(super) asked: Asked,
    /// The request head, or the final response head, has come.
    pub(super) has_head: bool,
    pub(super) heads: VecDeque<Fields>,
    pub(super) trailers: Option<Fields>,
    pub(super) received: Received,
    /// Bytes of DATA that `content-length` still lets come.
    pub(super) remaining: Option<u64>,
    /// What the peer may still send.
    pub(super) recv_window: i64,
    /// Consumed, but not yet given back to the peer's window.
    pub(super) uncredited: u32,
    /// What we may still send; below 0 after SETTINGS made it smaller.
    pub(super) send_window: i64,
    pub(super) waiting: Waiting,
}

/// How a stream ended early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Over {
    #[default]
    No,
    ByPeer,
    ByUs,
}

/// Data that the user offered and that was not accepted.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Bytes last offered and not accepted; 0: nothing waits.
    pub(super) bytes: usize,
    /// In the queue of streams to be woken.
    pub(super) queued: bool,
    /// Was woken: may send before those that wait.
    pub(super) woken: bool,
    /// Bytes left of its turn; 0: the turn has not begun.
    pub(super) turn: usize,
    pub(super) stall: Stall,
    /// Bytes accepted since the stall began.
    progress: usize,
    /// Progress that ends the stall.
    useful: usize,
}

/// Since when the peer's windows hold data back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stall {
    #[default]
    No,
    /// Since the driver's current turn: the time is not known here.
    Fresh,
    Since(u64),
}

impl Waiting {
    /// Everything offered was accepted.
    pub(super) fn over(&mut self) {
        *self = Self { queued: self.queued, ..Self::default() };
    }

    /// `rest` bytes were not accepted, after `accepted` were; `stalled`: for want of window. Returns whether
    /// a stall begins now. Less than `useful` bytes end none while more waits.
    pub(super) fn hold(&mut self, accepted: usize, rest: usize, stalled: bool, useful: usize) -> bool {
        self.bytes = rest;
        self.woken = false;
        self.turn = self.turn.saturating_sub(accepted);
        if !stalled {
            self.stall = Stall::No;
            return false;
        }
        self.progress = self.progress.saturating_add(accepted);
        if self.stall != Stall::No && self.progress < self.useful {
            return false;
        }
        self.stall = Stall::Fresh;
        self.progress = 0;
        self.useful = rest.min(useful);
        true
    }
}

/// Received bytes that the user has not consumed: always in one piece.
#[derive(Debug, Default)]
pub(super) struct Received {
    bytes: Vec<u8>,
    start: usize,
}

impl Received {
    pub(super) fn data(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        // Moves what is left to the front where that is cheaper than growing.
        if self.start > 0 && self.bytes.len() + data.len() > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    /// Drops up to `count` bytes from the front; returns how many.
    pub(super) fn consume(&mut self, count: usize) -> usize {
        let count = count.min(self.data().len());
        self.start += count;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            self.start = 0;
        }
        count
    }

    /// Memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Drops everything; the next stream of its slot may use a little of the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_CLOSED);
        self.start = 0;
    }
}

impl Stream {
    /// Makes this slot a new stream; buffers are kept.
    pub(super) fn start(&mut self, id: u32, send_window: i64, recv_window: i64) {
        let mut heads = std::mem::take(&mut self.heads);
        let mut received = std::mem::take(&mut self.received);
        heads.clear();
        received.clear();
        *self = Self { id, heads, received, send_window, recv_window, counted: true, ..Self::default() };
    }

    pub(super) fn stream_id(&self) -> StreamId {
        StreamId(self.id)
    }

    /// Neither reset nor ended by both sides.
    pub(super) fn is_open(&self) -> bool {
        self.over == Over::No && !(self.local_ended && self.remote_ended)
    }

    pub(super) fn may_send(&self) -> bool {
        self.over == Over::No && !self.local_ended
    }
}

/// An empty buffer keeps no more than this while its stream is there.
const KEPT_BYTES: usize = 16 * 1024;
/// The same of a slot whose stream is gone: a small message fits.
const KEPT_BYTES_CLOSED: usize = 1024;
