//! Header and query values against what a match wants.
//!
//! Repeated header fields count as one value joined by commas. Of a repeated query parameter the
//! first counts. Query names and values are compared decoded, as a form would send them (`%41` is
//! `A`, `+` is a space), so that a match is written as people read it; an incomplete escape
//! stands for itself.

use std::borrow::Cow;

use model::request::HttpRequest;
use model::route::{HeaderMatch, QueryMatch, ValueMatch};

#[cfg(test)]
mod tests;

/// Whether the request's header of this name has the wanted value.
pub(crate) fn has_header(request: &HttpRequest<'_>, wanted: &HeaderMatch) -> bool {
    let mut values = request.values(&wanted.name);
    let Some(first) = values.next() else { return false };
    let joined = match values.next() {
        None => Cow::Borrowed(first),
        Some(second) => {
            let mut all = [first, b",", second].concat();
            for value in values {
                all.push(b',');
                all.extend_from_slice(value);
            }
            Cow::Owned(all)
        }
    };
    match &wanted.value {
        ValueMatch::Exact(value) => value.as_bytes() == &*joined,
        ValueMatch::Regex(regex) => std::str::from_utf8(&joined).is_ok_and(|v| regex.is_match(v)),
    }
}

/// Whether the request's first query parameter of this name has the wanted value.
pub(crate) fn has_query(request: &HttpRequest<'_>, wanted: &QueryMatch) -> bool {
    let pairs = request.query.unwrap_or_default().split('&');
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let found = pairs.find(|(name, _)| decoded(name).eq(wanted.name.bytes()));
    let Some((_, value)) = found else { return false };
    match &wanted.value {
        ValueMatch::Exact(exact) => decoded(value).eq(exact.bytes()),
        ValueMatch::Regex(regex) if value.contains(['%', '+']) => {
            let value: Vec<u8> = decoded(value).collect();
            std::str::from_utf8(&value).is_ok_and(|v| regex.is_match(v))
        }
        ValueMatch::Regex(regex) => regex.is_match(value),
    }
}

/// The bytes that a form-encoded text stands for.
fn decoded(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (byte, after) = match rest {
            [] => return None,
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'+', after @ ..] => (b' ', after),
            [byte, after @ ..] => (*byte, after),
        };
        rest = after;
        Some(byte)
    })
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
