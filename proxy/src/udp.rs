//! Datagrams of a Gateway's UDP listeners, by flow: what one client sends to one address goes to
//! one endpoint from a socket of its own, and what that endpoint answers goes back, until nothing
//! has moved for a while.
//!
//! A flow goes through the stages of a connection: routed by its UDPRoute, balanced, permitted.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use model::address::{ClientAddr, OrigDstAddr};
use model::flow::{FlowReason, FlowVerdict, HttpVersion};
use model::route::RouteRule;
use model::service::ListenerProtocol;
use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};

use crate::addressed::{Addressing, Place};
use crate::flow::Flow;
use crate::limits::Limits;
use crate::live::{Registered, Signal};
use crate::parsed::Message;
use crate::permitted::{Denial, Permitted};
use crate::refusal::Refusal;
use crate::resilience::Load;
use crate::routed::{self, Context as Stages};
use crate::upstream::Key;
use crate::worker::Worker;

mod socket;

pub(crate) use socket::Socket;

/// The largest payload that a datagram can have.
const DATAGRAM_MAX: usize = 65_535;
/// Pause after a failed read: what the kernel has no memory for does not come at once.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a flow waits for its last answers when the proxy is about to end.
const DRAIN: Duration = Duration::from_secs(5);

/// One client at one address of ours.
type Ends = (SocketAddr, SocketAddr);

/// The flows of one listening socket.
struct Flows {
    worker: Rc<Worker>,
    socket: Socket,
    by_ends: RefCell<HashMap<Ends, Rc<Relay>>>,
    by_client: RefCell<HashMap<IpAddr, usize>>,
    /// Where answers are read to, on their way to the client.
    scratch: RefCell<Box<[u8]>>,
}

/// One flow.
struct Relay {
    upstream: tokio::net::UdpSocket,
    permitted: Permitted,
    record: RefCell<Flow>,
    live: Registered,
    leaving: Cell<bool>,
    _load: Load,
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

/// Serves a listening socket until aborted; the flows outlive it.
pub(crate) async fn serve(worker: Rc<Worker>, socket: Socket) {
    let flows = Rc::new(Flows {
        worker,
        socket,
        by_ends: RefCell::default(),
        by_client: RefCell::default(),
        scratch: RefCell::new(vec![0; DATAGRAM_MAX].into_boxed_slice()),
    });
    let mut buffer = vec![0; DATAGRAM_MAX].into_boxed_slice();
    loop {
        match flows.socket.receive(&mut buffer).await {
            Ok(received) => flows.deliver((received.client, received.local), &buffer[..received.len]),
            Err(error) => {
                flows.worker.stats.accept_errors.add();
                tracing::debug!("reading datagrams failed: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Flows {
    /// Hands a client's datagram to its flow, a new one if need be. What cannot be sent at once is
    /// lost, as datagrams may be.
    fn deliver(self: &Rc<Self>, ends: Ends, bytes: &[u8]) {
        let known = self.by_ends.borrow().get(&ends).cloned();
        let relay = match known.or_else(|| self.open(ends)) {
            Some(relay) => relay,
            None => return,
        };
        // Straight to the kernel: the runtime does not know yet that a new socket has room.
        match SockRef::from(&relay.upstream).send(bytes) {
            Ok(count) => {
                relay.record.borrow_mut().count_in(count);
                relay.moved(&self.worker);
            }
            Err(_) => self.worker.stats.datagrams_lost.add(),
        }
    }

    /// Opens a flow and starts what brings its answers back. `None` if it is refused.
    fn open(self: &Rc<Self>, ends: Ends) -> Option<Rc<Relay>> {
        let worker = &self.worker;
        let (client, local) = ends;
        let addressing = Addressing::of_datagrams(worker.view(), ClientAddr(client), OrigDstAddr(local));
        let limits = &worker.config.limits;
        let of_client = self.by_client.borrow().get(&client.ip()).copied().unwrap_or_default();
        let share = |count| Limits::share(count, worker.config.workers);
        if worker.datagram_flows.get() >= share(limits.datagram_flows)
            || of_client >= share(limits.datagram_flows_per_client)
        {
            // No record: a flood of new flows would be a flood of records.
            worker.stats.limit_datagram_flows.add();
            return None;
        }
        let mut record = Flow::connection(worker, &addressing, worker.clock.now());
        let opened = permit(worker, &addressing, &mut record).and_then(|permitted| {
            // Under the node's own address: the kernel leads answers to a pod's address to that pod,
            // and of datagrams it does not know which are ours.
            let key = Key { source: None, ..permitted.key() };
            let upstream = worker.upstreams.datagrams(key);
            let upstream = upstream.inspect_err(|error| {
                tracing::debug!("no socket for datagrams to {}: {error}", permitted.endpoint());
            });
            let failed = |_| Refusal::new(0, FlowReason::ConnectFailed);
            Ok((permitted, upstream.map_err(failed)?))
        });
        let (permitted, upstream) = match opened {
            Ok(opened) => opened,
            Err(refusal) => {
                record.refuse(&refusal);
                return None;
            }
        };
        record.end(FlowVerdict::Forwarded, FlowReason::None);
        let relay = Rc::new(Relay {
            _load: permitted.target().load(),
            upstream,
            permitted,
            record: RefCell::new(record),
            live: worker.live.register(),
            leaving: Cell::new(false),
        });
        self.by_ends.borrow_mut().insert(ends, relay.clone());
        *self.by_client.borrow_mut().entry(client.ip()).or_default() += 1;
        worker.datagram_flows.set(worker.datagram_flows.get() + 1);
        relay.moved(worker);
        tokio::task::spawn_local(relay.clone().run(Entry { flows: self.clone(), ends }));
        Some(relay)
    }
}

/// The stages up to the permission.
fn permit(worker: &Rc<Worker>, ends: &Addressing, record: &mut Flow) -> Result<Permitted, Refusal> {
    let no_route = || Refusal::new(0, FlowReason::NoRoute);
    let rule = rule(ends).ok_or_else(no_route)?;
    let (random, version) = (worker.random(), HttpVersion::default());
    let (tried, why) = (&[][..], FlowReason::ConnectFailed);
    let context =
        Stages { worker, ends, random, tried, why, repeats: false, client: "", version, secured: None };
    let routed = routed::by_rule(rule, Message::Bytes, &context, record)?;
    routed.pick(&context, record)?.permit(&context, Vec::new(), Some(record))
}

/// The rule of the UDPRoute in force at an address.
fn rule(ends: &Addressing) -> Option<&std::sync::Arc<RouteRule>> {
    let Place::Gateway(gateway) = &ends.place else { return None };
    gateway.listeners.iter().find_map(|listener| match &listener.protocol {
        ListenerProtocol::Udp(rule) => rule.as_ref(),
        _ => None,
    })
}

/// A flow's place in the tables, given back on drop.
struct Entry {
    flows: Rc<Flows>,
    ends: Ends,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let worker = &self.flows.worker;
        worker.datagram_flows.set(worker.datagram_flows.get().saturating_sub(1));
        self.flows.by_ends.borrow_mut().remove(&self.ends);
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
    /// Something moved: the flow lives on.
    fn moved(&self, worker: &Worker) {
        if !self.leaving.get() {
            self.live.arm(worker.clock.coarse() + worker.config.limits.datagram_timeout);
        }
    }

    /// Brings the endpoint's answers to the client until the flow ends.
    async fn run(self: Rc<Self>, place: Entry) {
        // That nobody listens at the endpoint is an event of its own, not something to read.
        let mut broken = pin!(self.upstream.ready(Interest::ERROR));
        let end = poll_fn(|context| match broken.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(End::Unreachable),
            Poll::Pending => self.poll(&place, context),
        });
        let end = end.await;
        let mut record = self.record.borrow_mut();
        match end {
            End::Quiet => {}
            End::Unreachable => record.end(FlowVerdict::Failed, FlowReason::ConnectFailed),
            End::Revoked(denial) => record.revoke(&denial),
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
        if self.live.is_draining() && !self.leaving.replace(true) {
            self.live.arm(worker.clock.now() + DRAIN);
        }
        let mut scratch = place.flows.scratch.borrow_mut();
        loop {
            let mut room = ReadBuf::new(&mut scratch);
            if ready!(self.upstream.poll_recv(context, &mut room)).is_err() {
                return Poll::Ready(End::Unreachable);
            }
            match place.flows.socket.send(room.filled(), place.ends.0, place.ends.1.ip()) {
                Ok(()) => {
                    self.record.borrow_mut().count_out(room.filled().len());
                    self.moved(worker);
                }
                Err(_) => worker.stats.datagrams_lost.add(),
            }
        }
    }
}
