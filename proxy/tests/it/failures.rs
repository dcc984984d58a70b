//! Endpoints that do not answer as they should.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use model::flow::{FlowReason, FlowVerdict};
use model::route::RouteRule;
use model::route::Timeouts;
use socket2::{Domain, Socket, Type};

use crate::backend::{Backend, respond};
use crate::client::{Peer, until};
use crate::world::{Plan, rule};

/// A port where nobody listens. It is taken for as long as the process lives, or another test beside
/// this one could get it.
pub(crate) fn closed_port() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}

#[test]
fn each_failure_has_its_status_and_reason() {
    let cases: [(&str, u16, FlowReason); 6] = [
        ("", 502, FlowReason::UpstreamFailed),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n", 502, FlowReason::UpstreamFailed),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            502,
            FlowReason::UpstreamFailed,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            502,
            FlowReason::UpstreamFailed,
        ),
        ("SSH-2.0-OpenSSH\r\n", 502, FlowReason::UpstreamFailed),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            502,
            FlowReason::UpstreamFailed,
        ),
    ];
    for (answer, status, reason) in cases {
        let backend = Backend::once(answer);
        let mut world = Plan::new(&[backend.address]).start();
        let mut client = Peer::connect(world.gateway);
        assert_eq!(client.get("/").status(), status, "{answer:?}");
        let flow = world.flow();
        assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Failed, reason), "{answer:?}");
        assert_eq!(flow.http.unwrap().status, status);
        assert_eq!(client.get("/").status(), status, "the client's connection goes on");
    }
}

#[test]
fn interim_answers_without_end_are_a_failure() {
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    for (hints, status) in [(16, 200), (17, 502)] {
        for version in ["1.1", "1.0"] {
            let backend = Backend::once(hint.repeat(hints) + &respond(200, "ok"));
            let mut world = Plan::new(&[backend.address]).start();
            let mut client = Peer::connect(world.gateway);
            client.send(&format!("GET / HTTP/{version}\r\nHost: a.test\r\n\r\n"));
            let mut heads = std::iter::from_fn(|| client.head());
            let last = heads.find(|head| !head.starts_with("HTTP/1.1 103 "));
            let last = last.expect("a final answer");
            assert!(last.contains(&format!(" {status} ")), "{hints} hints to HTTP/{version}: {last}");
            let failed = world.flow().reason == FlowReason::UpstreamFailed;
            assert_eq!(failed, status == 502, "{hints} hints to HTTP/{version}");
            assert_eq!(world.proxy().stats().limit_interim, u64::from(failed));
        }
    }
}

#[test]
fn an_endpoint_that_does_not_accept_is_left_for_another() {
    let backend = Backend::echo("b");
    let world = Plan::new(&[closed_port(), backend.address]).start();
    until("one goes wrong at first", || {
        assert_eq!(Peer::connect(world.gateway).get("/").status(), 200);
        world.proxy().stats().retries > 0
    });

    let mut world = Plan::new(&[closed_port()]).start();
    let mut client = Peer::connect(world.gateway);
    assert_eq!(client.get("/").status(), 503);
    assert_eq!(world.flow().reason, FlowReason::ConnectFailed);
    assert!(world.has_no_flow(), "a retry is no request of its own");
}

#[test]
fn no_endpoint_is_503() {
    let mut world = Plan::new(&[]).start();
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 503);
    assert_eq!(world.flow().reason, FlowReason::NoEndpoint);
}

#[test]
fn a_connection_closed_while_idle_is_not_used() {
    let backend = Backend::script(|mut peer, log| {
        let Some(request) = peer.request() else { return };
        peer.send(&respond(200, "ok"));
        drop(peer);
        log.lock().unwrap().push(request);
    });
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for count in 1..=5 {
        assert_eq!(client.get("/").body, "ok");
        until("the endpoint has closed", || backend.requests() == count);
    }
}

#[test]
fn bytes_that_nobody_asked_for_spoil_a_connection() {
    let backend = Backend::always(format!("{}HTTP/1.1 200 OK\r\n", respond(200, "ok")));
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..3 {
        assert_eq!(client.get("/").body, "ok");
    }
    assert_eq!(backend.connections(), 3);
}

#[test]
fn route_time_outs_are_504() {
    let request = Timeouts { request: Some(Duration::from_millis(100)), backend_request: None };
    let backend_request = Timeouts { request: None, backend_request: Some(Duration::from_millis(100)) };
    for timeouts in [request, backend_request] {
        let silent = Backend::script(|mut peer, _| drop(peer.rest()));
        let mut world = Plan::new(&[silent.address]).route("/", RouteRule { timeouts, ..rule() }).start();
        let mut client = Peer::connect(world.gateway);
        assert_eq!(client.get("/").status(), 504);
        let flow = world.flow();
        assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Failed, FlowReason::RouteTimeout));
        assert_eq!(client.get("/").status(), 504, "the client's connection goes on");
    }
}

#[test]
fn a_time_out_within_the_answer_breaks_it_off() {
    let slow = Backend::script(|mut peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        peer.rest();
    });
    // So long that the part is there by then, also on a busy machine.
    let timeouts = Timeouts { request: Some(Duration::from_secs(3)), backend_request: None };
    let mut world = Plan::new(&[slow.address]).route("/", RouteRule { timeouts, ..rule() }).start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(client.take(3), b"abc");
    assert!(client.is_closed());
    assert_eq!(world.flow().reason, FlowReason::RouteTimeout);
}

#[test]
fn an_exchange_that_stands_still_is_given_up() {
    let silent = Backend::script(|mut peer, _| drop(peer.rest()));
    let plan =
        Plan::new(&[silent.address]).limits(|limits| limits.stall_timeout = Duration::from_millis(100));
    let mut world = plan.start();
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 504);
    assert_eq!(world.flow().reason, FlowReason::Limit);
    assert_eq!(world.proxy().stats().limit_stall_timeout, 1);
}

#[test]
fn a_client_that_goes_away_takes_its_request_along() {
    let (told, ended) = std::sync::mpsc::channel();
    let backend = Backend::script(move |mut peer, _| {
        peer.head();
        let _ = told.send(peer.is_closed());
    });
    let plan = Plan::new(&[backend.address]);
    for aborts in [true, false] {
        let mut world =
            plan.clone().limits(|limits| limits.half_closed_timeout = Duration::from_millis(100)).start();
        let mut client = Peer::connect(world.gateway);
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        until("the endpoint is asked", || world.proxy().stats().upstream_opened == 1);
        if aborts {
            client.abort();
        } else {
            drop(client);
        }
        assert!(ended.recv_timeout(crate::client::PATIENCE).unwrap());
        assert_eq!(world.flow().reason, FlowReason::ClientGone);
    }
}
