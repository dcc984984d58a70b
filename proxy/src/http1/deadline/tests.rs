//! Of the times of a request, the one that is over first.

use std::time::Duration;

use model::route::Timeouts;

use super::{Whose, first};

#[test]
fn the_time_that_is_over_first_counts() {
    // In milliseconds: the route's for the request, the client's, the route's for a try; how long it has lasted.
    let cases = [
        ((None, None, None), 5, None),
        ((Some(10), None, None), 3, Some((7, Whose::Request))),
        ((None, Some(10), None), 3, Some((7, Whose::Client))),
        ((None, None, Some(10)), 3, Some((10, Whose::Try))),
        ((Some(20), Some(10), Some(9)), 3, Some((7, Whose::Client))),
        ((Some(10), Some(20), Some(9)), 3, Some((7, Whose::Request))),
        ((Some(20), Some(20), Some(9)), 3, Some((9, Whose::Try))),
        // The whole goes before its parts.
        ((Some(10), Some(10), Some(7)), 3, Some((7, Whose::Request))),
        ((None, Some(10), Some(7)), 3, Some((7, Whose::Client))),
        ((Some(10), Some(4), Some(7)), 30, Some((0, Whose::Request))),
        ((None, Some(0), None), 0, Some((0, Whose::Client))),
    ];
    for ((request, client, one), elapsed, expected) in cases {
        let [request, client, backend_request] =
            [request, client, one].map(|time: Option<u64>| time.map(Duration::from_millis));
        let timeouts = Timeouts { request, backend_request };
        let found = first(timeouts, client, || Duration::from_millis(elapsed));
        let expected = expected.map(|(left, whose)| (Duration::from_millis(left), whose));
        assert_eq!(found, expected, "{timeouts:?} {client:?} after {elapsed}");
    }
}
