//! The dynamic table (RFC 7541 §2.3.2 and §4), for either direction.

use std::collections::VecDeque;

/// Bytes that an entry counts beyond those of its name and value (RFC 7541 §4.1).
const ENTRY_OVERHEAD: usize = 32;

/// Entries, newest first, within a bound of bytes. `T` is what the owner keeps with each.
///
/// Names and values lie one after the other in one buffer of at most twice the bound: an evicted entry leaves
/// its bytes behind, and they are moved away when the end is reached, so every text is one slice.
#[derive(Debug)]
pub(super) struct Table<T> {
    entries: VecDeque<Entry<T>>,
    bytes: Vec<u8>,
    /// Bytes ever moved away: where `bytes` begins. Wraps around; only distances are used.
    base: u32,
    /// Size of the live entries (RFC 7541 §4.1).
    size: usize,
    max: usize,
    /// Entries ever inserted. Wraps around.
    inserted: u32,
}

#[derive(Debug)]
struct Entry<T> {
    /// Where the name begins, counted as `base` is; the value follows it.
    at: u32,
    name_len: u32,
    value_len: u32,
    kept: T,
}

/// A name to be inserted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'a> {
    Bytes(&'a [u8]),
    /// That of the entry of this age.
    Entry(usize),
}

/// The size of an entry (RFC 7541 §4.1).
pub(super) fn entry_size(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + ENTRY_OVERHEAD
}

impl<T> Table<T> {
    pub(super) fn new(max: u32) -> Self {
        Self { entries: VecDeque::new(), bytes: Vec::new(), base: 0, size: 0, max: max as usize, inserted: 0 }
    }

    /// Most bytes that the entries may have together.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Changes the bound; the oldest entries go.
    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max as usize;
        self.evict(0);
        self.compact();
        self.bytes.shrink_to(2 * self.max);
    }

    /// Name and value of the entry of this age; the newest has age 0.
    pub(super) fn get(&self, age: usize) -> Option<(&[u8], &[u8])> {
        let entry = self.entry(age)?;
        let start = self.position(entry);
        let (name_len, value_len) = (entry.name_len as usize, entry.value_len as usize);
        Some(self.bytes[start..start + name_len + value_len].split_at(name_len))
    }

    /// What was kept with the entry of this age.
    pub(super) fn kept(&self, age: usize) -> Option<&T> {
        self.entry(age).map(|entry| &entry.kept)
    }

    /// Age of the entry that was inserted as number `id`: beyond the last if it is gone.
    pub(super) fn age(&self, id: u32) -> usize {
        self.inserted.wrapping_sub(1).wrapping_sub(id) as usize
    }

    /// Inserts an entry and returns its number, for [`Self::age`]. One that is larger than the table empties
    /// it (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, name: Name<'_>, value: &[u8], kept: T) -> u32 {
        let id = self.inserted;
        let name_len = match name {
            Name::Bytes(bytes) => bytes.len(),
            Name::Entry(age) => self.entry(age).map_or(0, |entry| entry.name_len as usize),
        };
        let size = name_len + value.len() + ENTRY_OVERHEAD;
        if size > self.max {
            self.evict(self.max);
            return id;
        }
        if self.bytes.len() + name_len + value.len() > 2 * self.max {
            self.compact();
        }
        let at = self.base.wrapping_add(length(self.bytes.len()));
        match name {
            Name::Bytes(bytes) => self.bytes.extend_from_slice(bytes),
            Name::Entry(age) => {
                let start = self.entry(age).map_or(0, |entry| self.position(entry));
                self.bytes.extend_from_within(start..start + name_len);
            }
        }
        self.bytes.extend_from_slice(value);
        // Only now: the name may be that of an entry that has to go.
        self.evict(size);
        self.size += size;
        self.inserted = self.inserted.wrapping_add(1);
        self.entries.push_back(Entry {
            at,
            name_len: length(name_len),
            value_len: length(value.len()),
            kept,
        });
        id
    }

    fn entry(&self, age: usize) -> Option<&Entry<T>> {
        self.entries.len().checked_sub(age.checked_add(1)?).map(|index| &self.entries[index])
    }

    fn position(&self, entry: &Entry<T>) -> usize {
        entry.at.wrapping_sub(self.base) as usize
    }

    /// Makes room for `wanted` bytes.
    fn evict(&mut self, wanted: usize) {
        while self.size + wanted > self.max {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.size -= oldest.name_len as usize + oldest.value_len as usize + ENTRY_OVERHEAD;
        }
    }

    /// Moves away what evicted entries left behind.
    fn compact(&mut self) {
        let start = self.entries.front().map_or(self.bytes.len(), |oldest| self.position(oldest));
        self.bytes.copy_within(start.., 0);
        self.bytes.truncate(self.bytes.len() - start);
        self.base = self.base.wrapping_add(length(start));
    }
}

/// A length within the table, which a setting of 32 bits bounds.
#[expect(clippy::cast_possible_truncation, reason = "at most twice a bound of 32 bits, counted modulo 2^32")]
const fn length(bytes: usize) -> u32 {
    bytes as u32
}

#[cfg(test)]
mod tests;
