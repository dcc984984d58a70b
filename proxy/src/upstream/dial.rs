//! Opening a connection to an endpoint.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use model::address::EndpointAddr;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::Key;
use crate::clock::Moment;
use crate::config::Config;

#[cfg(test)]
mod tests;

/// Source ports tried for one connection before they count as all in use.
pub(super) const TRIES_MAX: usize = 64;
/// How long they then do: so many tries for each connection would take the worker's time from others.
const FULL_FOR: Duration = Duration::from_millis(100);
/// Pairs of endpoint and source address remembered so.
const FULL_MAX: usize = 256;

/// The source ports of a worker's connections, used in turn: one that was just closed comes last.
#[derive(Debug)]
pub(super) struct Ports {
    range: RangeInclusive<u16>,
    next: Cell<u16>,
    /// State of the jumps; never 0.
    random: Cell<u64>,
    /// Between which addresses all are in use, and until when that is taken to be so.
    full: RefCell<HashMap<(EndpointAddr, Option<IpAddr>), Moment>>,
}

impl Ports {
    /// Workers begin at different places.
    pub(super) fn new(range: RangeInclusive<u16>, seed: u64) -> Self {
        let (next, random) = (Cell::new(*range.start()), Cell::new(seed | 1));
        let ports = Self { next, random, range, full: RefCell::default() };
        ports.go_to(seed);
        ports
    }

    /// Goes on somewhere else. The ports of a burst lie side by side, another worker's too: after one
    /// that is taken the next is likely to be.
    pub(super) fn jump(&self) {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        self.go_to(x);
    }

    fn go_to(&self, place: u64) {
        let count = u64::from(self.range.end() - self.range.start()) + 1;
        let offset = u16::try_from(place % count).unwrap_or_default();
        self.next.set(self.range.start() + offset);
    }

    pub(super) fn take(&self) -> u16 {
        let port = self.next.get();
        self.next.set(if port == *self.range.end() { *self.range.start() } else { port + 1 });
        port
    }

    fn is_full(&self, key: Key, now: Moment) -> bool {
        let full = self.full.borrow();
        !full.is_empty() && full.get(&(key.endpoint, key.source)).is_some_and(|until| *until > now)
    }

    fn found_full(&self, key: Key, now: Moment) {
        let mut full = self.full.borrow_mut();
        full.retain(|_, until| *until > now);
        if full.len() < FULL_MAX {
            full.insert((key.endpoint, key.source), now + FULL_FOR);
        }
    }
}

/// Connects within [`crate::Limits::connect_timeout`].
///
/// # Errors
/// `TimedOut`, what the kernel says, or `AddrNotAvailable`: all ports are in use.
pub(super) async fn dial(config: &Config, ports: &Ports, key: Key, now: Moment) -> io::Result<TcpStream> {
    tokio::time::timeout(config.limits.connect_timeout, async {
        if !config.transparent {
            return connect(socket(key)?, key).await;
        }
        if !ports.is_full(key, now) {
            for _ in 0..TRIES_MAX {
                match connect_from(ports.take(), key).await {
                    Err(error) if is_taken(&error) => ports.jump(),
                    done => return done,
                }
            }
            ports.found_full(key, now);
        }
        if key.source.is_some() {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        // Of the node's own address those are free that the kernel gives to everybody on it.
        connect(marked(key)?, key).await
    })
    .await?
}

async fn connect(socket: Socket, key: Key) -> io::Result<TcpStream> {
    TcpSocket::from_std_stream(socket.into()).connect(key.endpoint.0).await
}

/// Connects with our mark from one port, under the client's address if the key says so.
async fn connect_from(port: u16, key: Key) -> io::Result<TcpStream> {
    let socket = marked(key)?;
    // Connections to other endpoints may have the same port; the 4-tuple tells them apart.
    socket.set_reuse_address(true)?;
    let own = if key.endpoint.0.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    if let Some(source) = key.source {
        // Lets it bind an address that need not be this node's.
        match source {
            IpAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
            IpAddr::V6(_) => socket.set_ip_transparent_v6(true)?,
        }
    }
    socket.bind(&SocketAddr::new(key.source.unwrap_or(own), port).into())?;
    connect(socket, key).await
}

/// A socket with our mark.
fn marked(key: Key) -> io::Result<Socket> {
    let socket = socket(key)?;
    socket.set_mark(Config::MARK)?;
    Ok(socket)
}

/// Whether another port would do: somebody listens on this one, or the 4-tuple is in use.
pub(super) fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable)
}

fn socket(key: Key) -> io::Result<Socket> {
    let domain = Domain::for_address(key.endpoint.0);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}
