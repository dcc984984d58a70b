//! The map of allowed flows: replies pass, revoked flows stop.

use std::net::UdpSocket;

use redirect::Action::Allow;
use redirect::Direction::{Egress, Ingress};
use redirect::Reason;

use super::frame::{IPV4, IPV6, frame, mac, send_all, udp as packet};
use super::node::{A, A6, B, B6, C, C6, ID_A, ID_B, NODE, Node, TCP, UDP, entry};
use super::socket::{Client, PATIENCE, Proxy, SILENCE, serve, serve_udp, udp};

#[test]
fn replies_pass_where_egress_is_denied() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 0, TCP, 80, Allow), entry(Ingress, 0, UDP, 53, Allow)]);
    node.egress(ID_B, &[]);
    node.apply();
    for ip in [B, B6] {
        serve(&node.net, "b", ip, 80);
        serve_udp(&node.net, "b", ip, 53);
    }
    serve(&node.net, "a", A, 80);
    for role in ["a", "c"] {
        for ip in [B, B6] {
            let mut client = Client::connect(&node.net, role, (ip, 80)).unwrap();
            assert_eq!(client.say("hello").unwrap(), "hello");
            assert_eq!(udp(&node.net, role, (ip, 53)).unwrap(), 5);
        }
    }
    // It may answer, not call.
    Client::fail(&node.net, "b", (A, 80));
    let event = node.assert_dropped(B, Reason::DefaultDeny);
    assert_eq!((event.direction, event.endpoint), (Egress, ID_B));
    Client::fail(&node.net, "b", (C, 80));
}

#[test]
fn a_pods_flood_costs_others_no_flow() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    // `b` may call, and only what answers may come in.
    node.ingress(ID_B, &[]);
    node.apply();
    for (own, from, server) in [(B, A, C), (B6, A6, C6)] {
        let asked = node.net.enter("c", || UdpSocket::bind((server, 53)).unwrap());
        let asking = node.net.enter("b", || UdpSocket::bind((own, 5000)).unwrap());
        asking.connect((server, 53)).unwrap();
        asking.send(b"hello").unwrap();
        let (_, client) = asked.recv_from(&mut [0; 16]).unwrap();
        // More flows than are remembered of all pods together.
        let (to, mac_a) = (mac(&node.net, "node", "va"), mac(&node.net, "a", "eth0"));
        let kind = if own.is_ipv4() { IPV4 } else { IPV6 };
        let flood =
            (1_000..11_000).map(|port| frame(to, mac_a, kind, &packet((from, port), (server, 54), b"x")));
        send_all(&node.net, "a", "eth0", flood);
        asked.send_to(b"late", client).unwrap();
        asking.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(asking.recv(&mut [0; 16]).unwrap(), 4, "{own}");
    }
    assert!(node.redirect.counters().unwrap().spilled > 10_000);
    // What the flood left is bounded.
    assert!(node.redirect.flows().unwrap() <= 4096 * 5 / 4);
}

#[test]
fn revoked_flows_stop_and_others_go_on() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Allow), entry(Ingress, 103, TCP, 80, Allow)]);
    let first = node.apply().revision;
    serve(&node.net, "b", B, 80);
    let mut from_a = Client::connect(&node.net, "a", (B, 80)).unwrap();
    let mut from_c = Client::connect(&node.net, "c", (B, 80)).unwrap();
    assert_eq!(from_a.say("one").unwrap(), "one");
    assert!(node.redirect.flows().unwrap() >= 2);
    assert_eq!(node.apply().revision, first, "nothing changed");

    node.open_up(ID_B);
    node.ingress(ID_B, &[entry(Ingress, 103, TCP, 80, Allow)]);
    assert_eq!(node.apply().revision, first + 1);
    from_a.say_in_vain("two");
    let event = node.assert_dropped(A, Reason::DefaultDeny);
    assert_eq!((event.direction, event.endpoint), (Ingress, ID_B));
    assert_eq!(from_c.say("two").unwrap(), "two");
}

#[test]
fn a_flow_allowed_by_one_side_is_put_to_the_other() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    // Without its device, what `a` sends is seen only where it enters `b`.
    let device = node.state.endpoints[0].device.take();
    node.egress(ID_A, &[entry(Egress, 102, UDP, 54, Allow)]);
    node.ingress(ID_B, &[entry(Ingress, 101, UDP, 53, Allow)]);
    let report = node.try_apply();
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert_eq!(report.problems[0].0, ID_A);
    serve_udp(&node.net, "b", B, 53);
    let socket = node.net.enter("a", || UdpSocket::bind((A, 5000)).unwrap());
    socket.connect((B, 53)).unwrap();
    socket.send(b"hello").unwrap();
    assert_eq!(socket.recv(&mut [0; 16]).unwrap(), 5);
    node.state.endpoints[0].device = device;
    node.apply();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket.send(b"hello").unwrap();
    socket.recv(&mut [0; 16]).unwrap_err();
    let event = node.assert_dropped(A, Reason::DefaultDeny);
    assert_eq!((event.direction, event.endpoint), (Egress, ID_A));
}

#[test]
fn a_revoked_connection_does_not_come_back_from_its_other_end() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    // `b` may call `a` throughout, and by its port this end looks like the client.
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 65_000, Allow)]);
    node.apply();
    serve(&node.net, "b", B, 65_000);
    let mut client = Client::connect(&node.net, "a", (B, 65_000)).unwrap();
    assert_eq!(client.say("one").unwrap(), "one");
    node.open_up(ID_B);
    node.ingress(ID_B, &[]);
    node.apply();
    client.say_in_vain("two");
    let event = node.assert_dropped(A, Reason::DefaultDeny);
    assert_eq!(event.destination, (B, 65_000).into());
    client.say_in_vain("three");
}

#[test]
fn the_node_itself_is_let_in_and_answered() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[]);
    node.egress(ID_B, &[]);
    node.apply();
    serve(&node.net, "b", B, 80);
    serve(&node.net, "b", B6, 80);
    serve(&node.net, "node", NODE, 80);
    for ip in [B, B6] {
        let mut probe = Client::connect(&node.net, "node", (ip, 80)).unwrap();
        assert_eq!(probe.say("healthy?").unwrap(), "healthy?");
    }
    Client::fail(&node.net, "b", (NODE, 80));
    Client::fail(&node.net, "a", (B, 80));
}

#[test]
fn a_closed_endpoint_lets_nothing_in_or_out() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    let _proxy = node.proxy(Proxy::answering);
    node.frontend(super::node::VIP, 80);
    node.close(ID_B);
    node.apply();
    serve(&node.net, "b", B, 80);
    serve(&node.net, "a", A, 80);
    Client::fail(&node.net, "a", (B, 80));
    let event = node.assert_dropped(A, Reason::Closed);
    assert_eq!((event.direction, event.endpoint), (Ingress, ID_B));
    Client::fail(&node.net, "b", (A, 80));
    Client::fail(&node.net, "b", (super::node::VIP, 80));
}
