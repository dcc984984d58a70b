use serde_json::{Value, json};

use super::*;
use crate::tests::World;

fn world(metadata: Value, mut spec: Value) -> World {
    let mut world = World::new();
    spec["ports"] = json!([{"port": 80}]);
    world.apply("Service", "ns/s", json!({"metadata": metadata, "spec": spec}));
    world
}

fn outlier(errors: u32, base: u64, max: u64, percent: u8) -> TrafficPolicy {
    let outlier = Outlier {
        consecutive_errors: errors,
        base_ejection: Duration::from_secs(base),
        max_ejection: Duration::from_secs(max),
        max_ejected_percent: percent,
    };
    TrafficPolicy { outlier: Some(outlier), ..TrafficPolicy::default() }
}

fn algorithm_of(algorithm: Algorithm) -> TrafficPolicy {
    TrafficPolicy { algorithm, ..TrafficPolicy::default() }
}

#[test]
fn annotations() {
    let breaker = Breaker {
        connections: Some(1),
        pending: Some(2),
        requests: Some(3),
        endpoint_connections: Some(4),
        endpoint_requests: Some(4_294_967_295),
    };
    for (annotations, want) in [
        (json!({}), TrafficPolicy::default()),
        (json!({"example.com/load-balancing": "random"}), TrafficPolicy::default()),
        (json!({"weir.dev/load-balancing": "least-request"}), algorithm_of(Algorithm::LeastRequest)),
        (json!({"weir.dev/load-balancing": "round-robin"}), algorithm_of(Algorithm::RoundRobin)),
        (json!({"weir.dev/load-balancing": "random"}), algorithm_of(Algorithm::Random)),
        (
            json!({"weir.dev/max-connections": "1", "weir.dev/max-pending-requests": "2",
                "weir.dev/max-requests": "3", "weir.dev/max-endpoint-connections": "4",
                "weir.dev/max-endpoint-requests": "4294967295"}),
            TrafficPolicy { breaker, ..TrafficPolicy::default() },
        ),
        (json!({"weir.dev/outlier-consecutive-errors": "3"}), outlier(3, 30, 300, 50)),
        (json!({"weir.dev/outlier-max-ejected-percent": "0"}), outlier(5, 30, 300, 0)),
        (json!({"weir.dev/outlier-base-ejection-time": "10m"}), outlier(5, 600, 600, 50)),
        (json!({"weir.dev/outlier-max-ejection-time": "10s"}), outlier(5, 10, 10, 50)),
        (
            json!({"weir.dev/outlier-base-ejection-time": "5s", "weir.dev/outlier-max-ejection-time": "1m",
                "weir.dev/outlier-consecutive-errors": "7", "weir.dev/outlier-max-ejected-percent": "100"}),
            outlier(7, 5, 60, 100),
        ),
    ] {
        let mut world = world(json!({ "annotations": annotations }), json!({}));
        world.ready();
        assert_eq!(*world.backend("ns/s", 80).traffic, want, "{annotations}");
    }
}

#[test]
fn a_bad_annotation_is_named_and_the_rest_counts() {
    for (name, value, want) in [
        ("load-balancing", "fastest", "must be least-request, round-robin or random, not \"fastest\""),
        ("max-connections", "0", "must be a whole number from 1 to 4294967295, not \"0\""),
        ("max-pending-requests", "many", "must be a whole number from 1 to 4294967295, not \"many\""),
        ("max-endpoint-connections", "-1", "must be a whole number from 1 to 4294967295, not \"-1\""),
        ("max-endpoint-requests", "4294967296", "must be a whole number from 1 to"),
        ("outlier-consecutive-errors", "0", "must be a whole number from 1 to"),
        ("outlier-base-ejection-time", "30", "must be a duration like 30s or 1m30s, not \"30\""),
        ("outlier-max-ejection-time", "0s", "must be a duration like 30s or 1m30s, not \"0s\""),
        ("outlier-max-ejected-percent", "101", "must be a whole number from 0 to 100, not \"101\""),
        ("load-balancin", "random", "is not known and has no effect; did you mean weir.dev/load-balancing?"),
        ("max-conections", "1", "is not known and has no effect; did you mean weir.dev/max-connections?"),
    ] {
        let annotations = json!({ format!("weir.dev/{name}"): value, "weir.dev/max-requests": "9" });
        let mut world = world(json!({ "annotations": annotations }), json!({}));
        let problems = world.translate();
        let wanted = format!("Service ns/s: metadata.annotations[weir.dev/{name}]: {want}");
        assert!(problems.len() == 1 && problems[0].contains(&wanted), "{wanted} is not {problems:?}");
        let breaker = Breaker { requests: Some(9), ..Breaker::default() };
        let want = TrafficPolicy { breaker, ..TrafficPolicy::default() };
        assert_eq!(*world.backend("ns/s", 80).traffic, want, "{name}");
    }
    let annotations = json!({"weir.dev/outlier-base-ejection-time": "2m",
        "weir.dev/outlier-max-ejection-time": "1m"});
    let mut world = world(json!({ "annotations": annotations }), json!({}));
    let problems = world.translate();
    assert!(
        problems.len() == 1 && problems[0].contains("outlier-max-ejection-time]: shorter"),
        "{problems:?}"
    );
    assert_eq!(*world.backend("ns/s", 80).traffic, outlier(5, 120, 120, 50));
}

#[test]
fn localities() {
    for (said, want, problems) in [
        (Value::Null, Locality::Any, 0),
        (json!("PreferClose"), Locality::PreferZone, 0),
        (json!("PreferSameZone"), Locality::PreferZone, 0),
        (json!("PreferSameNode"), Locality::PreferNode, 0),
        (json!("Nearest"), Locality::Any, 1),
    ] {
        let mut world = world(json!({}), json!({ "trafficDistribution": said }));
        assert_eq!(world.translate().len(), problems, "{said}");
        assert_eq!(world.backend("ns/s", 80).traffic.locality, want, "{said}");
    }
}

#[test]
fn distances() {
    for (a, b, want) in [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2)]
    {
        assert_eq!(distance(a, b), want, "{a} {b}");
    }
}
