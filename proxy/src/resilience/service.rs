//! One Service port as a worker sees it: where its endpoints are, what is under way, and what more
//! may be sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use balance::{Budget, Caps, Choice, Condition, Tiers, Wish};
use model::Snapshot;
use model::address::EndpointAddr;
use model::service::{Backend, Endpoint};
use model::traffic::TrafficPolicy;
use tokio::sync::Notify;

use super::EndpointState;
use super::endpoint::Tally;
use crate::clock::Moment;

/// See the module.
#[derive(Debug)]
pub(crate) struct Service {
    shape: RefCell<Rc<Shape>>,
    workers: usize,
    /// Choices made.
    turn: Cell<usize>,
    pub(super) requests: Tally,
    pub(super) connections: Tally,
    /// Connections that can take a request at once.
    pub(super) idle: Cell<u32>,
    /// Requests that wait for a connection.
    pub(super) pending: Cell<u32>,
    /// Told when a request or connection is done, for those that wait.
    freed: Notify,
    budget: RefCell<Budget>,
    used: Cell<bool>,
}

/// What the Snapshot says of it, made ready for choices.
#[derive(Debug)]
struct Shape {
    endpoints: Arc<[Endpoint]>,
    traffic: Arc<TrafficPolicy>,
    node: Option<Arc<str>>,
    zone: Option<Arc<str>>,
    tiers: Tiers,
    /// In the order of the endpoints.
    states: Vec<Rc<EndpointState>>,
    caps: Caps,
}

/// What one choice is made by.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// The client's family.
    pub(crate) is_v4: bool,
    pub(crate) random: u64,
    /// Endpoints that are used only if there is no other and `again` is said.
    pub(crate) tried: &'a [EndpointAddr],
    pub(crate) again: bool,
    /// It is for a mirror.
    pub(crate) is_copy: bool,
    pub(crate) now: Moment,
}

/// Why nothing may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// As many requests are under way at the Service port as may be.
    Requests,
    /// Its endpoints have as many requests or connections as they may.
    Endpoints,
    /// It has as many connections as it may.
    Connections,
    /// As many requests wait for a connection as may.
    Pending,
    /// No endpoint is ready, or all were tried.
    None,
}

/// A request that waits for a connection; it counts until this is dropped.
pub(crate) struct Pending(Rc<Service>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.set(self.0.pending.get().saturating_sub(1));
    }
}

impl Service {
    pub(super) fn new(workers: usize) -> Rc<Self> {
        Rc::new(Self {
            shape: RefCell::new(Rc::new(Shape::empty(workers))),
            workers,
            turn: Cell::new(0),
            requests: Tally::default(),
            connections: Tally::default(),
            idle: Cell::new(0),
            pending: Cell::new(0),
            freed: Notify::new(),
            budget: RefCell::default(),
            used: Cell::new(true),
        })
    }

    /// Takes over what a Snapshot says, if it changed.
    pub(super) fn follow(
        &self,
        backend: &Backend,
        snapshot: &Snapshot,
        state: impl Fn(EndpointAddr) -> Rc<EndpointState>,
    ) {
        self.used.set(true);
        let shape = self.shape();
        let same = Arc::ptr_eq(&shape.endpoints, &backend.endpoints)
            && Arc::ptr_eq(&shape.traffic, &backend.traffic)
            && shape.node == snapshot.node
            && shape.zone == snapshot.zone;
        if same {
            return;
        }
        let (endpoints, traffic) = (backend.endpoints.clone(), backend.traffic.clone());
        let (node, zone) = (snapshot.node.clone(), snapshot.zone.clone());
        let tiers = Tiers::new(&endpoints, traffic.locality, node.as_deref(), zone.as_deref());
        let states = endpoints.iter().map(|endpoint| state(endpoint.address)).collect();
        let caps = Caps::of(&traffic.breaker, self.workers);
        self.shape.replace(Rc::new(Shape { endpoints, traffic, node, zone, tiers, states, caps }));
    }

    fn shape(&self) -> Rc<Shape> {
        self.shape.borrow().clone()
    }

    pub(super) fn caps(&self) -> Caps {
        self.shape.borrow().caps
    }

    pub(super) fn bounds_connections(&self) -> bool {
        let caps = self.caps();
        caps.connections != u32::MAX || caps.endpoint_connections != u32::MAX
    }

    /// Whether it was used since the last call.
    pub(super) fn take_used(&self) -> bool {
        self.used.replace(false)
    }

    /// Chooses an endpoint.
    ///
    /// # Errors
    /// There is none, or none that may be sent more.
    pub(crate) fn pick(&self, ask: &Ask<'_>) -> Result<Rc<EndpointState>, Unfit> {
        let shape = self.shape();
        let Caps { requests, endpoint_requests, endpoint_connections, .. } = shape.caps;
        if self.requests.is_full(requests, ask.is_copy) {
            return Err(Unfit::Requests);
        }
        let condition = |at: usize, tried: &[EndpointAddr]| {
            let endpoint = &shape.states[at];
            if tried.contains(&endpoint.address) {
                return Condition::Out;
            }
            let is_full = endpoint.requests.is_full(endpoint_requests, ask.is_copy)
                || (endpoint.connections.is_full(endpoint_connections, ask.is_copy)
                    && endpoint.idle.get() == 0);
            let is_ejected = match shape.traffic.outlier {
                Some(_) => endpoint.is_ejected(ask.now),
                // Where nothing is said of ejection.
                None => endpoint.is_unreachable(ask.now),
            };
            match (is_full, is_ejected) {
                (true, true) => Condition::Out,
                (true, false) => Condition::Full,
                (false, true) => Condition::Ejected(endpoint.load()),
                (false, false) => Condition::Free(endpoint.load()),
            }
        };
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let algorithm = shape.traffic.algorithm;
        let wish = Wish { is_v4: ask.is_v4, algorithm, random: ask.random, turn };
        let mut choice = balance::choose(&shape.tiers, &wish, |at| condition(at, ask.tried));
        if choice == Choice::None && ask.again {
            choice = balance::choose(&shape.tiers, &wish, |at| condition(at, &[]));
        }
        match choice {
            Choice::Endpoint(at) => Ok(shape.states[at].clone()),
            Choice::Full => Err(Unfit::Endpoints),
            Choice::None => Err(Unfit::None),
        }
    }

    /// An endpoint failed. If that ejects it, for how long.
    pub(super) fn failed(&self, endpoint: &EndpointState, now: Moment) -> Option<Duration> {
        let shape = self.shape();
        let policy = shape.traffic.outlier?;
        if !endpoint.failed(&policy, now) {
            return None;
        }
        let ejected = shape.tiers.places().filter(|at| shape.states[*at].is_ejected(now)).count();
        let may = balance::may_eject(ejected, shape.tiers.ready(), policy.max_ejected_percent);
        may.then(|| endpoint.eject(&policy, now))
    }

    /// Counts a request's first try.
    pub(crate) fn begin(&self, now: Moment) {
        self.budget.borrow_mut().request(&self.shape().traffic.retry_budget, now.0);
    }

    /// Whether the budget has one more retry; if so it is taken.
    pub(crate) fn may_retry(&self, now: Moment) -> bool {
        self.budget.borrow_mut().retry(&self.shape().traffic.retry_budget, now.0, self.workers)
    }

    /// Counts a request that waits until its connection is open.
    pub(crate) fn wait(self: &Rc<Self>) -> Pending {
        self.pending.set(self.pending.get() + 1);
        Pending(self.clone())
    }

    /// The same of one that waits until another is done, if so many may; to be tried again when
    /// [`Service::freed`] is over.
    pub(crate) fn queue(self: &Rc<Self>) -> Option<Pending> {
        let caps = self.caps();
        (caps.queues() && self.pending.get() < caps.pending).then(|| self.wait())
    }

    /// A request or connection is done: one of those that wait may go on.
    pub(super) fn wake(&self) {
        if self.pending.get() > 0 {
            self.freed.notify_one();
        }
    }

    /// Whether requests may wait until another is done.
    pub(super) fn queues(&self) -> bool {
        self.caps().queues()
    }

    /// Until a request or connection is done.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }
}

impl Shape {
    fn empty(workers: usize) -> Self {
        let traffic = Arc::<TrafficPolicy>::default();
        Self {
            endpoints: Arc::default(),
            caps: Caps::of(&traffic.breaker, workers),
            traffic,
            node: None,
            zone: None,
            tiers: Tiers::default(),
            states: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
