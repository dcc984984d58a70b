//! What is counted where.

use model::flow::{FlowPeer, FlowReason, FlowRecord, FlowVerdict, HttpFlow, HttpVersion};
use model::service::BackendId;
use model::workload::Protocol;

use super::{BUCKET_SECONDS, Outcomes, SERVICES_MAX, Stats, Totals};

fn record(reason: FlowReason, http: Option<HttpFlow>, latency_ns: u64) -> FlowRecord {
    let peer = FlowPeer { address: "10.0.0.1:1".parse().unwrap(), identity: None, workload: None };
    FlowRecord {
        time_ns: 0,
        source: peer.clone(),
        destination: peer,
        backend: None,
        protocol: Protocol::Tcp,
        verdict: FlowVerdict::Forwarded,
        reason,
        direction: None,
        rule: None,
        route: None,
        http,
        header_mismatches: Vec::new(),
        latency_ns,
        bytes_in: 0,
        bytes_out: 0,
    }
}

fn answered(status: u16, version: HttpVersion) -> Option<HttpFlow> {
    Some(HttpFlow { status, version, ..HttpFlow::default() })
}

#[test]
fn reasons_are_numbered_as_listed() {
    for (number, reason) in FlowReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, number, "{reason:?}");
    }
}

#[test]
fn every_worker_counts_into_the_sum() {
    use FlowReason::{Limit, NoRoute, None as Fine};
    use HttpVersion::{Http1, Http2};
    let workers = [Stats::default(), Stats::default()];
    for stats in &workers {
        for (status, version, reason) in
            [(200, Http1, Fine), (204, Http1, Fine), (404, Http2, NoRoute), (0, Http1, Limit)]
        {
            stats.outcomes.count(&record(reason, answered(status, version), 1), None);
        }
        stats.outcomes.count(&record(Limit, None, 1), Some(BackendId(0)));
    }
    let sums = Outcomes::of(&workers);
    let requests: Vec<_> = sums.requests().collect();
    assert_eq!(requests, [(Http1, 0, Limit, 2), (Http1, 2, Fine, 4), (Http2, 4, NoRoute, 2)]);
    assert_eq!(sums.connections().collect::<Vec<_>>(), [(Limit, 2)]);
    assert_eq!(sums.durations().iter().sum::<u64>(), 8, "connections are no requests");
    assert_eq!(sums.service(BackendId(0)).unwrap().by_class, [0; 6], "nor at a Service");
}

#[test]
fn durations_fall_into_the_bucket_that_bounds_them() {
    let cases = [(0, 0), (500_000, 0), (500_001, 1), (10_000_000_000, 9), (10_000_000_001, 10)];
    for (latency_ns, bucket) in cases {
        let stats = Stats::default();
        stats.outcomes.count(&record(FlowReason::None, answered(200, HttpVersion::Http1), latency_ns), None);
        let sums = Outcomes::of([&stats]);
        let mut expected = vec![0; BUCKET_SECONDS.len() + 1];
        expected[bucket] = 1;
        assert_eq!(sums.durations(), expected, "{latency_ns} ns");
    }
    for (seconds, ns) in BUCKET_SECONDS.iter().zip(super::outcome::BUCKET_NS) {
        assert!((seconds * 1e9 - ns as f64).abs() < 1.0, "{seconds} s are not {ns} ns");
    }
}

#[test]
fn services_beyond_the_bound_are_one() {
    let stats = Stats::default();
    let last = u32::try_from(SERVICES_MAX).unwrap();
    for id in [0, last - 1, last, u32::MAX] {
        let overloaded = record(FlowReason::Overloaded, answered(503, HttpVersion::Http1), 1);
        stats.outcomes.count(&overloaded, Some(BackendId(id)));
    }
    let sums = Outcomes::of([&stats]);
    for id in [0, last - 1] {
        let one = sums.service(BackendId(id)).unwrap();
        assert_eq!((one.by_class[5], one.overloaded), (1, 1), "{id}");
    }
    assert_eq!(sums.service(BackendId(last)), None);
    assert_eq!((sums.other_services().by_class[5], sums.other_services().overloaded), (2, 2));
}

#[test]
fn every_counter_says_what_it_counts() {
    let stats = Stats::default();
    stats.accepted.add();
    stats.denied.add_many(3);
    stats.denied.sub();
    let totals = Totals::of([&stats, &stats]);
    assert_eq!((totals.accepted, totals.denied), (2, 4));
    for sample in totals.each() {
        assert!(sample.help.ends_with('.') && !sample.help.contains(['[', '`', '\n']), "{sample:?}");
    }
}
