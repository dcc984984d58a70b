//! One endpoint as a worker sees it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use balance::Health;
use model::address::EndpointAddr;
use model::traffic::Outlier;

use crate::clock::Moment;

/// Counts of messages and of the copies for mirrors, apart: a copy never takes the place of a message.
#[derive(Debug, Default)]
pub(super) struct Tally {
    messages: Cell<u32>,
    copies: Cell<u32>,
}

impl Tally {
    fn count(&self, is_copy: bool) -> &Cell<u32> {
        if is_copy { &self.copies } else { &self.messages }
    }

    pub(super) fn add(&self, is_copy: bool) {
        let count = self.count(is_copy);
        count.set(count.get() + 1);
    }

    pub(super) fn sub(&self, is_copy: bool) {
        let count = self.count(is_copy);
        debug_assert!(count.get() > 0, "given back more often than taken");
        count.set(count.get().saturating_sub(1));
    }

    pub(super) fn total(&self) -> u32 {
        self.messages.get().saturating_add(self.copies.get())
    }

    /// Whether one more is beyond the limit. Copies leave the room there is to messages.
    pub(super) fn is_full(&self, max: u32, is_copy: bool) -> bool {
        let count = if is_copy { self.total() } else { self.messages.get() };
        count >= max
    }
}

/// See the module. Its health belongs to its address, whatever route or Service leads there.
#[derive(Debug)]
pub(crate) struct EndpointState {
    pub(crate) address: EndpointAddr,
    pub(super) requests: Tally,
    pub(super) connections: Tally,
    /// Connections that can take a request at once.
    pub(super) idle: Cell<u32>,
    health: Cell<Health>,
    /// Until when others are preferred, after a connection that could not be had.
    unreachable: Cell<Moment>,
}

/// How long an endpoint that could not be connected to is used only where there is no other. One that
/// is gone has nothing under way, and would be the first choice of every request.
const UNREACHABLE: Duration = Duration::from_secs(1);

impl EndpointState {
    pub(crate) fn new(address: EndpointAddr) -> Rc<Self> {
        Rc::new(Self {
            address,
            requests: Tally::default(),
            connections: Tally::default(),
            idle: Cell::new(0),
            health: Cell::default(),
            unreachable: Cell::default(),
        })
    }

    /// A connection to it could not be had.
    pub(crate) fn was_unreachable(&self, now: Moment) {
        self.unreachable.set(now + UNREACHABLE);
    }

    /// Whether none could be had a moment ago.
    pub(super) fn is_unreachable(&self, now: Moment) -> bool {
        now < self.unreachable.get()
    }

    /// Requests, connections of bytes and flows of datagrams under way.
    pub(crate) fn load(&self) -> u32 {
        self.requests.total()
    }

    pub(super) fn is_ejected(&self, now: Moment) -> bool {
        self.health.get().is_ejected(now.0)
    }

    /// Whether its past still matters.
    pub(super) fn is_remembered(&self, now: Moment) -> bool {
        self.is_ejected(now) || self.health.get() != Health::default()
    }

    pub(super) fn succeeded(&self) {
        let mut health = self.health.get();
        health.succeeded();
        self.health.set(health);
    }

    /// Counts a failure; whether it is to be ejected.
    pub(super) fn failed(&self, policy: &Outlier, now: Moment) -> bool {
        let mut health = self.health.get();
        let ejects = health.failed(policy, now.0);
        self.health.set(health);
        ejects
    }

    pub(super) fn eject(&self, policy: &Outlier, now: Moment) -> Duration {
        let mut health = self.health.get();
        let time = health.eject(policy, now.0);
        self.health.set(health);
        time
    }
}
