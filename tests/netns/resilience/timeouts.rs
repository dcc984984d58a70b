//! The time that a route allows, and that which a connection may take.

use std::time::Duration;

use tests::client::curl;
use tests::lab::NODE_V4;
use tests::objects::service;
use tests::{Act, until};

use crate::fleet::{Fleet, endpoint, fleet, route, scripted};
use crate::world::World;

#[test]
fn a_request_that_takes_too_long_is_504_and_is_taken_from_its_endpoint() {
    needs_lab!();
    let world = World::new();
    let slow = endpoint(&world, 81, Act::Hold);
    let rule = "backendRefs: [{name: slow, port: 80}]";
    let objects = [
        fleet("slow", &world.api, &[81], &[]),
        route(
            "r",
            &[
                &format!("{rule}, timeouts: {{request: 300ms}}"),
                &format!("matches: [{{path: {{value: /unbounded}}}}], {rule}"),
            ],
        ),
    ];
    let fleet = Fleet::start(world, &objects);
    for client in ["--http1.1", "--http2-prior-knowledge"] {
        let (status, _) = curl(&fleet.world.frontend, &[client, &format!("http://{NODE_V4}:8080/")]);
        assert_eq!(status, 504, "{client}");
    }
    until("both to be seen", || (slow.count() >= 2).then_some(()));
    until("the endpoint to be rid of both", || (slow.under_way() == 0 && slow.open() == 0).then_some(()));
    assert_eq!(slow.count(), 2, "it is not tried again");
    assert_eq!(fleet.metric("weir_route_request_timeouts_total"), 2);
    fleet.wait_failure("route_timeout");
    // The connection of the client goes on.
    let mut client = fleet.client();
    assert_eq!(client.get("/").unwrap().status, 504);
    slow.does(Act::Status(200));
    assert_eq!(client.get("/unbounded").unwrap().status, 200);
}

#[test]
fn a_try_that_takes_too_long_is_made_again_within_the_time_of_the_request() {
    needs_lab!();
    let world = World::new();
    let once = scripted(&world, 81, |nth| if nth == 0 { Act::Hold } else { Act::Status(200) });
    let never = endpoint(&world, 82, Act::Hold);
    let rule = |path: &str, name: &str, rest: &str| {
        format!("matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: {name}, port: 80}}], {rest}")
    };
    let objects = [
        fleet("once", &world.api, &[81], &[]),
        fleet("never", &world.api, &[82], &[]),
        route(
            "r",
            &[
                // As much as the second try may take on a busy machine.
                &rule("/once", "once", "timeouts: {backendRequest: 3s}, retry: {attempts: 1}"),
                &rule("/alone", "never", "timeouts: {backendRequest: 300ms}"),
                &rule(
                    "/whole",
                    "never",
                    "timeouts: {request: 1s, backendRequest: 300ms}, retry: {attempts: 50, backoff: 10ms}",
                ),
            ],
        ),
    ];
    let fleet = Fleet::start(world, &objects);
    assert_eq!(fleet.get("/once").status, 200);
    assert_eq!((once.count(), fleet.metric("weir_route_try_timeouts_total")), (2, 1));
    assert_eq!(fleet.get("/alone").status, 504, "not without retry");
    until("it to be seen", || (never.connections() == 1 && never.count() == 1).then_some(()));
    assert_eq!(fleet.get("/whole").status, 504);
    // A try has a connection of its own; the time may be over before it has sent anything on it.
    let tries = until("all to be seen, and the endpoint to be rid of them", || {
        let tries = never.connections();
        (tries > 1 && never.count() + 1 >= tries && never.open() == 0).then_some(tries)
    });
    // 300 ms and 10 ms and what a busy machine adds: at most four tries fit into one second.
    assert!((1..=4).contains(&(tries - 1)), "{} tries", tries - 1);
    // Each try ended so; the last by the time of the request, if there was any left for it. That may also
    // be over between two tries.
    let [try_ended, request_ended] =
        ["try", "request"].map(|whose| fleet.metric(&format!("weir_route_{whose}_timeouts_total")));
    assert!(request_ended <= 1, "{request_ended}");
    let (tries, ended) = (tries as u64, try_ended - 1);
    assert!(ended == tries || ended + request_ended == tries, "{ended} + {request_ended} of {tries}");
}

/// The time of a request ends its answer too: what came of it cannot be passed for the whole.
#[test]
fn an_answer_that_does_not_end_is_broken_off() {
    needs_lab!();
    let world = World::new();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let _slow = endpoint(&world, 81, Act::Raw(head.into()));
    let objects = [
        fleet("slow", &world.api, &[81], &[]),
        // So long that the half is there by then, also on a busy machine.
        route("r", &["backendRefs: [{name: slow, port: 80}], timeouts: {request: 3s}"]),
    ];
    let fleet = Fleet::start(world, &objects);
    let error = fleet.client().get("/").unwrap_err();
    let kinds = [std::io::ErrorKind::UnexpectedEof, std::io::ErrorKind::ConnectionReset];
    assert!(kinds.contains(&error.kind()), "{error}");
    let url = format!("http://{NODE_V4}:8080/");
    let output =
        fleet.world.frontend.ns.command("curl").args(["-sS", "--http2-prior-knowledge", &url]).output();
    assert!(!output.unwrap().status.success(), "a stream that is reset is no answer");
    fleet.wait_failure("route_timeout");
}

/// Endpoints whose node swallows every packet: nobody refuses the connection.
#[test]
fn an_endpoint_that_does_not_answer_a_connect_is_left_for_another() {
    needs_lab!();
    let world = World::new();
    world.lab.other.ip("route add blackhole 10.77.1.99/32").unwrap();
    let good = endpoint(&world, 81, Act::Status(200));
    let gone = ("10.77.1.99".parse().unwrap(), 80);
    let objects = [
        service("mixed", &[], 80, &[gone, (world.api.v4.into(), 81)]),
        service("gone", &[], 80, &[gone]),
        route(
            "r",
            &[
                "matches: [{path: {value: /mixed}}], backendRefs: [{name: mixed, port: 80}]",
                "matches: [{path: {value: /gone}}], backendRefs: [{name: gone, port: 80}]",
                "matches: [{path: {value: /short}}], backendRefs: [{name: gone, port: 80}], \
                 timeouts: {request: 300ms}",
            ],
        ),
    ];
    // Much longer than what the last of the rules allows.
    let fleet = Fleet::start_with(world, &objects, &["--limit", "connect_timeout=4s"]);
    until("the endpoint that is gone to be tried", || {
        let statuses = fleet.statuses("/mixed", 4);
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        (fleet.metric("weir_limit_hits_total{limit=\"connect_timeout\"}") > 0).then_some(())
    });
    assert!(good.count() >= 4);
    assert_eq!(fleet.get("/gone").status, 503);
    fleet.wait_failure("connect_failed");
    assert_eq!(fleet.get("/short").status, 504, "what the route allows comes first");
    assert_eq!(fleet.metric("weir_route_request_timeouts_total"), 1);
}

/// What is idle is closed in the end: a client that says nothing, one between two requests, and a
/// connection to an endpoint that nobody uses. All at once, as the longest takes a minute.
#[test]
fn idle_connections_are_closed_in_the_end() {
    needs_lab!();
    let world = World::new();
    let server = endpoint(&world, 81, Act::Status(200));
    let objects = [fleet("s", &world.api, &[81], &[]), route("r", &["backendRefs: [{name: s, port: 80}]"])];
    let fleet = Fleet::start(world, &objects);
    let (mut silent, mut idle) = (fleet.client(), fleet.client());
    assert_eq!(idle.get("/").unwrap().status, 200);
    assert_eq!((server.connections(), server.open()), (1, 1));
    for client in [&silent, &idle] {
        client.stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    }
    assert_eq!(silent.rest().unwrap(), b"", "a close without a word");
    assert_eq!(server.open(), 1, "shorter than what endpoints are kept for");
    assert_eq!(idle.rest().unwrap(), b"", "a close without a word");
    assert_eq!(server.open(), 0, "longer than that");
    for (limit, count) in [("head_timeout", 1), ("idle_timeout", 1), ("stall_timeout", 0)] {
        assert_eq!(fleet.metric(&format!("weir_limit_hits_total{{limit=\"{limit}\"}}")), count, "{limit}");
    }
}
