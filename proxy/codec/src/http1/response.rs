//! Response heads.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::fields::{MAX_FIELDS, Scan, scan};
use super::{FieldSet, Framing, Limits, Malformed, Version};

/// What the request asked, as far as the framing of its answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The method that was forwarded.
    pub method: &'a str,
    /// The protocol whose `Upgrade` was forwarded, if any. Only `websocket` ever is: see
    /// [`super::RequestHead::asked`].
    pub upgrade: Option<&'a str>,
}

/// A response head, parsed in place: everything in it points into the caller's buffer.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'b, 'h> {
    /// Status code, 100 to 999.
    pub status: u16,
    /// Reason phrase; empty if there is none or it is not ASCII.
    pub reason: &'b str,
    /// The upstream's version.
    pub version: Version,
    /// Header fields in order, values without white space around them.
    pub headers: &'h [Header<'b>],
    /// Bytes of the buffer that belong to this head.
    pub head_len: usize,
    /// How the end of the body is found. [`Framing::None`] also for HEAD, 1xx, 204, 304 and tunnels.
    pub framing: Framing,
    /// The upstream connection can be used again after this response.
    pub keep_alive: bool,
    /// 101, or 2xx to CONNECT: from here on the connection carries bytes.
    pub tunnel: bool,
    /// The protocol that a 101 switches to.
    pub upgrade: Option<&'b str>,
    /// What `Content-Length` said, also where no body follows (HEAD, 304).
    pub content_length: Option<u64>,
    /// Fields that end at this hop. Not forwarded.
    pub hop_by_hop: FieldSet,
    /// `Content-Length` and `Transfer-Encoding`.
    pub(crate) framing_at: FieldSet,
    pub(super) raw: &'b [u8],
}

impl ResponseHead<'_, '_> {
    /// An interim response: the final one follows (RFC 9110 §15.2). 101 is final.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// What `Content-Length` says of it where it is passed on. 304 and answers to HEAD have the length of a body that
    /// does not follow; 1xx and 204 must not, nor tunnels (RFC 9110 §8.6).
    pub(crate) fn said_length(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(length) => Some(length),
            Framing::None if self.status >= 200 && self.status != 204 && !self.tunnel => self.content_length,
            _ => None,
        }
    }

    /// How the body must be framed for a client of this version: HTTP/1.0 knows no chunked coding, so the
    /// decoded bytes follow and the close ends them.
    #[must_use]
    pub fn framing_for(&self, client: Version) -> Framing {
        match (self.framing, client) {
            (Framing::Chunked, Version::Http10) => Framing::UntilClose,
            (framing, _) => framing,
        }
    }
}

/// Parses the response head at the start of `buf`; `None` when more bytes are needed.
///
/// # Errors
/// The upstream is to blame: answer 502 and close the upstream connection.
pub fn parse_response<'b, 'h>(
    buf: &'b [u8],
    headers: &'h mut [MaybeUninit<Header<'b>>],
    limits: &Limits,
    asked: &Asked<'_>,
) -> Result<Option<ResponseHead<'b, 'h>>, Malformed> {
    let bounded = &buf[..buf.len().min(limits.head_bytes)];
    if matches!(bounded.first(), Some(b'\r' | b'\n')) {
        return Err(Malformed::StartLine);
    }
    let room = headers.len().min(limits.fields).min(MAX_FIELDS);
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, bounded, &mut headers[..room]) {
        Ok(Status::Complete(head_len)) => {
            let parsed = Parsed {
                status: response.code.unwrap_or_default(),
                reason: response.reason.unwrap_or_default(),
                version: if response.version == Some(0) { Version::Http10 } else { Version::Http11 },
                headers: response.headers,
            };
            head(&parsed, &bounded[..head_len], asked).map(Some)
        }
        Ok(Status::Partial) if buf.len() >= limits.head_bytes => Err(Malformed::HeadTooLong),
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(refused(error)),
    }
}

struct Parsed<'b, 'h> {
    status: u16,
    reason: &'b str,
    version: Version,
    headers: &'h [Header<'b>],
}

fn refused(error: httparse::Error) -> Malformed {
    use httparse::Error;
    match error {
        Error::HeaderName => Malformed::FieldName,
        Error::HeaderValue => Malformed::FieldValue,
        Error::NewLine => Malformed::LineEnd,
        Error::TooManyHeaders => Malformed::TooManyFields,
        Error::Version => Malformed::Version,
        Error::Token | Error::Status => Malformed::StartLine,
    }
}

fn head<'b, 'h>(
    parsed: &Parsed<'b, 'h>,
    raw: &'b [u8],
    asked: &Asked<'_>,
) -> Result<ResponseHead<'b, 'h>, Malformed> {
    let &Parsed { status, reason, version, headers } = parsed;
    if status < 100 {
        return Err(Malformed::StartLine);
    }
    let scan = scan(raw, headers)?;
    let modern = version == Version::Http11;
    if scan.chunked && !modern {
        return Err(Malformed::TransferEncoding);
    }
    let upgrade = if status == 101 { Some(switched(&scan, asked, version)?) } else { None };
    let tunnel = status == 101 || (asked.method == "CONNECT" && (200..300).contains(&status));
    let framing = framing(status, tunnel, &scan, asked)?;
    let persistent = !scan.close && (modern || scan.keep_alive);
    Ok(ResponseHead {
        status,
        reason,
        version,
        headers,
        head_len: raw.len(),
        framing,
        keep_alive: persistent && !tunnel && framing != Framing::UntilClose,
        tunnel,
        upgrade,
        content_length: scan.content_length,
        hop_by_hop: scan.hop_by_hop,
        framing_at: scan.framing,
        raw,
    })
}

/// The protocol of a 101, if it is the one that was asked for.
fn switched<'b>(scan: &Scan<'b>, asked: &Asked<'_>, version: Version) -> Result<&'b str, Malformed> {
    let named = scan.upgrade.filter(|_| scan.upgrade_named && version == Version::Http11);
    let named = named.and_then(|name| std::str::from_utf8(name).ok()).ok_or(Malformed::UnaskedUpgrade)?;
    let was_asked = is_relayed(named) && asked.upgrade.is_some_and(|asked| asked.eq_ignore_ascii_case(named));
    if was_asked { Ok(named) } else { Err(Malformed::UnaskedUpgrade) }
}

/// The one protocol whose upgrade is relayed.
pub(super) fn is_relayed(protocol: &str) -> bool {
    protocol.eq_ignore_ascii_case("websocket")
}

/// RFC 9112 §6.3 for responses.
fn framing(status: u16, tunnel: bool, scan: &Scan<'_>, asked: &Asked<'_>) -> Result<Framing, Malformed> {
    if status < 200 || status == 204 {
        // No body can follow, so a sender that announces one and a sender that sends none are told apart by
        // nobody; an explicit length of 0 is harmless.
        let announced = scan.chunked || scan.content_length.is_some_and(|length| length > 0);
        return if announced { Err(Malformed::UnexpectedBody) } else { Ok(Framing::None) };
    }
    if tunnel || status == 304 || asked.method == "HEAD" {
        return Ok(Framing::None);
    }
    Ok(match scan.content_length {
        Some(length) => Framing::Length(length),
        None if scan.chunked => Framing::Chunked,
        None => Framing::UntilClose,
    })
}

#[cfg(test)]
mod tests;
