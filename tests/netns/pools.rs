//! Connections to endpoints: used again, shared in HTTP/2, and left in time when an endpoint closes
//! them or says that it will.

use std::time::Duration;

use tests::client::curl;
use tests::h2::{self, Endpoint, Seen, code, kind};
use tests::lab::NODE_V4;
use tests::{Act, Faulty, Pooled, peer, until};

use crate::fleet::{Fleet, endpoint, fleet, h2c, route, scripted};
use crate::world::World;

const RULE: &str = "backendRefs: [{name: s, port: 80}]";
const PATIENCE: Duration = Duration::from_secs(60);

/// Service `s` over an HTTP/1.1 server.
fn http1(act: Act) -> (Fleet, Faulty) {
    let world = World::new();
    let server = endpoint(&world, 81, act);
    let objects = [fleet("s", &world.api, &[81], &[]), route("r", &[RULE])];
    (Fleet::start(world, &objects), server)
}

/// Service `s` with these annotations over an HTTP/2 server with these options.
fn http2(options: &str, annotations: &[(&str, &str)]) -> (Fleet, Pooled) {
    let world = World::new();
    let server = Pooled::start(&world.api.ns, world.api.at(81), options);
    let service = h2c(&fleet("s", &world.api, &[81], annotations));
    // However long the server takes to say its SETTINGS on a busy machine.
    let flags = ["--limit", "connect_timeout=20s"];
    (Fleet::start_with(world, &[service, route("r", &[RULE])], &flags), server)
}

/// h2load with these arguments: all of `count` requests must succeed.
fn load(fleet: &Fleet, arguments: &[&str], count: usize) {
    let (url, number) = (format!("http://{NODE_V4}:8080/"), count.to_string());
    let all = [&["-n", &number], arguments, &[&url]].concat();
    let run = peer::run(&fleet.world.frontend.ns, "h2load", &all, b"", PATIENCE);
    let broken: Vec<_> = fleet.weir.flows().into_iter().filter(|flow| flow["verdict"] == "FAILED").collect();
    let fine = format!("{count} succeeded, 0 failed, 0 errored");
    assert!(run.text.contains(&fine), "{}\n{} broken: {:?}", run.text, broken.len(), broken.first());
    assert!(run.text.contains(&format!("status codes: {count} 2xx")), "{}", run.text);
}

fn post(fleet: &Fleet) -> u16 {
    let url = format!("http://{NODE_V4}:8080/");
    curl(&fleet.world.frontend, &["-d", "body", &url]).0
}

#[test]
fn a_connection_is_used_again_by_the_clients_after() {
    needs_lab!();
    let (fleet, server) = http1(Act::Status(200));
    for _ in 0..30 {
        assert_eq!(fleet.get("/").status, 200);
    }
    assert_eq!((server.connections(), server.count()), (1, 30));
    // Whoever comes from another address has connections of its own: the endpoint sees addresses.
    let url = format!("http://{NODE_V4}:8080/");
    assert_eq!(curl(&fleet.world.stranger, &[&url]).0, 200);
    assert_eq!(server.connections(), 2);
    assert_eq!(fleet.metric("weir_upstream_connections_opened_total{protocol=\"http1\"}"), 2);
    assert_eq!(fleet.metric("weir_upstream_connections_reused_total{protocol=\"http1\"}"), 29);
}

/// Servers close idle connections after a time. What was closed is not used, by no method.
#[test]
fn connections_that_endpoints_closed_while_idle_are_not_used() {
    needs_lab!();
    let (fleet, server) = http1(Act::Status(200));
    for nth in 1..=20 {
        assert_eq!(fleet.get("/").status, 200, "{nth}");
        assert_eq!(post(&fleet), 200, "{nth}");
        assert_eq!(server.connections(), nth);
        until("it to be closed", || {
            server.close_idle();
            (server.open() == 0).then_some(())
        });
    }
    assert_eq!(server.count(), 40, "nothing was sent twice");
    assert_eq!(fleet.metric("weir_retries_total"), 0);
}

/// A server that closes after every answer without having said so: whatever moment the close comes
/// at, no request that may be repeated fails.
#[test]
fn a_close_right_after_an_answer_fails_no_safe_request() {
    needs_lab!("h2load");
    let (fleet, server) = http1(Act::Last);
    assert_eq!(fleet.statuses("/", 200), [200; 200]);
    load(&fleet, &["-c", "4", "-m", "5"], 500);
    assert!(server.connections() >= 700, "{} connections", server.connections());
}

/// `Connection: close`, HTTP/1.0, and bytes beyond the answer: such a connection carries nothing more.
#[test]
fn connections_that_cannot_be_used_again_are_not() {
    needs_lab!();
    let answers = [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ];
    for answer in answers {
        let (fleet, server) = http1(Act::Raw(answer.into()));
        for _ in 0..10 {
            assert_eq!(fleet.get("/").text(), "ok", "{answer:?}");
        }
        assert_eq!((server.connections(), server.count()), (10, 10), "{answer:?}");
    }
}

/// As many connections as the streams that are wanted need: an endpoint says how many it takes.
#[test]
fn http2_connections_are_added_by_the_number_of_streams() {
    needs_lab!("node");
    let (fleet, mut server) = http2(r#"{"streams": 4}"#, &[]);
    assert_eq!(fleet.get("/").status, 200);
    server.tell("hold");
    let mut clients = Vec::new();
    for count in 1..=10 {
        clients.push(fleet.ask("/"));
        until("it to come", || (server.report().held == count).then_some(()));
    }
    let report = server.report();
    assert_eq!((report.opened, report.open), (3, 3), "{report:?}");
    assert_eq!(report.peaks, [4, 4, 2]);
    server.tell("release");
    for mut client in clients {
        assert_eq!(client.response().unwrap().status, 200);
    }
    // Those there are serve what follows.
    assert_eq!(fleet.statuses("/", 50), [200; 50]);
    assert_eq!(server.report().opened, 3);
}

/// The same at once: no connection gets more than it takes, and nothing fails.
#[test]
fn a_burst_of_streams_keeps_within_what_endpoints_take() {
    needs_lab!("node", "h2load");
    let (fleet, mut server) = http2(r#"{"streams": 4}"#, &[]);
    load(&fleet, &["-c", "10", "-m", "5"], 2000);
    let report = server.report();
    assert_eq!(report.requests, 2000, "nothing was sent twice");
    assert!(report.peaks.iter().all(|peak| *peak <= 4), "{report:?}");
    // 50 at a time need 13 of 4 streams.
    assert!((1..=20).contains(&report.opened), "{report:?}");
}

/// An endpoint that leaves gracefully, again and again and in the middle of the load: what it has
/// taken it answers, what it has not goes over another connection. Bodies included.
#[test]
fn goaway_in_the_middle_of_a_load_fails_no_request() {
    needs_lab!("node", "h2load");
    let (fleet, mut server) = http2(r#"{"goaway": 200}"#, &[]);
    load(&fleet, &["-c", "10", "-m", "10"], 3000);
    let body = fleet.world.lab.folder().join("body");
    std::fs::write(&body, vec![b'b'; 2000]).unwrap();
    load(&fleet, &["-c", "10", "-m", "10", "-d", &body.to_string_lossy()], 1000);
    let clients: Vec<_> = (0..8).map(|_| fleet.client()).collect();
    let one_by_one = clients.into_iter().map(|mut client| {
        std::thread::spawn(move || (0..125).map(|_| client.get("/").unwrap().status).collect::<Vec<_>>())
    });
    for running in one_by_one.collect::<Vec<_>>() {
        assert_eq!(running.join().unwrap(), [200; 125]);
    }
    let report = server.report();
    assert_eq!(report.requests, 5000, "each was taken once: {report:?}");
    assert!(report.opened >= 5000 / 400, "{report:?}");
}

/// The same with so many streams at once that a request is left out again and again: as long as the
/// endpoint takes others, its turn comes.
#[test]
fn goaway_to_many_streams_at_once_fails_no_request() {
    needs_lab!("h2load");
    for (streams, goaway) in [(40, 200), (100, 100), (100, 20)] {
        let last = 2 * goaway - 1;
        let (fleet, server) = leaving(streams, last);
        load(&fleet, &["-c", "10", "-m", "40"], 3000);
        let (taken, left_out): (Vec<_>, Vec<_>) =
            server.seen().into_iter().partition(|seen| seen.stream <= last);
        assert_eq!(taken.len(), 3000, "each was taken once");
        assert!(!left_out.is_empty(), "{streams} {goaway}: none had to be tried again");
    }
}

/// Service `s` over an HTTP/2 endpoint with so many streams at a time, and GOAWAY at this stream: what comes behind it
/// is not looked at. It is made of frames, as Node's server does not survive this.
fn leaving(streams: u32, last: u32) -> (Fleet, Endpoint) {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let world = World::new();
    let script = move |seen: &Seen| {
        let goodbye =
            || h2::frame(kind::GOAWAY, 0, 0, &[last, code::NO_ERROR].map(u32::to_be_bytes).concat());
        let goodbye = if seen.stream == last { goodbye() } else { Vec::new() };
        (seen.ended && seen.stream <= last).then(|| [goodbye, Endpoint::answer(seen, b"s")].concat())
    };
    let settings = [(MAX_CONCURRENT_STREAMS, streams)];
    let server = Endpoint::with(&world.api.ns, world.api.at(81), &settings, script);
    let service = h2c(&fleet("s", &world.api, &[81], &[]));
    (Fleet::start(world, &[service, route("r", &[RULE])]), server)
}

/// What is under way when GOAWAY comes is finished, and what comes after takes another connection.
#[test]
fn goaway_lets_streams_finish() {
    needs_lab!("node");
    let (fleet, mut server) = http2("{}", &[]);
    assert_eq!(fleet.get("/").status, 200);
    server.tell("hold");
    let mut clients: Vec<_> = (0..5).map(|_| fleet.ask("/")).collect();
    until("all to come", || (server.report().held == 5).then_some(()));
    server.tell("goaway");
    let late = fleet.ask("/");
    until("the one after", || (server.report().held == 6).then_some(()));
    assert_eq!(server.report().opened, 2);
    server.tell("release");
    for client in clients.iter_mut().chain([late].iter_mut()) {
        assert_eq!(client.response().unwrap().status, 200);
    }
    until("the old connection to end", || (server.report().open == 1).then_some(()));
    assert_eq!(fleet.metric("weir_retries_total"), 0);
}

/// An endpoint that is killed and started again: its connections are known to be gone at once.
#[test]
fn an_endpoint_that_comes_back_is_served_by_new_connections() {
    needs_lab!("node");
    let (fleet, server) = http2("{}", &[]);
    assert_eq!(fleet.get("/").status, 200);
    drop(server);
    assert_eq!(fleet.get("/").status, 503, "nobody is there");
    let at = fleet.world.api.at(81);
    let mut server = Pooled::start(&fleet.world.api.ns, at, "{}");
    assert_eq!(fleet.statuses("/", 10), [200; 10]);
    assert_eq!(post(&fleet), 200);
    assert_eq!(server.report().opened, 1);
}

/// A server may answer and close in the middle of a connection's life: only some connections end.
#[test]
fn connections_that_end_now_and_then_fail_no_safe_request_under_load() {
    needs_lab!("h2load");
    let world = World::new();
    let server = scripted(&world, 81, |nth| if nth % 7 == 6 { Act::Last } else { Act::Status(200) });
    let objects = [fleet("s", &world.api, &[81], &[]), route("r", &[RULE])];
    let fleet = Fleet::start(world, &objects);
    load(&fleet, &["-c", "8", "-m", "4"], 3000);
    assert!(server.connections() >= 3000 / 7 / 2, "{} connections", server.connections());
}

/// The status of a gRPC call stands in trailers, which have to pass even where the answer says how
/// long it is: in HTTP/1.1 text the two exclude each other.
#[test]
fn the_status_of_a_call_passes_where_its_answer_has_a_length() {
    needs_lab!("node", "nghttp");
    let (fleet, _server) = http2(r#"{"length": true}"#, &[]);
    let body = fleet.world.lab.folder().join("call");
    std::fs::write(&body, "call").unwrap();
    let url = format!("http://{NODE_V4}:8080/grpc-late/0");
    let body = body.to_string_lossy();
    let arguments = ["-nv", "-H", "content-type: application/grpc", "-H", "te: trailers", "-d", &body, &url];
    let run = peer::run(&fleet.world.frontend.ns, "nghttp", &arguments, b"", PATIENCE);
    assert!(run.text.contains(":status: 200"), "{}", run.text);
    assert!(run.text.contains("grpc-status: 0"), "{}", run.text);
}
