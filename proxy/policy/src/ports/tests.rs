use super::*;

#[test]
fn a_range_becomes_the_fewest_blocks() {
    type Blocks = &'static [(u16, u8)];
    let cases: &[(u16, u16, Blocks)] = &[
        (80, 80, &[(80, 16)]),
        (0, 65535, &[(0, 0)]),
        (
            1,
            65535,
            &[
                (1, 16),
                (2, 15),
                (4, 14),
                (8, 13),
                (16, 12),
                (32, 11),
                (64, 10),
                (128, 9),
                (256, 8),
                (512, 7),
                (1024, 6),
                (2048, 5),
                (4096, 4),
                (8192, 3),
                (16384, 2),
                (32768, 1),
            ],
        ),
        (80, 90, &[(80, 13), (88, 15), (90, 16)]),
        (65535, 65535, &[(65535, 16)]),
    ];
    for (first, last, want) in cases {
        assert_eq!(&blocks(*first, *last), want, "{first}-{last}");
    }
}

#[test]
fn the_blocks_of_a_range_cover_it_and_nothing_else() {
    for (first, last) in [(80, 81), (1, 1023), (7, 9), (32767, 32769), (65000, 65535)] {
        let blocks = blocks(first, last);
        for port in 0..=u16::MAX {
            let times = blocks.iter().filter(|block| covers(**block, port)).count();
            assert_eq!(times, usize::from((first..=last).contains(&port)), "{port} in {first}-{last}");
        }
    }
}
