//! Byte buffers of a worker: taken while there is something to hold, given back when not, so that
//! idle connections hold none and busy ones share those that are warm in the cache.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::stats::Stats;

/// Bytes of a buffer at first.
const SIZE_FIRST: usize = 16 * 1024;
/// Bytes of a buffer of a stream that fills whole buffers.
const SIZE_BULK: usize = 64 * 1024;
/// Buffers of each size kept for the next taker: 6 MiB in all.
const KEPT_FIRST: usize = 256;
const KEPT_BULK: usize = 32;

tokio::task_local! {
    /// Who pays for the buffers that a task makes.
    static PAYER: Rc<Account>;
}

/// The memory that buffers of one pod's or client's connections hold, and how much they may.
#[derive(Debug)]
pub(crate) struct Account {
    held: Cell<usize>,
    max: usize,
    stats: Arc<Stats>,
}

impl Account {
    /// An account of at most `max` bytes.
    pub(crate) fn new(max: usize, stats: &Arc<Stats>) -> Rc<Self> {
        Rc::new(Self { held: Cell::new(0), max, stats: stats.clone() })
    }

    /// Runs a connection's task; all buffers that it makes are on this account. No `async fn`, which
    /// would have room for the task several times over.
    pub(crate) fn pays<T>(account: Rc<Self>, task: impl Future<Output = T>) -> impl Future<Output = T> {
        PAYER.scope(account, task)
    }

    /// That of the task that asks.
    fn own() -> Option<Rc<Self>> {
        PAYER.try_with(Rc::clone).ok()
    }

    fn has(&self, more: usize) -> bool {
        self.held.get() + more <= self.max
    }
}

/// Memory held elsewhere than in buffers, on the account of the task that made this.
#[derive(Debug)]
pub(crate) struct Held {
    payer: Option<Rc<Account>>,
    bytes: usize,
}

impl Held {
    /// Of nothing yet.
    pub(crate) fn new() -> Self {
        Self { payer: Account::own(), bytes: 0 }
    }

    /// So much is held now; false, and as before, if the payer has no more.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        if let Some(payer) = &self.payer {
            if !payer.has(bytes.saturating_sub(self.bytes)) {
                payer.stats.limit_buffered.add();
                return false;
            }
            payer.held.set(payer.held.get() + bytes - self.bytes);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

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
        let (shelf, max) = match bytes.len() {
            SIZE_FIRST => (&self.first, KEPT_FIRST),
            SIZE_BULK => (&self.bulk, KEPT_BULK),
            _ => return,
        };
        let mut kept = shelf.borrow_mut();
        if kept.len() < max {
            kept.push(bytes);
        }
    }
}

/// Vectors for heads that nobody holds at the moment: a connection has one while it has something
/// to write, and idle ones have none.
#[derive(Debug, Default)]
pub(crate) struct Spares(RefCell<Vec<Vec<u8>>>);

/// One with more memory is not kept.
const SPARE_MAX: usize = 16 * 1024;
/// So many are kept: 1 MiB where heads are of the usual size.
const SPARES_KEPT: usize = 256;

impl Spares {
    /// An empty one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes one back, whatever it holds.
    pub(crate) fn give(&self, mut spare: Vec<u8>) {
        let mut kept = self.0.borrow_mut();
        if spare.capacity() > 0 && spare.capacity() <= SPARE_MAX && kept.len() < SPARES_KEPT {
            spare.clear();
            kept.push(spare);
        }
    }
}

/// A queue of bytes: filled at the end, consumed at the front. Holds no memory while empty.
#[derive(Debug)]
pub(crate) struct Buffer {
    home: Rc<Buffers>,
    payer: Option<Rc<Account>>,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    bulk: bool,
}

impl Buffer {
    pub(crate) fn new(home: &Rc<Buffers>) -> Self {
        let payer = Account::own();
        Self { home: home.clone(), payer, bytes: Box::default(), start: 0, end: 0, bulk: false }
    }

    /// One whose memory is on nobody's account.
    pub(crate) fn unpaid(home: &Rc<Buffers>) -> Self {
        Self { home: home.clone(), payer: None, bytes: Box::default(), start: 0, end: 0, bulk: false }
    }

    /// Where its memory comes from.
    pub(crate) fn home(&self) -> Rc<Buffers> {
        self.home.clone()
    }

    /// Whether the next read needs more memory than is held.
    pub(crate) fn needs_memory(&self) -> bool {
        self.end == self.bytes.len()
    }

    /// What is held and not yet consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The same, to be changed in place.
    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
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
            self.replace(Box::default());
        }
    }

    /// Room at the end for one read: at least one byte, at most `max` held in all. `None` when
    /// full, or when the payer has no more.
    pub(crate) fn room(&mut self, max: usize) -> Option<&mut [u8]> {
        if self.bytes.is_empty() {
            let bulk = self.bulk && max >= SIZE_BULK && self.affords(SIZE_BULK);
            if !bulk && !self.may_hold(SIZE_FIRST) {
                return None;
            }
            let bytes = self.home.take(bulk);
            self.replace(bytes);
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
            if !self.may_hold(grown(self.bytes.len() + 1)) {
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

    /// Appends bytes, however many and whatever the payer has.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if self.bytes.is_empty() {
            if bytes.is_empty() {
                return;
            }
            let bytes = self.home.take(false);
            self.replace(bytes);
        }
        if self.bytes.len() - self.end < bytes.len() {
            self.grow(self.end + bytes.len());
        }
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Room at the end for at least so many bytes, whatever the payer has.
    pub(crate) fn reserve(&mut self, least: usize) -> &mut [u8] {
        if self.bytes.is_empty() {
            let bytes = self.home.take(least > SIZE_FIRST);
            self.replace(bytes);
        }
        if self.bytes.len() - self.end < least {
            self.grow(self.len() + least);
        }
        &mut self.bytes[self.end..]
    }

    fn grow(&mut self, least: usize) {
        let mut bytes = vec![0; grown(least)].into_boxed_slice();
        bytes[..self.len()].copy_from_slice(&self.bytes[self.start..self.end]);
        self.end -= self.start;
        self.start = 0;
        self.replace(bytes);
    }

    /// Whether the payer has enough for so much memory in place of what is held.
    fn affords(&self, size: usize) -> bool {
        let more = size.saturating_sub(self.bytes.len());
        self.payer.as_ref().is_none_or(|payer| payer.has(more))
    }

    /// The same for memory that cannot be done without.
    fn may_hold(&self, size: usize) -> bool {
        let may = self.affords(size);
        if let Some(payer) = self.payer.as_ref().filter(|_| !may) {
            payer.stats.limit_buffered.add();
        }
        may
    }

    /// Changes the memory that is held, and gives the old back.
    fn replace(&mut self, bytes: Box<[u8]>) {
        if let Some(payer) = &self.payer {
            payer.held.set(payer.held.get() + bytes.len() - self.bytes.len());
        }
        self.home.give(std::mem::replace(&mut self.bytes, bytes));
    }
}

/// Memory for at least so many bytes.
fn grown(least: usize) -> usize {
    least.next_power_of_two().max(SIZE_FIRST)
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests;
