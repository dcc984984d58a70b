//! RFC 7541 §C.1, and every prefix.

use super::{decode, encode};
use crate::hpack::HpackError;

#[test]
fn appendix_c_1() {
    let table: &[(usize, u32, u8, &[u8])] =
        &[(10, 5, 0xe0, &[0xea]), (1337, 5, 0, &[0x1f, 0x9a, 0x0a]), (42, 7, 0, &[0x2a])];
    for &(value, prefix_bits, flags, expected) in table {
        let mut out = Vec::new();
        encode(value, prefix_bits, flags, &mut out);
        assert_eq!(out, expected);
        assert_eq!(decode(&mut &out[..], prefix_bits).map(|value| value as usize), Ok(value));
    }
}

#[test]
fn round_trip_and_prefixes() {
    for prefix_bits in 1..=7 {
        let edges = [0, 1, 30, 31, 62, 63, 126, 127, 128, 254, 255, 16_510, 2_097_278, u32::MAX as usize];
        for value in edges {
            let mut out = Vec::new();
            encode(value, prefix_bits, 0, &mut out);
            let mut input = &out[..];
            assert_eq!(decode(&mut input, prefix_bits).map(|value| value as usize), Ok(value));
            assert!(input.is_empty(), "{value}");
            for end in 0..out.len() {
                assert_eq!(decode(&mut &out[..end], prefix_bits), Err(HpackError::Truncated), "{value}");
            }
        }
    }
}

#[test]
fn beyond_32_bits() {
    let table: &[(&[u8], Result<u32, HpackError>)] = &[
        (&[0x1f, 0xe0, 0xff, 0xff, 0xff, 0x0f], Ok(u32::MAX)),
        (&[0x1f, 0xe1, 0xff, 0xff, 0xff, 0x0f], Err(HpackError::Integer)),
        (&[0x1f, 0xff, 0xff, 0xff, 0xff, 0x7f], Err(HpackError::Integer)),
        (&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00], Ok(31)),
        (&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], Err(HpackError::Integer)),
    ];
    for &(input, expected) in table {
        assert_eq!(decode(&mut &input[..], 5), expected, "{input:x?}");
    }
}
