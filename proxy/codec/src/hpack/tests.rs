//! RFC 7541 appendix C both ways, what must be refused, and round trips.

use super::{Decoder, Encoder, HpackError};

type Field = (Vec<u8>, Vec<u8>);

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Field>, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, &mut |name, value| {
        fields.push((name.to_vec(), value.to_vec()));
        true
    })?;
    Ok(fields)
}

fn fields(lines: &[(&str, &str)]) -> Vec<Field> {
    lines.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

fn encode(encoder: &mut Encoder, fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    for (name, value) in fields {
        encoder.field(name, value, &mut block);
    }
    block
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

const RESPONSES: [&[(&str, &str)]; 3] = [
    &[
        (":status", "302"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "307"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "200"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
        ("location", "https://www.example.com"),
        ("content-encoding", "gzip"),
        ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
];

#[test]
fn appendix_c_2() {
    let table = [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key", "custom-header"),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path", "/sample/path"),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password", "secret"),
        ("82", ":method", "GET"),
    ];
    for (block, name, value) in table {
        let decoded = decode(&mut Decoder::new(4096), &unhex(block));
        assert_eq!(decoded, Ok(fields(&[(name, value)])), "{block}");
    }
}

#[test]
fn appendix_c_requests() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, coded] {
        let mut decoder = Decoder::new(4096);
        for (block, expected) in blocks.iter().zip(REQUESTS) {
            assert_eq!(decode(&mut decoder, &unhex(block)), Ok(fields(expected)), "{block}");
        }
    }
    let mut encoder = Encoder::new();
    for (expected, request) in coded.iter().zip(REQUESTS) {
        assert_eq!(encode(&mut encoder, &fields(request)), unhex(expected), "{expected}");
    }
}

/// With the table of 256 bytes of the appendix, which evicts. Its encoder indexes dates and cookies, ours does
/// not; so only the decoder is compared byte by byte, and the encoder by what is decoded.
#[test]
fn appendix_c_responses() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133
         3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a
         6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d
         6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d
         29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d
         d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106
         3d50 07",
    ];
    for blocks in [plain, coded] {
        let mut decoder = Decoder::new(4096);
        // The size update, to 256, that the appendix leaves to the setting.
        assert_eq!(decode(&mut decoder, &[0x3f, 0xe1, 0x01]), Ok(Vec::new()));
        for (block, expected) in blocks.iter().zip(RESPONSES) {
            assert_eq!(decode(&mut decoder, &unhex(block)), Ok(fields(expected)), "{block}");
        }
    }
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(256));
    decoder.acknowledged();
    encoder.set_max_table_bytes(256);
    for response in RESPONSES {
        let block = encode(&mut encoder, &fields(response));
        assert_eq!(decode(&mut decoder, &block), Ok(fields(response)));
    }
}

#[test]
fn malformed_blocks() {
    use HpackError as E;
    let table: &[(&str, E, &str)] = &[
        ("80", E::Index, "index 0"),
        ("be", E::Index, "the first dynamic entry of an empty table"),
        ("7e 00", E::Index, "a name out of the empty table"),
        ("ff ff ff ff ff 0f", E::Integer, "an integer of 2^32 and more"),
        ("ff ff ff ff 7f", E::Index, "a large index"),
        ("ff 80 80 80 80 80 00", E::Integer, "an integer of too many octets"),
        ("ff", E::Truncated, "an integer that ends in its prefix"),
        ("ff 80", E::Truncated, "an integer that goes on"),
        ("40", E::Truncated, "a literal without a name"),
        ("40 01", E::Truncated, "a name that is not there"),
        ("40 01 61", E::Truncated, "a literal without a value"),
        ("40 01 61 02 62", E::Truncated, "a value that is not whole"),
        ("40 01 61 7f ff ff ff ff 0e 62", E::Truncated, "a value of 4 GiB"),
        ("00 81 ff 00", E::Huffman, "padding of 8 bits"),
        ("00 82 1f ff 00", E::Huffman, "padding of 11 bits"),
        ("00 81 18 00", E::Huffman, "padding of zeros"),
        ("00 84 ff ff ff ff 00", E::Huffman, "the end-of-string symbol"),
        ("00 85 1f ff ff ff ff 00", E::Huffman, "the end-of-string symbol after a letter"),
        ("3f e2 1f", E::SizeUpdate, "a table of 4097 bytes"),
        ("82 20", E::SizeUpdate, "a size update after a field"),
        ("20 82 3f e1 1f", E::SizeUpdate, "a second one after a field"),
    ];
    for &(block, error, what) in table {
        let mut decoder = Decoder::new(4096);
        assert_eq!(decode(&mut decoder, &unhex(block)), Err(error), "{what}");
    }
}

#[test]
fn size_updates_at_the_start() {
    let mut decoder = Decoder::new(4096);
    let block = unhex("20 3f e1 1f 82");
    assert_eq!(decode(&mut decoder, &block), Ok(fields(&[(":method", "GET")])), "0, then 4096");
    assert_eq!(decode(&mut decoder, &unhex("40 01 61 01 62 be")).map(|fields| fields.len()), Ok(2));
    assert_eq!(decode(&mut decoder, &unhex("20 be")), Err(HpackError::Index), "0 empties the table");
}

#[test]
fn our_setting_holds_once_acknowledged() {
    let mut decoder = Decoder::new(64);
    let update = unhex("3f e1 1f 82");
    assert!(decode(&mut decoder, &update).is_ok(), "the default, before");
    decoder.acknowledged();
    assert_eq!(decode(&mut decoder, &unhex("82")), Err(HpackError::MissingSizeUpdate));
    assert_eq!(decode(&mut decoder, &update), Err(HpackError::SizeUpdate));
    assert!(decode(&mut decoder, &unhex("3f 21 82")).is_ok(), "64");
    assert!(decode(&mut decoder, &unhex("82")).is_ok(), "said once");
    let mut larger = Decoder::new(8192);
    assert!(decode(&mut larger, &unhex("3f e1 3f 82")).is_ok(), "8192");
    assert_eq!(decode(&mut larger, &unhex("3f e2 3f")), Err(HpackError::SizeUpdate), "8193");
}

#[test]
fn the_table_stays_in_step_with_fields_nobody_wants() {
    let mut decoder = Decoder::new(4096);
    let mut calls = 0;
    let outcome = decoder.decode(&unhex("82 40 01 61 01 62 40 01 63 01 64"), &mut |_, _| {
        calls += 1;
        false
    });
    assert_eq!((outcome, calls), (Ok(()), 1));
    let mut calls = 0;
    let indexed = Decoder::new(4096).decode(&unhex("82 84 86"), &mut |_, _| {
        calls += 1;
        calls < 2
    });
    assert_eq!((indexed, calls), (Ok(()), 2), "up to the one that is refused");
    assert_eq!(decode(&mut decoder, &unhex("be bf")), Ok(fields(&[("c", "d"), ("a", "b")])));
    let mut refuse = |_: &[u8], _: &[u8]| false;
    assert_eq!(decoder.decode(&unhex("82 80"), &mut refuse), Err(HpackError::Index), "errors count too");
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new(4096);
    assert!(decode(&mut decoder, &unhex("3f 21 40 01 61 01 62")).is_ok(), "64 bytes");
    let mut large = unhex("40 01 61 40");
    large.extend([b'x'; 64]);
    assert_eq!(decode(&mut decoder, &large).map(|fields| fields[0].1.len()), Ok(64));
    assert_eq!(decode(&mut decoder, &unhex("be")), Err(HpackError::Index));
}

#[test]
fn a_name_may_come_from_the_entry_it_pushes_out() {
    // RFC 7541 §4.4. A table of 70 bytes has room for one of the two.
    let mut decoder = Decoder::new(4096);
    assert!(decode(&mut decoder, &unhex("3f 27 40 04 6e616d65 01 62")).is_ok());
    let block = unhex("7e 20 7878787878787878 7878787878787878 7878787878787878 7878787878787878 be");
    let decoded = decode(&mut decoder, &block).unwrap();
    let value = "x".repeat(32);
    assert_eq!(decoded, fields(&[("name", &value), ("name", &value)]));
}

/// What each field becomes, the first and the second time.
#[test]
fn what_is_indexed() {
    let table = [
        ("user-agent", "curl/8", 0x40, 0x80, "repeats"),
        ("x-team", "blue", 0x40, 0x80, "unknown names repeat"),
        (":status", "503", 0x40, 0x80, "few values"),
        (":status", "204", 0x80, 0x80, "in the static table"),
        (":path", "/pkg.Service/Method", 0x00, 0x40, "indexed when it is repeated"),
        ("content-length", "17", 0x00, 0x00, "changes"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT", 0x00, 0x00, "changes"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 0x00, 0x00, "changes"),
        ("grpc-timeout", "99997u", 0x00, 0x00, "changes"),
        ("authorization", "Bearer x", 0x10, 0x10, "secret"),
        ("cookie", "a=b", 0x10, 0x10, "secret"),
        ("set-cookie", "a=b", 0x10, 0x10, "secret"),
        ("x-api-key", "k", 0x10, 0x10, "secret"),
    ];
    let kind = |first: u8| match first.leading_zeros() {
        0 => 0x80,
        1 => 0x40,
        _ => first & 0x30,
    };
    for (name, value, first, second, why) in table {
        let mut encoder = Encoder::new();
        for expected in [first, second] {
            let block = encode(&mut encoder, &fields(&[(name, value)]));
            assert_eq!(kind(block[0]), expected, "{name}: {why}");
        }
    }
}

#[test]
fn names_come_from_either_table() {
    let mut encoder = Encoder::new();
    let first = encode(&mut encoder, &fields(&[("x-team", "blue")]));
    let second = encode(&mut encoder, &fields(&[("x-team", "green")]));
    assert_eq!((first[0], second[0]), (0x40, 0x40 | 62), "the name is spelt once");
    let status = encode(&mut encoder, &fields(&[(":status", "503")]));
    assert_eq!(status[0], 0x40 | 8);
}

#[test]
fn a_peer_without_a_table() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(0));
    decoder.acknowledged();
    encoder.set_max_table_bytes(0);
    for round in 0..3 {
        let block = encode(&mut encoder, &fields(REQUESTS[1]));
        assert_eq!(block[0] == 0x20, round == 0, "the update comes first, once");
        assert_eq!(decode(&mut decoder, &block), Ok(fields(REQUESTS[1])));
    }
}

#[test]
fn size_updates_say_the_least_and_the_last() {
    let table: &[(&[u32], &str)] = &[
        (&[], ""),
        (&[4096], ""),
        (&[65536], ""),
        (&[0], "20"),
        (&[100], "3f45"),
        (&[0, 4096], "20 3fe11f"),
        (&[100, 50, 60], "3f13 3f1d"),
        (&[50, 100, 0, 4096, 70], "20 3f27"),
    ];
    for &(settings, expected) in table {
        let mut encoder = Encoder::new();
        settings.iter().for_each(|&bytes| encoder.set_max_table_bytes(bytes));
        let mut block = Vec::new();
        encoder.begin(&mut block);
        assert_eq!(block, unhex(expected), "{settings:?}");
        block.clear();
        encoder.begin(&mut block);
        assert!(block.is_empty(), "{settings:?}: said once");
    }
}

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn text(&mut self, length: usize) -> Vec<u8> {
        let any_byte = self.below(4) == 0;
        let byte = |random: &mut Self| {
            let byte = random.below(if any_byte { 256 } else { 26 });
            u8::try_from(if any_byte { byte } else { byte + 97 }).unwrap()
        };
        (0..length).map(|_| byte(self)).collect()
    }

    fn field(&mut self) -> Field {
        let known = ["x-a", "x-b", ":path", "cookie", "user-agent", "content-type", "date", ":status", "b3"];
        let name = match self.below(4) {
            0 => {
                let length = 1 + self.below(40);
                self.text(length)
            }
            _ => known[self.below(known.len())].into(),
        };
        let value = match self.below(20) {
            kind @ 0..6 => {
                let length = self.below(if kind == 0 { 5000 } else { 60 });
                self.text(length)
            }
            _ => format!("v{}", self.below(12)).into(),
        };
        (name, value)
    }
}

/// Blocks of any fields, over tables of any size that changes on the way, come out as they went in.
#[test]
fn round_trip() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut indexed = 0;
    for _ in 0..200 {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
        for _ in 0..40 {
            for _ in 0..random.below(3) {
                let sizes = [0, 64, 200, 1000, 4096, 70_000];
                encoder.set_max_table_bytes(sizes[random.below(sizes.len())]);
            }
            let list: Vec<Field> = (0..random.below(20)).map(|_| random.field()).collect();
            let block = encode(&mut encoder, &list);
            indexed += block.iter().filter(|&&byte| byte >= 0x80 | 62).count();
            assert_eq!(decode(&mut decoder, &block), Ok(list));
        }
    }
    assert!(indexed > 10_000, "the dynamic table was used: {indexed}");
}
