//! HTTP/1.1 heads as HTTP/2 header lists: checked first, so that writing them cannot fail.

use std::borrow::Cow;

use super::response::digits;
use super::{Unsayable, each_line};
use crate::h2::Encoding;
use crate::http1::write::{RequestEdits, is_addable};
use crate::http1::{FieldSet, Framing, Header, RequestHead, ResponseHead, is_authority};

/// A request head that can be said in HTTP/2, with what changes on its way.
#[derive(Debug)]
pub struct RequestFields<'a, A> {
    pub(super) head: &'a RequestHead<'a, 'a>,
    pub(super) method: &'a str,
    scheme: &'a str,
    authority: &'a str,
    /// `None`: a plain CONNECT.
    pub(super) path: Option<Cow<'a, str>>,
    pub(super) upgrade: bool,
    removed: FieldSet,
    added: A,
}

impl<'a, A: Iterator<Item = (&'a str, &'a [u8])> + Clone> RequestFields<'a, A> {
    /// Checks the head. `scheme` is `http` or `https`, of the connection it goes out on; `extended_connect`:
    /// the peer takes websocket ([`crate::h2::Connection::extended_connect`]).
    ///
    /// Fields that end at this hop stay behind, `content-length` is written anew from the framing, and `te: trailers` is
    /// always said, as the proxy takes trailers.
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
        if authority.is_empty() || !edits.authority.is_none_or(is_authority) {
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
            removed: head.hop_by_hop | head.framing_at | edits.removed,
            added,
        })
    }

    /// Writes the list.
    pub fn encode(&self, to: &mut Encoding<'_>) {
        self.each(&mut |name, value| to.field(name, value));
    }

    /// Gives the fields in the order in which they are sent.
    pub(super) fn each(&self, put: &mut impl FnMut(&[u8], &[u8])) {
        put(b":method", self.method.as_bytes());
        if let Some(path) = &self.path {
            put(b":scheme", self.scheme.as_bytes());
            put(b":authority", self.authority.as_bytes());
            put(b":path", path.as_bytes());
        } else {
            put(b":authority", self.authority.as_bytes());
        }
        if self.upgrade {
            put(b":protocol", b"websocket");
        }
        regular(self.head.headers, self.removed, put, |name| match name.len() {
            4 => name.eq_ignore_ascii_case("host"),
            17 if self.upgrade => name.eq_ignore_ascii_case("sec-websocket-key"),
            _ => false,
        });
        length((!self.upgrade).then_some(self.head.framing), put);
        put(b"te", b"trailers");
        added(&self.added, put);
    }
}

/// A response head that can be said in HTTP/2, with what changes on its way.
#[derive(Debug)]
pub struct ResponseFields<'a, A> {
    head: &'a ResponseHead<'a, 'a>,
    status: u16,
    length: Option<u64>,
    removed: FieldSet,
    added: A,
}

impl<'a, A: Iterator<Item = (&'a str, &'a [u8])> + Clone> ResponseFields<'a, A> {
    /// Checks the head. A 101 that switches to websocket becomes the 200 of an extended CONNECT. Fields that end at this
    /// hop or are `removed` stay behind; `content-length` is written anew from the framing.
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
        let removed = head.hop_by_hop | head.framing_at | removed;
        Ok(Self { head, status, length: head.said_length(), removed, added })
    }

    /// The same without `content-length`: of what is all head in HTTP/2, and no message with an empty body.
    #[must_use]
    pub fn without_length(self) -> Self {
        Self { length: None, ..self }
    }

    /// Writes the list.
    pub fn encode(&self, to: &mut Encoding<'_>) {
        let put = &mut |name: &[u8], value: &[u8]| to.field(name, value);
        put(b":status", &digits(self.status));
        let upgraded = self.head.upgrade.is_some();
        regular(self.head.headers, self.removed, put, |name| {
            upgraded && name.eq_ignore_ascii_case("sec-websocket-accept")
        });
        length(self.length.map(Framing::Length), put);
        added(&self.added, put);
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
    put: &mut impl FnMut(&[u8], &[u8]),
    left_out: impl Fn(&str) -> bool,
) {
    for (index, header) in headers.iter().enumerate() {
        if !removed.contains(index) && !left_out(header.name) {
            put(header.name.as_bytes(), header.value);
        }
    }
}

/// HTTP/2 frames its messages itself; `content-length` stays.
fn length(framing: Option<Framing>, put: &mut impl FnMut(&[u8], &[u8])) {
    if let Some(Framing::Length(length)) = framing {
        put(b"content-length", itoa::Buffer::new().format(length).as_bytes());
    }
}

fn added<'f>(
    added: &(impl Iterator<Item = (&'f str, &'f [u8])> + Clone),
    put: &mut impl FnMut(&[u8], &[u8]),
) {
    for (name, value) in added.clone() {
        put(name.as_bytes(), value.trim_ascii());
    }
}
