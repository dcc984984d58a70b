//! One record for each request and each connection, no more and no less.

use model::flow::{FlowReason, FlowVerdict};

use crate::backend::Backend;
use crate::client::{Peer, until};
use crate::world::Plan;

#[test]
fn a_request_is_recorded_once_with_all_that_is_known() {
    let backend = Backend::echo("b");
    let mut world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST /a/../x?y HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    let answer = client.response();
    let flow = world.flow();
    assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Forwarded, FlowReason::None));
    let http = flow.http.unwrap();
    assert_eq!((http.method.as_str(), http.authority.as_str()), ("POST", "a.test"));
    assert_eq!((http.path.as_str(), http.status), ("/x?y", 200));
    assert_eq!(flow.source.address, client.stream.local_addr().unwrap());
    assert_eq!(flow.destination.address, world.gateway);
    assert_eq!(flow.backend.unwrap().address, backend.address);
    assert_eq!(flow.route.unwrap().route.to_string(), "HTTPRoute test/route");
    assert_eq!((flow.bytes_in, flow.bytes_out), (5, answer.raw.len() as u64));
    assert!(flow.latency_ns > 0 && flow.time_ns > 1_600_000_000_000_000_000);
    drop(client);
    until("closed", || world.proxy().stats().open == 0);
    let connection = world.flow();
    assert!(connection.http.is_none());
    assert_eq!((connection.bytes_in, connection.bytes_out), (5, answer.raw.len() as u64));
    assert!(world.has_no_flow());
}

#[test]
fn a_connection_has_a_record_that_sums_up_its_requests() {
    let backend = Backend::echo("b");
    let mut world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    let mut sums = (0, 0);
    for _ in 0..3 {
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
        client.response();
        let flow = world.flow();
        assert!(flow.http.is_some());
        sums = (sums.0 + flow.bytes_in, sums.1 + flow.bytes_out);
    }
    drop(client);
    let connection = world.flow();
    assert!(connection.http.is_none());
    assert_eq!((connection.verdict, connection.reason), (FlowVerdict::Forwarded, FlowReason::None));
    assert_eq!((connection.bytes_in, connection.bytes_out), sums);
    assert_eq!(sums.0, 15);
}

#[test]
fn every_request_of_a_connection_has_its_own() {
    let backend = Backend::echo("b");
    let mut world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for n in 0..100 {
        client.get(&format!("/{n}"));
    }
    for n in 0..100 {
        assert_eq!(world.flow().http.unwrap().path.as_str(), format!("/{n}"));
    }
    assert!(world.has_no_flow());
    assert_eq!(world.proxy().stats().requests, 100);
}

#[test]
fn a_full_ring_stalls_nobody() {
    let backend = Backend::echo("b");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..5000 {
        assert_eq!(client.get("/").status(), 200);
    }
}
