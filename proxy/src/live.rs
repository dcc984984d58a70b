//! What a connection shares with its worker while it lives: its deadline, and the wake-up for a
//! deadline that has passed, a policy change or a drain.
//!
//! Deadlines are cells that a sweeper looks at a few times a second. Setting one costs a store;
//! no timer is armed on the path of a request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::clock::Moment;

/// How often deadlines are looked at: how late they may be noticed.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Why a wait was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The deadline has passed.
    Deadline,
    /// There is a new Snapshot: what is under way has to be judged again.
    Judge,
}

/// One connection as its worker sees it.
#[derive(Debug)]
pub(crate) struct Live {
    deadline: Cell<Moment>,
    judge: Cell<bool>,
    drain: Cell<bool>,
    expired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Live {
    /// Sets the deadline, in place of the one before.
    pub(crate) fn arm(&self, at: Moment) {
        self.deadline.set(at);
        self.expired.set(false);
    }

    /// Whether the worker drains.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain.get()
    }

    /// A reason to break off the wait, if there is one; else remembers whom to wake. A deadline
    /// and a policy change are told once.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Option<Signal> {
        if self.expired.take() {
            return Some(Signal::Deadline);
        }
        if self.judge.take() {
            return Some(Signal::Judge);
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        None
    }

    fn wake(&self) {
        // Not woken under the borrow: the task may be polled at once.
        let waker = self.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Every live connection of a worker.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    slots: RefCell<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    used: Vec<Option<Rc<Live>>>,
    free: Vec<usize>,
    draining: bool,
}

/// A place in the registry, given back on drop.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Rc<Registry>,
    live: Rc<Live>,
    slot: usize,
}

impl std::ops::Deref for Registered {
    type Target = Live;
    fn deref(&self) -> &Live {
        &self.live
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut slots = self.registry.slots.borrow_mut();
        slots.used[self.slot] = None;
        slots.free.push(self.slot);
    }
}

impl Registry {
    /// Takes a place.
    pub(crate) fn register(self: &Rc<Self>) -> Registered {
        let mut slots = self.slots.borrow_mut();
        let live = Rc::new(Live {
            deadline: Cell::new(Moment::NEVER),
            judge: Cell::new(false),
            drain: Cell::new(slots.draining),
            expired: Cell::new(false),
            waker: RefCell::new(None),
        });
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.used.push(None);
            slots.used.len() - 1
        });
        slots.used[slot] = Some(live.clone());
        Registered { registry: self.clone(), live, slot }
    }

    /// Wakes the connections whose deadline has passed.
    pub(crate) fn sweep(&self, now: Moment) {
        self.wake(|live| {
            let expired = live.deadline.get() <= now;
            if expired {
                live.deadline.set(Moment::NEVER);
                live.expired.set(true);
            }
            expired
        });
    }

    /// Has every connection judge again what it is doing.
    pub(crate) fn judge(&self) {
        self.wake(|live| {
            live.judge.set(true);
            true
        });
    }

    /// Has every connection close when its request is done; those to come too.
    pub(crate) fn drain(&self) {
        self.slots.borrow_mut().draining = true;
        self.wake(|live| {
            live.drain.set(true);
            true
        });
    }

    /// Whether no connection is left.
    pub(crate) fn is_empty(&self) -> bool {
        let slots = self.slots.borrow();
        slots.free.len() == slots.used.len()
    }

    fn wake(&self, mark: impl Fn(&Live) -> bool) {
        let slots = self.slots.borrow();
        for live in slots.used.iter().flatten().filter(|live| mark(live)) {
            live.wake();
        }
    }
}

#[cfg(test)]
mod tests;
