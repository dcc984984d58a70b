//! Connections that are not looked into.

use model::flow::{FlowReason, FlowVerdict};
use model::policy::PolicyVerdict;

use crate::backend::Backend;
use crate::client::{Peer, until};
use crate::world::{Plan, egress, identity, nothing, only};

#[test]
fn the_server_may_speak_first_and_half_closes_are_kept() {
    let backend = Backend::script(|mut peer, _| {
        peer.send("hello\n");
        let all = peer.rest();
        peer.send(&format!("{} bytes", all.len()));
    });
    let mut world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.service);
    assert_eq!(client.take(6), b"hello\n");
    client.send(&"x".repeat(300_000));
    client.shut();
    assert_eq!(client.rest(), b"300000 bytes");
    let flow = world.flow();
    assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Forwarded, FlowReason::None));
    assert_eq!((flow.bytes_in, flow.bytes_out), (300_000, 18));
    assert!(flow.http.is_none());
    assert_eq!(flow.backend.unwrap().address, backend.address);
}

#[test]
fn a_denied_connection_is_reset() {
    let backend = Backend::echo("b");
    let mut world = Plan::new(&[backend.address]).pod(9, egress(nothing())).start();
    let mut client = Peer::from_pod(9, world.service);
    assert!(client.is_reset());
    let flow = world.flow();
    assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Denied, FlowReason::PolicyDefaultDeny));
    assert_eq!(flow.source.workload.unwrap().to_string(), "test/pod-9");
    assert_eq!(backend.connections(), 0);
}

#[test]
fn without_an_endpoint_a_connection_is_reset() {
    let mut world = Plan::new(&[]).start();
    assert!(Peer::connect(world.service).is_reset());
    assert_eq!(world.flow().reason, FlowReason::NoEndpoint);
}

#[test]
fn another_endpoint_is_tried_when_one_does_not_accept() {
    let backend = Backend::script(|mut peer, _| peer.send("here"));
    let closed = crate::failures::closed_port();
    let world = Plan::new(&[closed, backend.address]).start();
    for _ in 0..10 {
        assert_eq!(Peer::connect(world.service).rest(), b"here");
    }
}

#[test]
fn a_reset_is_passed_on() {
    let backend = Backend::script(|mut peer, _| {
        peer.take(1);
        peer.abort();
    });
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.service);
    client.send("x");
    assert!(client.is_reset());
}

#[test]
fn a_policy_change_closes_a_live_connection() {
    let backend = Backend::script(|mut peer, _| {
        peer.send("open");
        peer.rest();
    });
    let plan = Plan::new(&[backend.address]).pod(8, Default::default());
    let allowed = plan.clone().pod(9, egress(only(world_ipv4(), PolicyVerdict::Allow)));
    let mut world = allowed.start();
    let mut client = Peer::from_pod(9, world.service);
    let mut other = Peer::from_pod(8, world.service);
    assert_eq!(client.take(4), b"open");
    assert_eq!(other.take(4), b"open");
    world.publish(&plan.pod(9, egress(only(identity(77), PolicyVerdict::Allow))));
    assert!(client.is_reset());
    let flow = world.flow();
    assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Denied, FlowReason::PolicyRevoked));
    until("counted", || world.proxy().stats().revoked == 1);
    other.send("still there");
    assert!(world.has_no_flow());
}

fn world_ipv4() -> model::identity::IdentityId {
    model::identity::IdentityId::WORLD_IPV4
}
