//! Datagrams, by flow: what one client sends to one address goes to one endpoint from a socket of
//! its own, and what that endpoint answers goes back, until nothing has moved for a while.
//!
//! They come to a Gateway's UDP listener or to a UDP port of a Service. A flow goes through the
//! stages of a connection: routed by its UDPRoute or to its Service, balanced, permitted.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use model::address::{ClientAddr, EndpointAddr, OrigDstAddr};
use model::flow::{FlowReason, FlowVerdict, HttpVersion};
use model::route::RouteRule;
use model::service::{GatewayPort, ListenerProtocol};

use crate::addressed::{Addressing, Place};
use crate::clock::Moment;
use crate::flow::Flow;
use crate::limits::Limits;
use crate::parsed::Message;
use crate::permitted::Permitted;
use crate::refusal::Refusal;
use crate::routed::{self, Context as Stages, Routed, To};
use crate::worker::Worker;

mod raw;
mod relay;
mod socket;

pub(crate) use socket::Socket;

use relay::{Entry, Relay};
use socket::{Answers, Replies};

/// The largest payload that a datagram can have.
const DATAGRAM_MAX: usize = 65_535;
/// Pause after a failed read: what the kernel has no memory for does not come at once.
const PAUSE: Duration = Duration::from_millis(50);
/// For how long an endpoint that said that nobody listens there gets no new flow if there is another.
const UNREACHABLE: Duration = Duration::from_secs(10);
/// How many such endpoints are remembered.
const UNREACHABLE_MAX: usize = 64;

/// One client at one address of ours.
type Ends = (SocketAddr, SocketAddr);

/// The flows of one listening socket.
struct Flows {
    worker: Rc<Worker>,
    socket: Rc<Socket>,
    replies: Replies,
    by_ends: RefCell<HashMap<Ends, Rc<Relay>>>,
    by_client: RefCell<HashMap<IpAddr, usize>>,
    /// The last endpoints where nobody listened, with the end of that.
    unreachable: RefCell<VecDeque<(EndpointAddr, Moment)>>,
    /// Where answers are read to, on their way to the client.
    scratch: RefCell<Box<[u8]>>,
}

/// Serves a listening socket until aborted; the flows outlive it.
pub(crate) async fn serve(worker: Rc<Worker>, socket: Socket) {
    let socket = Rc::new(socket);
    let flows = Rc::new(Flows {
        worker,
        replies: Replies::new(&socket),
        socket,
        by_ends: RefCell::default(),
        by_client: RefCell::default(),
        unreachable: RefCell::default(),
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
        let relay = match known {
            Some(relay) if relay.leads_on(&self.worker) => Some(relay),
            // A client that never pauses would go on with an endpoint that is gone.
            Some(relay) => {
                self.by_ends.borrow_mut().remove(&ends);
                relay.leave(&self.worker);
                self.open(ends)
            }
            None => self.open(ends),
        };
        if let Some(relay) = relay {
            relay.send(&self.worker, bytes);
        }
    }

    /// Opens a flow and starts what brings its answers back. `None` if it is refused.
    fn open(self: &Rc<Self>, ends: Ends) -> Option<Rc<Relay>> {
        let worker = &self.worker;
        let (client, local) = ends;
        if !self.has_room(client.ip()) {
            // No record: a flood of new flows would be a flood of records.
            worker.stats.limit_datagram_flows.add();
            return None;
        }
        let addressing = Addressing::of_datagrams(worker.view(), ClientAddr(client), OrigDstAddr(local));
        let mut record = Flow::connection(worker, &addressing, worker.clock.now());
        let opened = self.permit(&addressing, &mut record).and_then(|permitted| {
            let failed = |error: std::io::Error, what| {
                tracing::debug!("no socket for datagrams {what}: {error}");
                Refusal::new(0, FlowReason::ConnectFailed)
            };
            let upstream = worker.upstreams.datagrams(worker, permitted.key());
            let upstream = upstream.map_err(|error| failed(error, format!("to {}", permitted.endpoint())))?;
            let answers = self.replies.from(local, worker.config.transparent);
            let answers = answers.map_err(|error| failed(error, format!("from {local}")))?;
            Ok((permitted, upstream, answers))
        });
        let (permitted, upstream, answers) = match opened {
            Ok(opened) => opened,
            Err(refusal) => {
                record.refuse(&refusal);
                return None;
            }
        };
        record.end(FlowVerdict::Forwarded, FlowReason::None);
        let relay = Rc::new(Relay::new(worker, permitted, (upstream, answers), record));
        self.by_ends.borrow_mut().insert(ends, relay.clone());
        *self.by_client.borrow_mut().entry(client.ip()).or_default() += 1;
        worker.datagram_flows.set(worker.datagram_flows.get() + 1);
        tokio::task::spawn_local(relay.clone().run(Entry::new(self, ends, &relay)));
        Some(relay)
    }

    /// Whether this client may begin another flow.
    fn has_room(&self, client: IpAddr) -> bool {
        let (limits, worker) = (&self.worker.config.limits, &self.worker);
        let share = |count| Limits::share(count, worker.config.workers);
        let of_client = self.by_client.borrow().get(&client).copied().unwrap_or_default();
        worker.datagram_flows.get() < share(limits.datagram_flows)
            && of_client < share(limits.datagram_flows_per_client)
    }

    /// The stages up to the permission.
    fn permit(&self, ends: &Addressing, record: &mut Flow) -> Result<Permitted, Refusal> {
        let worker = &self.worker;
        let (random, version) = (worker.random(), HttpVersion::default());
        let tried = self.unreachable(worker.clock.coarse());
        let why = FlowReason::ConnectFailed;
        let context = Stages {
            worker,
            ends,
            random,
            tried: &tried,
            why,
            // They may have come back.
            repeats: true,
            client: "",
            version,
            secured: None,
        };
        let message = Message::Bytes;
        let routed = match &ends.place {
            Place::Gateway(gateway) => {
                let rule = rule(gateway).ok_or_else(|| Refusal::new(0, FlowReason::NoRoute))?;
                routed::by_rule(rule, message, &context, record)?
            }
            // A ClusterIP may be an address of the node too; it is served to pods only all the same.
            Place::Service(..) if ends.source.local.is_none() => {
                return Err(Refusal::new(0, FlowReason::NoRoute));
            }
            Place::Service(_, Some(backend)) => {
                Routed { message, to: To::Service(backend), route: None, certificate: None }
            }
            Place::Service(_, None) => return Err(Refusal::new(0, FlowReason::NoEndpoint)),
            Place::Direct(_) | Place::Nothing => return Err(Refusal::new(0, FlowReason::NoRoute)),
        };
        routed.pick(&context, record)?.permit(&context, Vec::new(), Some(record))
    }

    /// The endpoints where nobody listened a moment ago.
    fn unreachable(&self, now: Moment) -> Vec<EndpointAddr> {
        let mut unreachable = self.unreachable.borrow_mut();
        unreachable.retain(|(_, until)| *until > now);
        unreachable.iter().map(|(endpoint, _)| *endpoint).collect()
    }

    /// Nobody listens at an endpoint.
    fn is_unreachable(&self, endpoint: EndpointAddr) {
        let mut unreachable = self.unreachable.borrow_mut();
        unreachable.retain(|(other, _)| *other != endpoint);
        if unreachable.len() == UNREACHABLE_MAX {
            unreachable.pop_front();
        }
        unreachable.push_back((endpoint, self.worker.clock.coarse() + UNREACHABLE));
    }
}

/// The rule of the UDPRoute in force at an address.
fn rule(gateway: &GatewayPort) -> Option<&std::sync::Arc<RouteRule>> {
    gateway.listeners.iter().find_map(|listener| match &listener.protocol {
        ListenerProtocol::Udp(rule) => rule.as_ref(),
        _ => None,
    })
}
