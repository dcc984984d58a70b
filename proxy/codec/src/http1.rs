//! HTTP/1.1 messages (RFC 9112): heads parsed in place, body framing, heads written.

pub mod chunked;
mod error;
mod fields;
mod request;
mod response;
pub mod write;

pub use error::Malformed;
pub use fields::{FieldSet, MAX_FIELDS, named, uninit_headers};
pub use httparse::Header;
pub(crate) use request::is_authority;
pub use request::{RequestHead, TargetForm, parse_request};
pub use response::{Asked, ResponseHead, parse_response};

/// Bounds on what one message head, or one chunked body's framing, may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, start line and blank line included (431 beyond).
    pub head_bytes: usize,
    /// Bytes of a request target (414 beyond). RFC 9110 §4.1 asks for 8000 at least.
    pub target_bytes: usize,
    /// Header fields of a head, or of a trailer section; at most [`MAX_FIELDS`] (431 beyond).
    pub fields: usize,
    /// Bytes of the extensions of one chunk.
    pub chunk_extension_bytes: usize,
    /// Bytes of a trailer section.
    pub trailer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            target_bytes: 8 * 1024,
            fields: 100,
            chunk_extension_bytes: 256,
            trailer_bytes: 8 * 1024,
        }
    }
}

/// Protocol version of a message; anything else is refused with 505.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunked coding, no persistence unless asked for.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the end of a message body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body follows the head.
    None,
    /// This many bytes follow (possibly 0, when `Content-Length: 0` was said).
    Length(u64),
    /// Chunked coding follows: see [`chunked::Decoder`].
    Chunked,
    /// Everything until the peer closes (responses only).
    UntilClose,
}

/// Bytes of the longest method let in; the longest registered one has 17.
pub(crate) const METHOD_BYTES_MAX: usize = 32;

/// Whether this byte may stand in a token: a method, a field name (RFC 9110 §5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_usize {
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};
