//! Stage 1. A connection is accepted: its addresses are read from the socket, and it is counted
//! against the limits.

use std::cell::{Cell, RefMut};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use model::address::{ClientAddr, OrigDstAddr};
use model::flow::{FlowReason, FlowVerdict};
use tokio::net::{TcpListener, TcpStream};

use crate::addressed::Addressing;
use crate::buffer::Account;
use crate::clock::Moment;
use crate::config::{Listener, ListenerKind};
use crate::connection;
use crate::flow::Flow;
use crate::limits::Limits;
use crate::live::Registered;
use crate::stream::{Stream, reset};
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
    /// A stream that has just begun, in the place of a connection. `None` when a limit is reached.
    pub(crate) fn accept(&self, worker: &Worker, mut stream: Stream) -> Option<Accepted> {
        let Some(counted) = self.counted.stream() else {
            stream.refuse();
            return None;
        };
        let (since, live) = (worker.clock.now(), worker.live.register());
        let (client, original, by) = (self.client, self.original, self.by);
        let secured = self.secured.clone();
        Some(Accepted { stream, client, original, by, since, live, secured, counted })
    }

    /// Whose memory the streams use.
    pub(crate) fn payer(&self) -> Option<Rc<Account>> {
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
    socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) kind: ListenerKind,
}

impl Acceptor {
    /// Hands the socket to the runtime that the caller is in.
    pub(crate) fn new(listener: Listener) -> std::io::Result<Self> {
        listener.socket.set_nonblocking(true)?;
        let address = listener.socket.local_addr()?;
        Ok(Self { socket: TcpListener::from_std(listener.socket)?, address, kind: listener.kind })
    }

    /// Accepts until aborted. Every connection is a task of its own: a panic in one ends that one.
    pub(crate) async fn run(self, worker: Rc<Worker>) {
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    if let Some(accepted) = self.admit(&worker, stream) {
                        let payer = accepted.counted.payer();
                        let task = connection::run(worker.clone(), accepted);
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

    /// Reads the addresses and applies the limits. What is refused is reset.
    fn admit(&self, worker: &Rc<Worker>, stream: TcpStream) -> Option<Accepted> {
        // A client that is gone already has no addresses.
        let client = ClientAddr(canonical(stream.peer_addr().ok()?));
        let original = OrigDstAddr(canonical(stream.local_addr().ok()?));
        worker.stats.accepted.add();
        let Some(counted) = Counted::new(worker, client.ip()) else {
            let addressing = Addressing::of(worker.view(), client, original, self.by());
            let mut flow = Flow::connection(worker, &addressing, worker.clock.now());
            flow.end(FlowVerdict::Failed, FlowReason::Limit);
            reset(&stream);
            return None;
        };
        // Fails only on a socket that is broken already.
        drop(stream.set_nodelay(true));
        let (since, live) = (worker.clock.now(), worker.live.register());
        let stream = Stream::Tcp(stream);
        Some(Accepted { stream, client, original, by: self.by(), since, live, secured: None, counted })
    }
}

/// IPv4 clients of a dual-stack socket have plain IPv4 addresses.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What the connections and streams of one pod hold of a worker.
#[derive(Debug)]
pub(crate) struct PodShare {
    pod: IpAddr,
    connections: Cell<usize>,
    memory: Rc<Account>,
}

/// One connection's or stream's place in the counts, given back on drop. A stream of HTTP/2 counts
/// like a connection, as it may need one of its own to an endpoint.
struct Counted {
    worker: Rc<Worker>,
    /// Its pod's, if it has one.
    share: Option<Rc<PodShare>>,
    is_stream: bool,
}

impl Counted {
    /// A connection. `None` when a limit is reached.
    fn new(worker: &Rc<Worker>, client: IpAddr) -> Option<Rc<Self>> {
        let (limits, workers) = (&worker.config.limits, worker.config.workers);
        let share = worker.view().workload(client).map(|_| {
            let mut per_pod: RefMut<'_, HashMap<_, _>> = worker.per_pod.borrow_mut();
            let share = per_pod.entry(client).or_insert_with(|| {
                let bytes = Limits::share(limits.buffered_bytes_per_pod, workers);
                let memory = Account::new(bytes, &worker.stats);
                Rc::new(PodShare { pod: client, connections: Cell::new(0), memory })
            });
            share.clone()
        });
        Self::within(worker, share, false)
    }

    /// A stream of this connection. `None` when a limit is reached.
    fn stream(&self) -> Option<Rc<Self>> {
        Self::within(&self.worker, self.share.clone(), true)
    }

    fn within(worker: &Rc<Worker>, share: Option<Rc<PodShare>>, is_stream: bool) -> Option<Rc<Self>> {
        let (limits, stats) = (&worker.config.limits, &worker.stats);
        let workers = worker.config.workers;
        if stats.open.get() + stats.streams_open.get() >= Limits::share(limits.connections, workers) as u64 {
            stats.limit_connections.add();
            return None;
        }
        if let Some(share) = &share {
            if share.connections.get() >= Limits::share(limits.connections_per_pod, workers) {
                stats.limit_connections_per_pod.add();
                return None;
            }
            share.connections.set(share.connections.get() + 1);
        }
        if is_stream {
            stats.streams_open.add()
        } else {
            stats.open.add()
        }
        Some(Rc::new(Self { worker: worker.clone(), share, is_stream }))
    }

    /// Whose memory it uses.
    fn payer(&self) -> Option<Rc<Account>> {
        self.share.as_ref().map(|share| share.memory.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let stats = &self.worker.stats;
        if self.is_stream {
            stats.streams_open.sub()
        } else {
            stats.open.sub()
        }
        let Some(share) = &self.share else { return };
        share.connections.set(share.connections.get() - 1);
        if share.connections.get() == 0 {
            self.worker.per_pod.borrow_mut().remove(&share.pod);
        }
    }
}
