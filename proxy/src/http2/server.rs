//! The driver of a client's HTTP/2 connection: it has a task serve every stream, and ends the
//! connection when it is idle, drained or abused.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use codec::h2::{ErrorCode, Role, StreamId, text};
use model::flow::{FlowReason, FlowVerdict};

use super::connection::{Connection, Io, Over, READ_LEAST, Signals};
use super::lane::{Begun, Lanes, Place};
use super::reading::{Reading, ends};
use super::stream::{Asked, Stream};
use crate::accepted::Carrier;
use crate::addressed::{Addressed, Addressing};
use crate::buffer::Account;
use crate::client::Client;
use crate::connection;
use crate::flow::Carried;
use crate::live::Signal;
use crate::worker::Worker;

/// Serves the requests of a client that speaks HTTP/2, its first bytes in the input. Streams still
/// under way at its end fail.
pub(crate) async fn serve(client: &mut Client) {
    let worker = client.worker.clone();
    let limits = worker.config.limits.http2();
    let scheme = client.stream().scheme();
    let connection = Connection::new(Role::Server, &limits, scheme, &worker.stats);
    let streams = Streams {
        worker: worker.clone(),
        connection: connection.clone(),
        carrier: client.addressed.accepted.carrier(),
        ends: client.addressed.ends.clone(),
        address: client.address.clone(),
        carried: client.carried.clone(),
        lanes: Rc::default(),
        text: Vec::new(),
    };
    let mut driver = Driver { worker: &worker, client, streams, busy: false, leaving: false, failing: false };
    driver.arm();
    let ending = Ending(&connection);
    let over = poll_fn(|context| driver.poll(context)).await;
    drop(ending);
    driver.conclude(over);
}

/// Has the streams of a connection fail when its driver ends, however it does.
pub(super) struct Ending<'c>(pub(super) &'c Connection);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

struct Driver<'d> {
    worker: &'d Rc<Worker>,
    client: &'d mut Client,
    streams: Streams,
    /// Streams are under way.
    busy: bool,
    /// GOAWAY has been said.
    leaving: bool,
    /// The client broke the protocol, and reads the GOAWAY that says so.
    failing: bool,
}

impl Driver<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Over> {
        while let Some(signal) = self.client.live().poll(context) {
            match signal {
                Signal::Deadline if self.failing => return Poll::Ready(Over::Closed),
                Signal::Deadline if self.busy => {
                    self.streams.lanes.trim();
                    self.end_stalled();
                }
                Signal::Deadline if self.leaving => return Poll::Ready(Over::Done),
                // Not the last of its time: it goes on with less memory.
                Signal::Deadline if self.streams.lanes.release() => self.arm(),
                Signal::Deadline => {
                    self.worker.stats.limit_idle_timeout.add();
                    self.leave();
                }
                Signal::Judge => self.judge(),
            }
        }
        if self.client.live().is_draining() && !self.leaving {
            self.leave();
        }
        let worker = self.worker;
        let client = &mut *self.client;
        let mut io = Io {
            stream: &mut client.addressed.accepted.stream,
            input: &mut client.input,
            clock: &worker.clock,
            max: worker.config.limits.buffer_bytes.max(READ_LEAST),
        };
        let (connection, streams) = (self.streams.connection.clone(), &mut self.streams);
        let polled = connection.poll(&mut io, &mut |id, _| streams.begin(id), context);
        let (busy, failing) = (connection.held() > 0, connection.failure().is_some());
        if failing && !self.failing {
            self.failing = true;
            let timeout = self.worker.config.limits.linger_timeout;
            self.client.live().arm(self.worker.clock.coarse() + timeout);
        } else if busy != self.busy && !failing {
            self.busy = busy;
            self.arm();
        }
        polled
    }

    /// Sets the deadline for what is awaited.
    fn arm(&self) {
        let limits = &self.worker.config.limits;
        let timeout = match (self.busy, self.leaving) {
            (true, _) => (limits.stall_timeout / STALL_CHECKS).min(LANES_TRIM),
            (false, true) => limits.linger_timeout,
            (false, false) if self.streams.lanes.has_idle() => limits.idle_timeout.min(LANES_IDLE),
            (false, false) => limits.idle_timeout,
        };
        self.client.live().arm(self.worker.clock.coarse() + timeout);
    }

    /// Takes no more requests, but those already on their way.
    fn leave(&mut self) {
        self.leaving = true;
        self.streams.connection.engine_mut().go_away();
        self.arm();
    }

    /// A new Snapshot: the streams judge themselves; those to come follow it.
    fn judge(&mut self) {
        self.client.addressed.refresh(self.worker);
        self.streams.ends = self.client.addressed.ends.clone();
        if self.streams.ends.is_closed() && !self.leaving {
            self.worker.stats.revoked.add();
            self.client.end_for(FlowVerdict::Denied, FlowReason::PolicyRevoked);
            self.leave();
        }
    }

    fn end_stalled(&self) {
        let timeout = self.worker.config.limits.stall_timeout;
        let before =
            self.worker.clock.now().0.saturating_sub(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        for _ in 0..self.streams.connection.end_stalled(before) {
            self.worker.stats.limit_stall_timeout.add();
        }
        self.arm();
    }

    fn conclude(&mut self, over: Over) {
        if let Over::Closed = over {
            self.client.eof = true;
        }
        if let Some(error) = self.streams.connection.failure() {
            let limit = error.limit.is_some();
            let reason = if limit { FlowReason::Limit } else { FlowReason::BadRequest };
            self.client.end_for(FlowVerdict::Failed, reason);
        }
    }
}

/// Tasks wait for a stream for so long after the last one.
const LANES_IDLE: Duration = Duration::from_secs(1);
/// How often those that a busy connection does not need are let go.
const LANES_TRIM: Duration = Duration::from_secs(2);
/// How often within the stall time-out streams are looked at.
const STALL_CHECKS: u32 = 4;

/// What the streams of a connection have in common.
struct Streams {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    carrier: Carrier,
    ends: Rc<Addressing>,
    address: Rc<str>,
    carried: Rc<Carried>,
    lanes: Rc<Lanes>,
    /// Room for a head.
    text: Vec<u8>,
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.lanes.close();
    }
}

impl Streams {
    /// Has a stream served whose head has come.
    fn begin(&mut self, id: StreamId) {
        let Some(fields) = self.connection.engine_mut().head(id) else { return };
        let Some(place) = self.place() else {
            let mut engine = self.connection.engine_mut();
            engine.reset(id, ErrorCode::REFUSED_STREAM);
            engine.recycle(fields);
            engine.close(id);
            return;
        };
        let whole = ends(&self.connection, id);
        let is_connect = fields.method() == b"CONNECT";
        let asked = Asked {
            head: fields.method() == b"HEAD",
            connect: is_connect && fields.protocol().is_none(),
            websocket: fields.protocol().map(|_| Vec::new()),
            call: false,
        };
        let reading = Reading::after(&fields, whole, is_connect);
        self.text.clear();
        let said = text::request_text(&fields, whole, self.nonce(), &mut self.text);
        self.connection.engine_mut().recycle(fields);

        let since = self.worker.clock.now();
        let malformed = said.err().map(text::MalformedRequest::status);
        self.worker.stats.streams.add();
        self.connection.enter(id, &place.signals);
        let ends = self.ends.clone();
        place.begin(Begun { id, asked, reading, since, ends, malformed }, &mut self.text);
    }

    /// A task for a stream, one that waits or a new one. `None` when a limit is reached.
    fn place(&mut self) -> Option<Rc<Place>> {
        if let Some(place) = self.lanes.take() {
            if place.counted.resume() {
                return Some(place);
            }
            self.lanes.keep(place);
            return None;
        }
        let (counted, signals) = (self.carrier.count()?, Signals::new());
        let stream = Stream::resting(&self.connection, signals.clone());
        let stream = crate::stream::Stream::Http2(Box::new(stream));
        let accepted = self.carrier.accept(&self.worker, stream, counted.clone());
        let addressed = Addressed { accepted, ends: self.ends.clone() };
        let (address, carried) = (self.address.clone(), self.carried.clone());
        let client = Client::of_streams(&self.worker, addressed, (address, carried));
        let (place, lane) = self.lanes.open(counted, signals);
        let task = connection::streams(client, lane);
        tokio::task::spawn_local(Account::pays(self.carrier.payer(), task));
        Some(place)
    }

    /// Random bytes for a key that the client's HTTP/2 does not have.
    fn nonce(&self) -> [u8; 16] {
        let (high, low) = (self.worker.random(), self.worker.random());
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }
}
