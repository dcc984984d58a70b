//! HTTP/1.1 heads as HTTP/2 header lists: checked first, so that writing them cannot fail.

use std::borrow::Cow;

use super::response::digits;
use super::{Unsayable, each_line};
use crate::h2::Encoding;
use crate::http1::write::{RequestEdits, is_addable};
use crate::http1::{FieldSet, Header, RequestHead, ResponseHead};

/// A request head that can be said in HTTP/2, with what changes on its way.
#[derive(Debug)]
pub struct RequestFields<'a, A> {
    head: &'a RequestHead<'a, 'a>,
    method: &'a str,
    scheme: &'a str,
    authority: &'a str,
    /// `None`: a plain CONNECT.
    path: Option<Cow<'a, str>>,
    upgrade: bool,
    removed: FieldSet,
    added: A,
}

impl<'a, A: Iterator<Item = (&'a str, &'a [u8])> + Clone> RequestFields<'a, A> {
    /// Checks the head. `scheme` is `http` or `https`, of the connection it goes out on; `extended_connect`:
    /// the peer takes websocket ([`crate::h2::Connection::extended_connect`]).
    ///
    /// Fields that end at this hop stay behind; `te: trailers` is always said, as the proxy takes trailers.
    ///
    /// # Errors
    /// What HTTP/2 cannot say.
    pub fn new(
        head: &'a RequestHead<'a, 'a>,
        edits: &RequestEdits<'a>,
        added: A,
        scheme: &'a str,
        extended_connect: bool,
    ) -> Result<Self, Unsayable> {
        let upgrade = head.asked().upgrade.is_some();
        if upgrade && !extended_connect {
            return Err(Unsayable::Upgrade);
        }
        let plain_connect = head.method == "CONNECT";
        let authority = edits.authority.unwrap_or(head.authority);
        if authority.is_empty() || !authority.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Unsayable::Authority);
        }
        let target = edits.target.unwrap_or(head.path);
        if !target.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Unsayable::Target);
        }
        if !added.clone().all(|(name, value)| is_addable(name, value)) {
            return Err(Unsayable::Field);
        }
        // An absolute form may lack the path.
        let lacks_path = target.is_empty() || target.starts_with('?');
        let path = if lacks_path { Cow::Owned(format!("/{target}")) } else { Cow::Borrowed(target) };
        Ok(Self {
            head,
            method: if upgrade { "CONNECT" } else { head.method },
            scheme,
            authority,
            path: (!plain_connect).then_some(path),
            upgrade,
            removed: head.hop_by_hop | edits.removed,
            added,
        })
    }

    /// Writes the list.
    pub fn encode(&self, to: &mut Encoding<'_>) {
        to.field(b":method", self.method.as_bytes());
        if let Some(path) = &self.path {
            to.field(b":scheme", self.scheme.as_bytes());
            to.field(b":authority", self.authority.as_bytes());
            to.field(b":path", path.as_bytes());
        } else {
            to.field(b":authority", self.authority.as_bytes());
        }
        if self.upgrade {
            to.field(b":protocol", b"websocket");
        }
        regular(self.head.headers, self.removed, to, |name| match name.len() {
            4 => name.eq_ignore_ascii_case("host"),
            17 if self.upgrade => is_framing(name) || name.eq_ignore_ascii_case("sec-websocket-key"),
            _ => is_framing(name),
        });
        to.field(b"te", b"trailers");
        added(&self.added, to);
    }
}

/// A response head that can be said in HTTP/2, with what changes on its way.
#[derive(Debug)]
pub struct ResponseFields<'a, A> {
    head: &'a ResponseHead<'a, 'a>,
    status: u16,
    removed: FieldSet,
    added: A,
}

impl<'a, A: Iterator<Item = (&'a str, &'a [u8])> + Clone> ResponseFields<'a, A> {
    /// Checks the head. A 101 that switches to websocket becomes the 200 of an extended CONNECT.
    ///
    /// # Errors
    /// What HTTP/2 cannot say.
    pub fn new(head: &'a ResponseHead<'a, 'a>, removed: FieldSet, added: A) -> Result<Self, Unsayable> {
        let status = match (head.status, head.upgrade) {
            (101, Some(_)) => 200,
            (101, None) => return Err(Unsayable::Upgrade),
            (status, _) => status,
        };
        if !added.clone().all(|(name, value)| is_addable(name, value)) {
            return Err(Unsayable::Field);
        }
        Ok(Self { head, status, removed: head.hop_by_hop | removed, added })
    }

    /// Writes the list.
    pub fn encode(&self, to: &mut Encoding<'_>) {
        to.field(b":status", &digits(self.status));
        // RFC 9110 §8.6: no length where no body can be, nor in a tunnel.
        let no_length = self.head.status < 200 || self.head.status == 204 || self.head.tunnel;
        let upgraded = self.head.upgrade.is_some();
        regular(self.head.headers, self.removed, to, |name| match name.len() {
            14 if no_length => name.eq_ignore_ascii_case("content-length"),
            20 if upgraded => name.eq_ignore_ascii_case("sec-websocket-accept"),
            _ => is_framing(name),
        });
        added(&self.added, to);
    }
}

/// Writes the fields of a trailer section: `name: value` lines, as [`crate::http1::chunked`] lets them pass or
/// [`crate::h2::Fields::lines`] has them.
pub fn trailer_fields(lines: &[u8], to: &mut Encoding<'_>) {
    for (name, value) in each_line(lines) {
        to.field(name, value);
    }
}

fn regular(
    headers: &[Header<'_>],
    removed: FieldSet,
    to: &mut Encoding<'_>,
    left_out: impl Fn(&str) -> bool,
) {
    for (index, header) in headers.iter().enumerate() {
        if !removed.contains(index) && !left_out(header.name) {
            to.field(header.name.as_bytes(), header.value);
        }
    }
}

fn added<'f>(added: &(impl Iterator<Item = (&'f str, &'f [u8])> + Clone), to: &mut Encoding<'_>) {
    for (name, value) in added.clone() {
        to.field(name.as_bytes(), value.trim_ascii());
    }
}

/// HTTP/2 frames its messages itself; `content-length` stays.
fn is_framing(name: &str) -> bool {
    name.len() == 17 && name.eq_ignore_ascii_case("transfer-encoding")
}
