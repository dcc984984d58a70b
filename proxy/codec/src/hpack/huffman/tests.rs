//! The code against published values, each symbol, and every way to end.

use std::collections::HashMap;

use super::{CODES, END, LENGTHS, coded_len, decode, encode};

fn coded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(text, &mut out);
    assert_eq!(out.len(), coded_len(text));
    out
}

fn decoded(code: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    decode(code, &mut out).ok().map(|()| out)
}

/// RFC 7541 appendix B: the first and the last symbol of every length of code.
#[test]
fn codes_of_the_appendix() {
    let table: &[(usize, u32, u8)] = &[
        (48, 0x0, 5),
        (116, 0x9, 5),
        (32, 0x14, 6),
        (117, 0x2d, 6),
        (58, 0x5c, 7),
        (122, 0x7b, 7),
        (38, 0xf8, 8),
        (90, 0xfd, 8),
        (33, 0x3f8, 10),
        (63, 0x3fc, 10),
        (39, 0x7fa, 11),
        (124, 0x7fc, 11),
        (35, 0xffa, 12),
        (62, 0xffb, 12),
        (0, 0x1ff8, 13),
        (126, 0x1ffd, 13),
        (94, 0x3ffc, 14),
        (125, 0x3ffd, 14),
        (60, 0x7ffc, 15),
        (123, 0x7ffe, 15),
        (92, 0x7fff0, 19),
        (208, 0x7fff2, 19),
        (128, 0xfffe6, 20),
        (226, 0xfffed, 20),
        (153, 0x1fffdc, 21),
        (230, 0x1fffe8, 21),
        (129, 0x3fffd2, 22),
        (233, 0x3fffeb, 22),
        (1, 0x7fffd8, 23),
        (239, 0x7ffff4, 23),
        (9, 0xffffea, 24),
        (237, 0xfffff5, 24),
        (199, 0x1ffffec, 25),
        (235, 0x1ffffef, 25),
        (192, 0x3ffffe0, 26),
        (255, 0x3ffffee, 26),
        (203, 0x7ffffde, 27),
        (254, 0x7fffff0, 27),
        (2, 0xfffffe2, 28),
        (249, 0xffffffe, 28),
        (10, 0x3ffffffc, 30),
        (END, 0x3fffffff, 30),
    ];
    for &(symbol, code, length) in table {
        assert_eq!((CODES[symbol], LENGTHS[symbol]), (code, length), "symbol {symbol}");
    }
}

#[test]
fn each_symbol_at_each_offset() {
    for byte in 0..=u8::MAX {
        for before in 0..9 {
            for after in 0..9 {
                let text = [vec![b'a'; before], vec![byte], vec![b'0'; after]].concat();
                assert_eq!(decoded(&coded(&text)), Some(text.clone()), "{text:?}");
            }
        }
    }
}

#[test]
fn lengths_around_a_refill() {
    for length in 0..200 {
        for byte in [b'a', b'X', b'\\', 0, 0xff] {
            let text = vec![byte; length];
            assert_eq!(decoded(&coded(&text)), Some(text), "{length} of {byte}");
        }
    }
}

/// Against a reader that takes bit after bit: all inputs of two bytes, alone and behind longer ones.
#[test]
fn as_bit_by_bit() {
    let symbols: HashMap<(u32, u8), usize> =
        (0..=END).map(|symbol| ((CODES[symbol], LENGTHS[symbol]), symbol)).collect();
    let prefixes: &[(&[u8], usize)] = &[(&[], 1), (&[0xff, 0xff], 1), (&[0x1f; 9], 7), (&[0xfe; 8], 7)];
    for (prefix, step) in prefixes {
        for tail in (0..=u16::MAX).step_by(*step) {
            let code = [prefix, &tail.to_be_bytes()[..]].concat();
            assert_eq!(decoded(&code), bit_by_bit(&code, &symbols), "{code:x?}");
        }
    }
}

fn bit_by_bit(code: &[u8], symbols: &HashMap<(u32, u8), usize>) -> Option<Vec<u8>> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0_u8);
    for byte in code {
        for shift in (0..8).rev() {
            bits = bits << 1 | u32::from(byte >> shift & 1);
            count += 1;
            if let Some(&symbol) = symbols.get(&(bits, count)) {
                out.push(u8::try_from(symbol).ok()?);
                (bits, count) = (0, 0);
            }
        }
    }
    (count < 8 && bits.count_ones() == u32::from(count)).then_some(out)
}
