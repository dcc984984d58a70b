use super::*;

const SECOND: u64 = 1_000_000_000;
const POLICY: Outlier = Outlier {
    consecutive_errors: 3,
    base_ejection: Duration::from_secs(10),
    max_ejection: Duration::from_secs(35),
    max_ejected_percent: 50,
};

/// Fails until it is to be ejected, and how often that was.
fn fail(health: &mut Health, now: u64) -> usize {
    (1..100).find(|_| health.failed(&POLICY, now)).unwrap()
}

#[test]
fn failures_in_a_row_eject_and_one_success_resets_them() {
    let mut health = Health::default();
    for step in ["fail", "fail", "succeed", "fail", "fail"] {
        match step {
            "fail" => assert!(!health.failed(&POLICY, 0)),
            _ => health.succeeded(),
        }
    }
    assert!(health.failed(&POLICY, 0));
    assert!(!health.is_ejected(0), "only the caller ejects");
    assert_eq!(health.eject(&POLICY, 0), Duration::from_secs(10));
    for (now, ejected) in [(0, true), (10 * SECOND - 1, true), (10 * SECOND, false)] {
        assert_eq!(health.is_ejected(now), ejected, "{now}");
    }
    assert!((0..10).all(|_| !health.failed(&POLICY, SECOND)), "what was under way does not count");
    assert_eq!(fail(&mut health, 10 * SECOND), 3, "it begins anew");
}

#[test]
fn ejections_in_a_row_grow_and_decay() {
    let mut health = Health::default();
    let mut now = 0;
    // Seconds in service after the last return, seconds of the ejection that follows.
    for (served, want) in
        [(0, 10), (0, 20), (9, 30), (0, 35), (0, 35), (10, 35), (20, 35), (30, 20), (1_000, 10)]
    {
        now += served * SECOND;
        fail(&mut health, now);
        let time = health.eject(&POLICY, now);
        assert_eq!(time, Duration::from_secs(want), "after {served}");
        now += want * SECOND;
        assert!(!health.is_ejected(now) && health.is_ejected(now - 1));
    }
}

#[test]
fn a_share_of_them_and_always_one() {
    for (ejected, endpoints, percent, want) in [
        (0, 1, 0, true),
        (0, 1, 50, true),
        (1, 2, 50, false),
        (1, 3, 50, false),
        (1, 4, 50, true),
        (2, 4, 50, false),
        (1, 2, 100, true),
        (9, 100, 10, true),
        (10, 100, 10, false),
        (1, 100, 0, false),
    ] {
        assert_eq!(may_eject(ejected, endpoints, percent), want, "{ejected} of {endpoints}, {percent}%");
    }
}

#[test]
fn odd_policies_do_no_harm() {
    let odd = Outlier {
        consecutive_errors: 0,
        base_ejection: Duration::ZERO,
        max_ejection: Duration::MAX,
        max_ejected_percent: 255,
    };
    let mut health = Health::default();
    assert!(health.failed(&odd, 5));
    assert_eq!(health.eject(&odd, 5), Duration::from_nanos(1));
    let long = Outlier { base_ejection: Duration::MAX, ..odd };
    health.eject(&long, 10);
    assert!(health.is_ejected(u64::MAX - 1));
}
