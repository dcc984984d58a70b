//! A listening socket of datagrams that tells which of its addresses each was sent to, and answers
//! from that address.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg,
    sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;

/// See the module.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: tokio::net::UdpSocket,
    bound: SocketAddr,
}

/// A datagram as it arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) client: SocketAddr,
    /// Where the client sent it to.
    pub(crate) local: SocketAddr,
}

impl Socket {
    /// Hands a bound socket to the runtime that the caller is in.
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let bound = socket.local_addr()?;
        if bound.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        Ok(Self { socket: tokio::net::UdpSocket::from_std(socket)?, bound })
    }

    /// What it is bound to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.bound
    }

    /// The next datagram.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let fd = self.socket.as_raw_fd();
        self.socket.async_io(Interest::READABLE, || receive(fd, self.bound, buffer)).await
    }

    /// Sends a datagram from one of our addresses.
    ///
    /// # Errors
    /// What the kernel says; `WouldBlock` if it has no room now.
    pub(crate) fn send(&self, bytes: &[u8], client: SocketAddr, from: IpAddr) -> io::Result<()> {
        // Straight to the kernel: nobody waits for room, and what finds none is lost.
        send(self.socket.as_raw_fd(), bytes, client, from)
    }
}

fn receive(fd: RawFd, bound: SocketAddr, buffer: &mut [u8]) -> io::Result<Received> {
    let mut parts = [IoSliceMut::new(buffer)];
    let mut space = nix::cmsg_space!(libc::in6_pktinfo);
    let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), MsgFlags::empty())?;
    let ip = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes())),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    });
    let client = message.address.as_ref().and_then(address);
    let client = client.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
    let local = SocketAddr::new(ip.unwrap_or(bound.ip()), bound.port());
    Ok(Received { len: message.bytes, client, local })
}

fn send(fd: RawFd, bytes: &[u8], client: SocketAddr, from: IpAddr) -> io::Result<()> {
    let parts = [IoSlice::new(bytes)];
    // The interface is the kernel's to choose.
    let sent = match (from, client) {
        (IpAddr::V4(from), SocketAddr::V4(client)) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            let control = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(fd, &parts, &control, MsgFlags::empty(), Some(&SockaddrIn::from(client)))
        }
        (IpAddr::V6(from), SocketAddr::V6(client)) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: from.octets() },
                // A link-local client is on one link alone.
                ipi6_ifindex: client.scope_id(),
            };
            let control = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(fd, &parts, &control, MsgFlags::empty(), Some(&SockaddrIn6::from(client)))
        }
        _ => return Err(io::ErrorKind::AddrNotAvailable.into()),
    };
    sent?;
    Ok(())
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|at| SocketAddr::from((at.ip(), at.port())));
    // Keeps the scope of a link-local address.
    v4.or_else(|| storage.as_sockaddr_in6().map(|at| std::net::SocketAddrV6::from(*at).into()))
}
