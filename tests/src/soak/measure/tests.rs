use super::*;

#[test]
fn the_median_is_that_of_the_window() {
    let sample = |at, pss_kib| Sample { at: Duration::from_secs(at), pss_kib, descriptors: 0 };
    let samples = [sample(1, 900), sample(2, 10), sample(3, 30), sample(4, 20), sample(5, 800)];
    let seconds = Duration::from_secs;
    assert_eq!(median(&samples, seconds(2), seconds(4)), Some(20));
    assert_eq!(median(&samples, seconds(6), seconds(9)), None);
}
