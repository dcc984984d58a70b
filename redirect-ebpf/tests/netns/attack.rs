//! What root in a pod, or a neighbour of the node, may try against others' policy.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use redirect::Action::{Allow, Redirect};
use redirect::Direction::{Egress, Ingress};
use redirect::Reason;

use super::frame::{IPV4, IPV6, frame, icmp, mac, send, send_packet, udp};
use super::node::{A, A6, B, B6, C, C6, ID_A, ID_B, NODE, Node, TCP, UDP, VIP, entry};
use super::socket::{Client, Proxy, SILENCE, serve};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Sends an IP packet from pod `a` to the node's end of its veth.
fn send_from_a(node: &Node, packet: &[u8]) {
    send_packet(&node.net, "a", "va", packet);
}

/// Sends an IP packet from the other node.
fn send_from_outside(node: &Node, packet: &[u8]) {
    let kind = if packet[0] >> 4 == 4 { IPV4 } else { IPV6 };
    let (to, from) = (mac(&node.net, "node", "u1"), mac(&node.net, "node2", "u2"));
    send(&node.net, "node2", "u2", &frame(to, from, kind, packet));
}

/// The packet that an ICMP error is about, after four bytes of the error's own.
fn about(packet: &[u8]) -> Vec<u8> {
    [&[0; 4], packet, b"a message"].concat()
}

fn unreachable(ip: IpAddr) -> [u8; 2] {
    if ip.is_ipv4() { [3, 1] } else { [1, 0] }
}

#[test]
fn an_icmp_error_about_another_flow_is_judged() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.egress(ID_A, &[entry(Egress, 103, UDP, 53, Allow)]);
    node.apply();
    for (own, allowed, other) in [(A, C, B), (A6, C6, B6)] {
        let cited = udp((own, 5000), (allowed, 53), b"hello");
        send_from_a(&node, &cited);
        let protocol = if own.is_ipv4() { ICMP } else { ICMPV6 };
        // To somebody who did not send what it is about, in the words of either end.
        for packet in [&cited, &udp((allowed, 53), (own, 5000), b"hello")] {
            let error = icmp(own, other, unreachable(own), 64, &about(packet));
            let before = node.redirect.counters().unwrap().dropped;
            send_from_a(&node, &error);
            assert_eq!(node.redirect.counters().unwrap().dropped, before + 1);
        }
        let event = node.assert_dropped(own, Reason::DefaultDeny);
        assert_eq!((event.destination.ip(), event.protocol), (other, protocol));
        // To the one who may have sent it, it passes.
        let before = node.redirect.counters().unwrap().dropped;
        let answered = udp((allowed, 53), (own, 5000), b"hello");
        send_from_a(&node, &icmp(own, allowed, unreachable(own), 64, &about(&answered)));
        assert_eq!(node.redirect.counters().unwrap().dropped, before);
    }
}

#[test]
fn a_pod_reports_no_errors_of_packets_to_others() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    // A flow that `b` has with the node of `c`; `a` pretends to be a router on its way.
    node.egress(ID_A, &[]);
    node.apply();
    let cited = udp((B, 5000), (C, 53), b"hello");
    node.net.enter("b", || {
        UdpSocket::bind((B, 5000)).unwrap().send_to(b"hello", (C, 53)).unwrap();
    });
    send_from_a(&node, &icmp(A, B, unreachable(A), 64, &about(&cited)));
    let event = node.assert_dropped(A, Reason::DefaultDeny);
    assert_eq!((event.destination.ip(), event.protocol), (B, ICMP));
}

#[test]
fn an_icmp_error_about_a_proxied_connection_goes_to_its_end_only() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.egress(ID_A, &[entry(Egress, 103, TCP, 80, Redirect)]);
    let _proxy = node.proxy(Proxy::answering);
    node.apply();
    let port = 40_000;
    let within = std::time::Duration::from_secs(10);
    let _client = Client::connect_from(&node.net, (A, port), (C, 80), within).unwrap();
    // The ports of TCP where UDP has them; eight bytes are enough.
    let mut cited = udp((C, 80), (A, port), b"hello");
    cited[9] = 6;
    for (to, dropped) in [(C, 0), (B, 1), (NODE, 1)] {
        let before = node.redirect.counters().unwrap().dropped;
        send_from_a(&node, &icmp(A, to, unreachable(A), 64, &about(&cited)));
        assert_eq!(node.redirect.counters().unwrap().dropped, before + dropped, "{to}");
    }
}

#[test]
fn neighbour_discovery_beyond_the_link_is_judged() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.egress(ID_A, &[]);
    node.apply();
    for kind in [133, 135, 136] {
        let target = if kind == 136 { A6 } else { C6 };
        let IpAddr::V6(target) = target else { panic!("{target}") };
        for to in [C6, B6] {
            let rest = [&[0; 4], &target.octets()[..], b"a message"].concat();
            send_from_a(&node, &icmp(A6, to, [kind, 0], 255, &rest));
            let dropped = node.dropped(|e| e.destination.ip() == to && e.icmp_type == kind);
            assert_eq!(dropped[0].reason, Reason::DefaultDeny, "{kind}");
        }
    }
    // On the link it is not: a solicitation of the node's own address.
    let gateway: std::net::Ipv6Addr = "fe80::1".parse().unwrap();
    let before = node.redirect.counters().unwrap().dropped;
    let rest = [&[0; 4], &gateway.octets()[..]].concat();
    for to in ["fe80::1", "ff02::1:ff00:1", "fd77:250::1"] {
        send_from_a(&node, &icmp(A6, to.parse().unwrap(), [135, 0], 255, &rest));
    }
    assert_eq!(node.redirect.counters().unwrap().dropped, before);
}

#[test]
fn a_pod_is_no_router_and_advertises_only_itself() {
    let Some(mut node) = Node::bridged() else {
        return;
    };
    node.apply();
    let everyone: IpAddr = "ff02::1".parse().unwrap();
    let octets = |ip: IpAddr| match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(_) => panic!("{ip}"),
    };
    let gateway = "fd77::1".parse().unwrap();
    let to_all = [0x33, 0x33, 0, 0, 0, 1];
    node.net.ip("node", "-6 addr add fe80::1/64 dev br0 nodad");
    node.apply();
    let router = "fe80::1".parse().unwrap();
    let own = "fe80::2".parse().unwrap();
    let cases = [
        (134, A6, 1),
        (137, A6, 1),
        (136, B6, 1),
        (136, gateway, 1),
        (136, router, 1),
        (136, own, 0),
        (136, A6, 0),
    ];
    for (kind, target, dropped) in cases {
        let rest = [&[0x20, 0, 0, 0], &octets(target)[..], &octets(target)[..]].concat();
        let packet = icmp(A6, everyone, [kind, 0], 255, &rest);
        let before = node.redirect.counters().unwrap().dropped;
        let own = mac(&node.net, "a", "eth0");
        send(&node.net, "a", "eth0", &frame(to_all, own, IPV6, &packet));
        assert_eq!(node.redirect.counters().unwrap().dropped, before + dropped, "{kind} {target}");
    }
    node.assert_dropped(A6, Reason::Spoofed);
    serve(&node.net, "b", B6, 80);
    Client::connect(&node.net, "a", (B6, 80)).unwrap();
}

#[test]
fn sources_of_local_pods_from_an_uplink_are_dropped() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, UDP, 53, Allow)]);
    node.apply();
    // As another pod that is allowed, and as the pod itself.
    for (source, server) in [(A, B), (A6, B6), (B, B), (B6, B6)] {
        send_from_outside(&node, &udp((source, 5000), (server, 53), b"hello"));
        let event = node.assert_dropped(source, Reason::Spoofed);
        assert_eq!(event.destination, (server, 53).into());
    }
}

#[test]
fn a_pods_own_address_from_an_unwatched_device_is_judged() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[]);
    node.apply();
    // A second way in, which nobody named as an uplink.
    node.net.ip("node", "link add x1 type veth peer name x2 netns @node2");
    node.net.ip("node", "link set x1 up");
    node.net.ip("node2", "link set x2 up");
    let (to, from) = (mac(&node.net, "node", "x1"), mac(&node.net, "node2", "x2"));
    let packet = udp((B6, 5000), (B6, 53), b"hello");
    send(&node.net, "node2", "x2", &frame(to, from, IPV6, &packet));
    node.assert_dropped(B6, Reason::DefaultDeny);
    // The pod itself may talk to itself by way of the node.
    let (to, from) = (mac(&node.net, "node", "vb"), mac(&node.net, "b", "eth0"));
    let before = node.redirect.counters().unwrap().dropped;
    let packet = udp((B6, 5001), (B6, 53), b"hello");
    send(&node.net, "b", "eth0", &frame(to, from, IPV6, &packet));
    assert_eq!(node.redirect.counters().unwrap().dropped, before);
}

#[test]
fn a_packet_for_another_pod_does_not_reach_a_port() {
    let Some(mut node) = Node::bridged() else {
        return;
    };
    node.apply();
    node.net.ip("a", &format!("addr add {B}/32 dev lo"));
    let receiver = node.net.enter("a", || UdpSocket::bind((B, 53)).unwrap());
    receiver.set_read_timeout(Some(SILENCE)).unwrap();
    let before = node.redirect.counters().unwrap().dropped;
    // The frame leaves by the wrong port, as a flooded one does too, and `a` takes it for its own.
    let known = mac(&node.net, "a", "eth0").map(|byte| format!("{byte:02x}")).join(":");
    node.net.ip("node", &format!("neigh replace {B} lladdr {known} dev br0"));
    node.net.enter("node", || {
        UdpSocket::bind("10.77.0.1:0").unwrap().send_to(b"hello", SocketAddr::new(B, 53)).unwrap();
    });
    receiver.recv(&mut [0; 16]).unwrap_err();
    assert!(node.redirect.counters().unwrap().dropped > before);
}

#[test]
fn a_clusterip_is_not_served_to_the_outside() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.frontend(VIP, 80);
    node.gateway(VIP, 81);
    let _proxy = node.proxy(Proxy::answering);
    node.apply();
    node.net.ip("node2", "route add 10.96.0.0/16 via 10.77.250.1");
    for role in ["a", "c"] {
        Client::connect(&node.net, role, (VIP, 81)).unwrap();
    }
    Client::connect(&node.net, "a", (VIP, 80)).unwrap();
    Client::fail(&node.net, "c", (VIP, 80));
}
