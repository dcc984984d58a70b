//! Request heads.

use std::mem::MaybeUninit;
use std::net::Ipv6Addr;

use httparse::{Header, Status};

use super::fields::{Expect, MAX_FIELDS, Scan, offset, scan};
use super::response::{Asked, is_relayed};
use super::{FieldSet, Framing, Limits, METHOD_BYTES_MAX, Malformed, Version};

/// The form of a request target (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`.
    Origin,
    /// `http://authority/path?query`, or `https`.
    Absolute,
    /// `authority:port`, of CONNECT alone.
    Authority,
    /// `*`, of OPTIONS alone.
    Asterisk,
}

/// A request head, parsed in place: everything in it points into the caller's buffer.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'b, 'h> {
    /// The method, as sent: `GET`.
    pub method: &'b str,
    /// The whole request target, as sent.
    pub target: &'b str,
    /// The form of the target.
    pub form: TargetForm,
    /// Path and query as sent, for [`crate::path::normalise`]: the target itself, or of an absolute form
    /// what follows the authority (possibly empty); `*`; of CONNECT the authority.
    pub path: &'b str,
    /// Host and optional port: `Host`, or the target's. Empty only in HTTP/1.0 without `Host`.
    pub authority: &'b str,
    /// `http` or `https` where the target is absolute.
    pub scheme: Option<&'static str>,
    /// The client's version.
    pub version: Version,
    /// Header fields in order, values without white space around them.
    pub headers: &'h [Header<'b>],
    /// Bytes of the buffer that belong to this head; what follows is body, or the next request.
    pub head_len: usize,
    /// How the end of the body is found. Never [`Framing::UntilClose`].
    pub framing: Framing,
    /// The client lets the connection be used again after the answer.
    pub keep_alive: bool,
    /// What `Upgrade` names, if `Connection: upgrade` stands by it, in a GET of HTTP/1.1 without body.
    pub upgrade: Option<&'b str>,
    /// The client waits for 100 before it sends the body (RFC 9110 §10.1.1).
    pub expect_continue: bool,
    /// Fields that end at this hop: `Connection`, what it names, `Upgrade`, `TE`, … Not forwarded.
    pub hop_by_hop: FieldSet,
    /// `Host`, if there is one.
    pub(super) host_at: FieldSet,
    /// `Content-Length` and `Transfer-Encoding`.
    pub(crate) framing_at: FieldSet,
    pub(crate) raw: &'b [u8],
}

impl<'b> RequestHead<'b, '_> {
    /// What this request, forwarded, asks of its answer.
    #[must_use]
    pub fn asked(&self) -> Asked<'b> {
        Asked { method: self.method, upgrade: self.upgrade.filter(|protocol| is_relayed(protocol)) }
    }
}

/// Parses the request head at the start of `buf`; `None` when more bytes are needed.
///
/// `headers` is room for the fields: see [`super::uninit_headers`]. One empty line before the head is let
/// pass (RFC 9112 §2.2). `buf` may go on beyond the head.
///
/// # Errors
/// The client is to blame: answer with [`Malformed::status`] and close. Limits hold for incomplete heads too.
pub fn parse_request<'b, 'h>(
    buf: &'b [u8],
    headers: &'h mut [MaybeUninit<Header<'b>>],
    limits: &Limits,
) -> Result<Option<RequestHead<'b, 'h>>, Malformed> {
    let bounded = &buf[..buf.len().min(limits.head_bytes)];
    let skipped = if bounded.starts_with(b"\r\n") { 2 } else { 0 };
    let line = &bounded[skipped..];
    if matches!(line.first(), Some(b'\r' | b'\n')) && bounded != b"\r" {
        return Err(Malformed::StartLine);
    }
    let room = headers.len().min(limits.fields).min(MAX_FIELDS);
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(line, &mut headers[..room]) {
        Ok(Status::Complete(length)) => {
            let parsed = Parsed {
                method: request.method.unwrap_or_default(),
                target: request.path.unwrap_or_default(),
                version: version(request.version),
                headers: request.headers,
            };
            within(&parsed, limits)?;
            head(&parsed, &line[..length], skipped + length).map(Some)
        }
        Ok(Status::Partial) => {
            incomplete(&request, line.len(), limits)?;
            if buf.len() >= limits.head_bytes { Err(Malformed::HeadTooLong) } else { Ok(None) }
        }
        Err(error) => Err(refused(error, &request, line)),
    }
}

struct Parsed<'b, 'h> {
    method: &'b str,
    target: &'b str,
    version: Version,
    headers: &'h [Header<'b>],
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

fn within(parsed: &Parsed<'_, '_>, limits: &Limits) -> Result<(), Malformed> {
    if parsed.method.len() > METHOD_BYTES_MAX {
        return Err(Malformed::MethodTooLong);
    }
    if parsed.target.len() > limits.target_bytes {
        return Err(Malformed::TargetTooLong);
    }
    Ok(())
}

/// Limits on what is there of a head that goes on.
fn incomplete(request: &httparse::Request<'_, '_>, length: usize, limits: &Limits) -> Result<(), Malformed> {
    let Some(method) = request.method else {
        return if length > METHOD_BYTES_MAX { Err(Malformed::MethodTooLong) } else { Ok(()) };
    };
    if method.len() > METHOD_BYTES_MAX {
        return Err(Malformed::MethodTooLong);
    }
    let target = request.path.map_or(length - method.len() - 1, str::len);
    if target > limits.target_bytes { Err(Malformed::TargetTooLong) } else { Ok(()) }
}

/// What httparse's error means, and whether a version was named that is not ours.
fn refused(error: httparse::Error, request: &httparse::Request<'_, '_>, line: &[u8]) -> Malformed {
    use httparse::Error;
    match error {
        Error::HeaderName => Malformed::FieldName,
        Error::HeaderValue => Malformed::FieldValue,
        Error::NewLine => Malformed::LineEnd,
        Error::TooManyHeaders => Malformed::TooManyFields,
        Error::Version => {
            let after = request.path.map_or(0, |path| offset(line, path) + path.len() + 1);
            match line.get(after..) {
                Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b'\r', ..])
                    if major.is_ascii_digit() && minor.is_ascii_digit() =>
                {
                    Malformed::Version
                }
                _ => Malformed::StartLine,
            }
        }
        Error::Token | Error::Status => Malformed::StartLine,
    }
}

fn head<'b, 'h>(
    parsed: &Parsed<'b, 'h>,
    raw: &'b [u8],
    head_len: usize,
) -> Result<RequestHead<'b, 'h>, Malformed> {
    let &Parsed { method, target, version, headers } = parsed;
    let scan = scan(raw, headers)?;
    let split = split_target(method, target)?;
    let authority = authority(&split, &scan, version)?;
    let framing = framing(method, &scan, version)?;
    let modern = version == Version::Http11;
    let upgradable = modern && framing == Framing::None && method == "GET" && scan.upgrade_named;
    let mut hop_by_hop = scan.hop_by_hop;
    if !modern {
        // RFC 9110 §10.1.1: an expectation of HTTP/1.0 is ignored, so it is not passed on either.
        hop_by_hop = hop_by_hop | scan.expect_at;
    } else if scan.expect == Expect::Unknown {
        return Err(Malformed::Expectation);
    }
    Ok(RequestHead {
        method,
        target,
        form: split.form,
        path: split.path,
        authority,
        scheme: split.scheme,
        version,
        headers,
        head_len,
        framing,
        keep_alive: !scan.close && (modern || scan.keep_alive),
        upgrade: if upgradable { scan.upgrade.and_then(|name| std::str::from_utf8(name).ok()) } else { None },
        expect_continue: modern && scan.expect == Expect::Continue,
        hop_by_hop,
        host_at: scan.host_at,
        framing_at: scan.framing,
        raw,
    })
}

struct Target<'b> {
    form: TargetForm,
    scheme: Option<&'static str>,
    authority: Option<&'b str>,
    path: &'b str,
}

fn split_target<'b>(method: &str, target: &'b str) -> Result<Target<'b>, Malformed> {
    // httparse has refused control bytes and spaces, but lets UTF-8 and fragments pass.
    if !target.is_ascii() || memchr::memchr(b'#', target.as_bytes()).is_some() {
        return Err(Malformed::Target);
    }
    if method == "CONNECT" {
        let named = is_authority(target) && has_port(target);
        let form = TargetForm::Authority;
        let whole = Target { form, scheme: None, authority: Some(target), path: target };
        return if named { Ok(whole) } else { Err(Malformed::Target) };
    }
    if target.starts_with('/') {
        return Ok(Target { form: TargetForm::Origin, scheme: None, authority: None, path: target });
    }
    if target == "*" && method == "OPTIONS" {
        return Ok(Target { form: TargetForm::Asterisk, scheme: None, authority: None, path: target });
    }
    absolute(method, target).ok_or(Malformed::Target)
}

fn absolute<'b>(method: &str, target: &'b str) -> Option<Target<'b>> {
    let after = |scheme: &'static str| {
        let start = target.as_bytes().get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then(|| &target[scheme.len()..])
    };
    let (scheme, rest) = match after("http://") {
        Some(rest) => ("http", rest),
        None => ("https", after("https://")?),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !is_authority(authority) {
        return None;
    }
    // RFC 9112 §3.2.4: OPTIONS without path and query asks about the server.
    let (form, path) = match path {
        "" if method == "OPTIONS" => (TargetForm::Asterisk, "*"),
        _ => (TargetForm::Absolute, path),
    };
    Some(Target { form, scheme: Some(scheme), authority: Some(authority), path })
}

/// The one authority that target and `Host` agree on.
fn authority<'b>(target: &Target<'b>, scan: &Scan<'b>, version: Version) -> Result<&'b str, Malformed> {
    let host = match scan.host {
        Some(host) => Some(std::str::from_utf8(host).map_err(|_| Malformed::Host)?),
        None if version == Version::Http11 => return Err(Malformed::Host),
        None => None,
    };
    match (target.authority, host) {
        (Some(named), Some(host)) if !named.eq_ignore_ascii_case(host) => Err(Malformed::Host),
        (Some(named), _) => Ok(named),
        (None, Some(host)) if is_authority(host) => Ok(host),
        (None, Some(_)) => Err(Malformed::Host),
        (None, None) => Ok(""),
    }
}

/// Whether this is `host` or `host:port`, the host a name, an IPv4 or a bracketed IPv6 address. No user, no
/// percent-encoding, and no comma, which a joined list of hosts would have.
pub(crate) fn is_authority(authority: &str) -> bool {
    let bytes = authority.as_bytes();
    let port_at = if bytes.first() == Some(&b'[') {
        let Some(end) = memchr::memchr(b']', bytes) else { return false };
        if authority[1..end].parse::<Ipv6Addr>().is_err() {
            return false;
        }
        end + 1
    } else {
        let host = bytes.iter().take_while(|&&b| is_host_byte(b)).count();
        if host == 0 {
            return false;
        }
        host
    };
    match &bytes[port_at..] {
        [] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    }
}

/// Decimal, at most 65535.
fn is_port(digits: &[u8]) -> bool {
    let is_number = !digits.is_empty() && digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit);
    is_number && digits.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65535
}

fn has_port(authority: &str) -> bool {
    !authority.ends_with(']') && authority.contains(':')
}

/// unreserved and sub-delims of RFC 3986 §3.2.2, without the comma.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+')
        || matches!(byte, b';' | b'=')
}

/// RFC 9112 §6.3 for requests.
fn framing(method: &str, scan: &Scan<'_>, version: Version) -> Result<Framing, Malformed> {
    if scan.chunked && version == Version::Http10 {
        return Err(Malformed::TransferEncoding);
    }
    let framing = match scan.content_length {
        Some(length) => Framing::Length(length),
        None if scan.chunked => Framing::Chunked,
        None => Framing::None,
    };
    let has_body = !matches!(framing, Framing::None | Framing::Length(0));
    if has_body && matches!(method, "CONNECT" | "TRACE") {
        return Err(Malformed::UnexpectedBody);
    }
    Ok(framing)
}

#[cfg(test)]
mod tests;
