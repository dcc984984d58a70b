//! Integers of HPACK (RFC 7541 §5.1).

use super::HpackError;

/// Octets that may follow the prefix: enough for 32 bits.
const OCTETS_MAX: u32 = 5;

/// Appends `value` with a prefix of `prefix_bits` bits (1 to 7), the bits above it being those of `flags`.
pub(super) fn encode(value: usize, prefix_bits: u32, flags: u8, out: &mut Vec<u8>) {
    let full = (1_u8 << prefix_bits) - 1;
    if value < usize::from(full) {
        out.push(flags | low_byte(value));
        return;
    }
    out.push(flags | full);
    let mut rest = value - usize::from(full);
    while rest >= 0x80 {
        out.push(low_byte(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_byte(rest));
}

/// Takes an integer with a prefix of `prefix_bits` bits (1 to 7) off the front of `input`.
pub(super) fn decode(input: &mut &[u8], prefix_bits: u32) -> Result<u32, HpackError> {
    let [first, after @ ..] = *input else { return Err(HpackError::Truncated) };
    *input = after;
    let full = (1_u8 << prefix_bits) - 1;
    if first & full < full {
        return Ok(u32::from(first & full));
    }
    let mut value = u64::from(full);
    for octet in 0..OCTETS_MAX {
        let [byte, after @ ..] = *input else { return Err(HpackError::Truncated) };
        *input = after;
        value += u64::from(byte & 0x7f) << (7 * octet);
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| HpackError::Integer);
        }
    }
    Err(HpackError::Integer)
}

#[expect(clippy::cast_possible_truncation, reason = "the low byte is what is asked for")]
const fn low_byte(value: usize) -> u8 {
    value as u8
}

#[cfg(test)]
mod tests;
