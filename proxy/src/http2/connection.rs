//! One HTTP/2 connection: what its driver and its streams share, and the moving of its bytes.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use codec::h2::{self, ConnectionError, ErrorCode, Event, LimitHit, Role, StreamId};

use tokio::sync::Notify;

use crate::buffer::{Buffer, Held};
use crate::clock::Clock;
use crate::io::poll_fill;
use crate::stats::Stats;
use crate::stream::Stream;

/// See the module.
pub(crate) struct Connection {
    role: Role,
    /// `:scheme` of requests.
    pub(super) scheme: &'static str,
    engine: RefCell<h2::Connection>,
    /// The streams that somebody holds, by identifier, which only grow.
    streams: RefCell<Vec<(StreamId, Rc<Signals>)>>,
    /// Reused from turn to turn.
    events: RefCell<Vec<Event>>,
    driver: RefCell<Option<Waker>>,
    /// The driver has been woken and has not run yet.
    woken: Cell<bool>,
    /// Why the peer has been told that it is over.
    failure: Cell<Option<ConnectionError>>,
    /// Nothing is moved any more.
    over: Cell<bool>,
    /// The driver is to stop at once.
    cut: Cell<bool>,
    /// The input has been looked at.
    begun: Cell<bool>,
    /// The peer's first SETTINGS have come.
    settled: Cell<bool>,
    /// Those who have no stream yet.
    waiting: RefCell<Vec<Waker>>,
    /// Told of every PING answered, and of the end.
    heard: Notify,
    /// Bytes written to the socket so far.
    written: Cell<u64>,
    /// The memory of what waits for a client. An endpoint's connection serves many: nobody pays for it.
    backlog: Option<RefCell<Held>>,
    stats: Arc<Stats>,
}

/// What the driver tells a stream.
#[derive(Debug)]
pub(super) struct Signals {
    waker: RefCell<Option<Waker>>,
    /// The memory of received data that nobody took yet.
    memory: RefCell<Held>,
    pub(super) reset: Cell<Option<ErrorCode>>,
}

/// The engine while it is being changed.
pub(super) struct Engine<'c> {
    connection: &'c Connection,
    engine: RefMut<'c, h2::Connection>,
    /// Bytes that waited to be sent before.
    before: usize,
}

impl Deref for Engine<'_> {
    type Target = h2::Connection;
    fn deref(&self) -> &h2::Connection {
        &self.engine
    }
}

impl DerefMut for Engine<'_> {
    fn deref_mut(&mut self) -> &mut h2::Connection {
        &mut self.engine
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        if self.engine.out().len() != self.before || self.engine.is_done() {
            self.connection.wake_driver();
        }
    }
}

impl Signals {
    /// Of a stream of which nothing is known yet.
    pub(super) fn new() -> Rc<Self> {
        let (waker, memory) = (RefCell::default(), RefCell::new(Held::new()));
        Rc::new(Self { waker, memory, reset: Cell::new(None) })
    }

    /// The stream is gone; another one may have these. Who is woken stays.
    pub(super) fn clear(&self) {
        self.holds(0);
        self.reset.set(None);
    }

    /// Remembers whom to wake.
    pub(super) fn register(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
    }

    /// So much received data waits to be taken; false if its payer cannot hold as much.
    pub(super) fn holds(&self, bytes: usize) -> bool {
        self.memory.borrow_mut().set(bytes)
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    /// One side went away and all streams are done, or the peer's error was answered.
    Done,
    /// The peer is gone.
    Closed,
}

/// What a driver moves bytes between.
pub(super) struct Io<'i> {
    pub(super) stream: &'i mut Stream,
    pub(super) input: &'i mut Buffer,
    pub(super) clock: &'i Clock,
    /// Bytes of one read at most.
    pub(super) max: usize,
}

/// A frame of the largest size, with room for the next one's head.
pub(super) const READ_LEAST: usize = 32 * 1024;

impl Connection {
    pub(super) fn new(role: Role, limits: &h2::Limits, scheme: &'static str, stats: &Arc<Stats>) -> Rc<Self> {
        Rc::new(Self {
            role,
            scheme,
            engine: RefCell::new(h2::Connection::new(role, limits)),
            streams: RefCell::default(),
            events: RefCell::default(),
            driver: RefCell::default(),
            woken: Cell::new(false),
            failure: Cell::new(None),
            over: Cell::new(false),
            cut: Cell::new(false),
            begun: Cell::new(false),
            settled: Cell::new(false),
            waiting: RefCell::default(),
            heard: Notify::new(),
            written: Cell::new(0),
            backlog: (role == Role::Server).then(|| RefCell::new(Held::new())),
            stats: stats.clone(),
        })
    }

    /// The engine, to look at.
    pub(super) fn engine(&self) -> Ref<'_, h2::Connection> {
        self.engine.borrow()
    }

    /// The engine, to change it: the driver is woken if it has something to send or is done.
    pub(super) fn engine_mut(&self) -> Engine<'_> {
        let engine = self.engine.borrow_mut();
        Engine { before: engine.out().len(), engine, connection: self }
    }

    pub(super) fn wake_driver(&self) {
        if self.woken.replace(true) {
            return;
        }
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }

    /// What the peer did that ended the connection.
    pub(super) fn failure(&self) -> Option<ConnectionError> {
        self.failure.get()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.get()
    }

    /// Asks the peer for a sign of life; false if the connection ended instead.
    pub(super) async fn ping(&self, payload: [u8; 8]) -> bool {
        let heard = self.heard.notified();
        self.engine_mut().ping(payload);
        heard.await;
        !self.is_over()
    }

    /// Waits until it is over.
    pub(super) async fn gone(&self) {
        loop {
            let heard = self.heard.notified();
            if self.is_over() {
                return;
            }
            heard.await;
        }
    }

    /// Remembers to wake somebody without a stream when the peer's SETTINGS come, and at the end.
    pub(super) fn register(&self, context: &Context<'_>) {
        if !self.settled.get() {
            self.waiting.borrow_mut().push(context.waker().clone());
        }
    }

    fn wake_waiting(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Where in all bytes ever sent the next frame will stand.
    pub(super) fn position(&self) -> u64 {
        self.written.get() + self.engine().out().len() as u64
    }

    /// Whether bytes at this position have been given to the kernel.
    pub(super) fn has_written(&self, position: u64) -> bool {
        self.written.get() > position
    }

    /// Streams that somebody holds.
    pub(super) fn held(&self) -> usize {
        self.streams.borrow().len()
    }

    /// Has the driver tell a stream what happens to it. Identifiers only grow.
    pub(super) fn enter(&self, id: StreamId, signals: &Rc<Signals>) {
        self.streams.borrow_mut().push((id, signals.clone()));
    }

    /// Somebody lets go of a stream.
    pub(super) fn leave(&self, id: StreamId) {
        self.engine_mut().close(id);
        let mut streams = self.streams.borrow_mut();
        if let Ok(at) = streams.binary_search_by_key(&id, |(id, _)| *id) {
            streams.remove(at);
        }
        drop(streams);
        if self.is_of_no_use() {
            self.engine_mut().go_away();
        }
    }

    /// Whether it carries nothing and will never: its endpoint takes no streams, or had all there are.
    pub(super) fn is_of_no_use(&self) -> bool {
        self.role == Role::Client
            && self.is_settled()
            && self.held() == 0
            && !self.engine().is_closing()
            && !self.engine().takes_streams()
    }

    /// Ends the streams to which the peer has given no useful window since `before`; how many.
    pub(super) fn end_stalled(&self, before: u64) -> usize {
        let streams = self.streams.borrow();
        let stalled = |id| self.engine().stalled_since(id).is_some_and(|since| since <= before);
        let mut ended = 0;
        for (id, signals) in streams.iter().filter(|(id, _)| stalled(*id)) {
            self.engine_mut().reset(*id, ErrorCode::CANCEL);
            signals.reset.set(Some(ErrorCode::CANCEL));
            signals.wake();
            ended += 1;
        }
        ended
    }

    /// Has the driver stop without another word.
    pub(super) fn cut(&self) {
        self.cut.set(true);
        self.wake_driver();
    }

    /// Nothing is moved any more: every stream that was not done has failed.
    pub(super) fn end(&self) {
        self.over.set(true);
        self.wake_waiting();
        self.heard.notify_waiters();
        for (_, signals) in self.streams.borrow().iter() {
            signals.wake();
        }
    }

    /// Moves what can be moved. `begin` is told of every stream that the peer opens.
    pub(super) fn poll(
        &self,
        io: &mut Io<'_>,
        begin: &mut impl FnMut(StreamId, bool),
        context: &mut Context<'_>,
    ) -> Poll<Over> {
        self.woken.set(false);
        {
            let mut driver = self.driver.borrow_mut();
            if !driver.as_ref().is_some_and(|driver| driver.will_wake(context.waker())) {
                *driver = Some(context.waker().clone());
            }
        }
        let mut events = self.events.take();
        let mut polled = self.poll_turn(io, &mut events, begin, context);
        if polled.is_pending() && !self.pays_backlog() {
            polled = Poll::Ready(Over::Closed);
        }
        events.clear();
        self.events.replace(events);
        polled
    }

    /// Has what waits for the client paid for; false if its payer cannot.
    fn pays_backlog(&self) -> bool {
        let Some(backlog) = &self.backlog else { return true };
        let waiting = self.engine().waiting_bytes();
        backlog.borrow_mut().set(if waiting > BACKLOG_FREE { waiting } else { 0 })
    }

    fn poll_turn(
        &self,
        io: &mut Io<'_>,
        events: &mut Vec<Event>,
        begin: &mut impl FnMut(StreamId, bool),
        context: &mut Context<'_>,
    ) -> Poll<Over> {
        if self.cut.get() {
            return Poll::Ready(Over::Closed);
        }
        for _ in 0..READS_MAX {
            let drained = match self.poll_send(io.stream, context) {
                Poll::Ready(Err(_)) => return Poll::Ready(Over::Closed),
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
            };
            let now = io.clock.coarse().0;
            self.engine.borrow_mut().wake(now, events);
            self.tell(events, begin);
            if self.engine().is_done() {
                // An endpoint that does not read is not waited for.
                let waits = !drained && self.role == Role::Server;
                return if waits { Poll::Pending } else { Poll::Ready(Over::Done) };
            }
            // What was read to find out that this is HTTP/2 may be all that comes.
            let has_first = !self.begun.replace(true) && !io.input.is_empty();
            if !has_first {
                match ready!(poll_fill(io.stream, io.input, io.max, context)) {
                    Ok(count) if count > 0 => {}
                    Ok(_) | Err(_) => return Poll::Ready(Over::Closed),
                }
            }
            self.receive(io, events);
            let told = self.tell(events, begin);
            if told && self.failure.get().is_none() {
                // Who was told runs first, so that its bytes go out with ours.
                break;
            }
        }
        self.wake_driver();
        Poll::Pending
    }

    /// Writes what there is to write.
    fn poll_send(&self, stream: &mut Stream, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        loop {
            let mut engine = self.engine.borrow_mut();
            if engine.out().is_empty() {
                break;
            }
            let count = ready!(stream.poll_write(context, engine.out()))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            engine.sent(count);
            self.written.set(self.written.get() + count as u64);
        }
        stream.poll_flush(context)
    }

    /// Hands what was read to the engine. What is not whole stays.
    fn receive(&self, io: &mut Io<'_>, events: &mut Vec<Event>) {
        let now = io.clock.now().0;
        let taken = self.engine.borrow_mut().receive(io.input.filled(), now, events);
        match taken {
            Ok(count) => io.input.consume(count),
            Err(error) => {
                tracing::debug!("HTTP/2 connection failed: {error}");
                if let Some(limit) = error.limit {
                    self.count(limit);
                }
                self.failure.set(Some(error));
                // The streams have nothing to wait for.
                self.end();
            }
        }
    }

    /// Passes the events on; whether somebody has work now.
    fn tell(&self, events: &mut Vec<Event>, begin: &mut impl FnMut(StreamId, bool)) -> bool {
        let mut told = false;
        for event in events.drain(..) {
            match event {
                Event::Head { stream, end } if self.role == Role::Server => {
                    begin(stream, end);
                    told = true;
                }
                Event::Head { stream, .. }
                | Event::Trailers { stream }
                | Event::End { stream }
                | Event::Writable { stream } => told |= self.signal(stream, None),
                Event::Data { stream } => told |= self.signal_data(stream),
                Event::Reset { stream, code } => told |= self.signal(stream, Some(code)),
                Event::Settings => {
                    self.settled.set(true);
                    self.wake_waiting();
                }
                Event::Pong(_) => self.heard.notify_waiters(),
                Event::Limit(limit) => self.count(limit),
                // Streams that it leaves out are reset one by one.
                Event::GoAway { .. } => {}
            }
        }
        told
    }

    fn signal(&self, id: StreamId, reset: Option<ErrorCode>) -> bool {
        let streams = self.streams.borrow();
        let Ok(at) = streams.binary_search_by_key(&id, |(id, _)| *id) else { return false };
        let signals = &streams[at].1;
        if reset.is_some() {
            signals.reset.set(reset);
        }
        signals.wake();
        true
    }

    /// Has the data of a stream paid for, or ends the stream.
    fn signal_data(&self, id: StreamId) -> bool {
        let held = self.engine().data_memory(id);
        let streams = self.streams.borrow();
        let Ok(at) = streams.binary_search_by_key(&id, |(id, _)| *id) else { return false };
        let signals = &streams[at].1;
        if !signals.holds(held) {
            self.engine.borrow_mut().reset(id, ErrorCode::ENHANCE_YOUR_CALM);
            signals.reset.set(Some(ErrorCode::ENHANCE_YOUR_CALM));
        }
        signals.wake();
        true
    }

    fn count(&self, limit: LimitHit) {
        self.stats.http2_limit(limit).add();
    }
}

/// So much that waits for a client is part of what a connection costs anyway.
const BACKLOG_FREE: usize = 4 * 1024;
/// Reads of one turn; other tasks of the worker come to their own between turns.
const READS_MAX: usize = 4;
