//! Seeded mutations of the fuzz seeds.

use std::path::Path;

/// Marsaglia's xorshift64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }
}

/// What parsers disagree about.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\0",
    b"\x7f",
    b"\xff",
    b"%2f",
    b"%2e",
    b"%00",
    b"/../",
    b"//",
    b"\\",
    b"#",
    b"0\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 6\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b"Host: b\r\n",
    b" folded\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"5",
    b"ffffffff",
];

pub(crate) fn mutate(input: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(input.len() + 1);
        match random.below(5) {
            0 => drop(input.splice(at..at, TOKENS[random.below(TOKENS.len())].iter().copied())),
            1 if at < input.len() => input[at] = random.next().to_le_bytes()[0],
            2 if at < input.len() => drop(input.remove(at)),
            3 => {
                let end = (at + random.below(8)).min(input.len());
                let token = TOKENS[random.below(TOKENS.len())];
                drop(input.splice(at..end, token.iter().copied()));
            }
            _ => {
                let end = (at + random.below(40)).min(input.len());
                let copy = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                drop(input.splice(to..to, copy));
            }
        }
    }
}

pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let entries = std::fs::read_dir(&folder).expect("the seeds are committed");
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    // The order of a folder is the file system's; the test is deterministic.
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| std::fs::read(path).expect("a seed is readable")).collect()
}
