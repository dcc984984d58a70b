//! Where a message body ends, followed as its bytes pass.

use codec::http1::chunked::Decoder;
use codec::http1::{Framing, Limits, Malformed};

/// What is left of a body.
#[derive(Debug)]
pub(crate) enum Body {
    /// Nothing.
    Done,
    /// This many bytes, at least one.
    Length(u64),
    /// Chunks.
    Chunked(Decoder),
    /// All that comes.
    UntilClose,
}

impl Body {
    pub(crate) fn new(framing: Framing, limits: &Limits) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Decoder::new(limits)),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// How many of these bytes belong to the body as it is on the wire.
    ///
    /// # Errors
    /// The sender broke the framing.
    pub(crate) fn pass(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        match self {
            Self::Done => Ok(0),
            Self::UntilClose => Ok(input.len()),
            Self::Length(left) => {
                let taken = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(taken)
            }
            Self::Chunked(decoder) => {
                let progress = decoder.advance(input)?;
                if progress.done {
                    *self = Self::Done;
                }
                Ok(progress.consumed)
            }
        }
    }

    /// The same, and appends the decoded bytes to `out`.
    ///
    /// # Errors
    /// The sender broke the framing.
    pub(crate) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        let Self::Chunked(decoder) = self else {
            let taken = self.pass(input)?;
            out.extend_from_slice(&input[..taken]);
            return Ok(taken);
        };
        let mut taken = 0;
        while taken < input.len() && !decoder.is_done() {
            let rest = &input[taken..];
            let step = decoder.step(rest)?;
            out.extend_from_slice(&rest[step.data]);
            taken += step.consumed;
        }
        if decoder.is_done() {
            *self = Self::Done;
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
