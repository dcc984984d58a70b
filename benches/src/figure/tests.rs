//! Medians and percentiles.

use super::{CPU_PER_REQUEST, Figures, P99, median, percentile};

#[test]
fn finds_the_middle() {
    for (values, expected) in [(&[3.0][..], 3.0), (&[9.0, 1.0], 5.0), (&[5.0, 1.0, 9.0], 5.0)] {
        assert_eq!(median(values.to_vec()), expected, "{values:?}");
    }
    assert!(median(Vec::new()).is_nan());
}

#[test]
fn finds_percentiles_by_nearest_rank() {
    let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
    for (share, expected) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
        assert_eq!(percentile(&hundred, share), expected, "{share}");
    }
    assert_eq!(percentile(&[7.0], 0.99), 7.0);
    assert!(percentile(&[], 0.99).is_nan());
}

#[test]
fn figures_are_found_by_name() {
    let figures = Figures::new([(CPU_PER_REQUEST, 12.34)]);
    assert_eq!(figures.get(CPU_PER_REQUEST), Some(12.34));
    assert_eq!(figures.get(P99), None);
    assert_eq!(figures.line(), "CPU µs/req 12.3");
}
