use super::*;
use crate::tests::randoms;

#[test]
fn waits_grow_to_a_bound_and_vary() {
    let ms = Duration::from_millis;
    // The route's own, the retry, and between what the wait is.
    for (least, nth, low, high) in [
        (None, 0, 0, 25),
        (None, 1, 0, 50),
        (None, 3, 0, 200),
        (None, 4, 0, 250),
        (None, 40, 0, 250),
        (Some(100), 0, 100, 200),
        (Some(100), 2, 100, 800),
        (Some(100), 3, 100, 1_000),
        (Some(100), u32::MAX - 1, 100, 1_000),
        (Some(0), 3, 0, 0),
    ] {
        let waits: Vec<_> = randoms(1, 2_000).map(|r| backoff(least.map(ms), nth, r)).collect();
        assert!(waits.iter().all(|wait| *wait >= ms(low) && *wait <= ms(high)), "{least:?} {nth}");
        let (least_seen, most_seen) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        let tenth = ms(high - low) / 10;
        assert!(*least_seen <= ms(low) + tenth && *most_seen + tenth >= ms(high), "{least:?} {nth} varies");
    }
}
