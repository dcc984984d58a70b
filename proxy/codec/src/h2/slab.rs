//! The streams of one connection: slots that are used again, and an index of them by identifier.

use super::stream::Stream;

/// Streams by slot and by identifier. Neither grows with the number of streams ever opened.
#[derive(Debug, Default)]
pub(super) struct Slab {
    slots: Vec<Stream>,
    free: Vec<usize>,
    /// Open addressing: identifier (0: free place) and slot; a power of two, at most half full.
    index: Vec<(u32, usize)>,
    used: usize,
}

impl Slab {
    /// Streams held.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The slot of this stream.
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        if self.index.is_empty() || id == 0 {
            return None;
        }
        let mask = self.index.len() - 1;
        let mut at = home(id, mask);
        loop {
            match self.index[at] {
                (0, _) => return None,
                (found, slot) if found == id => return Some(slot),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// A slot for a new stream, which `start` makes one.
    pub(super) fn insert(&mut self, id: u32, start: impl FnOnce(&mut Stream)) -> usize {
        debug_assert!(id != 0 && self.find(id).is_none(), "stream {id} is new");
        if (self.used + 1) * 2 > self.index.len() {
            self.grow();
        }
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(Stream::default());
        }
        start(&mut self.slots[slot]);
        self.used += 1;
        self.place(id, slot);
        slot
    }

    /// Frees a stream's slot.
    pub(super) fn remove(&mut self, slot: usize) {
        let id = std::mem::take(&mut self.slots[slot].id);
        let mask = self.index.len() - 1;
        let mut hole = home(id, mask);
        while self.index[hole].0 != id {
            hole = (hole + 1) & mask;
        }
        // What follows without a gap moves up, as far as its own place allows.
        let mut at = (hole + 1) & mask;
        while self.index[at].0 != 0 {
            let distance = at.wrapping_sub(home(self.index[at].0, mask)) & mask;
            if distance >= at.wrapping_sub(hole) & mask {
                self.index[hole] = self.index[at];
                hole = at;
            }
            at = (at + 1) & mask;
        }
        self.index[hole] = (0, 0);
        self.used -= 1;
        self.free.push(slot);
    }

    pub(super) fn get(&self, slot: usize) -> &Stream {
        &self.slots[slot]
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> &mut Stream {
        &mut self.slots[slot]
    }

    /// Slots there are, in use or free (identifier 0).
    pub(super) fn slot_count(&self) -> usize {
        self.slots.len()
    }

    fn place(&mut self, id: u32, slot: usize) {
        let mask = self.index.len() - 1;
        let mut at = home(id, mask);
        while self.index[at].0 != 0 {
            at = (at + 1) & mask;
        }
        self.index[at] = (id, slot);
    }

    fn grow(&mut self) {
        let size = (self.index.len() * 2).max(INDEX_MIN);
        let old = std::mem::replace(&mut self.index, vec![(0, 0); size]);
        for (id, slot) in old.into_iter().filter(|&(id, _)| id != 0) {
            self.place(id, slot);
        }
    }
}

/// Identifiers are all odd or all even, and mostly one after the other.
fn home(id: u32, mask: usize) -> usize {
    (id >> 1) as usize & mask
}

/// The streams that closed last, so that a late frame is told from a wrong one (RFC 9113 §5.1).
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// Identifiers, [`BY_US`] set where we reset the stream; a ring.
    ring: Vec<u32>,
    next: usize,
    /// The highest identifier that was pushed out of the ring.
    forgotten: u32,
}

/// What is known of a stream that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// We reset it: the peer may not have known.
    ResetByUs,
    /// The peer ended or reset it: it can send nothing more.
    EndedByPeer,
    /// Closed too long ago to tell.
    Forgotten,
    /// Never opened: a higher one was opened first.
    Skipped,
}

impl Closed {
    pub(super) fn push(&mut self, id: u32, by_us: bool) {
        let entry = if by_us { id | BY_US } else { id };
        if self.ring.len() < CLOSED_MAX {
            self.ring.push(entry);
            return;
        }
        let old = std::mem::replace(&mut self.ring[self.next], entry);
        self.forgotten = self.forgotten.max(old & !BY_US);
        self.next = (self.next + 1) % CLOSED_MAX;
    }

    /// About a stream that is not open and not idle.
    pub(super) fn past(&self, id: u32) -> Past {
        match self.ring.iter().rev().find(|&&entry| entry & !BY_US == id) {
            Some(entry) if entry & BY_US != 0 => Past::ResetByUs,
            Some(_) => Past::EndedByPeer,
            None if id <= self.forgotten => Past::Forgotten,
            None => Past::Skipped,
        }
    }
}

/// The bit that identifiers do not use.
const BY_US: u32 = 1 << 31;
/// Closed streams remembered.
const CLOSED_MAX: usize = 256;
const INDEX_MIN: usize = 16;

#[cfg(test)]
mod tests;
