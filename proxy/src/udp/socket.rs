//! A listening socket of datagrams that tells where each was sent to, and what answers from there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::{Rc, Weak};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg,
    sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;

use super::Ends;
use super::raw::Raw;
use crate::config::{Config, ListenerKind};

/// See the module.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: tokio::net::UdpSocket,
    bound: SocketAddr,
    kind: ListenerKind,
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
    pub(crate) fn new(socket: UdpSocket, kind: ListenerKind) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let bound = socket.local_addr()?;
        // A Gateway's own socket has the port that it was sent to.
        match (kind, bound.is_ipv4()) {
            (ListenerKind::Gateway, true) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            (ListenerKind::Gateway, false) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            (ListenerKind::Transparent, true) => setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?,
            (ListenerKind::Transparent, false) => setsockopt(&socket, sockopt::Ipv6OrigDstAddr, &true)?,
        }
        Ok(Self { socket: tokio::net::UdpSocket::from_std(socket)?, bound, kind })
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
    fn send(&self, bytes: &[u8], client: SocketAddr, from: IpAddr) -> io::Result<()> {
        // Straight to the kernel: nobody waits for room, and what finds none is lost.
        send(self.socket.as_raw_fd(), bytes, client, from)
    }
}

/// What answers the clients of a listening socket: itself, if it has their address and port, else
/// one socket for each place that they send to.
#[derive(Debug)]
pub(super) struct Replies {
    is_own: bool,
    sockets: RefCell<HashMap<SocketAddr, Weak<Reply>>>,
}

/// What answers the client of a flow.
#[derive(Debug)]
pub(super) enum Answers {
    /// The listening socket.
    Listener,
    /// A socket of that place.
    Own(Rc<Reply>),
}

/// What answers from one address and port.
#[derive(Debug)]
pub(super) enum Reply {
    /// It has them.
    Bound(UdpSocket),
    /// A process of the node has the port on every address.
    Raw(Raw),
}

impl Replies {
    pub(super) fn new(listener: &Socket) -> Self {
        Self { is_own: listener.kind == ListenerKind::Gateway, sockets: RefCell::default() }
    }

    /// What answers from this place.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn from(&self, local: SocketAddr, transparent: bool) -> io::Result<Answers> {
        if self.is_own {
            return Ok(Answers::Listener);
        }
        let mut sockets = self.sockets.borrow_mut();
        if let Some(socket) = sockets.get(&local).and_then(Weak::upgrade) {
            return Ok(Answers::Own(socket));
        }
        let socket = Rc::new(match bound(local, transparent) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && transparent => {
                Reply::Raw(Raw::new(local)?)
            }
            bound => Reply::Bound(bound?),
        });
        sockets.retain(|_, socket| socket.strong_count() > 0);
        sockets.insert(local, Rc::downgrade(&socket));
        Ok(Answers::Own(socket))
    }
}

impl Answers {
    /// Sends an answer to a flow's client.
    ///
    /// # Errors
    /// What the kernel says; `WouldBlock` if it has no room now.
    pub(super) fn send(&self, listener: &Socket, bytes: &[u8], ends: Ends) -> io::Result<()> {
        let (client, local) = ends;
        match self {
            Self::Listener => listener.send(bytes, client, local.ip()),
            Self::Own(reply) => match &**reply {
                Reply::Bound(socket) => socket.send_to(bytes, client).map(drop),
                Reply::Raw(socket) => socket.send(bytes, client),
            },
        }
    }
}

/// A socket to send from an address that need not be this node's. Nothing arrives on it: what is
/// sent there is led to the listening sockets.
fn bound(local: SocketAddr, transparent: bool) -> io::Result<UdpSocket> {
    let socket =
        socket2::Socket::new(Domain::for_address(local), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    // Each worker has one, and so may a successor; a Gateway may have the port on every address.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if transparent {
        socket.set_mark(Config::MARK)?;
        match local {
            SocketAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_ip_transparent_v6(true)?;
            }
        }
    }
    socket.bind(&local.into())?;
    Ok(socket.into())
}

fn receive(fd: RawFd, bound: SocketAddr, buffer: &mut [u8]) -> io::Result<Received> {
    let mut parts = [IoSliceMut::new(buffer)];
    let mut space = nix::cmsg_space!(libc::sockaddr_in6);
    let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), MsgFlags::empty())?;
    let at = |ip: IpAddr| SocketAddr::new(ip, bound.port());
    let local = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(at(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes())))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(at(IpAddr::from(info.ipi6_addr.s6_addr))),
        ControlMessageOwned::Ipv4OrigDstAddr(to) => Some(SocketAddr::V4(SockaddrIn::from(to).into())),
        ControlMessageOwned::Ipv6OrigDstAddr(to) => Some(SocketAddr::V6(SockaddrIn6::from(to).into())),
        _ => None,
    });
    let client = message.address.as_ref().and_then(address);
    let client = client.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
    Ok(Received { len: message.bytes, client, local: local.unwrap_or(bound) })
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
