//! What a worker knows of endpoints and Services beyond the Snapshot: what is under way there, what
//! failed, and what more may be sent. The decisions are in `balance`; here is their state.
//!
//! All of it belongs to one worker. Limits are enforced as its share of the count; an endpoint is
//! ejected by each worker that sees it fail.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use model::Snapshot;
use model::address::EndpointAddr;
use model::service::{Backend, BackendId};

use crate::clock::Moment;
use crate::config::Config;
use crate::stats::Stats;

mod charge;
mod endpoint;
mod service;
mod tries;

pub(crate) use charge::{Charge, Load, Parked, Target};
pub(crate) use endpoint::EndpointState;
pub(crate) use service::{Ask, Service, Unfit};
pub(crate) use tries::{Again, Tries};

/// How often what is known of nothing in use is forgotten.
const SWEEP: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Resilience {
    config: Arc<Config>,
    stats: Arc<Stats>,
    endpoints: RefCell<HashMap<EndpointAddr, Rc<EndpointState>>>,
    services: RefCell<HashMap<BackendId, Rc<Service>>>,
    /// Those left out now, to notice their return.
    ejected: RefCell<Vec<Rc<EndpointState>>>,
    next_sweep: Cell<Moment>,
}

impl Resilience {
    pub(crate) fn new(config: &Arc<Config>, stats: &Arc<Stats>) -> Self {
        Self {
            config: config.clone(),
            stats: stats.clone(),
            endpoints: RefCell::default(),
            services: RefCell::default(),
            ejected: RefCell::default(),
            next_sweep: Cell::new(Moment::default()),
        }
    }

    /// The state of a Service port, as the Snapshot has it now.
    pub(crate) fn service(&self, backend: &Backend, snapshot: &Snapshot) -> Rc<Service> {
        let known = self.services.borrow().get(&backend.id).cloned();
        let service = known.unwrap_or_else(|| {
            let new = Service::new(self.config.workers);
            self.services.borrow_mut().insert(backend.id, new.clone());
            new
        });
        service.follow(backend, snapshot, |address| self.endpoint(address));
        service
    }

    /// The state of an endpoint, whatever leads there.
    pub(crate) fn endpoint(&self, address: EndpointAddr) -> Rc<EndpointState> {
        let mut endpoints = self.endpoints.borrow_mut();
        endpoints.entry(address).or_insert_with(|| EndpointState::new(address)).clone()
    }

    /// A message's endpoint answered, be it that it failed.
    pub(crate) fn answered(&self, target: &Target, has_failed: bool, now: Moment) {
        if has_failed { self.failed(target, now) } else { target.endpoint.succeeded() }
    }

    /// It refused a connection, broke one off or took too long.
    pub(crate) fn failed(&self, target: &Target, now: Moment) {
        let Some(service) = target.service.as_ref().filter(|_| !target.is_copy) else { return };
        let Some(time) = service.failed(&target.endpoint, now) else { return };
        self.stats.ejections.add();
        tracing::debug!("endpoint {} is ejected for {time:?}", target.endpoint.address);
        self.ejected.borrow_mut().push(target.endpoint.clone());
        self.stats.ejected.set(self.ejected.borrow().len() as u64);
    }

    /// Notices what is no longer ejected, and forgets what nothing is known of any more.
    pub(crate) fn sweep(&self, now: Moment) {
        let mut ejected = self.ejected.borrow_mut();
        ejected.retain(|endpoint| {
            let stays = endpoint.is_ejected(now);
            if !stays {
                tracing::debug!("endpoint {} is used again after its ejection", endpoint.address);
            }
            stays
        });
        self.stats.ejected.set(ejected.len() as u64);
        if now < self.next_sweep.get() {
            return;
        }
        self.next_sweep.set(now + SWEEP);
        self.services.borrow_mut().retain(|_, service| service.take_used() || Rc::strong_count(service) > 1);
        self.endpoints
            .borrow_mut()
            .retain(|_, endpoint| Rc::strong_count(endpoint) > 1 || endpoint.is_remembered(now));
    }
}
