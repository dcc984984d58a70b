//! The tasks of a client's HTTP/2 connection. Each serves one stream after the other, so that a
//! stream finds a task, its place in the counts and warm memory instead of making its own.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use codec::h2::StreamId;

use super::connection::Signals;
use super::reading::Reading;
use super::stream::Asked;
use crate::accepted::Counted;
use crate::addressed::Addressing;
use crate::buffer::Held;
use crate::client::Client;
use crate::clock::Moment;
use crate::stream::Stream;

/// Tasks of one connection that wait for a stream are kept up to so many.
const KEPT: usize = 64;
/// What such a task takes, its buffers and its place among the tasks of the worker counted.
const RESTING_BYTES: usize = 8 * 1024;
/// Room for a head of the usual size is kept.
const TEXT_KEPT: usize = 2 * 1024;

/// A task's hold on its place.
pub(crate) struct Lane {
    place: Rc<Place>,
    lanes: Rc<Lanes>,
}

/// Where the driver leaves the next stream of a task.
pub(super) struct Place {
    pub(super) counted: Rc<Counted>,
    pub(super) signals: Rc<Signals>,
    next: RefCell<Option<Begun>>,
    /// The head of its request.
    text: RefCell<Vec<u8>>,
    waker: RefCell<Option<Waker>>,
    /// The memory of the task while it has no stream.
    memory: RefCell<Held>,
    /// No other stream is left here.
    over: Cell<bool>,
}

/// A stream whose head has come.
pub(super) struct Begun {
    pub(super) id: StreamId,
    pub(super) asked: Asked,
    pub(super) reading: Reading,
    pub(super) since: Moment,
    pub(super) ends: Rc<Addressing>,
    /// What to answer if the head is none that can be forwarded.
    pub(super) malformed: Option<u16>,
}

/// The tasks of a connection that wait for a stream.
#[derive(Default)]
pub(super) struct Lanes {
    idle: RefCell<Idle<Rc<Place>>>,
    closed: Cell<bool>,
}

/// What waits to be used again, and how many of it were not needed lately.
struct Idle<T> {
    waiting: Vec<T>,
    least: usize,
}

impl<T> Default for Idle<T> {
    fn default() -> Self {
        Self { waiting: Vec::new(), least: 0 }
    }
}

impl<T> Idle<T> {
    /// The last one first: its memory is the warmest.
    fn take(&mut self) -> Option<T> {
        let taken = self.waiting.pop();
        self.least = self.least.min(self.waiting.len());
        taken
    }

    /// Keeps one, unless enough wait.
    fn keep(&mut self, one: T) -> Result<(), T> {
        if self.waiting.len() >= KEPT {
            return Err(one);
        }
        self.waiting.push(one);
        Ok(())
    }

    /// Takes out as many as waited all the time since the last call.
    fn trim(&mut self) -> Vec<T> {
        let unused = self.waiting.drain(..self.least).collect();
        self.least = self.waiting.len();
        unused
    }
}

impl Lanes {
    /// One that waits.
    pub(super) fn take(&self) -> Option<Rc<Place>> {
        let place = self.idle.borrow_mut().take()?;
        place.memory.borrow_mut().set(0);
        Some(place)
    }

    /// Has one wait for a stream, if there are not enough that do.
    pub(super) fn keep(&self, place: Rc<Place>) {
        let pays = || place.memory.borrow_mut().set(RESTING_BYTES);
        let kept = !self.closed.get() && pays() && self.idle.borrow_mut().keep(place.clone()).is_ok();
        place.over.set(!kept);
    }

    /// A new one, which has its first stream already.
    pub(super) fn open(self: &Rc<Self>, counted: Rc<Counted>, signals: Rc<Signals>) -> (Rc<Place>, Lane) {
        let (next, text, waker) = (RefCell::default(), RefCell::default(), RefCell::default());
        let (memory, over) = (RefCell::new(Held::new()), Cell::new(false));
        let place = Rc::new(Place { counted, signals, next, text, waker, memory, over });
        (place.clone(), Lane { place, lanes: self.clone() })
    }

    /// Ends those that wait; whether there were any.
    pub(super) fn release(&self) -> bool {
        let idle = self.idle.take().waiting;
        let some = !idle.is_empty();
        idle.iter().for_each(|place| place.end());
        some
    }

    /// Ends those that no stream needed since the last call: a burst holds its memory no longer.
    pub(super) fn trim(&self) {
        let unused = self.idle.borrow_mut().trim();
        unused.iter().for_each(|place| place.end());
    }

    pub(super) fn has_idle(&self) -> bool {
        !self.idle.borrow().waiting.is_empty()
    }

    /// No stream comes any more.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.release();
    }
}

impl Place {
    /// Leaves a stream here; its head is swapped for a buffer of no more use.
    pub(super) fn begin(&self, begun: Begun, text: &mut Vec<u8>) {
        std::mem::swap(&mut *self.text.borrow_mut(), text);
        self.next.replace(Some(begun));
        self.wake();
    }

    fn end(&self) {
        self.over.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl Lane {
    /// Makes `client` that of the next stream, whose head is in its input then: `Some(status)` is
    /// what to answer if that is none to be forwarded. `None`: there will be no other stream.
    pub(crate) async fn next(&self, client: &mut Client) -> Option<Option<u16>> {
        let begun = poll_fn(|context| self.poll_next(context)).await?;
        client.begin(begun.since, begun.ends);
        let mut text = self.place.text.borrow_mut();
        client.input.extend(&text);
        text.clear();
        text.shrink_to(TEXT_KEPT);
        drop(text);
        let Stream::Http2(stream) = client.stream() else { return None };
        stream.begin(begun.id, begun.asked, begun.reading);
        Some(begun.malformed)
    }

    fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Begun>> {
        if let Some(begun) = self.place.next.take() {
            return Poll::Ready(Some(begun));
        }
        if self.place.over.get() {
            return Poll::Ready(None);
        }
        let mut waker = self.place.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// The stream is done with: waits for another one, if there are not enough that do.
    pub(crate) fn rest(&self, client: &mut Client) {
        client.rest();
        self.place.counted.pause();
        self.lanes.keep(self.place.clone());
    }
}

#[cfg(test)]
mod tests;
