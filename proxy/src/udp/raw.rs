//! Datagrams written by hand, for a port that is not to be had: somebody has it on every address of
//! the node.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::Config;

/// The length of a UDP header.
const HEADER: usize = 8;
/// UDP's number in the IP header.
const UDP: u8 = 17;

/// Sends UDP from an address and port that it does not hold. Nothing arrives on it: the kernel hands
/// it only what is for its address, which is none of this node's.
#[derive(Debug)]
pub(super) struct Raw {
    socket: Socket,
    local: SocketAddr,
}

impl Raw {
    /// Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn new(local: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(local), Type::RAW.nonblocking(), Some(Protocol::UDP))?;
        socket.set_mark(Config::MARK)?;
        match local {
            SocketAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
            SocketAddr::V6(_) => socket.set_ip_transparent_v6(true)?,
        }
        socket.bind(&SockAddr::from(SocketAddr::new(local.ip(), 0)))?;
        Ok(Self { socket, local })
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// What the kernel says; `WouldBlock` if it has no room now.
    pub(super) fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        let datagram = datagram(self.local, to, bytes).ok_or(io::ErrorKind::InvalidInput)?;
        // The ports are in the datagram.
        let to = SockAddr::from(SocketAddr::new(to.ip(), 0));
        self.socket.send_to(&datagram, &to).map(drop)
    }
}

/// The payload of an IP packet (RFC 768). `None` if it is longer than a datagram can be, or the
/// addresses are of two families.
fn datagram(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(HEADER + bytes.len()).ok()?;
    let mut datagram = Vec::with_capacity(HEADER + bytes.len());
    for field in [from.port(), to.port(), length, 0] {
        datagram.extend_from_slice(&field.to_be_bytes());
    }
    datagram.extend_from_slice(bytes);
    let mut sum = u64::from(UDP) + u64::from(length) + words(&datagram);
    sum += match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => words(&from.octets()) + words(&to.octets()),
        (IpAddr::V6(from), IpAddr::V6(to)) => words(&from.octets()) + words(&to.octets()),
        _ => return None,
    };
    while sum > u64::from(u16::MAX) {
        sum = (sum & u64::from(u16::MAX)) + (sum >> 16);
    }
    // Zero would say that there is no checksum.
    let checksum = match u16::try_from(sum).ok()? {
        u16::MAX => u16::MAX,
        sum => !sum,
    };
    datagram[6..HEADER].copy_from_slice(&checksum.to_be_bytes());
    Some(datagram)
}

/// The sum of 16-bit words, the last filled up with zeroes (RFC 1071).
fn words(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    bytes.chunks(2).map(word).sum()
}

#[cfg(test)]
mod tests;
