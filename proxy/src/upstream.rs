//! Connections to endpoints: opened, kept while idle, counted.
//!
//! All of it belongs to one worker. An idle connection is kept under (endpoint, source address):
//! a request never leaves under another client's address.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use model::address::EndpointAddr;
use tokio::net::TcpStream;

use crate::clock::Moment;
use crate::config::Config;
use crate::stats::Stats;

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
}

/// The upstream side of a worker.
pub(crate) struct Upstreams {
    config: Arc<Config>,
    stats: Arc<Stats>,
    slots: RefCell<HashMap<Key, Rc<Slot>>>,
    loads: RefCell<HashMap<EndpointAddr, Rc<Cell<u32>>>>,
    idle: Rc<Cell<usize>>,
    ports: Ports,
    next_sweep: Cell<Moment>,
}

/// A request or connection under way at an endpoint; it counts until this is dropped.
pub(crate) struct Load(Rc<Cell<u32>>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// An upstream connection in use.
pub(crate) struct Upstream {
    pub(crate) stream: TcpStream,
    /// It had carried a request before.
    pub(crate) reused: bool,
    slot: Rc<Slot>,
}

impl Upstreams {
    pub(crate) fn new(config: &Arc<Config>, stats: &Arc<Stats>, seed: u64) -> Self {
        Self {
            config: config.clone(),
            stats: stats.clone(),
            slots: RefCell::default(),
            loads: RefCell::default(),
            idle: Rc::default(),
            ports: Ports::new(Config::SOURCE_PORTS, seed),
            next_sweep: Cell::new(Moment::default()),
        }
    }

    /// Requests and connections under way at an endpoint.
    pub(crate) fn load(&self, endpoint: EndpointAddr) -> u32 {
        self.loads.borrow().get(&endpoint).map_or(0, |load| load.get())
    }

    /// Counts one more.
    pub(crate) fn count(&self, endpoint: EndpointAddr) -> Load {
        let load = self.loads.borrow_mut().entry(endpoint).or_default().clone();
        load.set(load.get() + 1);
        Load(load)
    }

    /// An idle connection that still works, if there is one.
    pub(crate) fn checkout(&self, key: Key, now: Moment) -> Option<Upstream> {
        let slot = self.slots.borrow().get(&key)?.clone();
        let stream = slot.take(now)?;
        self.stats.upstream_reused.add();
        Some(Upstream { stream, reused: true, slot })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The endpoint did not accept it in time, or the socket could not be set up.
    pub(crate) async fn open(&self, key: Key) -> std::io::Result<Upstream> {
        let stream = dial(&self.config, &self.ports, key).await.inspect_err(|error| {
            if error.kind() == std::io::ErrorKind::TimedOut {
                self.stats.limit_connect_timeout.add();
            }
        })?;
        self.stats.upstream_opened.add();
        let slot = self.slots.borrow_mut().entry(key).or_insert_with(|| Slot::new(&self.idle)).clone();
        Ok(Upstream { stream, reused: false, slot })
    }

    /// Keeps a connection for the next request, within the limits.
    pub(crate) fn checkin(&self, upstream: Upstream, now: Moment) {
        let limits = &self.config.limits;
        let full = self.idle.get() >= limits.idle_upstream;
        if full || upstream.slot.len() >= limits.idle_upstream_per_key {
            self.stats.limit_idle_upstream.add();
            return;
        }
        upstream.slot.put(upstream.stream, now);
    }

    /// Closes what has been idle for too long or was closed by its endpoint, and forgets what
    /// nothing is known of any more.
    pub(crate) fn sweep(&self, now: Moment) {
        if now < self.next_sweep.get() {
            return;
        }
        self.next_sweep.set(now + pool::SWEEP);
        let timeout = self.config.limits.idle_upstream_timeout;
        self.slots.borrow_mut().retain(|_, slot| {
            slot.sweep(now, timeout);
            slot.len() > 0 || Rc::strong_count(slot) > 1
        });
        self.loads.borrow_mut().retain(|_, load| load.get() > 0);
    }
}
