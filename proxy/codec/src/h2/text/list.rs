//! A request head on its way through the proxy to a stream of HTTP/2, as the list of its fields: nothing in it is to be
//! found again, as in text. It stands where the text would, and no text begins as it does.
//!
//! ```text
//! 0, flags, length of the body (u64), bytes of the fields (u32), then of each field:
//! bytes of the name (u32), bytes of the value (u32), the name, the value
//! ```
//!
//! Numbers are in the machine's order: a list leaves no process.

use super::RequestFields;
use crate::h2::Encoding;
use crate::http1::Framing;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct RequestList<'a> {
    /// How the body that follows is framed.
    pub framing: Framing,
    /// The method is HEAD.
    pub is_head: bool,
    /// It is a gRPC call.
    pub is_call: bool,
    /// Bytes that the list takes.
    pub len: usize,
    fields: &'a [u8],
}

impl<'a> RequestList<'a> {
    /// The list at the front of `bytes`; `None`: text, or nothing whole.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[MARK, flags], rest) = bytes.split_first_chunk()? else { return None };
        let (&body, rest) = rest.split_first_chunk()?;
        let (&len, rest) = rest.split_first_chunk()?;
        let fields = rest.get(..u32::from_ne_bytes(len) as usize)?;
        let framing = match flags & FRAMING {
            NONE => Framing::None,
            LENGTH => Framing::Length(u64::from_ne_bytes(body)),
            _ => Framing::Chunked,
        };
        let (is_head, is_call) = (flags & HEAD != 0, flags & CALL != 0);
        Some(Self { framing, is_head, is_call, len: HEADER_BYTES + fields.len(), fields })
    }

    /// Writes the fields; `scheme` is `http` or `https`, of the connection it goes out on.
    pub fn encode(&self, scheme: &str, to: &mut Encoding<'_>) {
        to.field(b":scheme", scheme.as_bytes());
        let mut left = self.fields;
        while let Some((name, value, rest)) = field(left) {
            to.field(name, value);
            left = rest;
        }
    }
}

fn field(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&name, rest) = bytes.split_first_chunk()?;
    let (&value, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u32::from_ne_bytes(name) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_ne_bytes(value) as usize)?;
    Some((name, value, rest))
}

impl<'a, A: Iterator<Item = (&'a str, &'a [u8])> + Clone> RequestFields<'a, A> {
    /// Appends the head as a list; false, and nothing is, where only text will do, as a tunnel begins.
    pub fn write_list(&self, is_call: bool, out: &mut Vec<u8>) -> bool {
        let (head, begin) = (self.head, out.len());
        if self.upgrade || self.path.is_none() {
            return false;
        }
        let (framing, length) = match head.framing {
            Framing::None => (NONE, 0),
            Framing::Length(length) => (LENGTH, length),
            Framing::Chunked | Framing::UntilClose => (CHUNKED, 0),
        };
        let is_head = if self.method == "HEAD" { HEAD } else { 0 };
        out.reserve(head.raw.len() + ROOM);
        out.extend_from_slice(&[MARK, framing | is_head | if is_call { CALL } else { 0 }]);
        out.extend_from_slice(&length.to_ne_bytes());
        out.extend_from_slice(&[0; 4]);
        self.each(&mut |name, value| {
            // Scheme is said as it goes out.
            if name == b":scheme" {
                return;
            }
            out.extend_from_slice(&size(name.len()));
            out.extend_from_slice(&size(value.len()));
            out.extend_from_slice(name);
            out.extend_from_slice(value);
        });
        let len = size(out.len() - begin - HEADER_BYTES);
        out[begin + HEADER_BYTES - len.len()..begin + HEADER_BYTES].copy_from_slice(&len);
        true
    }
}

/// What cannot be said is more than any head has: such a list is not read.
fn size(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_ne_bytes()
}

/// No method begins with it.
const MARK: u8 = 0;
const NONE: u8 = 0;
const LENGTH: u8 = 1;
const CHUNKED: u8 = 2;
const FRAMING: u8 = 3;
const HEAD: u8 = 4;
const CALL: u8 = 8;
/// What comes before the fields.
const HEADER_BYTES: usize = 2 + 8 + 4;
/// Room for the lengths of usual heads and for what is written anew.
const ROOM: usize = 512;
