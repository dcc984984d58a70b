//! What gRPC says on HTTP/2 beside its messages (`doc/PROTOCOL-HTTP2.md` of gRPC): which requests are calls,
//! the time that a client allows one, and how one ended.

use std::time::Duration;

use crate::h2::ErrorCode;

/// How a call ended: the value of `grpc-status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(&'static str);

impl Status {
    /// Given up by one of both.
    pub const CANCELLED: Self = Self("1");
    /// A failure that says no more.
    pub const UNKNOWN: Self = Self("2");
    /// The time that the client allowed is over.
    pub const DEADLINE_EXCEEDED: Self = Self("4");
    /// Not for this client.
    pub const PERMISSION_DENIED: Self = Self("7");
    /// Beyond what there is room for.
    pub const RESOURCE_EXHAUSTED: Self = Self("8");
    /// There is no such method.
    pub const UNIMPLEMENTED: Self = Self("12");
    /// Something is broken.
    pub const INTERNAL: Self = Self("13");
    /// It may be better later, or elsewhere.
    pub const UNAVAILABLE: Self = Self("14");
    /// Data is lost.
    pub const DATA_LOSS: Self = Self("15");
    /// Nobody says who the client is.
    pub const UNAUTHENTICATED: Self = Self("16");

    /// The number as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// What stands for the reset of a stream ("Errors", HTTP/2 Transport Mapping).
    #[must_use]
    pub fn of_reset(code: ErrorCode) -> Self {
        match code {
            ErrorCode::REFUSED_STREAM => Self::UNAVAILABLE,
            ErrorCode::CANCEL => Self::CANCELLED,
            ErrorCode::ENHANCE_YOUR_CALM => Self::RESOURCE_EXHAUSTED,
            ErrorCode::INADEQUATE_SECURITY => Self::PERMISSION_DENIED,
            _ => Self::INTERNAL,
        }
    }
}

/// What gRPC calls and answers to them are.
pub const CONTENT_TYPE: &str = "application/grpc";
/// The name of the field that says how a call ended.
pub const STATUS: &str = "grpc-status";
/// The name of the field that says it in words, in which [`is_plain`] bytes stand for themselves.
pub const MESSAGE: &str = "grpc-message";
/// The name of the field that says how long a client waits.
pub const TIMEOUT: &str = "grpc-timeout";

/// Whether this content type makes a request a call: `application/grpc`, or with `+` or `;` and more. gRPC-Web
/// is not: its clients read HTTP statuses.
#[must_use]
pub fn is_call(content_type: &[u8]) -> bool {
    let Some((start, rest)) = content_type.split_at_checked(CONTENT_TYPE.len()) else { return false };
    start.eq_ignore_ascii_case(CONTENT_TYPE.as_bytes())
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The time that a value of `grpc-timeout` allows: one to eight digits and a unit. `None`: it says nothing. 0 is
/// none in the grammar, but what clients say whose deadline has passed.
#[must_use]
pub fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > TIMEOUT_DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Whether this byte of a `grpc-message` needs no escape.
#[must_use]
pub fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'%'
}

const TIMEOUT_DIGITS_MAX: usize = 8;

#[cfg(test)]
mod tests;
