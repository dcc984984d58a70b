use model::route::BackendTarget;
use model::service::BackendId;

use super::*;

/// Seeded random numbers.
pub(crate) fn randoms(seed: u64, count: usize) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || random::next(&mut state)).take(count)
}

fn weighted(weights: &[u32]) -> Vec<WeightedBackend> {
    let target = |at: usize| match at {
        // A share can be invalid; it is drawn like any other.
        2 => BackendTarget::Invalid("BackendNotFound".into()),
        _ => BackendTarget::Service(BackendId(u32::try_from(at).unwrap())),
    };
    let one = |(at, weight): (usize, &u32)| WeightedBackend {
        weight: *weight,
        target: target(at),
        filters: vec![],
    };
    weights.iter().enumerate().map(one).collect()
}

#[test]
fn weights_are_kept_within_one_percent() {
    for weights in [&[90, 10][..], &[1, 1, 1], &[70, 30, 0], &[0, 5], &[1], &[u32::MAX, u32::MAX]] {
        let backends = weighted(weights);
        let mut counts = vec![0u32; weights.len()];
        for random in randoms(7, 100_000) {
            let chosen = backend(&backends, random).unwrap();
            counts[backends.iter().position(|b| std::ptr::eq(b, chosen)).unwrap()] += 1;
        }
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        for (weight, count) in weights.iter().zip(counts) {
            let (want, got) = (f64::from(*weight) / total, f64::from(count) / 100_000.0);
            assert!((want - got).abs() < 0.01, "{weights:?}: {got} for {want}");
            assert!(*weight > 0 || count == 0, "no weight, no traffic");
        }
    }
}

#[test]
fn the_whole_range_of_random_numbers_is_used() {
    let backends = weighted(&[1, 1]);
    for (random, want) in [(0, 0), (u64::MAX / 2, 0), (u64::MAX / 2 + 1, 1), (u64::MAX, 1)] {
        let chosen = backend(&backends, random).unwrap();
        assert_eq!(chosen.target, BackendTarget::Service(BackendId(want)), "{random}");
    }
}

#[test]
fn no_weight_is_no_backend() {
    for weights in [&[][..], &[0], &[0, 0]] {
        assert!(randoms(1, 10).all(|random| backend(&weighted(weights), random).is_none()));
    }
}
