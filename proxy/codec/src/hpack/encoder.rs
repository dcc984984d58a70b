//! Fields to header blocks.

use super::fixed::{self, Known, Policy};
use super::table::{Name, Table, entry_size};
use super::{DEFAULT_TABLE_BYTES, huffman, integer};

/// Encodes the header blocks of one connection, in the order in which they are sent.
///
/// What is repeated goes into the dynamic table and is one byte from then on; what changes with every message
/// does not; secrets are marked as never to be indexed.
#[derive(Debug)]
pub struct Encoder {
    table: Table<Links>,
    /// Newest entries by name and value, and by name.
    by_field: Heads,
    by_name: Heads,
    /// The table's bound was changed since the last block: the least it was meanwhile.
    changed: Option<u32>,
    /// Hashes of fields that were not inserted when they were first seen.
    seen: [u32; SEEN],
}

/// A block's first bytes: which kind of field, and how many bits of its index follow (RFC 7541 §6).
struct Form {
    flags: u8,
    prefix_bits: u32,
}

const INDEXED: Form = Form { flags: 0x80, prefix_bits: 7 };
const INSERTED: Form = Form { flags: 0x40, prefix_bits: 6 };
const SIZE_UPDATE: Form = Form { flags: 0x20, prefix_bits: 5 };
const NEVER_INDEXED: Form = Form { flags: 0x10, prefix_bits: 4 };
const NOT_INDEXED: Form = Form { flags: 0x00, prefix_bits: 4 };

/// Chains of entries with like hashes, newest first, by the number that [`Table::insert`] gave. A number that
/// is gone ends its chain, so nothing is ever taken out.
type Heads = [u32; 64];

/// How many fields seen once are remembered.
const SEEN: usize = 16;

/// A number that no entry has for the first 2^32.
const NO_ENTRY: u32 = u32::MAX;

/// An entry's places in its two chains.
#[derive(Clone, Copy, Debug)]
struct Links {
    by_field: Link,
    by_name: Link,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    hash: u32,
    older: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder with an empty table of at most [`DEFAULT_TABLE_BYTES`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Table::new(DEFAULT_TABLE_BYTES),
            by_field: [NO_ENTRY; 64],
            by_name: [NO_ENTRY; 64],
            changed: None,
            seen: [0; SEEN],
        }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE: the table is never larger than that, nor than the default. The
    /// next block begins with the size update, as RFC 7541 §4.2 asks.
    pub fn set_max_table_bytes(&mut self, bytes: u32) {
        let max = bytes.min(DEFAULT_TABLE_BYTES);
        if max as usize != self.table.max() {
            self.changed = Some(self.changed.map_or(max, |least| least.min(max)));
            self.table.set_max(max);
        }
    }

    /// Begins a header block, which is appended to `out`. Every block that was begun must be sent.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        let Some(least) = self.changed.take() else { return };
        if (least as usize) < self.table.max() {
            integer::encode(least as usize, SIZE_UPDATE.prefix_bits, SIZE_UPDATE.flags, out);
        }
        integer::encode(self.table.max(), SIZE_UPDATE.prefix_bits, SIZE_UPDATE.flags, out);
    }

    /// Appends one field; its name is in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let known = fixed::known(name);
        if let Some(index) = known.exact(value) {
            out.push(INDEXED.flags | index);
            return;
        }
        match known.policy {
            Policy::Index | Policy::IndexRepeated => self.indexed(known, name, value, out),
            Policy::Literal => literal(&NOT_INDEXED, usize::from(known.index), name, value, out),
            Policy::Never => literal(&NEVER_INDEXED, usize::from(known.index), name, value, out),
        }
    }

    fn indexed(&mut self, known: &Known, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let fixed_index = usize::from(known.index);
        // An entry of more than half the table is not worth all those that it would push out.
        if entry_size(name, value) > self.table.max() / 2 {
            return literal(&NOT_INDEXED, fixed_index, name, value, out);
        }
        // A name of the static table is its index; only others are looked for in the dynamic one.
        let name_hash = if fixed_index == 0 { hash(0, name) } else { u32::from(known.index) };
        let field_hash = hash(name_hash, value);
        let same_field = |entry: (&[u8], &[u8])| entry == (name, value);
        if let Some(age) = self.find(&self.by_field, field_hash, |links| links.by_field, same_field) {
            return integer::encode(dynamic_index(age), INDEXED.prefix_bits, INDEXED.flags, out);
        }
        let same_name = |entry: (&[u8], &[u8])| entry.0 == name;
        let index = match fixed_index {
            0 => {
                self.find(&self.by_name, name_hash, |links| links.by_name, same_name).map_or(0, dynamic_index)
            }
            fixed_index => fixed_index,
        };
        if known.policy == Policy::IndexRepeated && !self.was_seen(field_hash) {
            return literal(&NOT_INDEXED, index, name, value, out);
        }
        literal(&INSERTED, index, name, value, out);
        let field_head = &mut self.by_field[bucket(field_hash)];
        let name_head = &mut self.by_name[bucket(name_hash)];
        let links = Links {
            by_field: Link { hash: field_hash, older: *field_head },
            by_name: Link { hash: name_hash, older: *name_head },
        };
        let id = self.table.insert(Name::Bytes(name), value, links);
        *field_head = id;
        if fixed_index == 0 {
            *name_head = id;
        }
    }

    /// Age of the newest entry in the chain of this hash that is the `same`.
    fn find(
        &self,
        heads: &Heads,
        hash: u32,
        link: impl Fn(&Links) -> Link,
        same: impl Fn((&[u8], &[u8])) -> bool,
    ) -> Option<usize> {
        let mut age = self.table.age(heads[bucket(hash)]);
        loop {
            let Link { hash: entry_hash, older } = link(self.table.kept(age)?);
            if entry_hash == hash && same(self.table.get(age)?) {
                return Some(age);
            }
            let next = self.table.age(older);
            // A number from before the counter wrapped around leads nowhere.
            if next <= age {
                return None;
            }
            age = next;
        }
    }

    /// Whether this field was seen lately; it is from now on.
    fn was_seen(&mut self, field_hash: u32) -> bool {
        let place = &mut self.seen[field_hash as usize % SEEN];
        std::mem::replace(place, field_hash) == field_hash
    }
}

fn dynamic_index(age: usize) -> usize {
    fixed::TABLE.len() + 1 + age
}

fn bucket(hash: u32) -> usize {
    (hash >> 26) as usize
}

/// A literal field (RFC 7541 §6.2), its name that of `index` or, if this is 0, spelt out.
fn literal(form: &Form, index: usize, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    integer::encode(index, form.prefix_bits, form.flags, out);
    if index == 0 {
        string(name, out);
    }
    string(value, out);
}

/// A string literal (RFC 7541 §5.2): Huffman-coded if that is shorter.
fn string(text: &[u8], out: &mut Vec<u8>) {
    let coded = huffman::coded_len(text);
    if coded < text.len() {
        integer::encode(coded, 7, 0x80, out);
        huffman::encode(text, out);
    } else {
        integer::encode(text.len(), 7, 0, out);
        out.extend_from_slice(text);
    }
}

/// A quick hash; what collides costs a comparison, of at most as many entries as the table has.
fn hash(seed: u32, text: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| {
        let product = (state ^ word).wrapping_mul(FACTOR);
        product ^ product >> 32
    };
    let mut state = mix(u64::from(seed), text.len() as u64);
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        state = mix(state, u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        state = mix(state, u64::from_le_bytes(last));
    }
    (state.wrapping_mul(FACTOR) >> 32) as u32
}

#[cfg(test)]
mod tests;
