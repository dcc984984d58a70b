//! A decoded header list: checked as it is decoded (RFC 9113 §8.2 and §8.3), kept as text.

use std::ops::Range;

use super::text::each_line;
use super::{LimitHit, Limits};
use crate::grpc;
use crate::http1::chunked::FORBIDDEN_TRAILERS;
use crate::http1::is_token_byte;

/// A header list: pseudo-header fields apart, regular fields as `name: value\r\n` lines. Hand it back with
/// [`super::Connection::recycle`], so that its buffers serve again.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// The values of the pseudo-header fields, then the lines.
    text: Vec<u8>,
    lines_at: usize,
    method: Option<Range<usize>>,
    scheme: Option<Range<usize>>,
    authority: Option<Range<usize>>,
    path: Option<Range<usize>>,
    protocol: Option<Range<usize>>,
    status: u16,
    cookie: Vec<u8>,
    has_cookie: bool,
    host: Option<Range<usize>>,
    content_length: Option<u64>,
}

impl Fields {
    /// `:method`; empty in responses and trailers.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.part(self.method.as_ref()).unwrap_or_default()
    }

    /// `:scheme`; absent in a plain CONNECT.
    #[must_use]
    pub fn scheme(&self) -> Option<&[u8]> {
        self.part(self.scheme.as_ref())
    }

    /// `:authority`.
    #[must_use]
    pub fn authority(&self) -> Option<&[u8]> {
        self.part(self.authority.as_ref())
    }

    /// `:path`, never empty; absent in a plain CONNECT.
    #[must_use]
    pub fn path(&self) -> Option<&[u8]> {
        self.part(self.path.as_ref())
    }

    /// `:protocol` of an extended CONNECT (RFC 8441 §4).
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.part(self.protocol.as_ref())
    }

    /// `:status`, 100 to 999 and not 101; 0 in requests and trailers.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether this is an interim response (RFC 9110 §15.2): another head follows.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// The regular fields in order, each `name: value\r\n`, names in lower case. Without `cookie` and `te`.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.text[self.lines_at..]
    }

    /// All `cookie` fields, joined by `; ` (RFC 9113 §8.2.3).
    #[must_use]
    pub fn cookie(&self) -> Option<&[u8]> {
        self.has_cookie.then_some(&self.cookie)
    }

    /// The value of `host`, if there is one.
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        let line = self.part(self.host.as_ref())?;
        line.get(HOST_NAME_BYTES..line.len() - LINE_END.len())
    }

    /// The value of `content-length`.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The lines before and after that of `host`.
    pub(super) fn lines_without_host(&self) -> (&[u8], &[u8]) {
        match &self.host {
            Some(host) => (&self.text[self.lines_at..host.start], &self.text[host.end..]),
            None => (self.lines(), &[]),
        }
    }

    /// Empties it; the buffers stay, unless they are large.
    pub(super) fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        let mut cookie = std::mem::take(&mut self.cookie);
        text.clear();
        cookie.clear();
        text.shrink_to(KEPT_BYTES);
        cookie.shrink_to(KEPT_BYTES);
        *self = Self { text, cookie, ..Self::default() };
    }

    fn part(&self, range: Option<&Range<usize>>) -> Option<&[u8]> {
        range.map(|range| &self.text[range.clone()])
    }
}

/// What kind of list is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    Request,
    Response,
    Trailers,
}

/// Why a list is not for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListError {
    /// RFC 9113 §8.1.1.
    Malformed(&'static str),
    /// Beyond a limit; `is_call`: it is that of a gRPC call.
    TooLarge { limit: LimitHit, is_call: bool },
}

/// Fields being filled from a header block.
pub(super) struct ListDecoder<'a> {
    fields: &'a mut Fields,
    limits: &'a Limits,
    kind: ListKind,
    list_bytes: usize,
    regular: u32,
    crumbs: u32,
    result: Result<(), ListError>,
}

impl<'a> ListDecoder<'a> {
    /// `fields` must be empty.
    pub(super) fn new(fields: &'a mut Fields, limits: &'a Limits, kind: ListKind) -> Self {
        Self { fields, limits, kind, list_bytes: 0, regular: 0, crumbs: 0, result: Ok(()) }
    }

    /// Takes the next field; false once the list is lost and nothing more need be known of it.
    pub(super) fn take(&mut self, name: &[u8], value: &[u8]) -> bool {
        if self.result.is_err() {
            return self.lost(name, value);
        }
        self.list_bytes += name.len() + value.len() + FIELD_OVERHEAD_BYTES;
        self.result = if self.list_bytes > self.limits.header_list_bytes as usize {
            too_large(LimitHit::HeaderListBytes)
        } else if !value_is_valid(value) {
            malformed("field value")
        } else if name.first() == Some(&b':') {
            self.pseudo(name, value)
        } else {
            self.field(name, value)
        };
        self.result.is_ok() || self.lost(name, value)
    }

    /// A list is lost, of which this is the next field. True until it is known how to answer a request that
    /// is too large: some clients say what it is after all that they say of themselves.
    fn lost(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Err(ListError::TooLarge { is_call, .. }) = &mut self.result else { return false };
        let known = {
            let mut fields = each_line(self.fields.lines()).chain([(name, value)]);
            fields.find(|(name, _)| *name == b"content-type").map(|(_, value)| grpc::is_call(value))
        };
        *is_call = known == Some(true);
        // Each is looked at once.
        self.fields.clear();
        self.kind == ListKind::Request && known.is_none()
    }

    /// The verdict on the whole list.
    pub(super) fn finish(self) -> Result<(), ListError> {
        self.result?;
        let fields = &*self.fields;
        let whole = match self.kind {
            ListKind::Request => request_is_whole(fields),
            ListKind::Response => fields.status != 0,
            ListKind::Trailers => true,
        };
        if whole { Ok(()) } else { malformed("pseudo-header fields are missing or too many") }
    }

    /// RFC 9113 §8.3: known, once, and before all regular fields.
    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), ListError> {
        if self.regular > 0 || self.crumbs > 0 {
            return malformed("pseudo-header field after a regular one");
        }
        let fields = &mut *self.fields;
        let slot = match (self.kind, name) {
            (ListKind::Request, b":method") => {
                if value.is_empty() || !value.iter().all(|&b| is_token_byte(b)) {
                    return malformed(":method");
                }
                &mut fields.method
            }
            (ListKind::Request, b":scheme") => &mut fields.scheme,
            (ListKind::Request, b":authority") => &mut fields.authority,
            (ListKind::Request, b":path") => &mut fields.path,
            (ListKind::Request, b":protocol") => &mut fields.protocol,
            (ListKind::Response, b":status") if fields.status == 0 => {
                fields.status = status(value).ok_or(ListError::Malformed(":status"))?;
                return Ok(());
            }
            _ => return malformed("pseudo-header field that is unknown, repeated or out of place"),
        };
        let start = fields.text.len();
        if slot.replace(start..start + value.len()).is_some() {
            return malformed("repeated pseudo-header field");
        }
        fields.text.extend_from_slice(value);
        fields.lines_at = fields.text.len();
        Ok(())
    }

    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), ListError> {
        if name.is_empty() || !name.iter().all(|&b| NAME[usize::from(b)]) {
            return malformed("field name");
        }
        if name == b"cookie" && self.kind == ListKind::Request {
            return self.crumb(value);
        }
        self.regular += 1;
        if self.regular > self.limits.header_fields {
            return too_large(LimitHit::HeaderFields);
        }
        let start = self.fields.text.len();
        match name {
            // RFC 9113 §8.2.2.
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                return malformed("connection-specific field");
            }
            b"te" if value.eq_ignore_ascii_case(b"trailers") => return Ok(()),
            b"te" => return malformed("te other than trailers"),
            // RFC 9110 §6.5.1: ignored where they may not stand.
            _ if self.kind == ListKind::Trailers && is_forbidden_trailer(name) => return Ok(()),
            b"content-length" => {
                let length = content_length(value).ok_or(ListError::Malformed("content-length"))?;
                if self.fields.content_length.replace(length).is_some() {
                    return malformed("repeated content-length");
                }
            }
            b"host" if self.kind == ListKind::Request => {
                let end = start + HOST_NAME_BYTES + value.len() + LINE_END.len();
                if self.fields.host.replace(start..end).is_some() {
                    return malformed("repeated host");
                }
            }
            _ => {}
        }
        let text = &mut self.fields.text;
        text.reserve(name.len() + value.len() + 4);
        text.extend_from_slice(name);
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(LINE_END);
        Ok(())
    }

    fn crumb(&mut self, value: &[u8]) -> Result<(), ListError> {
        self.crumbs += 1;
        if self.crumbs > self.limits.cookie_crumbs {
            return too_large(LimitHit::CookieCrumbs);
        }
        if std::mem::replace(&mut self.fields.has_cookie, true) {
            self.fields.cookie.extend_from_slice(b"; ");
        }
        self.fields.cookie.extend_from_slice(value);
        Ok(())
    }
}

fn malformed(what: &'static str) -> Result<(), ListError> {
    Err(ListError::Malformed(what))
}

fn too_large(limit: LimitHit) -> Result<(), ListError> {
    Err(ListError::TooLarge { limit, is_call: false })
}

/// RFC 9113 §8.3.1 and §8.5, RFC 8441 §4.
fn request_is_whole(fields: &Fields) -> bool {
    let has_path = fields.path().is_some_and(|path| !path.is_empty());
    let has_scheme = fields.scheme().is_some_and(|scheme| !scheme.is_empty());
    let has_authority = fields.authority().is_some_and(|authority| !authority.is_empty());
    let is_connect = fields.method() == b"CONNECT";
    match (is_connect, &fields.protocol) {
        (true, None) => has_authority && fields.path.is_none() && fields.scheme.is_none(),
        (true, Some(_)) => has_authority && has_path && has_scheme,
        (false, None) => fields.method.is_some() && has_path && has_scheme,
        (false, Some(_)) => false,
    }
}

/// No control byte but a tab, and no white space around it (RFC 9113 §8.2.1, RFC 9110 §5.5).
fn value_is_valid(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_space(value.first())
        && !is_space(value.last())
        && value.iter().all(|&b| (b >= b' ' && b != 0x7f) || b == b'\t')
}

/// Three digits. 101 is not known to HTTP/2 (RFC 9113 §8.6).
fn status(value: &[u8]) -> Option<u16> {
    let &[a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value else { return None };
    let number = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    (number != 101).then_some(number)
}

/// One plain decimal number that a signed 64-bit reader sees as well.
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = value.iter().fold(0_u64, |length, digit| length * 10 + u64::from(digit - b'0'));
    (length <= i64::MAX as u64).then_some(length)
}

fn is_forbidden_trailer(name: &[u8]) -> bool {
    FORBIDDEN_TRAILERS.iter().any(|forbidden| forbidden.as_bytes() == name)
}

/// Bytes of a field name: those of a token, in lower case (RFC 9113 §8.2.1).
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = is_token_byte(byte) && !byte.is_ascii_uppercase();
        byte += 1;
    }
    table
};

const LINE_END: &[u8] = b"\r\n";
const HOST_NAME_BYTES: usize = "host: ".len();
/// What RFC 9113 §6.5.2 counts for each field besides its name and value.
const FIELD_OVERHEAD_BYTES: usize = 32;
/// A recycled buffer keeps no more than this.
const KEPT_BYTES: usize = 4096;

#[cfg(test)]
mod tests;
