//! Frames on the wire (RFC 9113 §4.1 and §6).

use super::ConnectionError;

/// Bytes of a frame header.
pub(super) const HEADER_BYTES: usize = 9;
/// SETTINGS_MAX_FRAME_SIZE until said otherwise; we never say otherwise.
pub(super) const FRAME_BYTES: usize = 16_384;
/// What a client sends first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Window of streams and connection before SETTINGS and WINDOW_UPDATE (RFC 9113 §6.9.2).
pub(super) const WINDOW_INITIAL: u32 = 65_535;
/// Largest window and largest stream identifier.
pub(super) const MAX_31: u32 = 0x7fff_ffff;

/// Frame types.
pub(super) mod kind {
    pub(in crate::h2) const DATA: u8 = 0x0;
    pub(in crate::h2) const HEADERS: u8 = 0x1;
    pub(in crate::h2) const PRIORITY: u8 = 0x2;
    pub(in crate::h2) const RST_STREAM: u8 = 0x3;
    pub(in crate::h2) const SETTINGS: u8 = 0x4;
    pub(in crate::h2) const PUSH_PROMISE: u8 = 0x5;
    pub(in crate::h2) const PING: u8 = 0x6;
    pub(in crate::h2) const GOAWAY: u8 = 0x7;
    pub(in crate::h2) const WINDOW_UPDATE: u8 = 0x8;
    pub(in crate::h2) const CONTINUATION: u8 = 0x9;
}

/// Frame flags; ACK shares its bit with END_STREAM.
pub(super) mod flag {
    pub(in crate::h2) const END_STREAM: u8 = 0x1;
    pub(in crate::h2) const ACK: u8 = 0x1;
    pub(in crate::h2) const END_HEADERS: u8 = 0x4;
    pub(in crate::h2) const PADDED: u8 = 0x8;
    pub(in crate::h2) const PRIORITY: u8 = 0x20;
}

/// A frame header; the reserved bit is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHead {
    /// The header at the start of `input`, if it is whole.
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = input.first_chunk::<HEADER_BYTES>()?;
        Some(Self {
            length: usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2),
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & MAX_31,
        })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The bytes of a frame header.
pub(super) fn head_bytes(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEADER_BYTES] {
    let [.., l0, l1, l2] = (length as u64).to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    [l0, l1, l2, kind, flags, s0, s1, s2, s3]
}

/// Appends a frame header.
pub(super) fn put_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&head_bytes(length, kind, flags, stream));
}

/// Appends one whole frame.
pub(super) fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    put_head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// The payload without its padding (RFC 9113 §6.1: padding as long as the payload is an error).
pub(super) fn unpadded<'p>(head: &FrameHead, payload: &'p [u8]) -> Result<&'p [u8], ConnectionError> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let Some((&padding, rest)) = payload.split_first() else {
        return Err(ConnectionError::size("padded frame without its pad length"));
    };
    match rest.len().checked_sub(usize::from(padding)) {
        Some(length) => Ok(&rest[..length]),
        None => Err(ConnectionError::protocol("padding longer than its frame")),
    }
}

/// A payload that is one 32-bit number.
pub(super) fn number(payload: &[u8]) -> Result<u32, ConnectionError> {
    let bytes: [u8; 4] = payload.try_into().map_err(|_| ConnectionError::size("frame is not of 4 bytes"))?;
    Ok(u32::from_be_bytes(bytes))
}
