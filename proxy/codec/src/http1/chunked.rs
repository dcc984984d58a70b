//! Chunked transfer coding (RFC 9112 §7.1), validated as it passes: no byte is copied or kept.

use std::ops::Range;

use super::{Limits, Malformed, is_token_byte};

/// Follows one chunked body through pieces of any size.
///
/// The bytes it takes are the message's own, to be forwarded as they are; those after `consumed` belong
/// to the next message. After an error, or once done, it must not be used again.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// Bytes of the current chunk still to come; while its size is read, the size so far.
    remaining: u64,
    decoded: u64,
    /// Bytes read of the current line: size digits, extension, or trailer section.
    line: usize,
    /// Bytes of framing in excess of what the data justify.
    overhead: u64,
    fields: usize,
    name: TrailerName,
    limits: Limits,
}

/// What one call took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input, from its start, that belong to the body's wire form.
    pub consumed: usize,
    /// Where in the input the decoded data among them are; possibly empty.
    pub data: Range<usize>,
    /// The body, trailers included, ends after `consumed`.
    pub done: bool,
}

/// What [`Decoder::advance`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input, from its start, that belong to the body's wire form.
    pub consumed: usize,
    /// The body, trailers included, ends after `consumed`.
    pub done: bool,
}

/// Where in the body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At or in the size of a chunk.
    Size,
    /// After `;`: white space, then the name of an extension must follow.
    ExtensionStart,
    /// In an extension.
    Extension,
    /// After the CR of a size line.
    SizeLf,
    /// In a chunk's data.
    Data,
    /// After the data.
    DataCr,
    /// After the CR that follows the data.
    DataLf,
    /// At the start of a trailer field, or of the last line.
    TrailerStart,
    /// In a trailer field's name.
    TrailerName,
    /// In a trailer field's value.
    TrailerValue,
    /// After the CR of a trailer field.
    TrailerLf,
    /// After the CR of the last line.
    EndLf,
    /// Behind the last byte.
    Done,
}

impl Decoder {
    /// At the first byte after the head.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: State::Size,
            remaining: 0,
            decoded: 0,
            line: 0,
            overhead: 0,
            fields: 0,
            name: TrailerName::default(),
            limits: *limits,
        }
    }

    /// Bytes of data so far, coding removed.
    #[must_use]
    pub fn decoded(&self) -> u64 {
        self.decoded
    }

    /// The whole body has passed.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// What comes next is the trailer section: its fields, then an empty line.
    #[must_use]
    pub fn in_trailers(&self) -> bool {
        matches!(
            self.state,
            State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf | State::EndLf
        )
    }

    /// Takes all of the input that belongs to this body: for forwarding the wire form unmodified.
    ///
    /// # Errors
    /// The sender is to blame; the message cannot be completed and its connection must close.
    pub fn advance(&mut self, input: &[u8]) -> Result<Progress, Malformed> {
        let mut consumed = 0;
        while consumed < input.len() && self.state != State::Done {
            consumed += self.step(&input[consumed..])?.consumed;
        }
        Ok(Progress { consumed, done: self.is_done() })
    }

    /// Takes input up to and including one run of data, or to where the trailers begin: for reading the
    /// decoded bytes. Call again with the rest until nothing is left or it is done.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut at = 0;
        while self.state != State::Done {
            if self.state == State::Data {
                let room = (input.len() - at) as u64;
                let run = usize::try_from(self.remaining.min(room)).unwrap_or(input.len() - at);
                let taken = run as u64;
                self.remaining -= taken;
                self.decoded = self.decoded.checked_add(taken).ok_or(Malformed::ChunkSize)?;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Step { consumed: at + run, data: at..at + run, done: false });
            }
            let Some(&byte) = input.get(at) else { break };
            let before = self.state;
            self.state = self.next(byte)?;
            at += 1;
            if before == State::SizeLf && self.state == State::TrailerStart {
                break;
            }
        }
        Ok(Step { consumed: at, data: at..at, done: self.is_done() })
    }

    fn next(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::Size, _) => self.size(byte),
            (State::ExtensionStart | State::Extension, _) => self.extension(byte),
            (State::SizeLf, b'\n') => self.sized(),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::SizeLf | State::DataCr | State::DataLf, _) => Err(Malformed::ChunkSize),
            _ => self.trailer(byte),
        }
    }

    fn size(&mut self, byte: u8) -> Result<State, Malformed> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.line > 0 => return Ok(State::SizeLf),
            b';' if self.line > 0 => {
                self.line = 0;
                return Ok(State::ExtensionStart);
            }
            _ => return Err(Malformed::ChunkSize),
        };
        self.line += 1;
        self.remaining = self.remaining << 4 | u64::from(digit);
        self.overhead += 1;
        if self.line > SIZE_DIGITS_MAX || self.remaining > i64::MAX as u64 {
            return Err(Malformed::ChunkSize);
        }
        Ok(State::Size)
    }

    fn extension(&mut self, byte: u8) -> Result<State, Malformed> {
        self.line += 1;
        self.overhead += 1;
        if self.line > self.limits.chunk_extension_bytes {
            return Err(Malformed::ChunkExtension);
        }
        match byte {
            b'\t' | b' ' => Ok(self.state),
            _ if self.state == State::ExtensionStart && is_token_byte(byte) => Ok(State::Extension),
            b'\r' if self.state == State::Extension => Ok(State::SizeLf),
            0x21..=0x7e if self.state == State::Extension => Ok(State::Extension),
            _ => Err(Malformed::ChunkExtension),
        }
    }

    /// At the end of a size line. As in Go's net/http, many tiny chunks with long size lines are refused:
    /// they cost the receiver more than they bring.
    fn sized(&mut self) -> Result<State, Malformed> {
        self.line = 0;
        if self.remaining == 0 {
            return Ok(State::TrailerStart);
        }
        let justified = self.remaining.saturating_mul(2).saturating_add(16);
        self.overhead = self.overhead.saturating_sub(justified);
        if self.overhead > OVERHEAD_BYTES_MAX { Err(Malformed::ChunkExtension) } else { Ok(State::Data) }
    }

    fn trailer(&mut self, byte: u8) -> Result<State, Malformed> {
        self.line += 1;
        if self.line > self.limits.trailer_bytes {
            return Err(Malformed::TrailerTooLong);
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart, _) if is_token_byte(byte) => {
                self.fields += 1;
                if self.fields > self.limits.fields {
                    return Err(Malformed::TooManyFields);
                }
                self.name = TrailerName::default();
                self.name.push(byte);
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') if self.name.is_allowed() => Ok(State::TrailerValue),
            (State::TrailerName, _) if is_token_byte(byte) => {
                self.name.push(byte);
                Ok(State::TrailerName)
            }
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, b'\t' | b' '..=0x7e | 0x80..) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(Malformed::Trailer),
        }
    }
}

/// The start of a trailer field's name, in lower case and with `-` for `_`: enough to know those that may
/// not be trailers, however the input is cut.
#[derive(Clone, Debug, Default)]
struct TrailerName {
    bytes: [u8; TRAILER_NAME_BYTES],
    length: usize,
}

impl TrailerName {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        }
        self.length += 1;
    }

    /// RFC 9110 §6.5.1: nothing that frames, routes, authenticates or describes the content.
    fn is_allowed(&self) -> bool {
        let name = self.bytes.get(..self.length);
        name.is_none_or(|name| !FORBIDDEN_TRAILERS.iter().any(|forbidden| forbidden.as_bytes() == name))
    }
}

/// A size needs no more; leading zeros count.
const SIZE_DIGITS_MAX: usize = 16;
/// Framing bytes in excess of the data, over a whole body.
const OVERHEAD_BYTES_MAX: u64 = 16 * 1024;
const TRAILER_NAME_BYTES: usize = 20;
pub(crate) const FORBIDDEN_TRAILERS: &[&str] = &[
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
];

#[cfg(test)]
mod tests;
