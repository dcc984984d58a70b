//! `websocket` passes, after the endpoint's 101; nothing else does.

use std::time::Duration;

use model::flow::{FlowReason, FlowVerdict};

use crate::backend::{Backend, respond};
use crate::client::{Peer, until};
use crate::world::{Plan, egress, http, nothing, only};

const HELLO: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n";

fn server() -> Backend {
    Backend::script(|mut peer, log| {
        let request = peer.request().unwrap();
        log.lock().unwrap().push(request);
        peer.send(&format!("{SWITCH}first"));
        let five = peer.take(5);
        peer.send(&String::from_utf8(five).unwrap().to_uppercase());
        peer.rest();
        peer.send("bye");
    })
}

#[test]
fn websocket_becomes_a_tunnel() {
    let backend = server();
    let mut world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    // Sent before the answer: it must not be lost.
    client.send(&format!("{HELLO}hello"));
    let head = client.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.to_lowercase().contains("upgrade: websocket"), "{head}");
    assert_eq!(client.take(10), b"firstHELLO");
    client.shut();
    assert_eq!(client.rest(), b"bye");
    backend.request(0, |request| {
        assert_eq!(request.header("upgrade"), Some("websocket"));
        assert_eq!(request.header("sec-websocket-key"), Some("x"));
    });
    let flow = world.flow();
    assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Forwarded, FlowReason::None));
    assert_eq!(flow.http.unwrap().status, 101);
    assert_eq!((flow.bytes_in, flow.bytes_out), (5, 13));
}

#[test]
fn a_refused_upgrade_is_an_answer_like_any_other() {
    let backend = Backend::always(respond(403, "no"));
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..2 {
        client.send(HELLO);
        assert_eq!(client.response().body, "no");
    }
}

#[test]
fn other_upgrades_are_taken_out() {
    let backend = Backend::echo("b");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for token in ["h2c", "TLS/1.0", "websocket, h2c"] {
        client.send(&format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {token}\r\nHTTP2-Settings: x\r\n\r\n"
        ));
        let body = client.response().body.to_lowercase();
        assert!(!body.contains("upgrade") && !body.contains("http2-settings"), "{token}: {body}");
    }
}

#[test]
fn a_policy_change_closes_a_tunnel() {
    let backend = server();
    let world_identity = model::identity::IdentityId::WORLD_IPV4;
    let plan = Plan::new(&[backend.address]);
    let mut world = plan.clone().pod(9, egress(only(world_identity, http("GET", "/chat")))).start();
    let mut client = Peer::from_pod(9, world.gateway);
    client.send(HELLO);
    client.head().unwrap();
    assert_eq!(client.take(5), b"first");
    // Still allowed, by another rule: it lives on.
    world.publish(&plan.clone().pod(9, egress(only(world_identity, http("GET", "/ch.*")))));
    client.send("hello");
    assert_eq!(client.take(5), b"HELLO");
    world.publish(&plan.pod(9, egress(nothing())));
    assert!(client.is_reset());
    assert_eq!(world.flow().reason, FlowReason::PolicyRevoked);
    until("counted", || world.proxy().stats().revoked == 1);
}

/// Waiting for a message is not waiting for a request.
#[test]
fn a_tunnel_has_a_time_of_its_own_to_stand_still() {
    let backend = Backend::script(|mut peer, _| {
        peer.request().unwrap();
        peer.send(&format!("{SWITCH}first"));
        assert_eq!(peer.take(5), b"hello");
        peer.send("HELLO");
        assert!(peer.is_closed());
    });
    let other = Backend::echo("b");
    let limits = |limits: &mut proxy::Limits| {
        limits.idle_timeout = Duration::from_millis(100);
        limits.tunnel_timeout = Duration::from_secs(3);
    };
    let world = Plan::new(&[backend.address]).limits(limits).start();
    let mut tunnel = Peer::connect(world.gateway);
    tunnel.send(HELLO);
    tunnel.head().unwrap();
    assert_eq!(tunnel.take(5), b"first");
    // A connection that began later has idled for too long by now.
    let beside = Plan::new(&[other.address]).limits(limits).start();
    let mut idle = Peer::connect(beside.gateway);
    assert_eq!(idle.get("/").status(), 200);
    assert!(idle.is_closed());
    tunnel.send("hello");
    assert_eq!(tunnel.take(5), b"HELLO");
    assert!(tunnel.is_closed());
    let stats = world.proxy().stats();
    assert_eq!((stats.limit_idle_timeout, stats.limit_tunnel_timeout), (0, 1));
}
