//! Header blocks to fields.

use std::ops::Range;

use super::table::{Name, Table};
use super::{DEFAULT_TABLE_BYTES, HpackError, fixed, huffman, integer};

/// Bytes of room for decoded text that stay allocated between blocks.
const SCRATCH_BYTES_KEPT: usize = 4096;

/// Decodes the header blocks of one connection, in the order in which they came.
#[derive(Debug)]
pub struct Decoder {
    table: Table<()>,
    /// Our SETTINGS_HEADER_TABLE_SIZE.
    setting: u32,
    /// Most that the peer may set the table to: the setting, or the default while that may not be known yet.
    limit: u32,
    /// Name and value, where they came Huffman-coded.
    scratch: Vec<u8>,
}

impl Decoder {
    /// A decoder with an empty table; `table_bytes` is our SETTINGS_HEADER_TABLE_SIZE.
    #[must_use]
    pub fn new(table_bytes: u32) -> Self {
        Self {
            table: Table::new(DEFAULT_TABLE_BYTES),
            setting: table_bytes,
            limit: table_bytes.max(DEFAULT_TABLE_BYTES),
            scratch: Vec::new(),
        }
    }

    /// The peer has acknowledged our first SETTINGS: from here on our table size holds, where it is below the
    /// default, and the peer's next block must begin with the size update that says so (RFC 7541 §4.2).
    pub fn acknowledged(&mut self) {
        self.limit = self.setting;
    }

    /// Decodes one whole header block and calls `field(name, value)` for each field, in order. Once that
    /// returns false no more is reported, but decoding goes on: the table must stay in step.
    ///
    /// The work is linear in the length of the block; a name or value has at most the larger of 8/5 of that
    /// length and of the table's.
    ///
    /// # Errors
    /// The block breaks RFC 7541; the decoder cannot be used further.
    pub fn decode(
        &mut self,
        block: &[u8],
        field: &mut impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), HpackError> {
        let mut input = block;
        self.size_updates(&mut input)?;
        let mut wanted = true;
        while let Some(&first) = input.first() {
            if first & 0x80 != 0 {
                let index = integer::decode(&mut input, 7)?;
                let (name, value) = self.indexed(index)?;
                wanted = wanted && field(name, value);
            } else if first & 0x40 != 0 {
                wanted = self.literal(&mut input, 6, true, wanted, field)?;
            } else if first & 0x20 != 0 {
                return Err(HpackError::SizeUpdate);
            } else {
                wanted = self.literal(&mut input, 4, false, wanted, field)?;
            }
        }
        if self.scratch.capacity() > SCRATCH_BYTES_KEPT {
            self.scratch = Vec::new();
        }
        Ok(())
    }

    fn size_updates(&mut self, input: &mut &[u8]) -> Result<(), HpackError> {
        while let Some(0x20..=0x3f) = input.first() {
            let max = integer::decode(input, 5)?;
            if max > self.limit {
                return Err(HpackError::SizeUpdate);
            }
            self.table.set_max(max);
        }
        if self.table.max() > self.limit as usize { Err(HpackError::MissingSizeUpdate) } else { Ok(()) }
    }

    /// The field of this index (RFC 7541 §2.3.3).
    fn indexed(&self, index: u32) -> Result<(&[u8], &[u8]), HpackError> {
        let at = (index as usize).checked_sub(1).ok_or(HpackError::Index)?;
        match fixed::TABLE.get(at) {
            Some(&field) => Ok(field),
            None => self.table.get(at - fixed::TABLE.len()).ok_or(HpackError::Index),
        }
    }

    /// A literal field (RFC 7541 §6.2); true if the next one is wanted.
    fn literal(
        &mut self,
        input: &mut &[u8],
        prefix_bits: u32,
        insert: bool,
        wanted: bool,
        field: &mut impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<bool, HpackError> {
        self.scratch.clear();
        let index = integer::decode(input, prefix_bits)?;
        let coded_name = if index == 0 { Some(string(input, &mut self.scratch)?) } else { None };
        let value = string(input, &mut self.scratch)?.resolve(&self.scratch);
        let (name, source) = match &coded_name {
            Some(text) => {
                let bytes = text.resolve(&self.scratch);
                (bytes, Name::Bytes(bytes))
            }
            None => {
                let (name, _) = self.indexed(index)?;
                match (index as usize).checked_sub(fixed::TABLE.len() + 1) {
                    Some(age) => (name, Name::Entry(age)),
                    None => (name, Name::Bytes(fixed::TABLE[index as usize - 1].0)),
                }
            }
        };
        let wanted = wanted && field(name, value);
        if insert {
            self.table.insert(source, value, ());
        }
        Ok(wanted)
    }
}

/// A string literal: as it came, or decoded into the scratch buffer.
enum Text<'a> {
    Plain(&'a [u8]),
    Decoded(Range<usize>),
}

impl<'a> Text<'a> {
    fn resolve(&self, scratch: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Plain(text) => text,
            Self::Decoded(range) => &scratch[range.clone()],
        }
    }
}

/// Takes a string literal (RFC 7541 §5.2) off the front of `input`.
fn string<'a>(input: &mut &'a [u8], scratch: &mut Vec<u8>) -> Result<Text<'a>, HpackError> {
    let huffman_coded = input.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer::decode(input, 7)? as usize;
    let (text, after) = input.split_at_checked(length).ok_or(HpackError::Truncated)?;
    *input = after;
    if !huffman_coded {
        return Ok(Text::Plain(text));
    }
    let start = scratch.len();
    huffman::decode(text, scratch)?;
    Ok(Text::Decoded(start..scratch.len()))
}
