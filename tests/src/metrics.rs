//! The metrics of the Weir that runs on a lab's node.

use crate::lab::Lab;
use crate::observe::Metrics;

/// What one series, labels included, says now; 0 where it is not there.
pub fn value(lab: &Lab, series: &str) -> u64 {
    let metrics = Metrics::of(&lab.node).expect("the admin endpoint answers");
    // Counters are whole numbers below 2^53.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    metrics.value(series).map_or(0, |value| value as u64)
}
