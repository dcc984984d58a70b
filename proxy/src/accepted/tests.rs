//! What a listener hands on to the connections that it accepts.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

fn acceptor(kind: ListenerKind, ip: IpAddr) -> Acceptor {
    let socket = std::net::TcpListener::bind((ip, 0)).unwrap();
    Acceptor::new(Listener { socket, kind }).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn accepted_sockets_send_at_once() {
    let acceptor = acceptor(ListenerKind::Transparent, Ipv4Addr::LOCALHOST.into());
    let client = std::net::TcpStream::connect(acceptor.address).unwrap();
    let (socket, address) = acceptor.socket.async_io(Interest::READABLE, accept).await.unwrap();
    assert_eq!(address, client.local_addr().unwrap());
    let socket = SockRef::from(&socket);
    assert!(socket.tcp_nodelay().unwrap() && socket.nonblocking().unwrap());
}

#[tokio::test(flavor = "current_thread")]
async fn only_a_listener_with_one_address_knows_where_its_clients_went() {
    use ListenerKind::{Gateway, Transparent};
    let one: IpAddr = Ipv4Addr::LOCALHOST.into();
    let all: IpAddr = Ipv4Addr::UNSPECIFIED.into();
    let mapped: IpAddr = Ipv4Addr::LOCALHOST.to_ipv6_mapped().into();
    let cases = [
        (Gateway, one, Some(one)),
        (Gateway, all, None),
        (Gateway, Ipv6Addr::UNSPECIFIED.into(), None),
        (Gateway, mapped, Some(one)),
        (Transparent, one, None),
    ];
    for (kind, ip, wanted) in cases {
        let acceptor = acceptor(kind, ip);
        let wanted = wanted.map(|ip| OrigDstAddr(SocketAddr::new(ip, acceptor.address.port())));
        assert_eq!(acceptor.original, wanted, "{kind:?} at {ip}");
    }
}
