//! What is dropped, and what is said of it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use redirect::Action::{Allow, Deny};
use redirect::Direction::Ingress;
use redirect::{EventKind, PolicyEntry, Reason};

use super::node::{A, B, C, ID_B, Node, TCP, UDP, entry, whole};
use super::socket::{Client, serve};

#[test]
fn the_deciding_entry_is_found() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    let with = |precedence, entry: PolicyEntry| PolicyEntry { precedence, ..entry };
    // Ports 8000 to 8007: a block of three free bits.
    let block = PolicyEntry { port_prefix: 13, ..entry(Ingress, 101, TCP, 8000, Allow) };
    node.ingress(
        ID_B,
        &[
            block,
            entry(Ingress, 101, TCP, 8003, Deny),
            // Any peer's denial is above the peer's own permission, and below another.
            with(5, entry(Ingress, 101, TCP, 90, Allow)),
            with(9, entry(Ingress, 0, TCP, 90, Deny)),
            with(9, entry(Ingress, 101, TCP, 91, Allow)),
            with(5, entry(Ingress, 0, TCP, 91, Deny)),
            // Equal precedence: the narrower.
            with(5, whole(Ingress, 103, Deny)),
            with(5, entry(Ingress, 0, TCP, 92, Allow)),
        ],
    );
    node.apply();
    let cases = [
        ("a", 7999, false),
        ("a", 8000, true),
        ("a", 8003, false),
        ("a", 8007, true),
        ("a", 8008, false),
        ("a", 90, false),
        ("a", 91, true),
        ("c", 92, true),
        ("c", 91, false),
    ];
    let ports: BTreeSet<u16> = cases.into_iter().map(|(_, port, _)| port).collect();
    for port in ports {
        serve(&node.net, "b", B, port);
    }
    for (role, port, allowed) in cases {
        if allowed {
            Client::connect(&node.net, role, (B, port)).unwrap();
        } else {
            Client::fail(&node.net, role, (B, port));
        }
    }
}

#[test]
fn a_denied_connection_is_reported_once() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[]);
    node.apply();
    let to = (B, 80);
    // Long enough for SYN to be sent again, which the counter of packets shows.
    let error = Client::connect_within(&node.net, "a", to, Duration::from_millis(1500));
    assert!(error.is_err());
    let counters = node.redirect.counters().unwrap();
    assert!(counters.dropped >= 2, "{counters:?}");
    let events = node.dropped(|event| event.source.ip() == A && event.protocol == TCP);
    assert_eq!(events.len(), 1, "{events:?}");
    // Another connection is another report.
    Client::fail(&node.net, "a", to);
    let events = node.dropped(|event| event.source.ip() == A && event.protocol == TCP);
    assert_eq!(events.len(), 1, "{events:?}");
}

#[test]
fn new_flows_are_reported() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.apply();
    serve(&node.net, "b", B, 80);
    let mut events = node.redirect.events().unwrap();
    let mut client = Client::connect(&node.net, "a", (B, 80)).unwrap();
    client.say("hello").unwrap();
    let mut found = Vec::new();
    events.drain(|event| {
        if event.destination == (B, 80).into() {
            found.push((event.kind, event.source_identity, event.destination_identity));
        }
    });
    assert_eq!(found, [(EventKind::Forwarded, 101, 102)]);
}

#[test]
fn spoofed_sources_are_dropped() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.apply();
    serve(&node.net, "c", C, 80);
    let stranger = IpAddr::V4(Ipv4Addr::new(10, 77, 9, 9));
    for source in [stranger, B] {
        node.net.ip("a", &format!("addr add {source}/32 dev eth0"));
        let send = || {
            node.net.enter("a", || {
                let socket = UdpSocket::bind((source, 5000)).unwrap();
                socket.send_to(b"hello", (C, 53)).unwrap();
            });
            node.dropped(|event| event.source.ip() == source && event.reason == Reason::Spoofed)
        };
        // The gateway is asked for under that address, in vain; then it is known.
        node.net.ip("a", "neigh flush dev eth0");
        assert_eq!(send()[0].protocol, 0, "ARP");
        node.net.ip("a", "neigh flush dev eth0");
        Client::connect(&node.net, "a", (C, 80)).unwrap();
        assert_eq!(send()[0].protocol, UDP);
    }
    // Discovery of neighbours, IPv6's too, was not in its way.
    serve(&node.net, "b", super::node::B6, 80);
    Client::connect(&node.net, "a", (super::node::B6, 80)).unwrap();
}
