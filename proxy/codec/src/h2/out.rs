//! The bytes that wait to be written.

use super::frame;

/// A queue of bytes in one piece, and how much of it is answers to the peer.
#[derive(Debug, Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    start: usize,
    /// Bytes of answers among the pending ones.
    control: usize,
}

impl Out {
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Bytes that may be added before `bound` are pending.
    pub(super) fn room(&self, bound: usize) -> usize {
        bound.saturating_sub(self.pending().len())
    }

    pub(super) fn sent(&mut self, count: usize) {
        let pending = self.pending().len();
        let count = count.min(pending);
        self.start += count;
        if count == pending {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            self.start = 0;
            self.control = 0;
        } else {
            // Answers are spread over the queue: as large a part of them went as of the whole.
            self.control -= self.control * count / pending;
        }
    }

    /// The buffer to append to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.start >= MOVED_BYTES && self.start * 2 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    /// Appends an answer: a frame that the peer makes us send.
    pub(super) fn control(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        frame::put(self.buffer(), kind, flags, stream, payload);
        self.control += frame::HEADER_BYTES + payload.len();
    }

    /// Bytes of answers that wait.
    pub(super) fn control_bytes(&self) -> usize {
        self.control
    }
}

/// Written bytes are cut off the front once they are this many, and half of all.
const MOVED_BYTES: usize = 16 * 1024;
/// An empty buffer keeps no more than this.
const KEPT_BYTES: usize = 64 * 1024;
