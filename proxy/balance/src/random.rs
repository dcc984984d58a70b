//! Uniform numbers made of others.

/// Scales a uniform number to `0..limit`; 0 for a limit of 0.
pub(crate) fn below(random: u64, limit: u64) -> u64 {
    let scaled = (u128::from(random) * u128::from(limit)) >> 64;
    // Less than `limit`, which is a u64.
    u64::try_from(scaled).unwrap_or_default()
}

/// The next number of SplitMix64, which makes several picks out of one random number.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
