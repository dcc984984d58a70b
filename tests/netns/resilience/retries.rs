//! What is tried again, how often, when, and what never is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tests::client::curl;
use tests::lab::NODE_V4;
use tests::{Act, until};

use crate::fleet::{Fleet, endpoint, fleet, route, scripted};
use crate::world::World;

const RETRIES: &str = "weir_retries_total";
const STALE: Act = Act::Close;

/// The inside of a rule for a path that leads to a Service.
fn rule(path: &str, name: &str, rest: &str) -> String {
    format!("matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: {name}, port: 80}}]{rest}")
}

/// One request of curl by a method, with a short body for POST.
fn send(fleet: &Fleet, method: &str, path: &str) -> u16 {
    let url = format!("http://{NODE_V4}:8080{path}");
    let body: &[&str] = if method == "POST" { &["-d", "body"] } else { &[] };
    curl(&fleet.world.frontend, &[&["-X", method], body, &[&url]].concat()).0
}

#[test]
fn answers_are_tried_again_by_their_code_and_so_often() {
    needs_lab!();
    let world = World::new();
    let fails_twice = |nth: usize| Act::Status(if nth % 3 < 2 { 503 } else { 200 });
    let flaky = scripted(&world, 81, fails_twice);
    let dead = scripted(&world, 82, |nth| Act::Status(500 + u16::try_from(nth).unwrap()));
    let objects = [
        fleet("flaky", &world.api, &[81], &[]),
        fleet("dead", &world.api, &[82], &[]),
        route(
            "r",
            &[
                &rule("/twice", "flaky", ", retry: {codes: [502, 503], attempts: 2, backoff: 1ms}"),
                &rule("/once", "flaky", ", retry: {codes: [503]}"),
                &rule("/other", "flaky", ", retry: {codes: [500], attempts: 5}"),
                &rule("/off", "flaky", ", retry: {codes: [503], attempts: 0}"),
                &rule("/none", "flaky", ""),
                &rule("/dead", "dead", ", retry: {codes: [500, 501, 502, 503], attempts: 3}"),
            ],
        ),
    ];
    let fleet = Fleet::start(world, &objects);
    // Path, status, tries. After each the endpoint is made to begin anew with its failures.
    let cases =
        [("/twice", 200, 3), ("/once", 503, 2), ("/other", 503, 1), ("/off", 503, 1), ("/none", 503, 1)];
    for method in ["GET", "POST"] {
        for (path, status, tries) in cases {
            while flaky.count() % 3 != 0 {
                fleet.get("/none");
            }
            let before = flaky.count();
            assert_eq!(send(&fleet, method, path), status, "{method} {path}");
            assert_eq!(flaky.count() - before, tries, "{method} {path}");
        }
    }
    assert_eq!(fleet.metric(RETRIES), 6);
    // The body is the same each time.
    for seen in flaky.seen().iter().filter(|seen| seen.method == "POST") {
        assert_eq!(seen.body, b"body", "{seen:?}");
    }
    // When all attempts are used up the last answer counts.
    assert_eq!(fleet.get("/dead").status, 503);
    assert_eq!(dead.count(), 4);
}

/// The least time that a route says lies between two tries.
#[test]
fn tries_are_apart_by_the_backoff_of_the_route() {
    needs_lab!();
    let world = World::new();
    let dead = endpoint(&world, 81, Act::Status(503));
    let retry = ", retry: {codes: [503], attempts: 3, backoff: 200ms}";
    let objects = [fleet("dead", &world.api, &[81], &[]), route("r", &[&rule("/", "dead", retry)])];
    let fleet = Fleet::start(world, &objects);
    assert_eq!(fleet.get("/").status, 503);
    let arrivals = dead.arrivals();
    assert_eq!(arrivals.len(), 4);
    for pair in arrivals.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(200), "{arrivals:?}");
    }
}

/// A connection that is refused has carried nothing: any method may go to another endpoint.
#[test]
fn endpoints_that_refuse_connections_are_left_for_others() {
    needs_lab!();
    let world = World::new();
    let good = endpoint(&world, 81, Act::Status(200));
    let objects = [
        fleet("mixed", &world.api, &[81, 9], &[]),
        fleet("gone", &world.api, &[9], &[]),
        route("r", &[&rule("/mixed", "mixed", ""), &rule("/gone", "gone", "")]),
    ];
    let fleet = Fleet::start(world, &objects);
    until("the endpoint that refuses to be chosen", || {
        for method in ["GET", "POST"] {
            // curl takes a connection for each: an idle one would always lead to the good endpoint.
            assert_eq!(send(&fleet, method, "/mixed"), 200, "{method}");
        }
        (fleet.metric(RETRIES) > 2).then_some(())
    });
    assert!(good.count() > 2);
    assert_eq!(send(&fleet, "GET", "/gone"), 503);
    fleet.wait_failure("connect_failed");
}

/// What an endpoint may have done is not done twice unless the route says that it may be.
#[test]
fn what_was_sent_is_repeated_only_where_the_route_says_so() {
    needs_lab!();
    let world = World::new();
    let objects = [
        fleet("closes", &world.api, &[81], &[]),
        fleet("resets", &world.api, &[82], &[]),
        route(
            "r",
            &[
                &rule("/plain/closes", "closes", ""),
                &rule("/plain/resets", "resets", ""),
                &rule("/retry/closes", "closes", ", retry: {attempts: 2, backoff: 1ms}"),
                &rule("/retry/resets", "resets", ", retry: {attempts: 2, backoff: 1ms}"),
            ],
        ),
    ];
    let closes = endpoint(&world, 81, Act::Close);
    let resets = endpoint(&world, 82, Act::Reset);
    let fleet = Fleet::start(world, &objects);
    for (path, server) in [("closes", &closes), ("resets", &resets)] {
        for method in ["GET", "POST", "DELETE"] {
            for (way, tries) in [("plain", 1), ("retry", 3)] {
                let before = server.count();
                let path = format!("/{way}/{path}");
                assert_eq!(send(&fleet, method, &path), 502, "{method} {path}");
                assert_eq!(server.count() - before, tries, "{method} {path}");
            }
        }
    }
    fleet.wait_failure("upstream_failed");
}

/// An endpoint that closes an idle connection at the moment that a request comes: it is repeated
/// if that is safe, on a connection that is not idle.
#[test]
fn a_safe_request_on_a_connection_that_was_idle_is_repeated_and_others_are_not() {
    needs_lab!();
    let world = World::new();
    // The second request of each connection finds it closed: the third comes on a new one.
    let turn = AtomicUsize::new(0);
    let stale = scripted(&world, 81, move |_| match turn.fetch_add(1, Ordering::SeqCst) % 2 {
        0 => Act::Status(200),
        _ => STALE,
    });
    let objects = [fleet("stale", &world.api, &[81], &[]), route("r", &[&rule("/", "stale", "")])];
    let fleet = Fleet::start(world, &objects);
    assert_eq!(send(&fleet, "GET", "/"), 200);
    for method in ["GET", "HEAD", "OPTIONS"] {
        let before = stale.count();
        let mut client = fleet.client();
        let head = format!("{method} / HTTP/1.1\r\nHost: fleet\r\nConnection: close\r\n\r\n");
        client.send(head).unwrap();
        let answer = String::from_utf8(client.rest().unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{method}: {answer}");
        assert_eq!(stale.count() - before, 2, "{method}");
    }
    let before = stale.count();
    assert_eq!(send(&fleet, "POST", "/"), 502, "it may have been done");
    assert_eq!(stale.count() - before, 1);
}

/// Retries are a share of the requests of an interval, and a few in any case.
#[test]
fn a_budget_bounds_the_retries_of_a_service() {
    needs_lab!();
    let world = World::new();
    let dead = endpoint(&world, 81, Act::Status(503));
    let retry = ", retry: {codes: [503], attempts: 1, backoff: 1ms}";
    let objects =
        [fleet("dead", &world.api, &[81], &[]), route("r", &[&rule("/", "dead", retry)]), BUDGET.to_owned()];
    let fleet = Fleet::start(world, &objects);
    let statuses = fleet.statuses("/", 90);
    assert!(statuses.iter().all(|status| *status == 503), "the answer of the endpoint: {statuses:?}");
    let retries = dead.count() - 90;
    // A tenth of all tries, within one interval of an hour.
    assert_eq!(retries, 10);
    assert_eq!(fleet.metric(RETRIES), 10);
    assert_eq!(fleet.metric("weir_retries_over_budget_total"), 80);
}

/// 64 KiB are kept to be sent again; a longer body passes once.
#[test]
fn a_long_body_is_sent_once() {
    needs_lab!();
    let world = World::new();
    let dead = endpoint(&world, 81, Act::Status(503));
    let retry = ", retry: {codes: [503], attempts: 2, backoff: 1ms}";
    let objects = [fleet("dead", &world.api, &[81], &[]), route("r", &[&rule("/", "dead", retry)])];
    let fleet = Fleet::start(world, &objects);
    for (length, tries) in [(60_000, 3), (70_000, 1)] {
        let file = fleet.world.lab.folder().join("body");
        std::fs::write(&file, vec![b'z'; length]).unwrap();
        let (data, url) = (format!("@{}", file.display()), format!("http://{NODE_V4}:8080/"));
        let before = dead.count();
        let (status, _) = curl(&fleet.world.frontend, &["--data-binary", &data, "-H", "Expect:", &url]);
        assert_eq!(status, 503);
        let seen = &dead.seen()[before..];
        assert_eq!(seen.len(), tries, "{length} bytes");
        assert!(seen.iter().all(|seen| seen.body.len() == length));
    }
    assert_eq!(fleet.metric("weir_limit_hits_total{limit=\"retry_bytes\"}"), 1);
}

const BUDGET: &str = r"
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: dead, namespace: default}
spec:
  targetRefs: [{group: '', kind: Service, name: dead}]
  retryConstraint:
    budget: {percent: 10, interval: 1h}
    minRetryRate: {count: 1, interval: 1h}
";
