//! The HTTP/2 connections to one endpoint, each shared by many requests.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use codec::h2::Role;
use tokio::sync::watch;

use super::connection::{Connection, Io, READ_LEAST};
use super::server::Ending;
use super::stream::Stream;
use crate::buffer::Buffer;
use crate::clock::Moment;
use crate::resilience::{Charge, Parked, Target};
use crate::stream::Stream as Transport;
use crate::worker::Worker;

const PING: [u8; 8] = *b"weirping";

/// The connections of one key.
#[derive(Default)]
pub(crate) struct Shared {
    connections: RefCell<Vec<Rc<Opened>>>,
    attempts: RefCell<Vec<Attempt>>,
}

/// Is counted as long as it is there: a connection of the worker, open or being opened
/// ([`crate::Limits::http2_connections`]), or a request that waits for one.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// One connection.
pub(super) struct Opened {
    connection: Rc<Connection>,
    /// Streams that are kept for requests and not opened yet.
    reserved: Cell<usize>,
    /// When a stream was last begun, or was there.
    used: Cell<Moment>,
    /// Counts it at its endpoint and Service, as one that can take further requests.
    _charge: Parked,
}

/// A connection being opened, and how many requests wait for it.
struct Attempt {
    outcome: watch::Receiver<Option<Outcome>>,
    waiting: Rc<Cell<usize>>,
}

type Outcome = Result<(), ErrorKind>;

/// The duty to open a connection: requests wait for what becomes of it.
pub(crate) struct Opening {
    outcome: watch::Sender<Option<Outcome>>,
    counted: Counted,
}

/// What a request can do.
pub(crate) enum Chance {
    /// Use this stream.
    Stream(Stream),
    /// Open a connection.
    Open(Opening),
    /// Nothing: as many wait for a connection as may, or there are as many of its key as may be.
    Full,
}

/// A place among the streams of a connection, kept until this is dropped.
pub(super) struct Place(Rc<Opened>);

impl Place {
    fn of(opened: &Rc<Opened>) -> Self {
        opened.reserved.set(opened.reserved.get() + 1);
        Self(opened.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.reserved.set(self.0.reserved.get() - 1);
    }
}

impl Opened {
    /// Streams to be had. How many the endpoint allows is known once its SETTINGS have come: until
    /// then there is the first request's alone, so that the endpoint has to refuse none.
    fn free(&self) -> usize {
        if self.connection.is_over() || !self.connection.is_settled() {
            return 0;
        }
        self.connection.engine().streams_free().saturating_sub(self.reserved.get())
    }

    fn is_busy(&self) -> bool {
        self.reserved.get() > 0 || self.connection.held() > 0
    }

    /// Whether it was used a moment ago, so that the endpoint need not be asked; it is being used now.
    fn is_in_use(&self, worker: &Worker) -> bool {
        let now = worker.clock.coarse();
        let is_recent = self.used.get() + worker.config.limits.http2_ping_after > now;
        let is_in_use = is_recent || self.connection.held() > 0;
        if is_in_use {
            self.used.set(now);
        }
        is_in_use
    }

    /// After a pause: whether the endpoint is still there. If not, the connection is dropped.
    async fn is_alive(&self, worker: &Worker) -> bool {
        if self.is_in_use(worker) {
            return true;
        }
        self.used.set(worker.clock.coarse());
        let answered = self.connection.ping(PING);
        let timeout = worker.config.limits.http2_ping_timeout;
        if tokio::time::timeout(timeout, answered).await == Ok(true) {
            return true;
        }
        if !self.connection.is_over() {
            worker.stats.limit_http2_ping_timeout.add();
        }
        self.connection.cut();
        false
    }
}

impl Shared {
    /// A stream of an open connection that is in use.
    pub(crate) fn join(&self, worker: &Worker) -> Option<Stream> {
        let connections = self.connections.borrow();
        let opened = connections.iter().find(|opened| opened.free() > 0)?;
        let is_in_use = opened.is_in_use(worker);
        is_in_use.then(|| Stream::to_endpoint(&opened.connection, Place::of(opened)))
    }

    /// A stream of an open connection; or, when all are full, that of one being opened; or the
    /// duty to open one. The target counts the wait.
    ///
    /// # Errors
    /// The connection waited for could not be opened, or takes no requests.
    pub(crate) async fn stream(&self, worker: &Worker, target: &Target) -> io::Result<Chance> {
        loop {
            let found = self.connections.borrow().iter().find(|opened| opened.free() > 0).cloned();
            if let Some(opened) = found {
                let place = Place::of(&opened);
                if opened.is_alive(worker).await && !opened.connection.is_over() {
                    return Ok(Chance::Stream(Stream::to_endpoint(&opened.connection, place)));
                }
                self.forget(&opened);
                continue;
            }
            let max = worker.config.limits.http2.streams as usize;
            match self.attempt(max) {
                Some(attempt) => {
                    let Ok(_pending) = target.wait() else { return Ok(Chance::Full) };
                    attempt.wait(worker.config.limits.connect_timeout).await?;
                }
                None if !self.has_room(worker) => {
                    worker.stats.limit_http2_connections.add();
                    return Ok(Chance::Full);
                }
                None => return Ok(Chance::Open(self.begin(worker.upstreams.another_http2()))),
            }
        }
    }

    /// Whether the key may have another connection.
    fn has_room(&self, worker: &Worker) -> bool {
        let count = self.connections.borrow().len() + self.attempts.borrow().len();
        count < worker.config.limits.http2_connections_per_key
    }

    /// Says goodbye to up to `most` connections that are idle; to how many.
    pub(crate) fn evict(&self, most: usize) -> usize {
        let mut left = most;
        self.connections.borrow_mut().retain(|opened| {
            let stays = left == 0 || opened.is_busy();
            if !stays {
                left -= 1;
                opened.connection.engine_mut().go_away();
            }
            stays
        });
        most - left
    }

    /// An attempt that so few wait for that they will find room on its connection.
    fn attempt(&self, max: usize) -> Option<Attempt> {
        // One that was given up is known by nobody else.
        self.attempts.borrow_mut().retain(Attempt::is_open);
        let attempts = self.attempts.borrow();
        let joined = attempts.iter().find(|attempt| attempt.waiting.get() + 1 < max)?;
        Some(Attempt { outcome: joined.outcome.clone(), waiting: joined.waiting.clone() })
    }

    fn begin(&self, count: &Rc<Cell<usize>>) -> Opening {
        let (sender, outcome) = watch::channel(None);
        self.attempts.borrow_mut().push(Attempt { outcome, waiting: Rc::default() });
        Opening { outcome: sender, counted: Counted::new(count) }
    }

    /// A connection was opened, by whom had the duty: its first stream.
    pub(crate) fn opened(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        opening: Opening,
        transport: Transport,
        charge: Charge,
    ) -> Stream {
        let mut limits = worker.config.limits.http2();
        // Streams that nobody reads must not keep the window from those of others.
        limits.connection_window =
            limits.connection_window.max(limits.streams.saturating_mul(limits.stream_window));
        let connection = Connection::new(Role::Client, &limits, transport.scheme(), &worker.stats);
        let used = Cell::new(worker.clock.coarse());
        let opened =
            Rc::new(Opened { connection, reserved: Cell::new(0), used, _charge: Parked::new(charge) });
        let stream = Stream::to_endpoint(&opened.connection, Place::of(&opened));
        self.connections.borrow_mut().push(opened.clone());
        let (worker, shared) = (worker.clone(), self.clone());
        tokio::task::spawn_local(async move {
            let Opening { outcome, counted: _counted } = opening;
            drive(&worker, &opened.connection, transport, outcome).await;
            shared.forget(&opened);
        });
        stream
    }

    /// It could not be opened.
    pub(crate) fn failed(opening: &Opening, error: &io::Error) {
        opening.outcome.send_replace(Some(Err(error.kind())));
    }

    fn forget(&self, opened: &Rc<Opened>) {
        self.connections.borrow_mut().retain(|other| !Rc::ptr_eq(other, opened));
    }

    /// Says goodbye to every connection, and waits until those without a request have ended.
    pub(crate) async fn leave(&self) {
        let connections = self.connections.take();
        for opened in &connections {
            opened.connection.engine_mut().go_away();
        }
        for opened in connections.iter().filter(|opened| !opened.is_busy()) {
            opened.connection.gone().await;
        }
    }

    /// Lets go of connections that are over, and says goodbye to those idle for too long. Whether
    /// none is left.
    pub(crate) fn sweep(&self, now: Moment, timeout: Duration) -> bool {
        self.attempts.borrow_mut().retain(Attempt::is_open);
        let mut connections = self.connections.borrow_mut();
        connections.retain(|opened| {
            let connection = &opened.connection;
            if opened.is_busy() {
                opened.used.set(now);
            } else if connection.engine().is_closing() {
                // It had the time since the last sweep to say so.
                connection.cut();
            } else if opened.used.get() + timeout <= now || connection.is_of_no_use() {
                connection.engine_mut().go_away();
            }
            !connection.is_over()
        });
        connections.is_empty() && self.attempts.borrow().is_empty()
    }
}

impl Attempt {
    /// Nothing is known of it yet, and somebody is at it.
    fn is_open(&self) -> bool {
        self.outcome.has_changed().is_ok() && self.outcome.borrow().is_none()
    }

    /// Waits until it is over, by success or because who had the duty gave up.
    async fn wait(mut self, timeout: Duration) -> io::Result<()> {
        let _waiting = Counted::new(&self.waiting);
        let over = tokio::time::timeout(timeout, self.outcome.wait_for(Option::is_some));
        match over.await?.map(|outcome| *outcome) {
            Ok(Some(Err(kind))) => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

/// Moves the bytes of a connection until it is over. Those who wait for it are told when the
/// endpoint's SETTINGS have come: if they allow no stream at all, it is as if it had not been opened.
async fn drive(
    worker: &Worker,
    connection: &Connection,
    mut transport: Transport,
    outcome: watch::Sender<Option<Outcome>>,
) {
    let _ending = Ending(connection);
    let mut input = Buffer::new(&worker.buffers);
    let max = worker.config.limits.buffer_bytes.max(READ_LEAST);
    let mut outcome = Some(outcome);
    poll_fn(|context| {
        let mut io = Io { stream: &mut transport, input: &mut input, clock: &worker.clock, max };
        let polled = connection.poll(&mut io, &mut |_, _| {}, context);
        if connection.is_settled()
            && let Some(outcome) = outcome.take()
        {
            let refuses = !connection.engine().takes_streams();
            outcome.send_replace(Some(if refuses { Err(ErrorKind::ConnectionRefused) } else { Ok(()) }));
        }
        polled
    })
    .await;
    // What ends in TLS says so, if there is room for it.
    poll_fn(|context| {
        drop(transport.poll_shutdown(context));
        Poll::Ready(())
    })
    .await;
    if let Some(outcome) = outcome {
        outcome.send_replace(Some(Err(ErrorKind::ConnectionReset)));
    }
}
