//! Against a calendar library, over leap days, century years and day ends.

use super::{Clock, rfc3339};

#[test]
fn agrees_with_a_calendar_library() {
    let days = [0_u64, 58, 59, 60, 365, 789, 10_956, 10_957, 11_016, 11_017, 20_000, 47_540, 47_541, 73_000];
    for day in days {
        for of_day in [0_u64, 1, 3_599, 3_600, 43_200, 86_399] {
            let ns = (day * 86_400 + of_day) * 1_000_000_000 + 123_456_789;
            let expected = jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap();
            let text = String::from_utf8(rfc3339(ns).to_vec()).unwrap();
            assert_eq!(text, format!("{expected:.6}"), "{ns}");
        }
    }
}

#[test]
fn a_clock_agrees_whatever_came_before() {
    let mut clock = Clock::default();
    let second = 1_000_000_000;
    for ns in [0, 1_500, second - 1, second, 86_400 * second, 86_400 * second + 7_000, 5 * second, 5 * second]
    {
        assert_eq!(clock.rfc3339(ns), rfc3339(ns), "{ns}");
    }
}
