//! Between HTTP/2 header lists and HTTP/1.1 heads in text.
//!
//! Inside the proxy every head is an HTTP/1.1 head: HTTP/2 is translated at the edge, so that one strict
//! parser, one path normalisation and one exchange serve all versions. What cannot be said in the other
//! version is an error, never repaired.

mod from_text;
mod list;
mod request;
mod response;
mod websocket;

use std::fmt;

pub use from_text::{RequestFields, ResponseFields, trailer_fields};
pub use list::RequestList;
pub use request::request_text;
pub use response::response_text;
pub use websocket::websocket_accept;

/// A request that is well formed in HTTP/2, but has no one meaning as HTTP/1.1. The client is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MalformedRequest {
    /// `:scheme` is not http or https.
    Scheme,
    /// `:path` is not a path in ASCII, nor `*` of OPTIONS.
    Path,
    /// `:authority` and `host` are both missing, differ, or are no authority (RFC 9113 §8.3.1).
    Authority,
    /// An extended CONNECT for a protocol other than websocket (501).
    Protocol,
    /// `content-length` announces a body where none follows or none may.
    Length,
    /// An extended CONNECT that ends before its tunnel begins.
    Ended,
}

impl MalformedRequest {
    /// Status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        if self == Self::Protocol { 501 } else { 400 }
    }
}

impl fmt::Display for MalformedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => ":scheme is not http or https",
            Self::Path => "invalid :path",
            Self::Authority => "missing, invalid or contradicting :authority and host",
            Self::Protocol => "extended CONNECT for an unknown protocol",
            Self::Length => "content-length announces a body that does not follow",
            Self::Ended => "extended CONNECT without a tunnel",
        })
    }
}

impl std::error::Error for MalformedRequest {}

/// A response that has no one meaning as HTTP/1.1: 502. The upstream is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MalformedResponse {
    /// `content-length` announces a body where none follows or none may.
    Length,
    /// The answer to an extended CONNECT holds `sec-websocket-accept` (RFC 8441 §5.1).
    Accept,
}

impl fmt::Display for MalformedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "content-length announces a body that does not follow",
            Self::Accept => "sec-websocket-accept in the answer to an extended CONNECT",
        })
    }
}

impl std::error::Error for MalformedResponse {}

/// A head that cannot be said in HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unsayable {
    /// A websocket upgrade to a peer without extended CONNECT (RFC 8441), or a 101 that is no websocket.
    Upgrade,
    /// No authority: an HTTP/1.0 request without `Host`.
    Authority,
    /// The edited target has bytes that no target may have.
    Target,
    /// A field to add is malformed or reserved: the configuration is to blame.
    Field,
}

impl fmt::Display for Unsayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upgrade => "upgrade that the peer's HTTP/2 does not know",
            Self::Authority => "request without an authority",
            Self::Target => "invalid request target",
            Self::Field => "header field to add is malformed or reserved",
        })
    }
}

impl std::error::Error for Unsayable {}

/// What a request asked, as far as the text of its answer depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedOf<'a> {
    /// It was HEAD: no body follows.
    pub head: bool,
    /// It was CONNECT without `:protocol`: 2xx begins a tunnel.
    pub connect: bool,
    /// It was a websocket upgrade, sent as extended CONNECT: its `sec-websocket-key`.
    pub websocket_key: Option<&'a [u8]>,
    /// It was a gRPC call: its status comes in trailers, for which there is room after chunks alone.
    pub call: bool,
}

/// Appends a field line.
fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The names and values of `name: value` lines.
pub(super) fn each_line(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.split(|&b| b == b'\n').filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// The lines that begin an HTTP/1.1 upgrade to websocket, in either direction.
const SWITCH: &[u8] = b"connection: upgrade\r\nupgrade: websocket\r\n";
const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n";

#[cfg(test)]
mod tests;
