//! Stage 1. A connection is accepted: its addresses are read from the socket, and it is counted
//! against the limits.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use model::address::{ClientAddr, OrigDstAddr};
use model::flow::{FlowReason, FlowVerdict};
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::addressed::Addressing;
use crate::buffer::Account;
use crate::clock::Moment;
use crate::config::{Listener, ListenerKind};
use crate::connection;
use crate::flow::Flow;
use crate::limits::Limits;
use crate::live::Registered;
use crate::stats::{Counter, Stats};
use crate::stream::{Stream, reset};
use crate::sys;
use crate::tcp::Tcp;
use crate::tls::Secured;
use crate::worker::Worker;

/// Pause after a failed `accept`: descriptors do not come back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An accepted connection, counted for as long as this lives.
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) client: ClientAddr,
    /// The socket's local address: where the client wanted to go.
    pub(crate) original: OrigDstAddr,
    pub(crate) by: By,
    pub(crate) since: Moment,
    pub(crate) live: Registered,
    /// Of a connection to a TLS port of a Gateway, once it is in.
    pub(crate) secured: Option<Rc<Secured>>,
    counted: Rc<Counted>,
}

/// What the streams of one connection have in common with it.
pub(crate) struct Carrier {
    client: ClientAddr,
    original: OrigDstAddr,
    by: By,
    secured: Option<Rc<Secured>>,
    counted: Rc<Counted>,
}

impl Accepted {
    /// What its streams take from it.
    pub(crate) fn carrier(&self) -> Carrier {
        let (client, original, by) = (self.client, self.original, self.by);
        let (secured, counted) = (self.secured.clone(), self.counted.clone());
        Carrier { client, original, by, secured, counted }
    }
}

impl Carrier {
    /// A stream in the place of a connection.
    pub(crate) fn accept(&self, worker: &Worker, stream: Stream, counted: Rc<Counted>) -> Accepted {
        let (since, live) = (worker.clock.now(), worker.live.register());
        let (client, original, by) = (self.client, self.original, self.by);
        let secured = self.secured.clone();
        Accepted { stream, client, original, by, since, live, secured, counted }
    }

    /// Counts another stream. `None` when a limit is reached.
    pub(crate) fn count(&self) -> Option<Rc<Counted>> {
        self.counted.stream()
    }

    /// Whose memory the streams use.
    pub(crate) fn payer(&self) -> Rc<Account> {
        self.counted.payer()
    }
}

/// The listener that accepted a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct By {
    pub(crate) kind: ListenerKind,
    pub(crate) address: SocketAddr,
}

/// A listener of a worker.
pub(crate) struct Acceptor {
    socket: AsyncFd<TcpListener>,
    pub(crate) address: SocketAddr,
    /// The local address of all that it accepts, where there is only one.
    original: Option<OrigDstAddr>,
    pub(crate) kind: ListenerKind,
}

impl Acceptor {
    /// Hands the socket to the runtime that the caller is in.
    pub(crate) fn new(listener: Listener) -> io::Result<Self> {
        listener.socket.set_nonblocking(true)?;
        // What it accepts inherits this.
        SockRef::from(&listener.socket).set_tcp_nodelay(true)?;
        let address = listener.socket.local_addr()?;
        // What was redirected has many local addresses, and so has a socket that is bound to all.
        let is_one = listener.kind == ListenerKind::Gateway && !address.ip().is_unspecified();
        let original = is_one.then(|| OrigDstAddr(canonical(address)));
        let socket = sys::watch(listener.socket)?;
        Ok(Self { socket, address, original, kind: listener.kind })
    }

    /// Accepts until aborted. Every connection is a task of its own: a panic in one ends that one.
    pub(crate) async fn run(self, worker: Rc<Worker>) {
        loop {
            match self.socket.async_io(Interest::READABLE, accept).await {
                Ok((socket, client)) => {
                    if let Some(accepted) = self.admit(&worker, socket, client) {
                        let payer = accepted.counted.payer();
                        // In a box, for the runtime moves its tasks about, and this one is large.
                        let task = Box::pin(connection::run(worker.clone(), accepted));
                        tokio::task::spawn_local(Account::pays(payer, task));
                    }
                }
                Err(error) => {
                    worker.stats.accept_errors.add();
                    tracing::debug!("accept on {} failed: {error}", self.address);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn by(&self) -> By {
        By { kind: self.kind, address: self.address }
    }

    /// Finds out the addresses and applies the limits. What is refused is reset.
    fn admit(&self, worker: &Rc<Worker>, socket: OwnedFd, client: SocketAddr) -> Option<Accepted> {
        let client = ClientAddr(canonical(client));
        let original = match self.original {
            Some(original) => original,
            None => OrigDstAddr(canonical(SockRef::from(&socket).local_addr().ok()?.as_socket()?)),
        };
        worker.stats.accepted.add();
        let Some(counted) = Counted::new(worker, client.ip()) else {
            let addressing = Addressing::of(worker.view(), client, original, self.by());
            let mut flow = Flow::connection(worker, &addressing, worker.clock.now());
            flow.end(FlowVerdict::Failed, FlowReason::Limit);
            reset(&socket);
            return None;
        };
        let (since, live) = (worker.clock.now(), worker.live.register());
        let stream = Stream::Tcp(Tcp::accepted(socket));
        Some(Accepted { stream, client, original, by: self.by(), since, live, secured: None, counted })
    }
}

/// A connection and its client, if there is one.
fn accept(listener: &TcpListener) -> io::Result<(OwnedFd, SocketAddr)> {
    let (socket, client) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let client = client.ok_or(io::ErrorKind::InvalidData)?;
    Ok((socket, client.try_into()?))
}

/// IPv4 clients of a dual-stack socket have plain IPv4 addresses.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whose connections and streams have a share of a worker's in common, so that others find room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// A pod.
    Pod(IpAddr),
    /// Any other client, by its address; of IPv6 by its /64, which is what one host can have.
    Client(IpAddr),
}

impl Holder {
    fn of(worker: &Worker, client: IpAddr) -> Self {
        match client {
            pod if worker.view().workload(pod).is_some() => Self::Pod(pod),
            IpAddr::V6(ip) => Self::Client(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into()),
            IpAddr::V4(_) => Self::Client(client),
        }
    }

    /// How many connections and streams it may have.
    fn connections(self, limits: &Limits) -> usize {
        match self {
            Self::Pod(_) => limits.connections_per_pod,
            Self::Client(_) => limits.connections_per_client,
        }
    }

    /// How many bytes of buffers.
    fn buffered_bytes(self, limits: &Limits) -> usize {
        match self {
            Self::Pod(_) => limits.buffered_bytes_per_pod,
            Self::Client(_) => limits.buffered_bytes_per_client,
        }
    }

    /// What counts those that it was refused.
    fn refused(self, stats: &Stats) -> &Counter {
        match self {
            Self::Pod(_) => &stats.limit_connections_per_pod,
            Self::Client(_) => &stats.limit_connections_per_client,
        }
    }
}

/// What the connections and streams of one of them hold of a worker. Forgotten with the last of them.
#[derive(Debug)]
pub(crate) struct Share {
    holder: Holder,
    connections: Cell<usize>,
    memory: Rc<Account>,
}

/// One connection's or stream's place in the counts, given back on drop. A stream of HTTP/2 counts
/// like a connection, as it may need one of its own to an endpoint.
pub(crate) struct Counted {
    worker: Rc<Worker>,
    share: Rc<Share>,
    is_stream: bool,
    counts: Cell<bool>,
}

impl Counted {
    /// A connection. `None` when a limit is reached.
    fn new(worker: &Rc<Worker>, client: IpAddr) -> Option<Rc<Self>> {
        let (limits, workers) = (&worker.config.limits, worker.config.workers);
        let holder = Holder::of(worker, client);
        let known = worker.shares.borrow().get(&holder).cloned();
        let share = known.unwrap_or_else(|| {
            let bytes = Limits::share(holder.buffered_bytes(limits), workers);
            let memory = Account::new(bytes, &worker.stats);
            Rc::new(Share { holder, connections: Cell::new(0), memory })
        });
        Self::begin(worker, share, false)
    }

    /// A stream of this connection. `None` when a limit is reached.
    fn stream(&self) -> Option<Rc<Self>> {
        Self::begin(&self.worker, self.share.clone(), true)
    }

    fn begin(worker: &Rc<Worker>, share: Rc<Share>, is_stream: bool) -> Option<Rc<Self>> {
        let counted = Self { worker: worker.clone(), share, is_stream, counts: Cell::new(false) };
        counted.resume().then(|| Rc::new(counted))
    }

    /// Counts it, as at first or after [`Self::pause`]; false when a limit is reached.
    pub(crate) fn resume(&self) -> bool {
        let worker = &self.worker;
        let (limits, stats) = (&worker.config.limits, &worker.stats);
        let workers = worker.config.workers;
        if stats.open.get() + stats.streams_open.get() >= Limits::share(limits.connections, workers) as u64 {
            stats.limit_connections.add();
            return false;
        }
        let (share, count) = (&self.share, self.share.connections.get());
        if count >= Limits::share(share.holder.connections(limits), workers) {
            share.holder.refused(stats).add();
            return false;
        }
        if count == 0 {
            worker.shares.borrow_mut().insert(share.holder, share.clone());
        }
        share.connections.set(count + 1);
        if self.is_stream {
            stats.streams_open.add()
        } else {
            stats.open.add()
        }
        self.counts.set(true);
        true
    }

    /// Gives the place back, until it is wanted again.
    pub(crate) fn pause(&self) {
        if !self.counts.replace(false) {
            return;
        }
        let stats = &self.worker.stats;
        if self.is_stream {
            stats.streams_open.sub()
        } else {
            stats.open.sub()
        }
        let share = &self.share;
        share.connections.set(share.connections.get() - 1);
        if share.connections.get() == 0 {
            self.worker.shares.borrow_mut().remove(&share.holder);
        }
    }

    /// Whose memory it uses.
    fn payer(&self) -> Rc<Account> {
        self.share.memory.clone()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.pause();
    }
}

#[cfg(test)]
mod tests;
