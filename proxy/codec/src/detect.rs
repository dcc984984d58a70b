//! Which protocol a connection's first bytes speak.

use crate::http1::METHOD_BYTES_MAX;

/// What the first bytes of a connection show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detected {
    /// A method token and a space, then a possible target: hand it to [`crate::http1::parse_request`].
    Http1,
    /// The HTTP/2 connection preface, whole (RFC 9113 §3.4).
    Http2Preface,
    /// No HTTP that a client starts with.
    NotHttp,
    /// A prefix of something valid: read more.
    NeedMore,
}

/// Judges the first bytes of a connection. Cheap, and never an opening: it only chooses a parser.
/// One empty line before a request is let pass (RFC 9112 §2.2).
#[must_use]
pub fn detect(buf: &[u8]) -> Detected {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let shared = buf.len().min(PREFACE.len());
    if buf[..shared] == PREFACE[..shared] {
        return if shared == PREFACE.len() { Detected::Http2Preface } else { Detected::NeedMore };
    }
    // RFC 9113 section 11.6: the method is reserved, so that this is no request.
    if buf.starts_with(b"PRI * HTTP/2.0") {
        return Detected::NotHttp;
    }
    if buf == b"\r" {
        return Detected::NeedMore;
    }
    let line = buf.strip_prefix(b"\r\n").unwrap_or(buf);
    let method = line.iter().take_while(|&&b| crate::http1::is_token_byte(b)).count();
    if method > METHOD_BYTES_MAX {
        return Detected::NotHttp;
    }
    match line.get(method..) {
        None | Some([]) => Detected::NeedMore,
        Some([b' ']) if method > 0 => Detected::NeedMore,
        Some([b' ', first, ..]) if method > 0 && (0x21..0x7f).contains(first) => Detected::Http1,
        Some(_) => Detected::NotHttp,
    }
}

#[cfg(test)]
mod tests;
