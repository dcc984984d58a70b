//! Limits of time.

use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use tests::client::Client;
use tests::{Act, h2, until};

use super::{GATEWAY, Site};

/// Between two signs of life. A machine may be so busy that they come with long gaps: limits that they have
/// to keep within are of seconds.
const PAUSE: Duration = Duration::from_millis(200);

#[test]
fn heads_and_the_next_request_are_waited_for_so_long() {
    needs_lab!();
    let site = Site::start(&["head_timeout=3s", "idle_timeout=2s"]);
    let (mut slow, mut silent) = (site.client(), site.client());
    slow.send("GET / HTTP/1.1\r\nHost: a").unwrap();
    assert_eq!(slow.response().unwrap().status, 408);
    assert_eq!(slow.rest().unwrap(), b"");
    assert_eq!(silent.rest().unwrap(), b"");
    site.counts("head_timeout", 2);
    let mut idle = site.client();
    assert_eq!(idle.get("/").unwrap().status, 200);
    assert_eq!(idle.rest().unwrap(), b"");
    let mut streams = h2::Client::connect(&site.world.frontend, GATEWAY).unwrap();
    assert_eq!(streams.get("/").unwrap().status, 200);
    assert_eq!(streams.end().unwrap(), Some(h2::code::NO_ERROR));
    site.counts("idle_timeout", 2);
    let mut busy = site.client();
    // For twice the limit.
    for _ in 0..20 {
        thread::sleep(PAUSE);
        assert_eq!(busy.get("/").unwrap().status, 200);
    }
    site.counts("idle_timeout", 2);
}

/// An endpoint that does not answer: the client's connection goes on, and so does its other stream.
#[test]
fn exchanges_may_stand_still_so_long() {
    needs_lab!();
    let site = Site::start(&["stall_timeout=2s"]);
    site.server.does(Act::Hold);
    let mut plain = site.client();
    assert_eq!(plain.get("/act").unwrap().status, 504);
    assert_eq!(plain.get("/").unwrap().status, 200);
    let mut streams = h2::Client::connect(&site.world.frontend, GATEWAY).unwrap();
    assert_eq!(streams.get("/act").unwrap().status, 504);
    assert_eq!(streams.get("/").unwrap().status, 200);
    site.counts("stall_timeout", 2);
    until("the endpoint to be rid of both", || (site.server.open() == 0).then_some(()));
    // An answer that does not go on cannot be taken back: its client must see that it is not whole.
    site.server.does(Act::Raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".into()));
    let mut cut = site.client();
    let error = cut.get("/act").unwrap_err();
    assert!(matches!(error.kind(), std::io::ErrorKind::ConnectionReset), "{error}");
    assert!(streams.get("/act").unwrap().reset.is_some());
    site.counts("stall_timeout", 4);
    site.weir.wait_flow("it", |flow| flow["verdict"] == "FAILED" && flow["reason"] == "limit");
}

fn upgraded(site: &Site) -> Client {
    let mut client = site.client();
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let fields = ["Connection: Upgrade", "Upgrade: websocket", key, "Sec-WebSocket-Version: 13"];
    assert_eq!(client.request("GET", "/", &fields).unwrap().status, 101);
    client
}

/// Tunnels that stand still are ended, those in which a byte moves now and then are not.
#[test]
fn tunnels_may_stand_still_so_long() {
    needs_lab!();
    let site = Site::start(&["tunnel_timeout=4s", "stall_timeout=1s", "idle_timeout=1s"]);
    let mut tunnels = [site.bytes(), upgraded(&site)];
    // For twice the limit, and each time for longer than anything else may stand still.
    for _ in 0..5 {
        for tunnel in &mut tunnels {
            tunnel.send("x").unwrap();
            assert_eq!(tunnel.read(1).unwrap(), b"x");
        }
        thread::sleep(8 * PAUSE);
    }
    site.counts("tunnel_timeout", 0);
    for tunnel in &mut tunnels {
        assert_eq!(tunnel.rest().unwrap(), b"");
    }
    site.counts("tunnel_timeout", 2);
    site.weir.wait_flow("a tunnel", |flow| flow["reason"] == "limit" && flow["destination"]["port"] == 9000);
}

/// A client that sends no more may only have closed its sending side; but not for ever.
#[test]
fn clients_that_closed_their_side_are_owed_an_answer_so_long() {
    needs_lab!();
    let site = Site::start(&["half_closed_timeout=2s"]);
    site.server.does(Act::Hold);
    let mut gone = site.client();
    gone.send("GET /act HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    gone.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(gone.rest().unwrap(), b"");
    until("the endpoint to be rid of it", || (site.server.open() == 0).then_some(()));
    site.counts("stall_timeout", 1);
    let mut waits = site.client();
    waits.send("GET /act HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    until("it to come", || (site.server.under_way() == 1).then_some(()));
    waits.stream.shutdown(Shutdown::Write).unwrap();
    site.server.release();
    assert_eq!(waits.response().unwrap().status, 200);
}

/// A closed connection lingers until its client has read the last answer, but no longer than that.
#[test]
fn closing_connections_linger_so_long() {
    needs_lab!();
    let site = Site::start(&["linger_timeout=500ms"]);
    let mut stays = site.client();
    stays.send("no HTTP at all\r\n\r\n").unwrap();
    assert_eq!(stays.response().unwrap().status, 400);
    site.counts("linger_timeout", 1);
    // Neither side has closed it in peace: what is said now is answered with a reset.
    until("a reset", || stays.send("x").is_err().then_some(()));
}

/// Where a Service has as many connections as it may, a request waits for one so long.
#[test]
fn requests_wait_for_room_so_long() {
    needs_lab!();
    let bound = [("max-connections", "1"), ("max-pending-requests", "2")];
    let site = Site::annotated(&["pending_timeout=500ms"], &bound);
    site.server.does(Act::Hold);
    let mut first = site.client();
    first.send("GET /act HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    until("it to come", || (site.server.under_way() == 1).then_some(()));
    assert_eq!(site.client().get("/act").unwrap().status, 503);
    site.counts("pending_timeout", 1);
    site.server.release();
    assert_eq!(first.response().unwrap().status, 200);
}

/// A connection to an endpoint that is not needed is closed, before the endpoint is likely to.
#[test]
fn connections_to_endpoints_are_kept_so_long() {
    needs_lab!();
    let site = Site::start(&["idle_upstream_timeout=3s"]);
    assert_eq!(site.client().get("/act").unwrap().status, 200);
    assert_eq!((site.server.connections(), site.server.open()), (1, 1));
    until("it to be closed", || (site.server.open() == 0).then_some(()));
}

/// An endpoint that has gone without a word is found out by a PING before a request is given to it.
#[test]
fn endpoints_answer_a_ping_so_soon() {
    needs_lab!();
    let limits = ["http2_ping_after=100ms", "http2_ping_timeout=2s", "connect_timeout=2s"];
    let site = Site::start(&limits);
    let server = h2::Endpoint::new(&site.world.api.ns, site.world.api.at(82));
    let mut client = site.client();
    assert_eq!(client.get("/h2").unwrap().status, 200);
    // The age of the connection is what is tested.
    thread::sleep(PAUSE);
    assert_eq!(client.get("/h2").unwrap().status, 200, "it answers");
    site.counts("http2_ping_timeout", 0);
    assert_eq!(server.connections(), 1);
    let client_address = site.world.frontend.v4;
    site.world.api.ns.ip(&format!("route add blackhole {client_address}/32")).unwrap();
    thread::sleep(PAUSE);
    assert_eq!(client.get("/h2").unwrap().status, 503, "nor does it accept connections");
    site.counts("http2_ping_timeout", 1);
    site.counts("connect_timeout", 1);
    assert_eq!(server.seen().len(), 2);
    site.world.api.ns.ip(&format!("route del blackhole {client_address}/32")).unwrap();
    until("it to be served again", || (client.get("/h2").unwrap().status == 200).then_some(()));
}
