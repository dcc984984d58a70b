//! Header fields: sets of them, and the one pass that finds what framing and connection handling need.

use std::mem::MaybeUninit;
use std::ops::BitOr;

use httparse::Header;

use super::{Malformed, is_token_byte};

/// Most fields that one head may hold, whatever the limits say.
pub const MAX_FIELDS: usize = 128;

/// Room for header fields, to be lent to the parsers; nothing is written until fields are parsed.
#[must_use]
pub const fn uninit_headers<'b, const N: usize>() -> [MaybeUninit<Header<'b>>; N] {
    [const { MaybeUninit::uninit() }; N]
}

/// The fields of this name (ASCII case-insensitive).
#[must_use]
pub fn named(headers: &[Header<'_>], name: &str) -> FieldSet {
    let mut set = FieldSet::EMPTY;
    for (index, header) in headers.iter().enumerate() {
        if header.name.eq_ignore_ascii_case(name) {
            set.insert(index);
        }
    }
    set
}

/// A set of header fields of one head, by position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u128);

impl FieldSet {
    /// No field.
    pub const EMPTY: Self = Self(0);

    /// Adds the field at this position; positions from [`MAX_FIELDS`] on do not exist.
    pub fn insert(&mut self, index: usize) {
        debug_assert!(index < MAX_FIELDS, "no head has field {index}");
        self.0 |= 1_u128 << (index % MAX_FIELDS);
    }

    /// Whether the field at this position is in the set.
    #[must_use]
    pub fn contains(self, index: usize) -> bool {
        index < MAX_FIELDS && self.0 & (1_u128 << index) != 0
    }

    /// Whether there is no field in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set without the fields of the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Positions in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let index = left.trailing_zeros() as usize;
            left &= left - 1;
            Some(index)
        })
    }
}

impl BitOr for FieldSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What one pass over the fields of a head finds.
#[derive(Default)]
pub(super) struct Scan<'b> {
    pub(super) host: Option<&'b [u8]>,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    /// `Connection` names `upgrade`.
    pub(super) upgrade_named: bool,
    /// The value of `Upgrade`, unless it is repeated.
    pub(super) upgrade: Option<&'b [u8]>,
    pub(super) expect: Expect,
    /// Fields that end at this hop.
    pub(super) hop_by_hop: FieldSet,
    /// `Content-Length` and `Transfer-Encoding`: written anew from the framing.
    pub(super) framing: FieldSet,
    pub(super) host_at: FieldSet,
    pub(super) expect_at: FieldSet,
    connection_at: FieldSet,
    connection_tokens: usize,
    names_fields: bool,
    upgrades: usize,
}

/// What `Expect` said.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Expect {
    #[default]
    Absent,
    Continue,
    Unknown,
}

/// Looks once at every field of the head in `raw`: line ends, framing, connection options.
pub(super) fn scan<'b>(raw: &'b [u8], headers: &[Header<'b>]) -> Result<Scan<'b>, Malformed> {
    let mut scan = Scan::default();
    for (index, header) in headers.iter().enumerate() {
        // The line before this one; httparse takes a bare LF for a line end.
        let start = offset(raw, header.name);
        if raw.get(start.wrapping_sub(2)) != Some(&b'\r') {
            return Err(Malformed::LineEnd);
        }
        match kind(header.name) {
            Kind::Other => {}
            known => scan.take(known, index, header.value)?,
        }
    }
    if !raw.ends_with(b"\r\n\r\n") {
        return Err(Malformed::LineEnd);
    }
    if scan.content_length.is_some() && scan.chunked {
        return Err(Malformed::LengthAndEncoding);
    }
    if scan.names_fields {
        scan.take_nominated(headers);
    }
    Ok(scan)
}

/// Where a slice of `raw` begins in it.
pub(super) fn offset(raw: &[u8], part: &str) -> usize {
    (part.as_ptr() as usize).wrapping_sub(raw.as_ptr() as usize)
}

impl<'b> Scan<'b> {
    fn take(&mut self, kind: Kind, index: usize, value: &'b [u8]) -> Result<(), Malformed> {
        match kind {
            Kind::Host => {
                if self.host.replace(value).is_some() {
                    return Err(Malformed::Host);
                }
                self.host_at.insert(index);
            }
            Kind::ContentLength => {
                if self.content_length.replace(content_length(value)?).is_some() {
                    return Err(Malformed::ContentLength);
                }
                self.framing.insert(index);
            }
            Kind::TransferEncoding => {
                transfer_encoding(value)?;
                if std::mem::replace(&mut self.chunked, true) {
                    return Err(Malformed::TransferEncoding);
                }
                self.framing.insert(index);
            }
            Kind::Connection => {
                self.connection(value)?;
                self.connection_at.insert(index);
                self.hop_by_hop.insert(index);
            }
            Kind::Upgrade => {
                self.upgrades += 1;
                self.upgrade = (self.upgrades == 1).then_some(value);
                self.hop_by_hop.insert(index);
            }
            Kind::Expect => {
                let known = value.eq_ignore_ascii_case(b"100-continue") && self.expect != Expect::Unknown;
                self.expect = if known { Expect::Continue } else { Expect::Unknown };
                self.expect_at.insert(index);
            }
            Kind::HopByHop => self.hop_by_hop.insert(index),
            Kind::Lookalike => return Err(Malformed::FieldName),
            Kind::Other => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
            return Ok(());
        }
        for token in tokens(value) {
            self.connection_tokens += 1;
            if self.connection_tokens > CONNECTION_TOKENS_MAX || !token.iter().all(|&b| is_token_byte(b)) {
                return Err(Malformed::Connection);
            }
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_named = true;
            } else {
                self.names_fields = true;
            }
        }
        Ok(())
    }

    /// Fields that `Connection` names end at this hop too, but for those that no peer may take from the
    /// next one.
    fn take_nominated(&mut self, headers: &[Header<'b>]) {
        for at in self.connection_at.iter() {
            for token in tokens(headers[at].value) {
                for (index, header) in headers.iter().enumerate() {
                    if header.name.as_bytes().eq_ignore_ascii_case(token) && !is_protected(header.name) {
                        self.hop_by_hop.insert(index);
                    }
                }
            }
        }
    }
}

/// The elements of a comma-separated list, without white space around them, empty ones left out.
fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// One plain decimal number that a signed 64-bit reader sees as well.
fn content_length(value: &[u8]) -> Result<u64, Malformed> {
    if value.is_empty() || value.len() > 19 {
        return Err(Malformed::ContentLength);
    }
    let mut length = 0_u64;
    for &byte in value {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Malformed::ContentLength);
        }
        length = length * 10 + u64::from(digit);
    }
    if length > i64::MAX as u64 { Err(Malformed::ContentLength) } else { Ok(length) }
}

/// `chunked`, once and alone, is the one coding that is relayed.
fn transfer_encoding(value: &[u8]) -> Result<(), Malformed> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let codings = value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
    let last = codings.clone().count() - 1;
    for (index, coding) in codings.enumerate() {
        let well_formed = !coding.is_empty() && coding.iter().all(|&b| is_token_byte(b));
        let misplaced = coding.eq_ignore_ascii_case(b"chunked") && index != last;
        if !well_formed || misplaced {
            return Err(Malformed::TransferEncoding);
        }
    }
    Err(Malformed::UnknownCoding)
}

/// What a field's name means to this hop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    HopByHop,
    /// A framing field spelt with `_`, which CGI-like backends read as `-`.
    Lookalike,
    Other,
}

/// Length first: most names are told apart by it alone.
pub(super) fn kind(name: &str) -> Kind {
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    match name.len() {
        2 if is("te") => Kind::HopByHop,
        4 if is("host") => Kind::Host,
        6 if is("expect") => Kind::Expect,
        7 if is("upgrade") => Kind::Upgrade,
        10 if is("connection") => Kind::Connection,
        10 if is("keep-alive") => Kind::HopByHop,
        14 if is("content-length") => Kind::ContentLength,
        14 if is("http2-settings") => Kind::HopByHop,
        14 if is("content_length") => Kind::Lookalike,
        16 if is("proxy-connection") => Kind::HopByHop,
        17 if is("transfer-encoding") => Kind::TransferEncoding,
        17 if is("transfer_encoding") => Kind::Lookalike,
        _ => Kind::Other,
    }
}

/// Fields that stay whatever `Connection` names: without them a request would mean something else to the
/// backend than to the policy that allowed it.
fn is_protected(name: &str) -> bool {
    const PROTECTED: &[&str] = &[
        "host",
        "content-length",
        "transfer-encoding",
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "content-type",
        "content-encoding",
        "content-range",
        "range",
        "expect",
        "cache-control",
        "forwarded",
        "via",
        "origin",
        "x-real-ip",
        "x-request-id",
        "traceparent",
    ];
    const PREFIXES: &[&str] = &["x-forwarded-", "x-envoy-", "sec-", "grpc-"];
    let starts = |prefix: &&str| {
        name.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    PROTECTED.iter().any(|p| name.eq_ignore_ascii_case(p)) || PREFIXES.iter().any(starts)
}

/// More `Connection` options than anyone sends; bounds the work of matching them with the fields.
const CONNECTION_TOKENS_MAX: usize = 32;
