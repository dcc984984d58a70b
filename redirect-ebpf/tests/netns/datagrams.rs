//! Datagrams that go to the proxy, and those that answer it.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use redirect::Action::Allow;
use redirect::Direction::Ingress;
use redirect::{Family, Frontend, Kind, Reason};
use socket2::{Protocol, Socket, Type};

use super::frame::{icmp, send_packet, udp};
use super::namespace::Net;
use super::node::{A, A6, B, B6, ID_B, Node, TCP, UDP, VIP, VIP6, WORKERS, entry};
use super::socket::{PATIENCE, SILENCE, domain, set};

/// A socket of the proxy, bound to any address.
fn transparent(net: &Net, at: SocketAddr) -> UdpSocket {
    net.enter("node", || {
        let socket = Socket::new(domain(at.ip()), Type::DGRAM, Some(Protocol::UDP)).unwrap();
        if at.is_ipv4() {
            socket.set_ip_transparent_v4(true).unwrap();
        } else {
            socket.set_only_v6(true).unwrap();
            set(&socket, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1);
        }
        socket.set_mark(redirect::MARK_FROM_PROXY).unwrap();
        socket.bind(&at.into()).unwrap();
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    })
}

/// The sockets of each worker for one family.
fn listeners(node: &mut Node, family: Family) -> Vec<UdpSocket> {
    let ip: IpAddr = if family == Family::V4 { "127.0.0.1" } else { "::1" }.parse().unwrap();
    let sockets = (0..WORKERS).map(|worker| {
        let socket = transparent(&node.net, SocketAddr::new(ip, 0));
        node.redirect.set_listener(worker, Kind::Datagrams, family, socket.as_fd()).unwrap();
        socket
    });
    sockets.collect()
}

/// A socket of pod `a`.
fn client(node: &Node, ip: IpAddr) -> UdpSocket {
    let socket = node.net.enter("a", || UdpSocket::bind((ip, 0)).unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Waits until one of the sockets has a datagram: which one, its length, and who sent it.
fn receive(sockets: &[UdpSocket]) -> (usize, usize, SocketAddr) {
    let mut waiting: Vec<libc::pollfd> = sockets
        .iter()
        .map(|socket| libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let count = libc::nfds_t::try_from(waiting.len()).unwrap();
    let patience = i32::try_from(PATIENCE.as_millis()).unwrap();
    // SAFETY: an array of as many entries as said.
    let ready = unsafe { libc::poll(waiting.as_mut_ptr(), count, patience) };
    assert!(ready > 0, "no datagram: {}", io::Error::last_os_error());
    let at = waiting.iter().position(|one| one.revents != 0).unwrap();
    let (length, from) = sockets[at].recv_from(&mut [0; 65_535]).unwrap();
    (at, length, from)
}

fn frontend(node: &mut Node, address: IpAddr, outside: bool) {
    node.state.frontends.push(Frontend { address, port: 53, protocol: UDP, outside });
}

#[test]
fn to_a_service_reach_one_worker_whole() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    for (family, own, vip) in [(Family::V4, A, VIP), (Family::V6, A6, VIP6)] {
        frontend(&mut node, vip, false);
        node.apply();
        let sockets = listeners(&mut node, family);
        let mut workers = std::collections::HashSet::new();
        for _ in 0..16 {
            let client = client(&node, own);
            let first = client.send_to(b"hello", (vip, 53)).map(|_| receive(&sockets)).unwrap();
            assert_eq!((first.1, first.2), (5, client.local_addr().unwrap()));
            for length in [0, 1, 1_400, 3_000, 60_000] {
                client.send_to(&vec![7; length], (vip, 53)).unwrap();
                assert_eq!(receive(&sockets), (first.0, length, first.2));
            }
            workers.insert(first.0);
        }
        assert_eq!(workers.len(), 2);
        // The answer comes from where the question went.
        let client = client(&node, own);
        let answering = transparent(&node.net, SocketAddr::new(vip, 53));
        answering.send_to(b"answer", client.local_addr().unwrap()).unwrap();
        assert_eq!(client.recv_from(&mut [0; 16]).unwrap(), (6, (vip, 53).into()));
        // Another port is none of the proxy's.
        client.send_to(b"stray", (vip, 54)).unwrap();
        sockets.iter().for_each(|socket| socket.set_read_timeout(Some(SILENCE)).unwrap());
        sockets.iter().for_each(|socket| drop(socket.recv(&mut [0; 16]).unwrap_err()));
    }
}

#[test]
fn without_a_listener_are_dropped() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    frontend(&mut node, VIP, false);
    node.apply();
    let sockets = listeners(&mut node, Family::V4);
    drop(sockets);
    // A child that another test starts has copies of the sockets until it executes its program.
    let event = (0..5).find_map(|_| {
        client(&node, A).send_to(b"hello", (VIP, 53)).unwrap();
        node.dropped(|event| event.source.ip() == A && event.reason == Reason::NoProxy).first().copied()
    });
    assert_eq!(event.expect("nothing was dropped").destination, (VIP, 53).into());
}

#[test]
fn to_a_gateway_reach_its_own_socket() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    frontend(&mut node, VIP, true);
    node.apply();
    let _unused = listeners(&mut node, Family::V4);
    let gateway = transparent(&node.net, SocketAddr::new(VIP, 53));
    node.net.ip("node2", "route add 10.96.0.0/16 via 10.77.250.1");
    for length in [5, 3_000] {
        for role in ["a", "c"] {
            let client = node.net.enter(role, || UdpSocket::bind("0.0.0.0:0").unwrap());
            client.send_to(&vec![7; length], (VIP, 53)).unwrap();
            assert_eq!(gateway.recv(&mut [0; 4_096]).unwrap(), length, "{role}");
        }
    }
}

/// A socket as the proxy has it for a flow: under the address of `a`, connected to `b`.
fn upstream(node: &Node, client: IpAddr, server: IpAddr) -> UdpSocket {
    let socket = transparent(&node.net, SocketAddr::new(client, 61_500));
    node.net.enter("node", || socket.connect((server, 53)).unwrap());
    socket
}

#[test]
fn answers_reach_the_proxys_own_flow_whatever_policy_says() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Allow)]);
    node.egress(ID_B, &[]);
    node.apply();
    for (client, server) in [(A, B), (A6, B6)] {
        let answering = node.net.enter("b", || UdpSocket::bind((server, 53)).unwrap());
        answering.set_read_timeout(Some(PATIENCE)).unwrap();
        let upstream = upstream(&node, client, server);
        for length in [0, 5, 3_000, 60_000] {
            upstream.send(&vec![7; length]).unwrap();
            let (got, from) = answering.recv_from(&mut [0; 65_535]).unwrap();
            assert_eq!((got, from), (length, (client, 61_500).into()));
            answering.send_to(&vec![7; length], from).unwrap();
            assert_eq!(upstream.recv(&mut [0; 65_535]).unwrap(), length);
        }
        // Nobody else, and no other port, is taken for the endpoint.
        let before = node.redirect.counters().unwrap().dropped;
        for (to, from) in [((client, 61_500), (server, 54)), ((client, 61_501), (server, 53))] {
            send_packet(&node.net, "b", "vb", &udp(from, to, b"forged"));
        }
        assert_eq!(node.redirect.counters().unwrap().dropped, before + 2);
        upstream.set_read_timeout(Some(SILENCE)).unwrap();
        upstream.recv(&mut [0; 16]).unwrap_err();
    }
}

#[test]
fn an_endpoint_that_is_not_there_says_so() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.egress(ID_B, &[]);
    node.apply();
    for (client, server) in [(A, B), (A6, B6)] {
        let upstream = upstream(&node, client, server);
        upstream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        upstream.send(b"hello").unwrap();
        let error = upstream.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{server}");
        // Not on the word of another.
        let cited = udp((client, 61_500), (server, 53), b"hello");
        let unreachable = if client.is_ipv4() { [3, 3] } else { [1, 4] };
        let forged = icmp(client, client, unreachable, 64, &[&[0; 4], &cited[..]].concat());
        send_packet(&node.net, "a", "va", &forged);
        upstream.set_read_timeout(Some(SILENCE)).unwrap();
        let error = upstream.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{server}");
    }
}
