//! The listening sockets: made or inherited, handed to the supervisor, matched to the Gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use model::Snapshot;
use model::service::ObjectRef;
use model::workload::Protocol::{Tcp, Udp};
use objects::{Kind, ObjectKey, Problem};
use proxy::{Config, Listener, ListenerKind};
use socket2::{Domain, Protocol, Socket, Type};

use crate::fdstore::{self, Held, Link, Message};
use crate::last_good;

/// Every listening socket of this process under its name, here and at the supervisor.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    supervisor: Arc<Link>,
    held: Arc<Mutex<Held>>,
}

impl Slots {
    /// The sockets that came with the link.
    pub(crate) fn new(supervisor: Arc<Link>, held: Held) -> Self {
        Self { supervisor, held: Arc::new(Mutex::new(held)) }
    }

    /// Access to the descriptors, to hand them over.
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no panic while it is held")
    }

    /// Another descriptor of what has this name.
    pub(crate) fn get(&self, name: &str) -> io::Result<Option<OwnedFd>> {
        let held = self.held();
        let fd = held.iter().find(|(other, _)| other == name).map(|(_, fd)| fd.try_clone());
        fd.transpose()
    }

    /// Keeps another descriptor of it under this name.
    pub(crate) fn hold(&self, name: &str, socket: &OwnedFd) -> io::Result<()> {
        let fd = socket.try_clone()?;
        let message = Message::Hold(name.to_owned());
        if let Err(error) = self.supervisor.send(&message, Some(fd.as_fd())) {
            tracing::debug!(%error, "no supervisor to keep {name}");
        }
        fdstore::apply(&mut self.held(), message, Some(fd));
        Ok(())
    }

    /// Keeps it no more.
    pub(crate) fn release(&self, name: &str) {
        let message = Message::Release(name.to_owned());
        if let Err(error) = self.supervisor.send(&message, None) {
            tracing::debug!(%error, "no supervisor to drop {name}");
        }
        fdstore::apply(&mut self.held(), message, None);
    }

    /// Closes what the workers of this process have no use for.
    fn keep_only(&self, wanted: impl Fn(&str) -> bool) {
        let names: Vec<String> = self.held().iter().map(|(name, _)| name.clone()).collect();
        for name in names.iter().filter(|name| !wanted(name)) {
            self.release(name);
        }
    }

    /// The socket of this name, or a new one that is then kept.
    fn take_or<S: From<OwnedFd>>(
        &self,
        name: &str,
        make: impl FnOnce() -> io::Result<Socket>,
    ) -> io::Result<S> {
        if let Some(socket) = self.get(name)? {
            return Ok(socket.into());
        }
        let socket = make()?.into();
        self.hold(name, &socket)?;
        Ok(socket.into())
    }
}

/// Address families with the name that slots use.
pub(crate) const FAMILIES: [(&str, Domain); 2] = [("v4", Domain::IPV4), ("v6", Domain::IPV6)];

/// A socket that the kernel gives redirected connections or datagrams to.
#[derive(Debug)]
pub(crate) struct Transparent<S> {
    /// The worker that serves it.
    pub(crate) worker: usize,
    /// Whether it is the one for IPv6.
    pub(crate) v6: bool,
    /// The socket.
    pub(crate) socket: S,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Transparents {
    /// Those of TCP.
    pub(crate) connections: Vec<Transparent<TcpListener>>,
    /// Those of UDP.
    pub(crate) datagrams: Vec<Transparent<UdpSocket>>,
}

impl Transparents {
    /// One socket of each kind for each worker and family. Without IPv6 in the kernel, those for IPv4.
    pub(crate) fn take(slots: &Slots, workers: usize) -> io::Result<Self> {
        let connections = transparent(slots, workers, Tcp)?;
        Ok(Self { connections, datagrams: transparent(slots, workers, Udp)? })
    }
}

fn transparent<S: From<OwnedFd>>(
    slots: &Slots,
    workers: usize,
    transport: model::workload::Protocol,
) -> io::Result<Vec<Transparent<S>>> {
    let kind = if transport == Udp { "transparent-udp" } else { "transparent" };
    let mut sockets = Vec::new();
    for worker in 0..workers {
        for (family, domain) in FAMILIES {
            let made = slots.take_or(&format!("{kind}/{worker}/{family}"), || {
                // Only the kernel's lookup program leads here, whatever the address.
                let address: IpAddr = match domain {
                    Domain::IPV4 => Ipv4Addr::LOCALHOST.into(),
                    _ => Ipv6Addr::LOCALHOST.into(),
                };
                listen(
                    At { address: SocketAddr::new(address, 0), transport },
                    Bind { transparent: true, shared: false },
                )
            });
            match made {
                Ok(socket) => sockets.push(Transparent { worker, v6: domain == Domain::IPV6, socket }),
                Err(error) if domain == Domain::IPV6 && no_ipv6(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(sockets)
}

/// The socket of the admin endpoint; one for another address is closed, or any for `None`.
pub(crate) fn admin(slots: &Slots, address: Option<SocketAddr>) -> io::Result<Option<TcpListener>> {
    let name = address.map(|address| format!("{ADMIN}/{address}")).unwrap_or_default();
    slots.keep_only(|other| other == name || other.split('/').next() != Some(ADMIN));
    let open = |address| {
        slots.take_or(&name, || {
            listen(At { address, transport: Tcp }, Bind { transparent: false, shared: false })
        })
    };
    address.map(open).transpose()
}

/// The sockets for clients that nothing redirects, on the Gateways' own addresses.
#[derive(Debug)]
pub(crate) struct GatewaySockets {
    slots: Slots,
    workers: usize,
    /// Take addresses that the node does not have (yet): a Gateway's may be known only here.
    transparent: bool,
    open: BTreeSet<At>,
}

/// What a Gateway's socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    address: SocketAddr,
    /// TCP or UDP.
    transport: model::workload::Protocol,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport, self.address)
    }
}

/// What changed: sockets to give to workers, addresses to stop listening on, and what failed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// New TCP sockets with the worker that each is for.
    pub(crate) added: Vec<(usize, TcpListener)>,
    /// The same of UDP.
    pub(crate) added_udp: Vec<(usize, UdpSocket)>,
    /// TCP addresses of Gateways that are gone.
    pub(crate) removed: Vec<SocketAddr>,
    /// The same of UDP.
    pub(crate) removed_udp: Vec<SocketAddr>,
    /// Addresses that cannot be listened on, with the Gateways that want them.
    pub(crate) failed: Vec<(At, Vec<ObjectRef>, io::Error)>,
}

impl GatewaySockets {
    /// No socket yet; inherited ones are taken up by [`GatewaySockets::reconcile`].
    pub(crate) fn new(slots: Slots, workers: usize, transparent: bool) -> Self {
        Self { slots, workers, transparent, open: BTreeSet::new() }
    }

    /// Makes the sockets be those that the snapshot's Gateways need.
    pub(crate) fn reconcile(&mut self, snapshot: &Snapshot) -> Changes {
        let wanted = addresses(snapshot);
        let mut changes = Changes::default();
        for (at, gateways) in &wanted {
            if self.open.contains(at) {
                continue;
            }
            let opened = match at.transport {
                Udp => self.open(*at).map(|sockets| changes.added_udp.extend(sockets)),
                _ => self.open(*at).map(|sockets| changes.added.extend(sockets)),
            };
            match opened {
                Ok(()) => {
                    self.open.insert(*at);
                }
                Err(error) if at.address.ip() == Ipv6Addr::UNSPECIFIED && no_ipv6(&error) => {}
                Err(error) => changes.failed.push((*at, gateways.clone(), error)),
            }
        }
        for gone in self.open.iter().filter(|at| !wanted.contains_key(at)) {
            let removed = if gone.transport == Udp { &mut changes.removed_udp } else { &mut changes.removed };
            removed.push(gone.address);
        }
        self.open.retain(|at| wanted.contains_key(at));
        let (open, workers) = (&self.open, self.workers);
        let names: BTreeSet<String> =
            open.iter().flat_map(|at| (0..workers).map(|worker| slot(worker, *at))).collect();
        self.slots.keep_only(|name| match name.split('/').next() {
            Some("gateway" | "gateway-udp") => names.contains(name),
            Some(ADMIN | last_good::NAME) => true,
            _ => name.split('/').nth(1).and_then(|w| w.parse().ok()).is_some_and(|w: usize| w < workers),
        });
        changes
    }

    /// One socket for each worker.
    fn open<S: From<OwnedFd>>(&self, at: At) -> io::Result<Vec<(usize, S)>> {
        let bind = Bind { transparent: self.transparent, shared: true };
        let made: io::Result<Vec<_>> = (0..self.workers)
            .map(|worker| Ok((worker, self.slots.take_or(&slot(worker, at), || listen(at, bind))?)))
            .collect();
        if made.is_err() {
            (0..self.workers).for_each(|worker| self.slots.release(&slot(worker, at)));
        }
        made
    }
}

/// What failed as problems that name the Gateways.
pub(crate) fn problems(failed: &[(At, Vec<ObjectRef>, io::Error)]) -> Vec<Problem> {
    let of_each = |(at, gateways, error): &(At, Vec<ObjectRef>, io::Error)| {
        let message = format!("cannot listen on {at}: {error}");
        let problem = move |gateway: &ObjectRef| {
            Problem::error(message.clone()).field("spec.listeners").of(ObjectKey {
                kind: Kind::Gateway,
                namespace: gateway.namespace.clone(),
                name: gateway.name.clone(),
            })
        };
        gateways.iter().map(problem).collect::<Vec<_>>()
    };
    failed.iter().flat_map(of_each).collect()
}

/// Sorts sockets by worker, for the proxy's start.
pub(crate) fn by_worker(
    workers: usize,
    transparent: &[Transparent<TcpListener>],
    gateways: Vec<(usize, TcpListener)>,
) -> io::Result<Vec<Vec<Listener>>> {
    let mut lists: Vec<Vec<Listener>> = (0..workers).map(|_| Vec::new()).collect();
    for one in transparent {
        let socket = one.socket.try_clone()?;
        lists[one.worker].push(Listener { socket, kind: ListenerKind::Transparent });
    }
    for (worker, socket) in gateways {
        lists[worker].push(Listener { socket, kind: ListenerKind::Gateway });
    }
    Ok(lists)
}

/// The socket addresses of all Gateways with the Gateways on each.
fn addresses(snapshot: &Snapshot) -> BTreeMap<At, Vec<ObjectRef>> {
    let mut wanted: BTreeMap<At, Vec<ObjectRef>> = BTreeMap::new();
    for (at, port) in snapshot.gateways.iter() {
        let ips: &[IpAddr] = match &at.ip {
            Some(ip) => std::slice::from_ref(ip),
            None => &[IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
        };
        let mut gateways: Vec<ObjectRef> =
            port.listeners.iter().map(|listener| listener.gateway.clone()).collect();
        gateways.sort();
        gateways.dedup();
        for ip in ips {
            let at = At { address: SocketAddr::new(*ip, at.port), transport: at.transport };
            wanted.entry(at).or_default().extend(gateways.iter().cloned());
        }
    }
    wanted
}

fn slot(worker: usize, at: At) -> String {
    let kind = if at.transport == Udp { "gateway-udp" } else { "gateway" };
    format!("{kind}/{worker}/{}", at.address)
}

#[derive(Clone, Copy, Debug)]
struct Bind {
    /// Answer from addresses that are not the node's, under our mark.
    transparent: bool,
    /// Several workers on one address.
    shared: bool,
}

fn listen(at: At, bind: Bind) -> io::Result<Socket> {
    let At { address, transport } = at;
    let (kind, protocol) =
        if transport == Udp { (Type::DGRAM, Protocol::UDP) } else { (Type::STREAM, Protocol::TCP) };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if transport == Tcp {
        socket.set_reuse_address(true)?;
    } else {
        // The datagrams of all clients wait here; the kernel bounds it by `net.core.rmem_max`.
        socket.set_recv_buffer_size(DATAGRAM_BUFFER)?;
    }
    if bind.shared {
        socket.set_reuse_port(true)?;
    }
    if bind.transparent {
        socket.set_mark(Config::MARK)?;
        match address {
            SocketAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
            SocketAddr::V6(_) => socket.set_ip_transparent_v6(true)?,
        }
    }
    socket.bind(&address.into())?;
    if transport == Tcp {
        socket.listen(BACKLOG)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn no_ipv6(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The first part of the name of the admin endpoint's socket.
const ADMIN: &str = "admin";
/// Bytes of datagrams that may wait for a worker.
const DATAGRAM_BUFFER: usize = 1 << 20;
/// Connections that may wait for a worker, or for the next proxy after a crash.
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests;
