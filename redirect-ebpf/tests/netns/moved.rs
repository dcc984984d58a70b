//! A pod that pretends to be at another's device, or does not answer where it is.

use std::net::UdpSocket;

use redirect::Direction::{Egress, Ingress};
use redirect::{Action, Reason, Undiscovered, discover, discover_again, pinned};

use super::frame::{ARP, IPV4, frame, mac, send, udp};
use super::node::{A, B, ID_A, ID_B, Node, TCP, entry};
use super::socket::{Client, serve};

#[test]
fn frames_with_another_pods_link_layer_address_are_dropped() {
    let Some(mut node) = Node::bridged() else {
        return;
    };
    node.apply();
    let bridge = mac(&node.net, "node", "br0");
    let (own, victim) = (mac(&node.net, "a", "eth0"), mac(&node.net, "b", "eth0"));
    let gateway = std::net::IpAddr::from([10, 77, 0, 1]);
    let other = [0x02, 0, 0, 0, 0, 9];
    for (port, stolen) in [(5000, victim), (5001, other)] {
        let packet = udp((A, port), (gateway, 9), b"x");
        send(&node.net, "a", "eth0", &frame(bridge, stolen, IPV4, &packet));
        let event = node.assert_dropped(A, Reason::Spoofed);
        assert_eq!(event.destination, (gateway, 9).into());
    }
    // The bridge has not moved the victim.
    let device = node.net.enter("node", || discover(B)).unwrap();
    assert_eq!(device.name, "vb");
    // Its own address in the frame, another's in the ARP packet.
    let arp = |sender: [u8; 6]| {
        let head = [0, 1, 8, 0, 6, 4, 0, 2];
        let target = [&bridge[..], &[10, 77, 0, 1]].concat();
        [&head[..], &sender, &[10, 77, 0, 2], &target].concat()
    };
    let before = node.redirect.counters().unwrap().dropped;
    send(&node.net, "a", "eth0", &frame(bridge, own, ARP, &arp(own)));
    assert_eq!(node.redirect.counters().unwrap().dropped, before);
    send(&node.net, "a", "eth0", &frame(bridge, own, ARP, &arp(victim)));
    assert_eq!(node.redirect.counters().unwrap().dropped, before + 1);
    serve(&node.net, "b", B, 80);
    Client::connect(&node.net, "a", (B, 80)).unwrap();
}

#[test]
fn a_restart_does_not_move_a_pod_to_another_veth() {
    let Some(mut node) = Node::bridged() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Action::Allow)]);
    node.apply();
    let pins = node.net.pins();
    let right = node.state.endpoints[1].device.clone().unwrap();
    let wrong = node.state.endpoints[0].device.clone().unwrap();
    // As a bridge says that has learnt the victim's address at the attacker's port.
    node.reopen();
    node.state.endpoints[1].device = Some(wrong);
    node.apply();
    let found = node.net.enter("node", || pinned(&pins)).unwrap();
    assert_eq!(found[&B].name, right.name);
    let again = node.net.enter("node", || discover_again(B, found.get(&B))).unwrap();
    assert_eq!(again.name, right.name);
    serve(&node.net, "b", B, 80);
    Client::connect(&node.net, "a", (B, 80)).unwrap();
    node.net.ip("a", &format!("addr add {B}/32 dev eth0"));
    node.net.enter("a", || {
        let socket = UdpSocket::bind((B, 5000)).unwrap();
        socket.send_to(b"x", "10.77.0.1:9").unwrap();
    });
    node.assert_dropped(B, Reason::Spoofed);
}

#[test]
fn a_pod_that_does_not_answer_stays_enforced_after_a_restart() {
    let Some(mut node) = Node::bridged() else {
        return;
    };
    node.egress(ID_A, &[]);
    node.apply();
    let pins = node.net.pins();
    serve(&node.net, "b", B, 80);
    Client::fail(&node.net, "a", (B, 80));
    node.assert_dropped(A, Reason::DefaultDeny);
    node.net.ip("a", "link set eth0 arp off");
    node.net.ip("node", "neigh flush dev br0");
    node.net.ip("node", "link set va type bridge_slave learning off");
    let silent = node.net.enter("node", || discover(A));
    assert!(matches!(silent, Err(Undiscovered::Silent { .. })), "{silent:?}");
    let found = node.net.enter("node", || pinned(&pins)).unwrap();
    assert_eq!(node.net.enter("node", || discover_again(A, found.get(&A))).unwrap().name, "va");
    // Known from the files, found nowhere.
    node.reopen();
    let device = node.state.endpoints[0].device.take();
    node.apply();
    node.net.ip("a", "link set eth0 arp on");
    Client::fail(&node.net, "a", (B, 80));
    node.assert_dropped(A, Reason::DefaultDeny);
    // Not known at all: closed, not open.
    node.reopen();
    let mut unknown = node.state.endpoints.remove(0);
    node.apply();
    Client::fail(&node.net, "a", (B, 80));
    node.assert_dropped(A, Reason::Spoofed);
    // Known again.
    unknown.device = device;
    node.state.endpoints.insert(0, unknown);
    node.open_up(ID_A);
    node.egress(ID_A, &[entry(Egress, 102, TCP, 80, Action::Allow)]);
    node.apply();
    Client::connect(&node.net, "a", (B, 80)).unwrap();
}
