//! What the kernel makes of our options.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;

use socket2::{Domain, Socket, Type};

use super::{pin_thread, source_ports};

#[test]
fn the_source_port_comes_from_the_range() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let range = 61_000..=61_400;
    for _ in 0..10 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        source_ports(socket.as_fd(), &range).unwrap();
        socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        assert!(range.contains(&port), "{port}");
    }
}

#[test]
fn a_thread_is_pinned_to_a_cpu_that_it_may_use() {
    for index in [0, 1, 1000] {
        std::thread::spawn(move || pin_thread(index).unwrap()).join().unwrap();
    }
}
