//! Circuit breakers: so many connections, requests under way and requests that wait, of a Service
//! and of each of its endpoints. What is beyond is refused at once, and room is used again.

use tests::client::Client;
use tests::{Act, until};

use crate::fleet::{Fleet, endpoint, fleet, h2c, route};
use crate::world::World;

const RULE: &str = "backendRefs: [{name: s, port: 80}]";

fn rejected(fleet: &Fleet, breaker: &str) -> u64 {
    fleet.metric(&format!("weir_breaker_rejected_total{{breaker=\"{breaker}\"}}"))
}

fn answered(mut client: Client) -> u16 {
    client.response().unwrap().status
}

/// Requests of the Service: two are under way, a third is refused, and one more passes when they are done.
#[test]
fn requests_of_a_service_are_bounded_whatever_they_came_by() {
    needs_lab!("nghttp");
    let world = World::new();
    let server = endpoint(&world, 81, Act::Hold);
    let other = endpoint(&world, 82, Act::Hold);
    let objects = [
        fleet("s", &world.api, &[81, 82], &[("max-requests", "2")]),
        route("r", &[RULE]),
        route("other", &[&format!("matches: [{{path: {{value: /other}}}}], {RULE}")]),
    ];
    let fleet = Fleet::start(world, &objects);
    let held = [fleet.ask("/"), fleet.ask("/other")];
    until("both to be under way", || (server.under_way() + other.under_way() == 2).then_some(()));
    for path in ["/", "/other"] {
        assert_eq!(fleet.get(path).status, 503, "{path}");
    }
    fleet.wait_failure("overloaded");
    assert_eq!(rejected(&fleet, "requests"), 2);
    let overloaded =
        "weir_service_requests_overloaded_total{namespace=\"default\",service=\"s\",port=\"80\"}";
    // Counted with the flow record, which comes after the answer.
    until("both to be counted", || (fleet.metric(overloaded) == 2).then_some(()));
    for server in [&server, &other] {
        server.release();
    }
    assert_eq!(held.map(answered), [200, 200]);
    assert_eq!(fleet.statuses("/", 20), [200; 20]);
    assert_eq!(rejected(&fleet, "requests"), 2);
}

#[test]
fn an_endpoint_at_its_bound_is_left_for_another() {
    needs_lab!();
    let world = World::new();
    let servers = [81, 82].map(|port| endpoint(&world, port, Act::Hold));
    let objects = [fleet("s", &world.api, &[81, 82], &[("max-endpoint-requests", "2")]), route("r", &[RULE])];
    let fleet = Fleet::start(world, &objects);
    let mut held = Vec::new();
    for count in 1..=4 {
        held.push(fleet.ask("/"));
        until("it to be under way", || {
            (servers.iter().map(|server| server.under_way()).sum::<usize>() == count).then_some(())
        });
    }
    assert_eq!(servers.each_ref().map(|server| server.under_way()), [2, 2]);
    assert_eq!(fleet.get("/").status, 503);
    fleet.wait_failure("overloaded");
    // Room at one of them is room.
    servers[0].release();
    until("its two to be done", || (servers[0].under_way() == 0).then_some(()));
    assert_eq!(fleet.statuses("/", 10), [200; 10]);
    assert_eq!(servers[1].under_way(), 2);
    servers[1].release();
    assert!(held.into_iter().map(answered).all(|status| status == 200));
}

/// With one connection there may be, one request is sent, so many wait, and the next is refused.
#[test]
fn connections_are_bounded_and_so_many_requests_wait_for_one() {
    needs_lab!();
    for bound in ["max-connections", "max-endpoint-connections"] {
        let world = World::new();
        let server = endpoint(&world, 81, Act::Hold);
        let objects = [
            fleet("s", &world.api, &[81], &[(bound, "1"), ("max-pending-requests", "2")]),
            route("r", &[RULE]),
        ];
        // Whoever waits is told, however long this takes.
        let fleet = Fleet::start_with(world, &objects, &["--limit", "pending_timeout=60s"]);
        let first = fleet.ask("/first");
        until("the first to be under way", || (server.under_way() == 1).then_some(()));
        let mut waiting = [fleet.ask("/second"), fleet.ask("/third")];
        // Which of them is refused tells when two wait: of four requests that find no room one is.
        let refused = until("one to be refused", || {
            let status = answered(fleet.ask("/fourth"));
            (status == 503).then_some(status)
        });
        assert_eq!(refused, 503, "{bound}");
        assert!(rejected(&fleet, "pending") >= 1, "{bound}");
        fleet.wait_failure("overloaded");
        assert_eq!((server.connections(), server.count()), (1, 1), "{bound}");
        server.release();
        assert_eq!(answered(first), 200);
        for client in &mut waiting {
            assert_eq!(client.response().unwrap().status, 200, "{bound}");
        }
        assert_eq!(server.connections(), 1, "{bound}: all on the one connection");
    }
}

/// Without a bound for those that wait none does.
#[test]
fn without_a_queue_a_full_service_refuses_at_once() {
    needs_lab!();
    let world = World::new();
    let server = endpoint(&world, 81, Act::Hold);
    let objects = [fleet("s", &world.api, &[81], &[("max-connections", "1")]), route("r", &[RULE])];
    let fleet = Fleet::start(world, &objects);
    let first = fleet.ask("/");
    until("it to be under way", || (server.under_way() == 1).then_some(()));
    assert_eq!(fleet.get("/").status, 503);
    assert_eq!(rejected(&fleet, "connections"), 1);
    server.release();
    assert_eq!(answered(first), 200);
    assert_eq!(fleet.statuses("/", 10), [200; 10]);
    assert_eq!(server.connections(), 1);
}

/// A request whose client is gone takes no room.
#[test]
fn a_client_that_leaves_gives_its_place_back() {
    needs_lab!();
    let world = World::new();
    let server = endpoint(&world, 81, Act::Hold);
    let objects = [fleet("s", &world.api, &[81], &[("max-requests", "1")]), route("r", &[RULE])];
    let fleet = Fleet::start(world, &objects);
    let gone = fleet.ask("/");
    until("it to be under way", || (server.under_way() == 1).then_some(()));
    assert_eq!(fleet.get("/").status, 503);
    rustix::net::connect_unspec(&gone.stream).unwrap();
    until("the endpoint to be rid of it", || (server.under_way() == 0).then_some(()));
    server.does(Act::Status(200));
    until("the place to be free", || (fleet.get("/").status == 200).then_some(()));
}

/// Who waits for a connection that others share waits like everybody else. This endpoint accepts
/// connections and says nothing on them.
#[test]
fn requests_that_wait_for_a_shared_connection_are_bounded_too() {
    needs_lab!();
    let world = World::new();
    let silent = endpoint(&world, 81, Act::Hold);
    let bounded = [("max-pending-requests", "2")];
    let objects = [h2c(&fleet("s", &world.api, &[81], &bounded)), route("r", &[RULE])];
    // Long enough that all have asked before the first gives up.
    let fleet = Fleet::start_with(world, &objects, &["--limit", "connect_timeout=6s"]);
    // It has the connection, and waits for its answer alone.
    let _first = fleet.ask("/first");
    until("the connection", || (silent.under_way() == 1).then_some(()));
    let others: Vec<Client> = (0..5).map(|_| fleet.ask("/")).collect();
    until("three to be refused", || (rejected(&fleet, "pending") == 3).then_some(()));
    fleet.wait_failure("overloaded");
    // The two that waited find out in the end; the bound is then free for others.
    for client in others {
        assert_eq!(answered(client), 503);
    }
    fleet.wait_failure("connect_failed");
    assert_eq!(rejected(&fleet, "pending"), 3);
}
