//! Datagrams of several packets, whole and in the pieces that an attacker would make of them.

use std::net::{IpAddr, UdpSocket};

use redirect::Action::{Allow, Deny};
use redirect::Direction::{Egress, Ingress};
use redirect::Reason;

use super::frame::{IPV4, Piece, frame, mac, piece, send_all, send_packet, udp};
use super::node::{A, A6, B, B6, C, C6, ID_A, ID_B, Node, UDP, entry};
use super::socket::{PATIENCE, SILENCE, ask_udp, serve_udp};

/// More than fits into one packet, of two and of many fragments.
const LARGE: [usize; 2] = [3_000, 60_000];

/// Sends an IP packet from pod `a`.
fn send_from_a(node: &Node, packet: &[u8]) {
    send_packet(&node.net, "a", "va", packet);
}

/// How many packets were dropped while something was done.
fn dropped(node: &Node, act: impl FnOnce()) -> u64 {
    let before = node.redirect.counters().unwrap().dropped;
    act();
    node.redirect.counters().unwrap().dropped - before
}

/// A datagram of 32 bytes from `a`; its UDP header takes the first eight of forty.
fn datagram(to: (IpAddr, u16)) -> Vec<u8> {
    let from = if to.0.is_ipv4() { A } else { A6 };
    udp((from, 5000), to, &[7; 32])
}

/// A socket of pod `b`.
fn receiver(node: &Node, at: (IpAddr, u16)) -> UdpSocket {
    let socket = node.net.enter("b", || UdpSocket::bind(at)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// `a` may send to port 53 of `b`, and to no other.
fn policed() -> Option<Node> {
    let mut node = Node::routed()?;
    node.ingress(ID_B, &[entry(Ingress, 101, UDP, 53, Allow)]);
    node.apply();
    Some(node)
}

#[test]
fn pass_where_their_port_is_allowed_and_nowhere_else() {
    let Some(mut node) = policed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 103, UDP, 53, Allow)]);
    node.egress(ID_A, &[entry(Egress, 103, UDP, 53, Allow), entry(Egress, 102, UDP, 53, Allow)]);
    node.apply();
    for (role, ip) in [("b", B), ("b", B6), ("c", C), ("c", C6)] {
        serve_udp(&node.net, role, ip, 53);
        serve_udp(&node.net, role, ip, 54);
    }
    let cases = [("a", B), ("a", B6), ("a", C), ("a", C6), ("c", B), ("c", B6)];
    for (role, server) in cases {
        for length in LARGE {
            let ask = |port, patience| ask_udp(&node.net, role, (server, port), &vec![7; length], patience);
            assert_eq!(ask(53, PATIENCE).unwrap(), length, "{role} {server}");
        }
        let ask = |port, patience| ask_udp(&node.net, role, (server, port), &vec![7; 3_000], patience);
        ask(54, SILENCE).unwrap_err();
        let events = node.dropped(|event| event.destination == (server, 54).into());
        assert_eq!(events[0].reason, Reason::DefaultDeny, "{role} {server}");
    }
}

#[test]
fn stop_when_their_port_is_no_longer_allowed() {
    let Some(mut node) = policed() else {
        return;
    };
    for server in [B, B6] {
        let packet = datagram((server, 53));
        send_from_a(&node, &piece(&packet, Piece::first(7, 0..24)));
        node.open_up(ID_B);
        node.ingress(ID_B, &[entry(Ingress, 101, UDP, 53, Deny)]);
        node.apply();
        let rest = piece(&packet, Piece::last(7, 24..40));
        assert_eq!(dropped(&node, || send_from_a(&node, &rest)), 1, "{server}");
        node.open_up(ID_B);
        node.ingress(ID_B, &[entry(Ingress, 101, UDP, 53, Allow)]);
        node.apply();
    }
}

#[test]
fn without_the_first_or_before_it_they_do_not_pass() {
    let Some(node) = policed() else {
        return;
    };
    for server in [B, B6] {
        let socket = receiver(&node, (server, 53));
        let packet = datagram((server, 53));
        let last = piece(&packet, Piece::last(7, 24..40));
        let first = piece(&packet, Piece::first(7, 0..24));
        let orphans = node.redirect.counters().unwrap().orphans;
        // Another datagram's, or another protocol's, is not the first.
        for other in [piece(&packet, Piece::first(8, 0..24)), datagram((server, 53))] {
            send_from_a(&node, &other);
        }
        assert_eq!(dropped(&node, || send_from_a(&node, &last)), 1, "{server}");
        assert_eq!(node.redirect.counters().unwrap().orphans, orphans + 1, "{server}");
        // In the other order: the second is lost, so nothing is put together.
        assert_eq!(dropped(&node, || send_from_a(&node, &first)), 0, "{server}");
        assert_eq!(socket.recv(&mut [0; 64]).unwrap(), 32, "the one that was whole");
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket.recv(&mut [0; 64]).unwrap_err();
        assert_eq!(dropped(&node, || send_from_a(&node, &last)), 0, "{server}");
        assert_eq!(socket.recv(&mut [0; 64]).unwrap(), 32, "both, once more");
    }
}

#[test]
fn a_first_fragment_holds_the_whole_header() {
    let Some(node) = policed() else {
        return;
    };
    for server in [B, B6] {
        let socket = receiver(&node, (server, 54));
        let allowed = datagram((server, 53));
        let denied = datagram((server, 54));
        // The ports alone, and none at all with those of the rule where the frame is padded.
        for length in [4, 0] {
            let mut short = piece(&allowed, Piece::first(7, 0..length));
            short.extend_from_slice(&[0x13, 0x88, 0, 53, 0, 40, 0, 0]);
            assert_eq!(dropped(&node, || send_from_a(&node, &short)), 1, "{server} {length}");
        }
        // Nor does a part that the rest would write over: the first byte of a port is the first of all.
        let rest = piece(&denied, Piece::last(7, 8..40));
        assert_eq!(dropped(&node, || send_from_a(&node, &rest)), 1, "{server}");
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket.recv(&mut [0; 64]).unwrap_err();
    }
}

#[test]
fn another_first_fragment_is_judged_by_its_own_port() {
    let Some(node) = policed() else {
        return;
    };
    for server in [B, B6] {
        let (open, closed) = (receiver(&node, (server, 53)), receiver(&node, (server, 54)));
        let (allowed, denied) = (datagram((server, 53)), datagram((server, 54)));
        // The denied one before the allowed one and after it.
        let firsts = [(&denied, 1), (&allowed, 0), (&denied, 1)];
        for (packet, lost) in firsts {
            let first = piece(packet, Piece::first(7, 0..16));
            assert_eq!(dropped(&node, || send_from_a(&node, &first)), lost, "{server}");
        }
        // What follows is taken for the denied one's.
        let rest = piece(&allowed, Piece::last(7, 16..40));
        assert_eq!(dropped(&node, || send_from_a(&node, &rest)), 1, "{server}");
        // Beyond the header fragments may lie over each other as they like: the ports stay.
        send_from_a(&node, &piece(&allowed, Piece::first(9, 0..16)));
        send_from_a(&node, &piece(&denied, Piece::middle(9, 8..24)));
        send_from_a(&node, &piece(&denied, Piece::last(9, 16..40)));
        for socket in [open, closed] {
            socket.set_read_timeout(Some(SILENCE)).unwrap();
            socket.recv(&mut [0; 64]).unwrap_err();
        }
    }
}

#[test]
fn a_pod_says_nothing_of_anothers_datagram() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.egress(ID_B, &[entry(Egress, 103, UDP, 53, Allow)]);
    node.apply();
    for (own, server) in [(B, C), (B6, C6)] {
        let packet = udp((own, 5000), (server, 53), &[7; 32]);
        let forged = udp((own, 5000), (server, 54), &[7; 32]);
        let first = piece(&packet, Piece::first(7, 0..24));
        let rest = piece(&packet, Piece::last(7, 24..40));
        // `a` is allowed anything, under its own address.
        let spoofed = || send_from_a(&node, &piece(&forged, Piece::first(7, 0..24)));
        assert_eq!(dropped(&node, || send_packet(&node.net, "b", "vb", &first)), 0);
        assert_eq!(dropped(&node, spoofed), 1);
        node.assert_dropped(own, Reason::Spoofed);
        assert_eq!(dropped(&node, || send_packet(&node.net, "b", "vb", &rest)), 0, "{own}");
        // Nor does its word open a way for what `b` may not send.
        send_from_a(&node, &piece(&packet, Piece::first(8, 0..24)));
        let denied = piece(&forged, Piece::last(8, 24..40));
        assert_eq!(dropped(&node, || send_packet(&node.net, "b", "vb", &denied)), 1, "{own}");
    }
}

#[test]
fn a_flood_of_first_fragments_costs_others_nothing() {
    let Some(mut node) = policed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 103, UDP, 53, Allow)]);
    node.apply();
    serve_udp(&node.net, "b", B, 53);
    // More than are remembered, to a port where they do not pass.
    let packet = datagram((B, 54));
    let (to, from) = (mac(&node.net, "node", "va"), mac(&node.net, "a", "eth0"));
    let firsts = (0..12_000).map(|id| frame(to, from, IPV4, &piece(&packet, Piece::first(id, 0..24))));
    let flood = || send_all(&node.net, "a", "eth0", firsts);
    assert_eq!(dropped(&node, flood), 12_000);
    assert_eq!(ask_udp(&node.net, "c", (B, 53), &[7; 3_000], PATIENCE).unwrap(), 3_000);
}
