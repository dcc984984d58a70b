//! Packets that do not tell what they are.

use std::net::{IpAddr, SocketAddr};

use redirect::Action::{Allow, Redirect};
use redirect::Direction::Ingress;
use redirect::Reason;
use socket2::{Protocol, Socket, Type};

use super::frame::{Piece, icmp, piece, send_packet};
use super::node::{A, A6, B, B6, ID_B, Node, TCP, UDP, VIP, VIP6, entry, whole};
use super::socket::domain;

/// A large ping in two packets, of which the first says what it is.
fn large_ping(from: IpAddr, to: IpAddr) -> [Vec<u8>; 2] {
    let kind = if from.is_ipv4() { [8, 0] } else { [128, 0] };
    let packet = icmp(from, to, kind, 64, &[7; 36]);
    [piece(&packet, Piece::first(7, 0..24)), piece(&packet, Piece::last(7, 24..40))]
}

#[test]
fn fragments_pass_where_no_port_matters() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    for (client, server, protocol) in [(A, B, 1), (A6, B6, 58)] {
        node.apply();
        let dropped = |node: &Node| {
            let before = node.redirect.counters().unwrap().dropped;
            for packet in large_ping(client, server) {
                send_packet(&node.net, "a", "va", &packet);
            }
            node.redirect.counters().unwrap().dropped - before
        };
        assert_eq!(dropped(&node), 0, "no policy");
        node.ingress(ID_B, &[whole(Ingress, 101, Allow)]);
        node.apply();
        assert_eq!(dropped(&node), 0, "everything allowed");
        let echo = if client.is_ipv4() { 8 } else { 128 };
        node.ingress(
            ID_B,
            &[entry(Ingress, 101, protocol, echo, Allow), entry(Ingress, 101, TCP, 80, Redirect)],
        );
        node.apply();
        assert_eq!(dropped(&node), 2);
        node.assert_dropped(client, Reason::Unreadable);
        node.open_up(ID_B);
    }
}

#[test]
fn fragments_to_a_frontend_are_dropped() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.frontend(VIP, 80);
    node.frontend(VIP6, 80);
    node.apply();
    for (client, address) in [(A, VIP), (A6, VIP6)] {
        send_packet(&node.net, "a", "va", &large_ping(client, address)[0]);
        node.assert_dropped(client, Reason::Unreadable);
    }
}

#[test]
fn ip_options_and_unknown_headers_are_dropped() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, UDP, 53, Allow), entry(Ingress, 101, TCP, 80, Redirect)]);
    node.apply();
    node.net.enter("a", || {
        let socket = Socket::new(domain(A), Type::DGRAM, Some(Protocol::UDP)).unwrap();
        // Three times "no operation", then the end of the list.
        let options = [1_u8, 1, 1, 0];
        // SAFETY: an open descriptor and a buffer of the size said.
        let result = unsafe {
            use std::os::fd::AsRawFd;
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_IP,
                libc::IP_OPTIONS,
                options.as_ptr().cast(),
                4,
            )
        };
        assert_eq!(result, 0);
        socket.send_to(b"hello", &SocketAddr::new(B, 53).into()).unwrap();
    });
    node.assert_dropped(A, Reason::Unreadable);
    node.net.enter("a", || {
        // 253 is for experiments: nobody knows what is behind it.
        let unknown = Some(Protocol::from(253));
        let socket = Socket::new(domain(A6), Type::RAW, unknown).unwrap();
        socket.send_to(b"hello", &SocketAddr::new(B6, 0).into()).unwrap();
    });
    node.assert_dropped(A6, Reason::Unreadable);
}
