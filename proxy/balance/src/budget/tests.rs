use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn policy(percent: u8, min_per_second: u32) -> RetryBudget {
    RetryBudget { percent, interval: Duration::from_secs(10), min_per_second }
}

/// How many of `tries` retries pass at one moment after so many requests.
fn allowed(policy: &RetryBudget, requests: usize, tries: usize, workers: usize) -> usize {
    let mut budget = Budget::default();
    (0..requests).for_each(|_| budget.request(policy, SECOND));
    (0..tries).filter(|_| budget.retry(policy, SECOND, workers)).count()
}

#[test]
fn a_share_of_all_tries_or_the_least_rate() {
    for (percent, least, requests, workers, want) in [
        (20, 0, 0, 1, 0),
        // 20 of 100 tries.
        (20, 0, 80, 1, 20),
        (20, 0, 3, 1, 0),
        (20, 0, 4, 1, 1),
        (50, 0, 100, 1, 100),
        (0, 0, 1_000, 1, 0),
        (0, 3, 1_000, 1, 30),
        (20, 3, 0, 1, 30),
        (20, 3, 0, 4, 8),
        (20, 3, 400, 4, 100),
        (100, 0, 1, 1, 500),
    ] {
        let got = allowed(&policy(percent, least), requests, 500, workers);
        assert_eq!(got, want, "{percent}% + {least}/s of {requests} requests, {workers} workers");
    }
}

#[test]
fn the_interval_moves_on() {
    let policy = policy(50, 0);
    let mut budget = Budget::default();
    // Second, requests to count, retries that must be allowed before one is refused.
    for (second, requests, want) in
        [(0, 10, 10), (5, 0, 0), (9, 2, 2), (10, 0, 0), (18, 4, 4), (19, 0, 0), (40, 3, 3)]
    {
        (0..requests).for_each(|_| budget.request(&policy, second * SECOND));
        let mut got = 0;
        while budget.retry(&policy, second * SECOND, 1) {
            got += 1;
        }
        assert_eq!(got, want, "in second {second}");
    }
    assert!(!budget.retry(&policy, 0, 1), "a clock that goes back gives nothing away");
}

#[test]
fn no_interval_is_no_division_by_zero() {
    let policy = RetryBudget { percent: 20, interval: Duration::ZERO, min_per_second: 10 };
    assert!(!Budget::default().retry(&policy, 0, 0));
}
