//! One flow of datagrams.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use model::Snapshot;
use model::address::{ClientAddr, OrigDstAddr};
use model::flow::{FlowReason, FlowVerdict};
use model::service::BackendId;
use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};

use super::{Answers, Ends, Flows};
use crate::addressed::Addressing;
use crate::flow::Flow;
use crate::live::{Registered, Signal};
use crate::permitted::{Denial, Permitted};
use crate::resilience::Load;
use crate::worker::{View, Worker};

/// How long a flow waits for its last answers when the proxy is about to end, or its endpoint is
/// leaving.
const DRAIN: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Relay {
    upstream: tokio::net::UdpSocket,
    answers: Answers,
    permitted: Permitted,
    service: Option<BackendId>,
    /// The Snapshot that had its endpoint last.
    view: RefCell<View>,
    record: RefCell<Flow>,
    live: Registered,
    leaving: Cell<bool>,
    /// The endpoint's host said that nobody listens there.
    refused: Cell<bool>,
    load: Load,
}

/// How a flow ended.
enum End {
    /// Nothing moved for too long, or the proxy ends.
    Quiet,
    /// The endpoint's host said that nobody listens there.
    Unreachable,
    /// A policy change no longer permits it.
    Revoked(Denial),
}

/// A flow's place in the tables, given back on drop.
pub(super) struct Entry {
    flows: Rc<Flows>,
    ends: Ends,
    relay: Weak<Relay>,
}

impl Entry {
    pub(super) fn new(flows: &Rc<Flows>, ends: Ends, relay: &Rc<Relay>) -> Self {
        Self { flows: flows.clone(), ends, relay: Rc::downgrade(relay) }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let worker = &self.flows.worker;
        worker.datagram_flows.set(worker.datagram_flows.get().saturating_sub(1));
        let mut by_ends = self.flows.by_ends.borrow_mut();
        // Another may have taken its place.
        if by_ends.get(&self.ends).is_some_and(|relay| std::ptr::eq(Rc::as_ptr(relay), self.relay.as_ptr())) {
            by_ends.remove(&self.ends);
        }
        let mut by_client = self.flows.by_client.borrow_mut();
        if let Some(count) = by_client.get_mut(&self.ends.0.ip()) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&self.ends.0.ip());
            }
        }
    }
}

impl Relay {
    /// A flow that is permitted; `sockets` lead to its endpoint and to its client.
    pub(super) fn new(
        worker: &Worker,
        permitted: Permitted,
        sockets: (tokio::net::UdpSocket, Answers),
        record: Flow,
    ) -> Self {
        let (upstream, answers) = sockets;
        let relay = Self {
            load: permitted.target().load(),
            upstream,
            answers,
            permitted,
            service: record.service,
            view: RefCell::new(worker.view()),
            record: RefCell::new(record),
            live: worker.live.register(),
            leaving: Cell::new(false),
            refused: Cell::new(false),
        };
        relay.moved(worker);
        relay
    }

    /// Sends a client's datagram on.
    pub(super) fn send(&self, worker: &Worker, bytes: &[u8]) {
        // Straight to the kernel: the runtime does not know yet that a new socket has room.
        match SockRef::from(&self.upstream).send(bytes) {
            Ok(count) => {
                self.record.borrow_mut().count_in(count);
                self.moved(worker);
            }
            Err(error) => {
                // It is told once, to whoever asks first.
                self.refused.set(self.refused.get() || error.kind() == ErrorKind::ConnectionRefused);
                worker.stats.datagrams_lost.add();
            }
        }
    }

    /// Whether its Service has its endpoint still, and ready.
    pub(super) fn leads_on(&self, worker: &Worker) -> bool {
        let view = worker.view();
        if Rc::ptr_eq(&view, &self.view.borrow()) {
            return true;
        }
        let leads_on = self.is_endpoint(&view);
        if leads_on {
            self.view.replace(view);
        }
        leads_on
    }

    fn is_endpoint(&self, snapshot: &Arc<Snapshot>) -> bool {
        let Some(service) = &self.service else { return true };
        let endpoint = self.permitted.endpoint();
        snapshot
            .backends
            .get(service)
            .is_some_and(|backend| backend.endpoints.iter().any(|one| one.ready && one.address == endpoint))
    }

    /// Waits for the last answers, no more.
    pub(super) fn leave(&self, worker: &Worker) {
        if !self.leaving.replace(true) {
            self.live.arm(worker.clock.now() + DRAIN);
        }
    }

    /// Something moved: the flow lives on.
    fn moved(&self, worker: &Worker) {
        if !self.leaving.get() {
            self.live.arm(worker.clock.coarse() + worker.config.limits.datagram_timeout);
        }
    }

    /// Brings the endpoint's answers to the client until the flow ends.
    pub(super) async fn run(self: Rc<Self>, place: Entry) {
        let mut refused = pin!(self.refused());
        let end = poll_fn(|context| match refused.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(End::Unreachable),
            Poll::Pending => self.poll(&place, context),
        });
        let end = end.await;
        let mut record = self.record.borrow_mut();
        match end {
            End::Quiet => {}
            End::Unreachable => {
                let worker = &place.flows.worker;
                worker.resilience.failed(self.load.target(), worker.clock.now());
                place.flows.is_unreachable(self.permitted.endpoint());
                record.end(FlowVerdict::Failed, FlowReason::ConnectFailed);
            }
            End::Revoked(denial) => record.revoke(&denial),
        }
    }

    /// Returns when the endpoint's host says that nobody listens there: an event of its own, not
    /// something to read. Other ICMP errors mean less: a route is missing for the moment, a packet
    /// was too big.
    async fn refused(&self) {
        while self.upstream.ready(Interest::ERROR).await.is_ok() {
            let error = self.upstream.take_error().ok().flatten();
            if self.refused.get() || error.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                return;
            }
            // Waits for the next.
            let waits = || Err::<(), _>(ErrorKind::WouldBlock.into());
            drop(self.upstream.try_io(Interest::ERROR, waits));
        }
    }

    fn poll(&self, place: &Entry, context: &mut Context<'_>) -> Poll<End> {
        let worker = &place.flows.worker;
        while let Some(signal) = self.live.poll(context) {
            match signal {
                Signal::Deadline => return Poll::Ready(End::Quiet),
                Signal::Judge => {
                    let (client, local) = (ClientAddr(place.ends.0), OrigDstAddr(place.ends.1));
                    let ends = Addressing::of_datagrams(worker.view(), client, local);
                    if let Err(denial) = self.permitted.still(&ends, None, "") {
                        return Poll::Ready(End::Revoked(denial));
                    }
                }
            }
        }
        if self.live.is_draining() {
            self.leave(worker);
        }
        let mut scratch = place.flows.scratch.borrow_mut();
        loop {
            let mut room = ReadBuf::new(&mut scratch);
            match ready!(self.upstream.poll_recv(context, &mut room)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    return Poll::Ready(End::Unreachable);
                }
                Err(_) => continue,
            }
            worker.resilience.answered(self.load.target(), false, worker.clock.coarse());
            match self.answers.send(&place.flows.socket, room.filled(), place.ends) {
                Ok(()) => {
                    self.record.borrow_mut().count_out(room.filled().len());
                    self.moved(worker);
                }
                Err(_) => worker.stats.datagrams_lost.add(),
            }
        }
    }
}
