//! Byte buffers of a worker: taken while there is something to hold, given back when not, so that
//! idle connections hold none and busy ones share those that are warm in the cache.

use std::cell::RefCell;
use std::rc::Rc;

/// Bytes of a buffer at first.
const SIZE_FIRST: usize = 16 * 1024;
/// Bytes of a buffer of a stream that fills whole buffers.
const SIZE_BULK: usize = 64 * 1024;
/// Buffers of each size kept for the next taker.
const KEPT_MAX: usize = 256;

/// The buffers that nobody holds at the moment.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    first: RefCell<Vec<Box<[u8]>>>,
    bulk: RefCell<Vec<Box<[u8]>>>,
}

impl Buffers {
    fn take(&self, bulk: bool) -> Box<[u8]> {
        let (shelf, size) = if bulk { (&self.bulk, SIZE_BULK) } else { (&self.first, SIZE_FIRST) };
        shelf.borrow_mut().pop().unwrap_or_else(|| vec![0; size].into_boxed_slice())
    }

    fn give(&self, bytes: Box<[u8]>) {
        let shelf = match bytes.len() {
            SIZE_FIRST => &self.first,
            SIZE_BULK => &self.bulk,
            _ => return,
        };
        let mut kept = shelf.borrow_mut();
        if kept.len() < KEPT_MAX {
            kept.push(bytes);
        }
    }
}

/// A queue of bytes: filled at the end, consumed at the front. Holds no memory while empty.
#[derive(Debug)]
pub(crate) struct Buffer {
    home: Rc<Buffers>,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    bulk: bool,
}

impl Buffer {
    pub(crate) fn new(home: &Rc<Buffers>) -> Self {
        Self { home: home.clone(), bytes: Box::default(), start: 0, end: 0, bulk: false }
    }

    /// What is held and not yet consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Consumes `count` bytes; when nothing is left the memory goes back.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "consumed more than was there");
        if self.start == self.end {
            self.release();
        }
    }

    /// Drops what is held from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }

    /// Gives the memory back, with what it holds.
    pub(crate) fn release(&mut self) {
        self.start = 0;
        self.end = 0;
        if !self.bytes.is_empty() {
            self.home.give(std::mem::take(&mut self.bytes));
        }
    }

    /// Room at the end for one read: at least one byte, at most `max` held in all. `None` when
    /// full.
    pub(crate) fn room(&mut self, max: usize) -> Option<&mut [u8]> {
        if self.bytes.is_empty() {
            self.bytes = self.home.take(self.bulk && max >= SIZE_BULK);
        }
        if self.start > 0 && self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.bytes.len() {
            if self.len() >= max {
                return None;
            }
            self.grow(self.bytes.len() + 1);
        }
        let end = self.bytes.len().min(self.start + max.max(self.len()));
        if end == self.end { None } else { Some(&mut self.bytes[self.end..end]) }
    }

    /// Counts bytes written to [`Buffer::room`]. A stream that fills all the room gets more of it.
    pub(crate) fn advance(&mut self, count: usize) {
        self.end += count;
        self.bulk = self.end == self.bytes.len();
        debug_assert!(self.end <= self.bytes.len(), "more bytes than room");
    }

    /// Appends bytes, however many.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if self.bytes.is_empty() {
            if bytes.is_empty() {
                return;
            }
            self.bytes = self.home.take(false);
        }
        if self.bytes.len() - self.end < bytes.len() {
            self.grow(self.end + bytes.len());
        }
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    fn grow(&mut self, least: usize) {
        let mut bytes = vec![0; least.next_power_of_two().max(SIZE_FIRST)].into_boxed_slice();
        bytes[..self.len()].copy_from_slice(&self.bytes[self.start..self.end]);
        self.end -= self.start;
        self.start = 0;
        self.home.give(std::mem::replace(&mut self.bytes, bytes));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests;
