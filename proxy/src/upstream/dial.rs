//! Opening a connection to an endpoint.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::Key;
use crate::config::Config;
use crate::sys;

/// Connects within [`crate::Limits::connect_timeout`].
///
/// # Errors
/// `TimedOut`, or what the kernel says.
pub(crate) async fn dial(config: &Config, key: Key) -> io::Result<TcpStream> {
    let address = key.endpoint.0;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if config.transparent {
        socket.set_mark(Config::MARK)?;
        sys::source_ports(socket.as_fd(), &Config::SOURCE_PORTS)?;
        if let Some(source) = key.source {
            bind(&socket, source)?;
        }
    }
    let connecting = TcpSocket::from_std_stream(socket.into()).connect(address);
    tokio::time::timeout(config.limits.connect_timeout, connecting).await?
}

/// Takes an address that need not be this node's.
fn bind(socket: &Socket, source: IpAddr) -> io::Result<()> {
    match source {
        IpAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
        IpAddr::V6(_) => socket.set_ip_transparent_v6(true)?,
    }
    socket.bind(&SocketAddr::new(source, 0).into())
}
