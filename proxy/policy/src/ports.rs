//! Port ranges as blocks of a power of two, the form that a longest-prefix map can hold.

/// The fewest blocks that cover exactly the ports from `first` to `last`: the block's first port
/// and how many of its leading bits count.
pub(crate) fn blocks(first: u16, last: u16) -> Vec<(u16, u8)> {
    let (mut at, end) = (u32::from(first), u32::from(last) + 1);
    let mut blocks = Vec::new();
    while at < end {
        let mut bits = at.trailing_zeros().min(16);
        while at + (1 << bits) > end {
            bits -= 1;
        }
        let port = u16::try_from(at).expect("below the end, which is at most 65536");
        blocks.push((port, u8::try_from(16 - bits).expect("at most 16")));
        at += 1 << bits;
    }
    blocks
}

/// Whether a block covers a port.
pub(crate) fn covers(block: (u16, u8), port: u16) -> bool {
    let shift = 16 - u32::from(block.1);
    u32::from(block.0) >> shift == u32::from(port) >> shift
}

#[cfg(test)]
mod tests;
