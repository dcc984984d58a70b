//! Requests as HTTP/1.1 text.

use super::websocket::websocket_key;
use super::{CHUNKED, MalformedRequest, SWITCH, each_line, line};
use crate::h2::Fields;

/// Appends the request head in HTTP/1.1; `end`: the head is all of the request.
///
/// The text is for [`crate::http1::parse_request`], which checks what is common to both versions.
/// `:authority` becomes `host`; a body without `content-length` is announced as chunked; an extended CONNECT
/// for websocket (RFC 8441) becomes an upgrade, with a `sec-websocket-key` made of `nonce` (random bytes) if
/// there is none.
///
/// # Errors
/// The client is to blame: answer [`MalformedRequest::status`]. `out` is as before.
pub fn request_text(
    fields: &Fields,
    end: bool,
    nonce: [u8; 16],
    out: &mut Vec<u8>,
) -> Result<(), MalformedRequest> {
    let authority = authority(fields)?;
    let connect = fields.method() == b"CONNECT";
    let upgrade = match fields.protocol() {
        Some(protocol) if !protocol.eq_ignore_ascii_case(b"websocket") => {
            return Err(MalformedRequest::Protocol);
        }
        protocol => protocol.is_some(),
    };
    let tunnel = connect && !upgrade;
    let target = if tunnel { authority } else { target(fields)? };
    let length = fields.content_length();
    if upgrade && end {
        return Err(MalformedRequest::Ended);
    }
    if length.is_some_and(|length| length > 0) && (end || connect) {
        return Err(MalformedRequest::Length);
    }
    let (before_host, after_host) = fields.lines_without_host();
    out.reserve(before_host.len() + after_host.len() + target.len() + authority.len() + ROOM);
    out.extend_from_slice(if upgrade { b"GET" } else { fields.method() });
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    line(out, b"host", authority);
    out.extend_from_slice(before_host);
    out.extend_from_slice(after_host);
    if let Some(cookie) = fields.cookie() {
        line(out, b"cookie", cookie);
    }
    if upgrade {
        out.extend_from_slice(SWITCH);
        if !each_line(fields.lines()).any(|(name, _)| name == b"sec-websocket-key") {
            line(out, b"sec-websocket-key", &websocket_key(nonce));
        }
    } else if !end && !tunnel && length.is_none() {
        out.extend_from_slice(CHUNKED);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// The one authority that `:authority` and `host` agree on (RFC 9113 §8.3.1).
fn authority(fields: &Fields) -> Result<&[u8], MalformedRequest> {
    let authority = match (fields.authority(), fields.host()) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => None,
        (Some(authority), _) => Some(authority),
        (None, host) => host,
    };
    authority
        .filter(|authority| !authority.is_empty() && authority.iter().all(u8::is_ascii_graphic))
        .ok_or(MalformedRequest::Authority)
}

/// `:path`, of http and https alone: no other scheme is routed.
fn target(fields: &Fields) -> Result<&[u8], MalformedRequest> {
    let scheme = fields.scheme().unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(MalformedRequest::Scheme);
    }
    let path = fields.path().unwrap_or_default();
    let known = path.first() == Some(&b'/') || (path == b"*" && fields.method() == b"OPTIONS");
    if known && path.iter().all(u8::is_ascii_graphic) { Ok(path) } else { Err(MalformedRequest::Path) }
}

/// Room for the start line and what is written anew.
const ROOM: usize = 160;
