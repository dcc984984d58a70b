//! Heads as they are forwarded, and answers of the proxy's own.
//!
//! End-to-end fields are copied as they stand in the received head, in as few pieces as possible; framing and
//! connection fields are always written anew, so no head says two things about where its body ends.

use std::fmt;

use httparse::Header;

use super::fields::{Kind, kind, offset};
use super::request::is_authority;
use super::{FieldSet, Framing, RequestHead, ResponseHead, TargetForm, Version, is_token_byte};

/// The interim answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What changes in a request head on its way upstream.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestEdits<'a> {
    /// The target to write, normally [`crate::path::Normalised::target`]; `None`: as received.
    pub target: Option<&'a str>,
    /// What `Host` shall say; `None`: as received.
    pub authority: Option<&'a str>,
    /// Fields to leave out besides those that end at this hop: see [`super::named`].
    pub removed: FieldSet,
}

/// What changes in a response head on its way to the client.
#[derive(Clone, Copy, Debug)]
pub struct ResponseEdits {
    /// Fields to leave out besides those that end at this hop.
    pub removed: FieldSet,
    /// The client's version.
    pub client: Version,
    /// The client's connection stays open after this response.
    pub keep_alive: bool,
}

/// An answer of the proxy itself.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Final status code.
    pub status: u16,
    /// Body, plain text; may be empty.
    pub body: &'a [u8],
    /// The request was HEAD: the body's length is said, the body is not sent.
    pub head_only: bool,
    /// The client's version.
    pub client: Version,
    /// The connection stays open after this answer.
    pub keep_alive: bool,
}

/// A field that may not be added to a head: its name or value is malformed, or the name is one that this
/// module writes itself (`Host`, `Connection`, `Content-Length`, …). The configuration is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidField;

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("header field to add is malformed or reserved")
    }
}

impl std::error::Error for InvalidField {}

/// Whether this field can be added to a head.
#[must_use]
pub fn is_addable(name: &str, value: &[u8]) -> bool {
    !name.is_empty()
        && name.bytes().all(is_token_byte)
        && kind(name) == Kind::Other
        && value.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

/// Appends the head to send upstream: HTTP/1.1, `Host` as edited, framing as received, `websocket` upgrades
/// only.
///
/// # Errors
/// A field in `added`, or an edited target or authority, is malformed; `out` is as before.
pub fn request<'f>(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    edits: &RequestEdits<'_>,
    added: impl IntoIterator<Item = (&'f str, &'f [u8])>,
) -> Result<(), InvalidField> {
    let target =
        edits.target.unwrap_or(if head.form == TargetForm::Authority { head.target } else { head.path });
    if !is_writable_target(target) || !edits.authority.is_none_or(is_authority) {
        return Err(InvalidField);
    }
    let before = out.len();
    out.reserve(head.raw.len() + target.len() + ROOM);
    out.extend_from_slice(head.method.as_bytes());
    // An absolute form may lack the path.
    out.extend_from_slice(if target.is_empty() || target.starts_with('?') { b" /" } else { b" " });
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut omitted = head.hop_by_hop | head.framing_at | edits.removed;
    match edits.authority {
        Some(authority) => host(out, authority),
        None if head.host_at.is_empty() => host(out, head.authority),
        None => omitted = omitted.without(head.host_at),
    }
    if edits.authority.is_some() {
        omitted = omitted | head.host_at;
    }
    copy(out, head.raw, head.headers, omitted);
    framing(out, head.framing);
    if let Some(upgrade) = head.asked().upgrade {
        switch(out, upgrade);
    }
    finish(out, before, added)
}

/// Appends the head to send to the client.
///
/// The body that follows must be framed as [`ResponseHead::framing_for`] says; where that is
/// [`Framing::UntilClose`], `Connection: close` is written whatever `keep_alive` says.
///
/// # Errors
/// A field in `added` is malformed; `out` is as before.
pub fn response<'f>(
    out: &mut Vec<u8>,
    head: &ResponseHead<'_, '_>,
    edits: &ResponseEdits,
    added: impl IntoIterator<Item = (&'f str, &'f [u8])>,
) -> Result<(), InvalidField> {
    let before = out.len();
    out.reserve(head.raw.len() + ROOM);
    out.extend_from_slice(b"HTTP/1.1");
    let line_end = head.headers.first().map_or(head.raw.len() - 2, |first| offset(head.raw, first.name));
    let status = &head.raw[VERSION_BYTES..line_end];
    // Some senders leave out the space before an absent reason (RFC 9112 §4 wants it).
    if status.len() == b" 200\r\n".len() {
        out.extend_from_slice(&status[..4]);
        out.extend_from_slice(b" \r\n");
    } else {
        out.extend_from_slice(status);
    }
    copy(out, head.raw, head.headers, head.hop_by_hop | head.framing_at | edits.removed);
    let sent = head.framing_for(edits.client);
    framing(out, head.said_length().map_or(sent, Framing::Length));
    match head.upgrade {
        Some(upgrade) => switch(out, upgrade),
        None if head.tunnel || head.is_interim() => {}
        None => persistence(out, edits.client, edits.keep_alive && sent != Framing::UntilClose),
    }
    finish(out, before, added)
}

/// Appends a whole answer of the proxy's own.
///
/// # Errors
/// A field in `added` is malformed; `out` is as before.
pub fn reply<'f>(
    out: &mut Vec<u8>,
    reply: &Reply<'_>,
    added: impl IntoIterator<Item = (&'f str, &'f [u8])>,
) -> Result<(), InvalidField> {
    let before = out.len();
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(reply.status));
    out.push(b' ');
    out.extend_from_slice(reason(reply.status).as_bytes());
    out.extend_from_slice(b"\r\n");
    let bodiless = reply.status < 200 || matches!(reply.status, 204 | 304);
    if !bodiless {
        framing(out, Framing::Length(reply.body.len() as u64));
        if !reply.body.is_empty() {
            out.extend_from_slice(b"Content-Type: text/plain\r\n");
        }
    }
    persistence(out, reply.client, reply.keep_alive);
    finish(out, before, added)?;
    if !bodiless && !reply.head_only {
        out.extend_from_slice(reply.body);
    }
    Ok(())
}

/// Copies the received lines in runs, those of `omitted` left out.
fn copy(out: &mut Vec<u8>, raw: &[u8], headers: &[Header<'_>], omitted: FieldSet) {
    let end = raw.len() - 2;
    let start = |index: usize| headers.get(index).map_or(end, |header| offset(raw, header.name));
    let mut from = start(0);
    for index in omitted.iter() {
        out.extend_from_slice(&raw[from..start(index)]);
        from = start(index + 1);
    }
    out.extend_from_slice(&raw[from..end]);
}

fn host(out: &mut Vec<u8>, authority: &str) {
    line(out, "Host", authority.as_bytes());
}

fn framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

fn switch(out: &mut Vec<u8>, protocol: &str) {
    out.extend_from_slice(b"Connection: upgrade\r\n");
    line(out, "Upgrade", protocol.as_bytes());
}

/// Says only what the version does not imply.
fn persistence(out: &mut Vec<u8>, client: Version, keep_alive: bool) {
    match (client, keep_alive) {
        (Version::Http11, true) => {}
        (Version::Http10, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (_, false) => out.extend_from_slice(b"Connection: close\r\n"),
    }
}

fn finish<'f>(
    out: &mut Vec<u8>,
    before: usize,
    added: impl IntoIterator<Item = (&'f str, &'f [u8])>,
) -> Result<(), InvalidField> {
    for (name, value) in added {
        if !is_addable(name, value) {
            out.truncate(before);
            return Err(InvalidField);
        }
        line(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn is_writable_target(target: &str) -> bool {
    target.bytes().all(|b| (0x21..0x7f).contains(&b))
}

/// The registered phrase, for the statuses that a proxy answers with.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

const VERSION_BYTES: usize = "HTTP/1.1".len();
/// Room for what is written anew: `Host` aside, framing and connection fields.
const ROOM: usize = 256;

#[cfg(test)]
mod tests;
