//! Field compression of HTTP/2, HPACK (RFC 7541).
//!
//! A [`Decoder`] and an [`Encoder`] per connection; neither allocates for a field in steady state. What a
//! field means, and how large a list may be, is the business of [`crate::h2`].

mod decoder;
mod encoder;
mod fixed;
mod huffman;
mod integer;
mod table;

pub use decoder::Decoder;
pub use encoder::Encoder;

use std::fmt;

/// Bytes of a dynamic table when nobody has said otherwise (RFC 9113 §6.5.2, SETTINGS_HEADER_TABLE_SIZE).
pub const DEFAULT_TABLE_BYTES: u32 = 4096;

/// Why a header block cannot be decoded. The peer is to blame, and the connection ends with
/// COMPRESSION_ERROR: its tables are out of step (RFC 9113 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HpackError {
    /// The block ends within a field.
    Truncated,
    /// An integer has more than five octets after its prefix, or passes 32 bits (RFC 7541 §5.1).
    Integer,
    /// An index of 0, or beyond both tables (RFC 7541 §2.3.3).
    Index,
    /// A Huffman-coded text with wrong padding or the end-of-string symbol in it (RFC 7541 §5.2).
    Huffman,
    /// A table size update beyond our setting, or not at the start of a block (RFC 7541 §4.2 and §6.3).
    SizeUpdate,
    /// The acknowledged setting is below the table's size, yet no size update came first (RFC 7541 §4.2).
    MissingSizeUpdate,
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "header block ends within a field",
            Self::Integer => "integer too large in a header block",
            Self::Index => "index of no table entry in a header block",
            Self::Huffman => "invalid Huffman code in a header block",
            Self::SizeUpdate => "dynamic table size update too large or out of place",
            Self::MissingSizeUpdate => "dynamic table size update missing",
        })
    }
}

impl std::error::Error for HpackError {}

#[cfg(test)]
mod tests;
