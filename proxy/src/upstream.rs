//! Connections to endpoints: opened, kept while idle, counted.
//!
//! All of it belongs to one worker. An idle connection is kept under (endpoint, source address,
//! version of HTTP, TLS identity): a request never leaves under another client's address, nor in the
//! clear where it must not.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use model::address::EndpointAddr;
use model::flow::HttpVersion;
use model::workload::Protocol;

use crate::clock::Moment;
use crate::config::Config;
use crate::http2::{self, Opening, Shared};
use crate::resilience::{Charge, Target, Unfit};
use crate::stats::Stats;
use crate::stream::Stream;
use crate::tls;
use crate::worker::Worker;

mod datagrams;
mod dial;
mod pool;
mod source;

pub(crate) use source::{Ends, source};

use dial::{Ports, dial};
use pool::Slot;

/// What tells upstream connections apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) endpoint: EndpointAddr,
    /// The client's address where it is kept; `None`: the node's own.
    pub(crate) source: Option<IpAddr>,
    /// What is spoken on it.
    pub(crate) version: HttpVersion,
    /// How it is secured, under which names; `None`: in the clear.
    pub(crate) tls: Option<::tls::Identity>,
}

/// The upstream side of a worker.
pub(crate) struct Upstreams {
    config: Arc<Config>,
    stats: Arc<Stats>,
    slots: RefCell<HashMap<Key, Rc<Slot>>>,
    shared: RefCell<HashMap<Key, Rc<Shared>>>,
    idle: Rc<Cell<usize>>,
    /// Connections of HTTP/2, open or being opened.
    http2: Rc<Cell<usize>>,
    ports: Ports,
    next_sweep: Cell<Moment>,
}

/// An upstream connection in use.
pub(crate) struct Upstream {
    pub(crate) stream: Stream,
    /// It had carried a request before.
    pub(crate) reused: bool,
    /// Where it is kept while idle, and what counts it at its endpoint and Service. `None`: it is
    /// a stream of an HTTP/2 connection, which has both.
    kept: Option<(Rc<Slot>, Charge)>,
}

/// What a request that is to go out in HTTP/2 can do.
pub(crate) enum Chance {
    /// Use this stream.
    Stream(Upstream),
    /// Open a connection.
    Open(Opening),
    /// Nothing: as many wait for a connection as may, or there are as many of its key as may be.
    Full,
}

impl Upstream {
    /// After a write that failed at its first byte: whether another connection could do better.
    pub(crate) fn is_unsent(&self) -> bool {
        if self.stream.is_http2() { self.stream.is_unprocessed() } else { self.reused }
    }

    /// Whether it could have been closed while it was idle: it had been used before, and it is the
    /// connection that ended.
    pub(crate) fn may_be_stale(&self) -> bool {
        self.reused && self.stream.reset_code().is_none()
    }
}

impl Upstreams {
    pub(crate) fn new(config: &Arc<Config>, stats: &Arc<Stats>, seed: u64) -> Self {
        Self {
            config: config.clone(),
            stats: stats.clone(),
            slots: RefCell::default(),
            shared: RefCell::default(),
            idle: Rc::default(),
            http2: Rc::default(),
            ports: Ports::new(Config::SOURCE_PORTS, seed),
            next_sweep: Cell::new(Moment::default()),
        }
    }

    /// An idle connection that still works, if there is one.
    pub(crate) fn checkout(&self, key: Key, now: Moment) -> Option<Upstream> {
        let slot = self.slots.borrow().get(&key)?.clone();
        let (stream, charge) = slot.take(now)?;
        self.stats.upstream_reused.add();
        Some(Upstream { stream, reused: true, kept: Some((slot, charge)) })
    }

    /// Counts a connection that is to be opened; idle ones make way if they have to.
    ///
    /// # Errors
    /// As many are in use as may be, or too many requests wait for one.
    pub(crate) fn charge(&self, target: &Target) -> Result<Charge, Unfit> {
        target.charge(|is_its| self.slots.borrow().values().any(|slot| slot.evict(is_its)))
    }

    /// A stream of an HTTP/2 connection that is open and in use.
    pub(crate) fn join(&self, worker: &Worker, key: &Key) -> Option<Upstream> {
        let stream = self.shared.borrow().get(key)?.join(worker)?;
        Some(self.shared_stream(stream))
    }

    fn shared_stream(&self, stream: http2::Stream) -> Upstream {
        self.stats.upstream_reused.add();
        self.stats.upstream_http2_reused.add();
        Upstream { stream: Stream::Http2(Box::new(stream)), reused: true, kept: None }
    }

    /// A stream of an HTTP/2 connection that is open or being opened, or the duty to open one.
    ///
    /// # Errors
    /// The connection waited for could not be opened.
    pub(crate) async fn share(&self, worker: &Worker, key: Key, target: &Target) -> std::io::Result<Chance> {
        let shared = self.shared.borrow_mut().entry(key).or_default().clone();
        Ok(match shared.stream(worker, target).await? {
            http2::Chance::Stream(stream) => Chance::Stream(self.shared_stream(stream)),
            http2::Chance::Open(opening) => Chance::Open(opening),
            http2::Chance::Full => Chance::Full,
        })
    }

    /// The count of connections of HTTP/2, to which another is about to be added: idle ones make way.
    pub(crate) fn another_http2(&self) -> &Rc<Cell<usize>> {
        if self.http2.get() >= self.config.limits.http2_connections {
            // One more than is added, so that their number goes down again.
            self.evict_http2(2);
        }
        &self.http2
    }

    fn evict_http2(&self, count: usize) {
        let mut left = count;
        for shared in self.shared.borrow().values() {
            if left == 0 {
                break;
            }
            left -= shared.evict(left);
        }
        self.stats.limit_http2_connections.add_many((count - left) as u64);
    }

    /// Opens a connection. `opening`: it is for HTTP/2, and others wait for it.
    ///
    /// # Errors
    /// The endpoint did not accept it in time, or the socket could not be set up.
    pub(crate) async fn open(
        &self,
        worker: &Rc<Worker>,
        key: Key,
        charge: Charge,
        opening: Option<Opening>,
    ) -> std::io::Result<Upstream> {
        let connected = self.connect(worker, key).await;
        let Some(opening) = opening else {
            let stream = connected?;
            let slot = self.slots.borrow_mut().entry(key).or_insert_with(|| Slot::new(&self.idle)).clone();
            return Ok(Upstream { stream, reused: false, kept: Some((slot, charge)) });
        };
        let shared = self.shared.borrow_mut().entry(key).or_default().clone();
        let stream = match connected {
            Ok(transport) => shared.opened(worker, opening, transport, charge),
            Err(error) => {
                Shared::failed(&opening, &error);
                return Err(error);
            }
        };
        Ok(Upstream { stream: Stream::Http2(Box::new(stream)), reused: false, kept: None })
    }

    async fn connect(&self, worker: &Worker, key: Key) -> std::io::Result<Stream> {
        if worker.view().gateway(key.endpoint.0).is_some() {
            return Err(to_itself());
        }
        let now = worker.clock.coarse();
        let stream = dial(&self.config, &self.ports, key, now).await.inspect_err(|error| {
            if error.kind() == std::io::ErrorKind::TimedOut {
                self.stats.limit_connect_timeout.add();
            }
        })?;
        self.stats.upstream_opened.add();
        if key.version == HttpVersion::Http2 {
            self.stats.upstream_http2_opened.add();
        }
        match key.tls {
            Some(identity) => tls::handshake(worker, stream, identity).await,
            None => Ok(Stream::Tcp(stream.into())),
        }
    }

    /// Opens a socket for a flow of datagrams to an endpoint.
    ///
    /// # Errors
    /// What the kernel says, or the endpoint is a Gateway of ours.
    pub(crate) fn datagrams(&self, worker: &Worker, key: Key) -> std::io::Result<tokio::net::UdpSocket> {
        if worker.view().gateway_of(key.endpoint.0, Protocol::Udp).is_some() {
            return Err(to_itself());
        }
        datagrams::open(&self.config, &self.ports, key)
    }

    /// Keeps a connection for the next request, within the limits. One of HTTP/2 is kept anyway.
    pub(crate) fn checkin(&self, upstream: Upstream, now: Moment) {
        let Some((slot, charge)) = upstream.kept else { return };
        let limits = &self.config.limits;
        let full = self.idle.get() >= limits.idle_upstream;
        if full || slot.len() >= limits.idle_upstream_per_key {
            self.stats.limit_idle_upstream.add();
            return;
        }
        if !charge.is_bounded_copy() {
            slot.put(upstream.stream, charge, now);
        }
    }

    /// Says goodbye to endpoints as the proxy ends: the end of TLS, and GOAWAY.
    pub(crate) async fn leave(&self) {
        let (slots, shared) = (self.slots.take(), self.shared.take());
        poll_fn(|context| {
            slots.values().for_each(|slot| slot.leave(context));
            Poll::Ready(())
        })
        .await;
        let said = async {
            for shared in shared.values() {
                shared.leave().await;
            }
        };
        // Who does not listen is left without a word.
        tokio::time::timeout(self.config.limits.goodbye_timeout, said).await.unwrap_or_default();
    }

    /// Closes what has been idle for too long or was closed by its endpoint, and forgets what
    /// nothing is known of any more.
    pub(crate) fn sweep(&self, now: Moment) {
        self.stats.upstream_idle.set(self.idle.get() as u64);
        if now < self.next_sweep.get() {
            return;
        }
        self.next_sweep.set(now + pool::SWEEP);
        let timeout = self.config.limits.idle_upstream_timeout;
        self.slots.borrow_mut().retain(|_, slot| {
            slot.sweep(now, timeout);
            slot.len() > 0 || Rc::strong_count(slot) > 1
        });
        self.evict_http2(self.http2.get().saturating_sub(self.config.limits.http2_connections));
        self.shared.borrow_mut().retain(|_, shared| {
            let is_empty = shared.sweep(now, timeout);
            !is_empty || Rc::strong_count(shared) > 1
        });
    }
}

/// Why an endpoint that is a Gateway of our own is not connected to: what is sent there would come back
/// to us, and leave again, until nothing is left of us.
fn to_itself() -> std::io::Error {
    std::io::Error::other("the endpoint is a Gateway of this node")
}
