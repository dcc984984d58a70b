//! The idle connections of one key, and what makes one fit for use.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::clock::Moment;

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
    stream: TcpStream,
    since: Moment,
}

impl Slot {
    pub(super) fn new(total: &Rc<Cell<usize>>) -> Rc<Self> {
        Rc::new(Self { idle: RefCell::default(), total: total.clone() })
    }

    pub(super) fn len(&self) -> usize {
        self.idle.borrow().len()
    }

    pub(super) fn put(&self, stream: TcpStream, since: Moment) {
        self.total.set(self.total.get() + 1);
        self.idle.borrow_mut().push(Idle { stream, since });
    }

    /// The connection used last that is fit; those found unfit are closed.
    pub(super) fn take(&self, now: Moment) -> Option<TcpStream> {
        loop {
            let idle = self.idle.borrow_mut().pop()?;
            self.total.set(self.total.get() - 1);
            let is_old = idle.since + PEEK_AFTER <= now;
            if is_quiet(&idle.stream) && (!is_old || is_quiet_for_kernel(&idle.stream)) {
                return Some(idle.stream);
            }
        }
    }

    pub(super) fn sweep(&self, now: Moment, timeout: Duration) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain(|idle| idle.since + timeout > now && is_quiet(&idle.stream));
        self.total.set(self.total.get() - (before - idle.len()));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.total.set(self.total.get() - self.idle.get_mut().len());
    }
}

/// Whether nothing has arrived, no close and no byte that nobody asked for. Costs a system call
/// only if something may have.
fn is_quiet(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn is_quiet_for_kernel(stream: &TcpStream) -> bool {
    let peeked = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests;
