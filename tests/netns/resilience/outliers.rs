//! Endpoints that fail time after time are left out, whatever route leads to them, and come back.

use tests::client::curl;
use tests::lab::NODE_V4;
use tests::{Act, Pooled, until};

use crate::fleet::{Fleet, endpoint, fleet, h2c, route, scripted};
use crate::world::World;

const EJECTIONS: &str = "weir_endpoint_ejections_total";
const EJECTED: &str = "weir_endpoints_ejected";
/// Long enough that no test sees the end of it.
const LONG: &[(&str, &str)] = &[("outlier-consecutive-errors", "3"), ("outlier-base-ejection-time", "1h")];

fn rule(path: &str, name: &str) -> String {
    format!("matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: {name}, port: 80}}]")
}

fn failures(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status != 200).count()
}

/// Two routes and two Services lead to one bad endpoint: what one saw of it holds for the other.
#[test]
fn an_ejection_is_the_endpoints_whatever_route_leads_there() {
    needs_lab!();
    let world = World::new();
    let bad = endpoint(&world, 81, Act::Status(500));
    let good = endpoint(&world, 82, Act::Status(200));
    let objects = [
        fleet("a", &world.api, &[81, 82], LONG),
        fleet("b", &world.api, &[81, 82], LONG),
        route("one", &[&rule("/one", "a"), &rule("/rule", "a")]),
        route("two", &[&rule("/two", "a")]),
        route("three", &[&rule("/three", "b")]),
    ];
    let fleet = Fleet::start(world, &objects);
    // Errors in a row, seen by different routes: it takes three in all, not three by each.
    let mut failed = 0;
    for path in ["/one", "/two", "/three", "/rule"].iter().cycle().take(80) {
        failed += failures(&[fleet.get(path).status]);
    }
    assert_eq!((failed, bad.count(), good.count()), (3, 3, 77));
    assert_eq!((fleet.metric(EJECTIONS), fleet.metric(EJECTED)), (1, 1));
}

#[test]
fn refused_connections_resets_and_timeouts_count_as_failures() {
    needs_lab!();
    for (act, served) in [(None, 0), (Some(Act::Reset), 3), (Some(Act::Close), 3), (Some(Act::Hold), 3)] {
        let world = World::new();
        let bad = act.clone().map(|act| endpoint(&world, 81, act));
        let _good = endpoint(&world, 82, Act::Status(200));
        // Time enough for who does answer, also on a busy machine; without a bound where none may fail.
        let bounded = format!("{}, timeouts: {{request: 1s}}", rule("/bounded", "s"));
        let objects = [fleet("s", &world.api, &[81, 82], LONG), route("r", &[&bounded, &rule("/free", "s")])];
        let fleet = Fleet::start(world, &objects);
        until("the ejection", || {
            fleet.statuses("/bounded", 1);
            (fleet.metric(EJECTIONS) == 1).then_some(())
        });
        assert_eq!(failures(&fleet.statuses("/free", 40)), 0, "{act:?}");
        let count = || bad.as_ref().map_or(0, |bad| bad.count());
        // A request that timed out may have been sent and not yet been seen.
        until("all to be seen", || (count() >= served).then_some(()));
        assert_eq!(count(), served, "{act:?}");
    }
}

#[test]
fn an_endpoint_comes_back_when_its_time_is_over() {
    needs_lab!();
    let world = World::new();
    let bad = endpoint(&world, 81, Act::Status(503));
    let _good = endpoint(&world, 82, Act::Status(200));
    let short = [("outlier-consecutive-errors", "3"), ("outlier-base-ejection-time", "1s")];
    let objects = [fleet("s", &world.api, &[81, 82], &short), route("r", &[&rule("/", "s")])];
    let fleet = Fleet::start(world, &objects);
    // It may be over by the time that it is seen: the gauge would miss it.
    until("the ejection", || {
        fleet.statuses("/", 1);
        (fleet.metric(EJECTIONS) == 1).then_some(())
    });
    bad.does(Act::Status(200));
    let before = bad.count();
    until("its return", || {
        assert_eq!(failures(&fleet.statuses("/", 5)), 0, "it is well again before it is used again");
        (bad.count() > before).then_some(())
    });
    until("the gauge to say so", || (fleet.metric(EJECTED) == 0).then_some(()));
    assert_eq!(fleet.metric(EJECTIONS), 1);
}

/// When most fail the rest would be overrun: a share stays in use, and at worst all are.
#[test]
fn no_more_than_a_share_is_left_out() {
    needs_lab!();
    let world = World::new();
    let ports = [81, 82, 83, 84];
    let servers = ports.map(|port| endpoint(&world, port, Act::Status(500)));
    let bounded = [LONG, &[("outlier-max-ejected-percent", "50")]].concat();
    let objects = [fleet("s", &world.api, &ports, &bounded), route("r", &[&rule("/", "s")])];
    let fleet = Fleet::start(world, &objects);
    assert_eq!(failures(&fleet.statuses("/", 100)), 100);
    assert_eq!(fleet.metric(EJECTIONS), 2);
    let mut counts = servers.each_ref().map(|server| server.count());
    counts.sort_unstable();
    assert_eq!(counts[..2], [3, 3], "{counts:?}");
}

/// Answers of 4xx, and errors with a success between them, are no reason; nor is any failure of a
/// Service that asks for no ejection.
#[test]
fn what_is_not_said_or_not_a_row_ejects_nobody() {
    needs_lab!();
    let world = World::new();
    let _client_errors = endpoint(&world, 81, Act::Status(429));
    let flaky = scripted(&world, 82, |nth| Act::Status(if nth % 3 == 2 { 200 } else { 500 }));
    let _unwatched = endpoint(&world, 83, Act::Status(500));
    let objects = [
        fleet("a", &world.api, &[81], LONG),
        fleet("b", &world.api, &[82], LONG),
        fleet("c", &world.api, &[83], &[]),
        route("r", &[&rule("/a", "a"), &rule("/b", "b"), &rule("/c", "c")]),
    ];
    let fleet = Fleet::start(world, &objects);
    for path in ["/a", "/b", "/c"] {
        fleet.statuses(path, 30);
    }
    assert_eq!(flaky.count(), 30);
    assert_eq!(fleet.metric(EJECTIONS), 0);
}

/// A gRPC call answered with 200 that ends with a failure of the server: in the head, where nothing
/// comes before it, or in the trailers.
#[test]
fn calls_that_end_with_a_failure_of_the_server_count() {
    needs_lab!("node");
    for (path, status) in [("/grpc/0", 14), ("/grpc-late/0", 13)] {
        let world = World::new();
        let mut bad = Pooled::start(&world.api.ns, world.api.at(81), &format!("{{\"grpc\": {status}}}"));
        let mut good = Pooled::start(&world.api.ns, world.api.at(82), "{}");
        let objects = [h2c(&fleet("s", &world.api, &[81, 82], LONG)), route("r", &[&rule("/", "s")])];
        let fleet = Fleet::start(world, &objects);
        call(&fleet, path, 60);
        assert_eq!((bad.report().requests, good.report().requests), (3, 57), "{path}");
        assert_eq!(fleet.metric(EJECTIONS), 1, "{path}");
    }
}

/// What a caller did wrong, and what succeeded at last, ejects nobody.
#[test]
fn calls_that_end_otherwise_do_not_count() {
    needs_lab!("node");
    let world = World::new();
    let mut server = Pooled::start(&world.api.ns, world.api.at(81), "{}");
    let objects = [h2c(&fleet("s", &world.api, &[81], LONG)), route("r", &[&rule("/", "s")])];
    let fleet = Fleet::start(world, &objects);
    for way in ["grpc", "grpc-late"] {
        for status in [0, 1, 3, 5, 6, 7, 8, 9, 10, 11, 16] {
            call(&fleet, &format!("/{way}/{status}"), 4);
        }
        for _ in 0..4 {
            call(&fleet, &format!("/{way}/14"), 2);
            call(&fleet, &format!("/{way}/0"), 1);
        }
    }
    assert_eq!((server.report().requests, fleet.metric(EJECTIONS)), (2 * (44 + 12), 0));
}

/// So many calls, one after the other; each must be answered.
fn call(fleet: &Fleet, path: &str, count: usize) {
    let url = format!("http://{NODE_V4}:8080{path}");
    let fields = ["-H", "Content-Type: application/grpc", "-H", "TE: trailers", "-d", "call"];
    for _ in 0..count {
        let arguments = [&["--http2-prior-knowledge"], &fields[..], &[&url]].concat();
        assert_eq!(curl(&fleet.world.frontend, &arguments).0, 200, "{path}");
    }
}
