//! The Huffman code of HPACK (RFC 7541 §5.2 and appendix B).
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols. So the lengths
//! say it all, and every table here is computed from them when this is compiled.

use super::HpackError;

/// Bytes that `text` has when coded.
pub(super) fn coded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum();
    bits.div_ceil(8)
}

/// Appends the code of `text`.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    // The lowest `count` bits of `bits` are not written yet.
    let (mut bits, mut count) = (0_u64, 0_u32);
    for &byte in text {
        let length = u32::from(LENGTHS[usize::from(byte)]);
        bits = bits << length | u64::from(CODES[usize::from(byte)]);
        count += length;
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&low_32(bits >> count).to_be_bytes());
        }
    }
    // What is left, below 32 bits, is filled up with ones: the start of the end-of-string code.
    let left = low_32(bits << (32 - count)) | u32::MAX.unbounded_shr(count);
    out.extend_from_slice(&left.to_be_bytes()[..count.div_ceil(8) as usize]);
}

/// Appends what `code` stands for: at most 8/5 of its length.
///
/// # Errors
/// [`HpackError::Huffman`] for padding of 8 bits or more or with zeros in it, and for the end-of-string symbol.
pub(super) fn decode(code: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    let mut at = out.len();
    // A look-up writes two bytes, of which the second may be none.
    out.resize(at + code.len() * 8 / 5 + 2, 0);
    let mut rest = code;
    // The highest `count` bits of `bits` are not decoded yet.
    let (mut bits, mut count) = (0_u64, 0_u32);
    loop {
        refill(&mut bits, &mut count, &mut rest);
        while count >= SHORT_BITS {
            let [first, second, symbols, length] = SHORT[(bits >> (64 - SHORT_BITS)) as usize];
            let length = u32::from(length);
            if length == 0 {
                break;
            }
            out[at] = first;
            out[at + 1] = second;
            at += usize::from(symbols);
            bits <<= length;
            count -= length;
        }
        // A longer code, or too few bits.
        if count >= LONGEST || rest.is_empty() {
            let Some((symbol, length)) = symbol(bits, count)? else {
                out.truncate(at);
                return padding(bits, count);
            };
            out[at] = symbol;
            at += 1;
            bits <<= length;
            count -= length;
        }
    }
}

/// Fills `bits` up to 56 or more, as far as there are bytes.
fn refill(bits: &mut u64, count: &mut u32, rest: &mut &[u8]) {
    if let Some(eight) = rest.first_chunk::<8>() {
        // Bits that this sets beyond `count` are set once more, to the same, with the next bytes.
        *bits |= u64::from_be_bytes(*eight) >> *count;
        *rest = &rest[((63 - *count) / 8) as usize..];
        *count |= 56;
        return;
    }
    while let (true, [byte, after @ ..]) = (*count <= 56, *rest) {
        *bits |= u64::from(*byte) << (56 - *count);
        *count += 8;
        *rest = after;
    }
}

/// The symbol that the highest bits stand for and the length of its code; `None` if these `count` bits are
/// no whole code.
fn symbol(bits: u64, count: u32) -> Result<Option<(u8, u32)>, HpackError> {
    let top = low_32(bits >> 32);
    let Some(length) = (1..=LONGEST).find(|&length| u64::from(top) < LIMITS[length as usize]) else {
        return Err(HpackError::Huffman);
    };
    if length > count {
        return Ok(None);
    }
    let nth = (top - FIRST_CODE[length as usize]) >> (32 - length);
    match u8::try_from(ORDERED[FIRST_INDEX[length as usize] + nth as usize]) {
        Ok(symbol) => Ok(Some((symbol, length))),
        Err(_) => Err(HpackError::Huffman),
    }
}

/// What is left at the end must be fewer than 8 bits, all of them ones.
fn padding(bits: u64, count: u32) -> Result<(), HpackError> {
    let ones = bits.leading_ones() >= count;
    if count < 8 && ones { Ok(()) } else { Err(HpackError::Huffman) }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
const fn low_32(bits: u64) -> u32 {
    bits as u32
}

/// Bits of the longest code.
const LONGEST: u32 = 30;

/// Codes of up to this many bits together are found by one look into [`SHORT`]: most pairs of letters and digits,
/// and single ones of nearly all that fields are made of.
const SHORT_BITS: u32 = 12;

/// The end-of-string symbol, which no text may hold.
const END: usize = 256;

/// Bits of the code of each byte, and of the end of a string (RFC 7541 appendix B).
const LENGTHS: [u8; END + 1] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, //
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, //
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, //
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, //
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// The symbols in the order of their codes.
const ORDERED: [u16; END + 1] = {
    let mut ordered = [0; END + 1];
    let (mut at, mut length) = (0, 1);
    while length <= LONGEST as usize {
        let mut symbol = 0_u16;
        while symbol as usize <= END {
            if LENGTHS[symbol as usize] as usize == length {
                ordered[at] = symbol;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    ordered
};

/// The code of each symbol, in the low bits.
const CODES: [u32; END + 1] = {
    let mut codes = [0; END + 1];
    let (mut code, mut at) = (0_u64, 0);
    while at <= END {
        let symbol = ORDERED[at] as usize;
        let length = LENGTHS[symbol] as usize;
        codes[symbol] = low_32(code >> (32 - length));
        code += 1 << (32 - length);
        at += 1;
    }
    assert!(code == 1 << 32, "every string of bits is some code");
    codes
};

const LENGTH_COUNT: usize = LONGEST as usize + 1;

/// Of each length: one more than its last code, in the highest of 32 bits.
static LIMITS: [u64; LENGTH_COUNT] = canonical().0;

/// Of each length: its first code, in the highest of 32 bits.
static FIRST_CODE: [u32; LENGTH_COUNT] = canonical().1;

/// Of each length: where in [`ORDERED`] its first code stands.
static FIRST_INDEX: [usize; LENGTH_COUNT] = canonical().2;

const fn canonical() -> ([u64; LENGTH_COUNT], [u32; LENGTH_COUNT], [usize; LENGTH_COUNT]) {
    let (mut limits, mut codes, mut indexes) = ([0; LENGTH_COUNT], [0; LENGTH_COUNT], [0; LENGTH_COUNT]);
    let (mut code, mut at, mut length) = (0_u64, 0, 1);
    while length <= LONGEST as usize {
        codes[length] = low_32(code);
        indexes[length] = at;
        while at <= END && LENGTHS[ORDERED[at] as usize] as usize == length {
            code += 1 << (32 - length);
            at += 1;
        }
        limits[length] = code;
        length += 1;
    }
    (limits, codes, indexes)
}

/// For each value of the next [`SHORT_BITS`] bits: up to two symbols, how many they are, and the bits that they
/// take together, 0 where the first code is longer.
static SHORT: [[u8; 4]; 1 << SHORT_BITS] = {
    let single = single();
    let mut table = [[0; 4]; 1 << SHORT_BITS];
    let mut next = 0;
    while next < table.len() {
        let (first, length) = single[next];
        let (second, more) = single[(next << length) % table.len()];
        table[next] = if length == 0 {
            [0; 4]
        } else if more != 0 && (length + more) as u32 <= SHORT_BITS {
            [first, second, 2, length + more]
        } else {
            [first, 0, 1, length]
        };
        next += 1;
    }
    table
};

/// For each value of the next [`SHORT_BITS`] bits: the symbol and its bits, 0 where its code is longer.
const fn single() -> [(u8, u8); 1 << SHORT_BITS] {
    let mut table = [(0, 0); 1 << SHORT_BITS];
    let mut symbol = 0_u8;
    loop {
        let length = LENGTHS[symbol as usize];
        if length as u32 <= SHORT_BITS {
            let free = SHORT_BITS - length as u32;
            let mut tail = 0;
            while tail < 1 << free {
                table[(CODES[symbol as usize] << free | tail) as usize] = (symbol, length);
                tail += 1;
            }
        }
        if symbol == u8::MAX {
            return table;
        }
        symbol += 1;
    }
}

#[cfg(test)]
mod tests;
