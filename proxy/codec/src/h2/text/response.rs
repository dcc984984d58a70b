//! Responses as HTTP/1.1 text.

use super::websocket::websocket_accept;
use super::{AskedOf, CHUNKED, MalformedResponse, SWITCH, each_line, line};
use crate::h2::Fields;

/// Appends the response head in HTTP/1.1, interim ones too; `end`: the head is all of the response.
///
/// A body without `content-length` is announced as chunked, and so is that of a gRPC call: of the two
/// its trailers are what it cannot do without (RFC 9110 section 6.5 lets others be discarded). A 2xx that answers a websocket upgrade becomes
/// the 101 that answers its `sec-websocket-key`.
///
/// # Errors
/// The upstream is to blame: answer 502. `out` is as before.
pub fn response_text(
    fields: &Fields,
    end: bool,
    asked: &AskedOf<'_>,
    out: &mut Vec<u8>,
) -> Result<(), MalformedResponse> {
    let status = fields.status();
    let length = fields.content_length();
    let success = (200..300).contains(&status);
    let switched = asked.websocket_key.filter(|_| success);
    let tunnel = switched.is_some() || (asked.connect && success);
    let bodiless = asked.head || status < 200 || matches!(status, 204 | 304);
    let announced = length.is_some_and(|length| length > 0);
    if announced && (tunnel || (end && !bodiless)) {
        return Err(MalformedResponse::Length);
    }
    if switched.is_some() && each_line(fields.lines()).any(|(name, _)| name == b"sec-websocket-accept") {
        return Err(MalformedResponse::Accept);
    }
    out.reserve(fields.lines().len() + ROOM);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&digits(if switched.is_some() { 101 } else { status }));
    out.extend_from_slice(b" \r\n");
    let chunks = !end && !tunnel && !bodiless && (length.is_none() || asked.call);
    if chunks && length.is_some() {
        let lines = each_line(fields.lines()).filter(|(name, _)| name != b"content-length");
        lines.for_each(|(name, value)| line(out, name, value));
    } else {
        out.extend_from_slice(fields.lines());
    }
    if let Some(key) = switched {
        out.extend_from_slice(SWITCH);
        line(out, b"sec-websocket-accept", &websocket_accept(key));
    } else if chunks {
        out.extend_from_slice(CHUNKED);
    } else if !tunnel && !bodiless && length.is_none() {
        out.extend_from_slice(b"content-length: 0\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// A status of three digits.
pub(super) fn digits(status: u16) -> [u8; 3] {
    let digit = |number: u16| b'0' + (number % 10).to_le_bytes()[0];
    [digit(status / 100), digit(status / 10), digit(status)]
}

/// Room for the start line and what is written anew.
const ROOM: usize = 160;
