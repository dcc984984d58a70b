//! Connections that go to the proxy.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use redirect::Action::{Allow, Deny, Redirect};
use redirect::Direction::{Egress, Ingress};
use redirect::Reason;

use super::node::{A, A6, B, B6, C, C6, ID_A, ID_B, NODE, Node, TCP, VIP, VIP6, entry, whole};
use super::socket::{Client, Proxy, serve};

#[test]
fn reach_the_proxy_under_their_original_addresses() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    let entries = [entry(Ingress, 101, TCP, 80, Redirect), whole(Ingress, 0, Allow)];
    node.ingress(ID_B, &entries);
    let to_c = [entry(Egress, 103, TCP, 80, Redirect)];
    node.egress(ID_A, &[to_c[0].clone(), whole(Egress, 0, Allow)]);
    node.frontend(VIP, 8080);
    node.frontend(VIP6, 8080);
    let _proxy = node.proxy(Proxy::answering);
    node.apply();
    serve(&node.net, "b", B, 81);
    // By the destination's ingress policy, by the source's egress policy, by the address.
    let cases = [(A, B, 80), (A, C, 80), (A, VIP, 8080), (A6, B6, 80), (A6, C6, 80), (A6, VIP6, 8080)];
    for (client, server, port) in cases {
        let connection = Client::connect(&node.net, "a", (server, port)).unwrap();
        let expected = format!(" peer={client} local={}", std::net::SocketAddr::new(server, port));
        let greeting = &connection.greeting;
        assert!(greeting.starts_with("proxy"), "{greeting}");
        assert!(greeting.ends_with(&expected), "{greeting}");
    }
    // Another port is not redirected.
    let direct = Client::connect(&node.net, "a", (B, 81)).unwrap();
    assert_eq!(direct.greeting, format!("server peer={A} local={B}:81"));
}

#[test]
fn frontends_serve_the_outside_and_every_address_of_the_node() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.gateway(VIP, 80);
    node.gateway(Ipv4Addr::UNSPECIFIED.into(), 9090);
    let _proxy = node.proxy(Proxy::answering);
    node.apply();
    node.net.ip("node2", "route add 10.96.0.0/16 via 10.77.250.1");
    let cases = [("a", A, NODE, 9090), ("c", C, VIP, 80), ("c", C, NODE, 9090)];
    for (role, client, server, port) in cases {
        let connection = Client::connect(&node.net, role, (server, port)).unwrap();
        let expected = format!(" peer={client} local={server}:{port}");
        let greeting = &connection.greeting;
        assert!(greeting.ends_with(&expected), "{greeting}");
    }
    // The address alone does not make it a frontend.
    let error = Client::fail(&node.net, "a", (NODE, 9091));
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn are_spread_over_the_workers() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.frontend(VIP, 80);
    let _proxy = node.proxy(Proxy::answering);
    node.apply();
    let mut workers = HashSet::new();
    for _ in 0..64 {
        let client = Client::connect(&node.net, "a", (VIP, 80)).unwrap();
        workers.insert(client.greeting.split(' ').next().unwrap().to_owned());
    }
    assert_eq!(workers.len(), 2, "{workers:?}");
}

#[test]
fn are_passed_on_under_the_clients_address() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.egress(ID_A, &[entry(Egress, 102, TCP, 80, Redirect), entry(Egress, 103, TCP, 80, Redirect)]);
    // A pod on another node may call too.
    node.ingress(ID_B, &[entry(Ingress, 0, TCP, 80, Redirect)]);
    let _proxy = node.proxy(Proxy::relaying);
    node.apply();
    for (role, ip) in [("b", B), ("b", B6), ("c", C), ("c", C6)] {
        serve(&node.net, role, ip, 80);
    }
    let cases = [("a", A, B), ("a", A, C), ("a", A6, B6), ("a", A6, C6), ("c", C, B), ("c", C6, B6)];
    for (role, client, server) in cases {
        let mut connection = Client::connect(&node.net, role, (server, 80)).unwrap();
        let expected = format!("server peer={client} local={}", std::net::SocketAddr::new(server, 80));
        assert_eq!(connection.greeting, expected);
        let long = "x".repeat(100_000);
        assert_eq!(connection.say(&long).unwrap(), long);
    }
}

#[test]
fn fail_closed_without_a_listener() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Redirect), entry(Ingress, 101, TCP, 81, Allow)]);
    let proxy = node.proxy(Proxy::answering);
    node.apply();
    serve(&node.net, "b", B, 80);
    serve(&node.net, "b", B, 81);
    Client::connect(&node.net, "a", (B, 80)).unwrap();
    proxy.stop();
    // A child that another test starts has a copy of every descriptor until it executes its program, and
    // as long as one is open the listener is in its map: shut down, it swallows what is led to it.
    let mut tries = 0;
    let event = loop {
        Client::fail(&node.net, "a", (B, 80));
        let dropped = node.dropped(|event| event.source.ip() == A && event.reason == Reason::NoProxy);
        if let Some(event) = dropped.first() {
            break *event;
        }
        tries += 1;
        assert!(tries < 5, "nothing was dropped for want of a listener");
    };
    assert_eq!(event.destination, (B, 80).into());
    Client::connect(&node.net, "a", (B, 81)).unwrap();
    // A new proxy serves again without anything else being done.
    let _proxy = node.proxy(Proxy::answering);
    let client = Client::connect(&node.net, "a", (B, 80)).unwrap();
    assert!(client.greeting.starts_with("proxy"), "{}", client.greeting);
}

#[test]
fn strays_of_a_direct_connection_are_reset() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    let _proxy = node.proxy(Proxy::answering);
    node.apply();
    serve(&node.net, "b", B, 80);
    let mut client = Client::connect(&node.net, "a", (B, 80)).unwrap();
    assert_eq!(client.say("direct").unwrap(), "direct");
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Redirect)]);
    node.apply();
    let error = client.say("stray").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let client = Client::connect(&node.net, "a", (B, 80)).unwrap();
    assert!(client.greeting.starts_with("proxy"), "{}", client.greeting);
}

#[test]
fn a_denial_by_either_side_wins() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Redirect)]);
    node.egress(ID_A, &[whole(Egress, 0, Allow), entry(Egress, 102, TCP, 80, Deny)]);
    let _proxy = node.proxy(Proxy::answering);
    node.apply();
    Client::fail(&node.net, "a", (B, 80));
    let event = node.assert_dropped(A, Reason::DenyRule);
    assert_eq!((event.direction, event.endpoint), (Egress, ID_A));
    assert_eq!((event.source_identity, event.destination_identity), (101, 102));
}
