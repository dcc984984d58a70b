//! The idle connections of one key, and what makes one fit for use.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use crate::clock::Moment;
use crate::resilience::{Charge, Parked};
use crate::stream::Stream;

/// How often idle connections are looked through.
pub(super) const SWEEP: Duration = Duration::from_secs(1);
/// An idle connection younger than this is asked of the runtime alone, which has seen every event
/// but those of this very moment; an older one is asked of the kernel.
const PEEK_AFTER: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug)]
pub(super) struct Slot {
    idle: RefCell<Vec<Idle>>,
    total: Rc<Cell<usize>>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    charge: Parked,
    since: Moment,
}

impl Slot {
    pub(super) fn new(total: &Rc<Cell<usize>>) -> Rc<Self> {
        Rc::new(Self { idle: RefCell::default(), total: total.clone() })
    }

    pub(super) fn len(&self) -> usize {
        self.idle.borrow().len()
    }

    pub(super) fn put(&self, stream: Stream, charge: Charge, since: Moment) {
        self.total.set(self.total.get() + 1);
        self.idle.borrow_mut().push(Idle { stream, charge: Parked::new(charge), since });
    }

    /// The connection used last that is fit; those found unfit are closed.
    pub(super) fn take(&self, now: Moment) -> Option<(Stream, Charge)> {
        loop {
            let mut idle = self.idle.borrow_mut().pop()?;
            self.total.set(self.total.get() - 1);
            let is_old = idle.since + PEEK_AFTER <= now;
            if idle.stream.is_quiet() && (!is_old || idle.stream.is_quiet_for_kernel()) {
                return idle.charge.take().map(|charge| (idle.stream, charge));
            }
        }
    }

    /// Closes one that is charged so; whether there was one.
    pub(super) fn evict(&self, is_its: &dyn Fn(&Charge) -> bool) -> bool {
        let mut idle = self.idle.borrow_mut();
        let Some(at) = idle.iter().position(|idle| idle.charge.charge().is_some_and(is_its)) else {
            return false;
        };
        idle.swap_remove(at);
        self.total.set(self.total.get() - 1);
        true
    }

    /// Says the end to all, where there is more to say than a close.
    pub(super) fn leave(&self, context: &mut Context<'_>) {
        for idle in self.idle.borrow_mut().iter_mut() {
            // An endpoint that has no room for it is not waited for.
            drop(idle.stream.poll_shutdown(context));
        }
    }

    pub(super) fn sweep(&self, now: Moment, timeout: Duration) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain_mut(|idle| idle.since + timeout > now && idle.stream.is_quiet());
        self.total.set(self.total.get() - (before - idle.len()));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.total.set(self.total.get() - self.idle.get_mut().len());
    }
}

#[cfg(test)]
mod tests;
