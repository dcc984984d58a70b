//! Which requests are mirrored.

use model::route::{BackendTarget, Mirror};
use model::service::BackendId;

use super::is_chosen;

#[test]
fn the_share_is_numerator_of_denominator() {
    let cases = [
        (1, 1, 0, true),
        (1, 1, u64::MAX, true),
        (0, 100, 0, false),
        (50, 100, u64::MAX / 2, true),
        (50, 100, u64::MAX / 2 + u64::MAX / 50, false),
        (1, 4, u64::MAX / 4, true),
        (1, 4, u64::MAX / 4 + 2, false),
    ];
    for (numerator, denominator, random, expected) in cases {
        let target = BackendTarget::Service(BackendId(0));
        let mirror = Mirror { target, numerator, denominator };
        assert_eq!(is_chosen(&mirror, random), expected, "{numerator}/{denominator} at {random}");
    }
}
