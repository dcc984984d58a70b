use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn policy(percent: u8, min_retries: u32) -> RetryBudget {
    let (interval, min_interval) = (Duration::from_secs(10), Duration::from_secs(1));
    RetryBudget { percent, interval, min_retries, min_interval }
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
    let policy = RetryBudget { interval: Duration::ZERO, min_interval: Duration::ZERO, ..policy(20, 10) };
    assert!(!Budget::default().retry(&policy, 0, 0));
}

/// One in an hour is one in an hour, whatever the interval that the share is of.
#[test]
fn a_slow_least_rate_is_kept() {
    for interval in [1, 10, 3600] {
        let (interval, min_interval) = (Duration::from_secs(interval), Duration::from_secs(3600));
        let policy = RetryBudget { interval, min_interval, ..policy(0, 1) };
        let mut budget = Budget::default();
        let passed: Vec<u64> = (0..7202).filter(|at| budget.retry(&policy, at * SECOND, 1)).take(9).collect();
        assert_eq!(passed, [0, 3600, 7200], "every {interval:?}");
    }
}

/// What the share allows counts: the least rate is not on top of it.
#[test]
fn the_least_rate_is_no_more_than_a_least() {
    let policy = policy(50, 1);
    let mut budget = Budget::default();
    (0..100).for_each(|_| budget.request(&policy, SECOND));
    let passed = (0..500).filter(|_| budget.retry(&policy, SECOND, 1)).count();
    assert_eq!(passed, 100);
}
