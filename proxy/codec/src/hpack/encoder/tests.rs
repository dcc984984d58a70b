//! What the encoder's index must not get wrong, and what is not worth a place in the table.

use std::collections::HashMap;

use super::{Encoder, hash};
use crate::hpack::Decoder;

fn block(encoder: &mut Encoder, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    encoder.field(name, value, &mut out);
    out
}

#[test]
fn fields_with_one_hash_are_told_apart() {
    let name = b"x-team";
    let name_hash = hash(0, name);
    let mut values = HashMap::new();
    let pair = (0..2_000_000_u32).find_map(|number| {
        let value = format!("value {number}");
        let other = values.insert(hash(name_hash, value.as_bytes()), value.clone())?;
        Some([other, value])
    });
    let pair = pair.expect("two of so many have the same hash of 32 bits");
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
    for value in pair.iter().chain(&pair) {
        let mut decoded = Vec::new();
        let outcome = decoder.decode(&block(&mut encoder, name, value.as_bytes()), &mut |_, value| {
            decoded = value.to_vec();
            true
        });
        assert_eq!((outcome, decoded), (Ok(()), value.as_bytes().to_vec()));
    }
}

#[test]
fn a_field_of_more_than_half_the_table_pushes_nothing_out() {
    let mut encoder = Encoder::new();
    block(&mut encoder, b"x-team", b"blue");
    let large = vec![b'a'; 2048];
    assert_eq!(block(&mut encoder, b"x-large", &large)[0], 0, "a literal that is not indexed");
    assert_eq!(block(&mut encoder, b"x-team", b"blue"), [0x80 | 62]);
    let half = vec![b'a'; 2048 - 32 - b"x-large".len()];
    assert_eq!(block(&mut encoder, b"x-large", &half)[0], 0x40, "half the table is let in");
}
