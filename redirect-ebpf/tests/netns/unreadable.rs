//! Packets that do not tell what they are.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use redirect::Action::{Allow, Redirect};
use redirect::Direction::Ingress;
use redirect::Reason;
use socket2::{Protocol, Socket, Type};

use super::namespace::Net;
use super::node::{A, A6, B, B6, ID_B, Node, TCP, UDP, VIP, VIP6, entry, whole};
use super::socket::{SILENCE, ask_udp, domain, serve_udp};

/// More than fits into one packet.
const LARGE: [u8; 3000] = [7; 3000];
const PATIENCE: Duration = Duration::from_secs(10);

fn send_large(net: &Net, to: IpAddr) {
    net.enter("a", || {
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        let socket = UdpSocket::bind((any, 0)).unwrap();
        socket.send_to(&LARGE, (to, 53)).unwrap();
    });
}

#[test]
fn fragments_pass_where_no_port_matters() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.apply();
    for (client, server) in [(A, B), (A6, B6)] {
        serve_udp(&node.net, "b", server, 53);
        let ask = |patience| ask_udp(&node.net, "a", (server, 53), &LARGE, patience);
        assert_eq!(ask(PATIENCE).unwrap(), LARGE.len(), "no policy");
        node.ingress(ID_B, &[whole(Ingress, 101, Allow)]);
        node.apply();
        let ask = |patience| ask_udp(&node.net, "a", (server, 53), &LARGE, patience);
        assert_eq!(ask(PATIENCE).unwrap(), LARGE.len(), "every port allowed");
        node.ingress(ID_B, &[entry(Ingress, 101, UDP, 53, Allow), entry(Ingress, 101, TCP, 80, Redirect)]);
        node.apply();
        ask_udp(&node.net, "a", (server, 53), &LARGE, SILENCE).unwrap_err();
        node.assert_dropped(client, Reason::Unreadable);
        node.open_up(ID_B);
        node.apply();
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
        send_large(&node.net, address);
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
