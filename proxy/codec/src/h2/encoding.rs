//! A header block being written, straight into the out buffer.

use std::fmt;

use crate::hpack::Encoder;

/// A header list on its way out: lent to the closures of [`super::Connection::open`] and
/// [`super::Connection::send_fields`].
///
/// Pseudo-header fields go first. Values are the caller's to check: see [`super::text`], which does.
pub struct Encoding<'a> {
    encoder: &'a mut Encoder,
    out: &'a mut Vec<u8>,
    /// For names that are not in lower case.
    scratch: &'a mut Vec<u8>,
    asked: Asked,
}

/// What the request being written asks, as far as the shape of its answer depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    #[default]
    Other,
    Head,
    Connect,
}

impl<'a> Encoding<'a> {
    pub(super) fn begin(
        encoder: &'a mut Encoder,
        out: &'a mut Vec<u8>,
        scratch: &'a mut Vec<u8>,
    ) -> Encoding<'a> {
        encoder.begin(out);
        Encoding { encoder, out, scratch, asked: Asked::Other }
    }

    /// Appends one field; the name is written in lower case (RFC 9113 §8.2.1).
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        if name == b":method" {
            self.asked = match value {
                b"HEAD" => Asked::Head,
                b"CONNECT" => Asked::Connect,
                _ => Asked::Other,
            };
        }
        if !name.iter().any(u8::is_ascii_uppercase) {
            self.encoder.field(name, value, self.out);
            return;
        }
        self.scratch.clear();
        self.scratch.extend(name.iter().map(u8::to_ascii_lowercase));
        self.encoder.field(self.scratch, value, self.out);
    }

    pub(super) fn asked(&self) -> Asked {
        self.asked
    }
}

impl fmt::Debug for Encoding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoding").field("out", &self.out.len()).finish_non_exhaustive()
    }
}
