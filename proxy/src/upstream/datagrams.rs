//! A socket for one flow of datagrams to an endpoint.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::Key;
use super::dial::{Ports, TRIES_MAX, is_taken};
use crate::config::Config;

/// Bound and connected: only the endpoint's answers arrive on it. Under the client's address if
/// the key says so, from a port of our range; under the node's own from any port.
///
/// # Errors
/// What the kernel says.
pub(super) fn open(config: &Config, ports: &Ports, key: Key) -> io::Result<UdpSocket> {
    let mut tries = 0;
    loop {
        tries += 1;
        let port = if key.source.is_some() { ports.take() } else { 0 };
        match connected(config, key, port) {
            Err(error) if is_taken(&error) && tries < TRIES_MAX => ports.jump(),
            done => return done,
        }
    }
}

fn connected(config: &Config, key: Key, port: u16) -> io::Result<UdpSocket> {
    let endpoint = key.endpoint.0;
    let socket = Socket::new(Domain::for_address(endpoint), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if config.transparent {
        socket.set_mark(Config::MARK)?;
    }
    match key.source {
        Some(IpAddr::V4(_)) => socket.set_ip_transparent_v4(true)?,
        Some(IpAddr::V6(_)) => socket.set_ip_transparent_v6(true)?,
        None => {}
    }
    let own: IpAddr =
        if endpoint.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    socket.bind(&SocketAddr::new(key.source.unwrap_or(own), port).into())?;
    socket.connect(&endpoint.into())?;
    // What others sent to the port before it was the endpoint's alone would pass for its answers.
    while socket.recv(&mut [MaybeUninit::uninit()]).is_ok() {}
    UdpSocket::from_std(socket.into())
}
