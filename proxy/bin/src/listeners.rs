//! The listening sockets: made or inherited, handed to the supervisor, matched to the Gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use model::Snapshot;
use model::service::ObjectRef;
use objects::{Kind, ObjectKey, Problem};
use proxy::{Config, Listener, ListenerKind};
use socket2::{Domain, Protocol, Socket, Type};

use crate::fdstore::{self, Held, Link, Message};

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

    /// Another descriptor of the socket of this name.
    fn get(&self, name: &str) -> io::Result<Option<TcpListener>> {
        let held = self.held();
        let fd = held.iter().find(|(other, _)| other == name).map(|(_, fd)| fd.try_clone());
        Ok(fd.transpose()?.map(TcpListener::from))
    }

    fn hold(&self, name: &str, socket: &TcpListener) -> io::Result<()> {
        let fd: OwnedFd = socket.as_fd().try_clone_to_owned()?;
        let message = Message::Hold(name.to_owned());
        if let Err(error) = self.supervisor.send(&message, Some(fd.as_fd())) {
            tracing::debug!(%error, "no supervisor to keep {name}");
        }
        fdstore::apply(&mut self.held(), message, Some(fd));
        Ok(())
    }

    fn release(&self, name: &str) {
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
    fn take_or(&self, name: &str, make: impl FnOnce() -> io::Result<TcpListener>) -> io::Result<TcpListener> {
        if let Some(socket) = self.get(name)? {
            return Ok(socket);
        }
        let socket = make()?;
        self.hold(name, &socket)?;
        Ok(socket)
    }
}

/// Address families with the name that slots use.
pub(crate) const FAMILIES: [(&str, Domain); 2] = [("v4", Domain::IPV4), ("v6", Domain::IPV6)];

/// The sockets that the kernel gives redirected connections to.
#[derive(Debug)]
pub(crate) struct Transparent {
    /// The worker that serves it.
    pub(crate) worker: usize,
    /// Whether it is the one for IPv6.
    pub(crate) v6: bool,
    /// The socket.
    pub(crate) socket: TcpListener,
}

/// One socket for each worker and family. Without IPv6 in the kernel, those for IPv4.
pub(crate) fn transparent(slots: &Slots, workers: usize) -> io::Result<Vec<Transparent>> {
    let mut sockets = Vec::new();
    for worker in 0..workers {
        for (family, domain) in FAMILIES {
            let made = slots.take_or(&format!("transparent/{worker}/{family}"), || {
                // Only the kernel's lookup program leads here, whatever the address.
                let address: IpAddr = match domain {
                    Domain::IPV4 => Ipv4Addr::LOCALHOST.into(),
                    _ => Ipv6Addr::LOCALHOST.into(),
                };
                listen(SocketAddr::new(address, 0), Bind { transparent: true, shared: false })
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

/// The sockets for clients that nothing redirects, on the Gateways' own addresses.
#[derive(Debug)]
pub(crate) struct GatewaySockets {
    slots: Slots,
    workers: usize,
    /// Take addresses that the node does not have (yet): a Gateway's may be known only here.
    transparent: bool,
    open: BTreeSet<SocketAddr>,
}

/// What changed: sockets to give to workers, addresses to stop listening on, and what failed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// New sockets with the worker that each is for.
    pub(crate) added: Vec<(usize, TcpListener)>,
    /// Addresses of Gateways that are gone.
    pub(crate) removed: Vec<SocketAddr>,
    /// Addresses that cannot be listened on, with the Gateways that want them.
    pub(crate) failed: Vec<(SocketAddr, Vec<ObjectRef>, io::Error)>,
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
        for (address, gateways) in &wanted {
            if self.open.contains(address) {
                continue;
            }
            match self.open(*address) {
                Ok(sockets) => {
                    self.open.insert(*address);
                    changes.added.extend(sockets.into_iter().enumerate());
                }
                Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && no_ipv6(&error) => {}
                Err(error) => changes.failed.push((*address, gateways.clone(), error)),
            }
        }
        let gone = self.open.iter().filter(|address| !wanted.contains_key(address));
        changes.removed = gone.copied().collect();
        self.open.retain(|address| wanted.contains_key(address));
        let (open, workers) = (&self.open, self.workers);
        let names: BTreeSet<String> =
            open.iter().flat_map(|at| (0..workers).map(|worker| slot(worker, *at))).collect();
        self.slots.keep_only(|name| match name.split('/').next() {
            Some("gateway") => names.contains(name),
            _ => name.split('/').nth(1).and_then(|w| w.parse().ok()).is_some_and(|w: usize| w < workers),
        });
        changes
    }

    fn open(&self, address: SocketAddr) -> io::Result<Vec<TcpListener>> {
        let bind = Bind { transparent: self.transparent, shared: true };
        let made: io::Result<Vec<_>> = (0..self.workers)
            .map(|worker| self.slots.take_or(&slot(worker, address), || listen(address, bind)))
            .collect();
        if made.is_err() {
            (0..self.workers).for_each(|worker| self.slots.release(&slot(worker, address)));
        }
        made
    }
}

/// What failed as problems that name the Gateways.
pub(crate) fn problems(failed: &[(SocketAddr, Vec<ObjectRef>, io::Error)]) -> Vec<Problem> {
    let of_each = |(address, gateways, error): &(SocketAddr, Vec<ObjectRef>, io::Error)| {
        let message = format!("cannot listen on {address}: {error}");
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
    transparent: &[Transparent],
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
fn addresses(snapshot: &Snapshot) -> BTreeMap<SocketAddr, Vec<ObjectRef>> {
    let mut wanted: BTreeMap<SocketAddr, Vec<ObjectRef>> = BTreeMap::new();
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
            wanted.entry(SocketAddr::new(*ip, at.port)).or_default().extend(gateways.iter().cloned());
        }
    }
    wanted
}

fn slot(worker: usize, address: SocketAddr) -> String {
    format!("gateway/{worker}/{address}")
}

#[derive(Clone, Copy, Debug)]
struct Bind {
    /// Answer from addresses that are not the node's, under our mark.
    transparent: bool,
    /// Several workers on one address.
    shared: bool,
}

fn listen(address: SocketAddr, bind: Bind) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
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
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn no_ipv6(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Connections that may wait for a worker, or for the next proxy after a crash.
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests;
