//! Our HPACK and loona-hpack's on the same blocks: what either writes, the other reads, and what is no valid
//! block to one of them is none to the other, but for the kinds listed.

use codec::hpack::{Decoder, Encoder, HpackError};

type Field = (Vec<u8>, Vec<u8>);

fn ours(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Field>, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, &mut |name, value| {
        fields.push((name.to_vec(), value.to_vec()));
        true
    })?;
    Ok(fields)
}

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("fits")
    }

    fn field(&mut self) -> Field {
        let names = [
            ":path",
            ":status",
            "accept",
            "cookie",
            "date",
            "grpc-timeout",
            "user-agent",
            "x-a",
            "x-request-id",
        ];
        let name = names[self.below(names.len())];
        let value = match self.below(3) {
            0 => (0..self.below(300)).map(|_| self.below(256).to_le_bytes()[0]).collect(),
            1 => format!("value {}", self.below(20)).into_bytes(),
            _ => vec![b'a'; self.below(3000)],
        };
        (name.as_bytes().to_vec(), value)
    }

    fn list(&mut self) -> Vec<Field> {
        (0..1 + self.below(12)).map(|_| self.field()).collect()
    }
}

#[test]
fn what_we_write_loona_reads() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..100 {
        let (mut encoder, mut theirs) = (Encoder::new(), loona_hpack::Decoder::new());
        for _ in 0..30 {
            if random.below(5) == 0 {
                encoder.set_max_table_bytes([0, 100, 1000, 4096][random.below(4)]);
            }
            let list = random.list();
            let mut block = Vec::new();
            encoder.begin(&mut block);
            for (name, value) in &list {
                encoder.field(name, value, &mut block);
            }
            assert_eq!(theirs.decode(&block).expect("a valid block"), list);
        }
    }
}

#[test]
fn what_loona_writes_we_read() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..100 {
        let (mut decoder, mut theirs) = (Decoder::new(4096), loona_hpack::Encoder::new());
        for _ in 0..30 {
            let list = random.list();
            let block = theirs.encode(list.iter().map(|(name, value)| (&name[..], &value[..])));
            assert_eq!(ours(&mut decoder, &block), Ok(list));
        }
    }
}

/// Our blocks with bytes changed, in sequences on one connection, up to the first that is refused.
#[test]
fn changed_blocks_mean_the_same() {
    let mut random = Random(0xd1b5_4a32_d192_ed03);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..1_000 {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
        let mut theirs = loona_hpack::Decoder::new();
        theirs.set_max_allowed_table_size(4096);
        for _ in 0..6 {
            let mut block = Vec::new();
            for (name, value) in random.list() {
                encoder.field(&name, &value, &mut block);
            }
            for _ in 0..random.below(3) {
                if !block.is_empty() {
                    let at = random.below(block.len());
                    block[at] = random.below(256).to_le_bytes()[0];
                }
            }
            let (we, they) = (ours(&mut decoder, &block), theirs.decode(&block));
            match (we, they) {
                (Ok(we), Ok(they)) => assert_eq!(we, they, "{block:x?}"),
                (Err(_), Err(_)) => {
                    refused += 1;
                    break;
                }
                // An empty list is none to loona-hpack, if a size update stands before it.
                (Ok(we), Err(_)) if we.is_empty() => break,
                // It takes a size update anywhere but at the end; RFC 7541 §4.2 lets it stand at the start.
                (Err(HpackError::SizeUpdate), Ok(_)) => break,
                (we, they) => panic!("we: {:?}, they: {:?}: {block:x?}", we.err(), they.err()),
            }
            accepted += 1;
        }
    }
    assert!(accepted > 3_000 && refused > 200, "{accepted} accepted, {refused} refused");
}
