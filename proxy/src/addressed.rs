//! Stage 2. A connection is addressed: who opened it, and what answers where it wanted to go.

use std::rc::Rc;
use std::sync::Arc;

use model::address::{ClientAddr, EndpointAddr, OrigDstAddr};
use model::flow::FlowPeer;
use model::identity::{Identity, IdentityId};
use model::policy::Enforcement;
use model::service::{AppProtocol, Backend, Endpoint, Frontend, GatewayPort};
use model::workload::{EndpointId, Protocol};
use model::{Snapshot, workload::Workload};
use policy::ConnectionVerdict;

use crate::accepted::{Accepted, By};
use crate::config::ListenerKind;
use crate::permitted::Judge;
use crate::worker::{View, Worker};

/// A connection whose ends are known.
pub(crate) struct Addressed {
    pub(crate) accepted: Accepted,
    /// True as of one Snapshot; a connection that lives on is addressed again.
    pub(crate) ends: Rc<Addressing>,
}

/// The ends of a connection, as one Snapshot has them.
pub(crate) struct Addressing {
    pub(crate) view: View,
    pub(crate) source: Source,
    pub(crate) original: OrigDstAddr,
    /// Where the client wanted to go, for flow records.
    pub(crate) destination: FlowPeer,
    pub(crate) place: Place,
    /// TCP, or UDP for a flow of datagrams.
    pub(crate) transport: Protocol,
}

/// Who opened a connection. The address cannot be forged: the kernel drops what does not carry the
/// pod's own.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) client: ClientAddr,
    pub(crate) identity: IdentityId,
    /// Its number if it is a pod of this node: then its egress policy is ours to judge.
    pub(crate) local: Option<EndpointId>,
    pub(crate) peer: FlowPeer,
}

/// What answers at an original destination.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Gateway listeners.
    Gateway(Arc<GatewayPort>),
    /// A ClusterIP; no backend if the Snapshot has none for it.
    Service(Arc<Frontend>, Option<Arc<Backend>>),
    /// An address as such: policed, never routed.
    Direct(EndpointAddr),
    /// Nothing: a port that is no Gateway's any more, or the listener's own.
    Nothing,
}

impl Accepted {
    /// Finds out who this is and what answers.
    pub(crate) fn address(self, worker: &Worker) -> Addressed {
        let ends = Rc::new(Addressing::of(worker.view(), self.client, self.original, self.by));
        Addressed { accepted: self, ends }
    }
}

impl Addressed {
    /// Follows the Snapshot in force.
    pub(crate) fn refresh(&mut self, worker: &Worker) {
        let view = worker.view();
        if !Rc::ptr_eq(&view, &self.ends.view) {
            let (client, original) = (self.accepted.client, self.accepted.original);
            self.ends = Rc::new(Addressing::of(view, client, original, self.accepted.by));
        }
    }
}

impl Addressing {
    pub(crate) fn of(view: View, client: ClientAddr, original: OrigDstAddr, by: By) -> Self {
        let place = place(&view, original, by);
        let source = source(&view, client, &place);
        let destination = Party::of(&view, EndpointAddr(original.0)).peer();
        Self { view, source, original, destination, place, transport: Protocol::Tcp }
    }

    /// Of a flow of datagrams. There is nothing but what a Gateway or a Service answers: what goes
    /// to a pod's own address does not pass here.
    pub(crate) fn of_datagrams(view: View, client: ClientAddr, original: OrigDstAddr) -> Self {
        let transport = Protocol::Udp;
        let place = match (view.gateway_of(original.0, transport), view.frontend_of(original.0, transport)) {
            (Some(gateway), _) => Place::Gateway(gateway.clone()),
            (None, Some(frontend)) => {
                Place::Service(frontend.clone(), view.backends.get(&frontend.backend).cloned())
            }
            (None, None) => Place::Nothing,
        };
        let source = source(&view, client, &place);
        let destination = Party::of(&view, EndpointAddr(original.0)).peer();
        Self { view, source, original, destination, place, transport }
    }

    pub(crate) fn judge(&self) -> Judge<'_> {
        Judge { snapshot: &self.view, source: &self.source, transport: self.transport }
    }

    /// Whether this is a port where only HTTP is spoken: a Gateway, a Service that says so or has
    /// routes, or one where a policy has HTTP rules for this client.
    pub(crate) fn is_http(&self) -> bool {
        match &self.place {
            Place::Gateway(_) => true,
            Place::Service(frontend, backend) => {
                let said = |b: &Backend| {
                    matches!(b.protocol, AppProtocol::Http | AppProtocol::H2c | AppProtocol::WebSocket)
                };
                frontend.routes.is_some()
                    || backend.as_ref().is_some_and(|b| {
                        said(b) || b.endpoints.iter().any(|e| self.judge().has_http_rules(e.address))
                    })
            }
            Place::Direct(address) => self.judge().has_http_rules(*address),
            Place::Nothing => false,
        }
    }

    /// Whether nothing that this client could send here would pass.
    pub(crate) fn is_closed(&self) -> bool {
        let denied = |address| {
            let (egress, ingress) = self.judge().connection(&Party::of(&self.view, address));
            [egress, ingress].iter().any(|v| matches!(v, ConnectionVerdict::Deny { .. }))
        };
        match &self.place {
            Place::Nothing => true,
            Place::Direct(address) => denied(*address),
            Place::Service(frontend, Some(backend)) if frontend.routes.is_none() => {
                let mut endpoints = backend.endpoints.iter().filter(|e| e.ready).peekable();
                endpoints.peek().is_some() && endpoints.all(|e: &Endpoint| denied(e.address))
            }
            // Where routes lead is known request by request.
            Place::Service(..) | Place::Gateway(_) => self.source.local.is_some_and(|local| {
                self.view
                    .policies
                    .get(&local)
                    .is_none_or(|policy| matches!(policy.egress.enforcement, Enforcement::Closed(_)))
            }),
        }
    }
}

/// What a Snapshot knows of an address, looked up once.
#[derive(Clone, Copy)]
pub(crate) struct Party<'s> {
    pub(crate) address: EndpointAddr,
    pub(crate) identity: IdentityId,
    labels: Option<&'s Arc<Identity>>,
    workload: Option<&'s Arc<Workload>>,
}

impl<'s> Party<'s> {
    pub(crate) fn of(snapshot: &'s Snapshot, address: EndpointAddr) -> Self {
        let (identity, labels) = snapshot.identity_of(address.ip());
        Self { address, identity, labels, workload: snapshot.workload(address.ip()) }
    }

    /// Its number if it is a pod of this node.
    pub(crate) fn local(&self) -> Option<EndpointId> {
        self.workload.and_then(|workload| workload.local)
    }

    /// The same for flow records.
    pub(crate) fn peer(&self) -> FlowPeer {
        FlowPeer { address: self.address.0, identity: self.labels.cloned(), workload: self.workload.cloned() }
    }
}

fn place(snapshot: &Snapshot, original: OrigDstAddr, by: By) -> Place {
    if let Some(gateway) = snapshot.gateway(original.0) {
        return Place::Gateway(gateway.clone());
    }
    if by.kind == ListenerKind::Gateway {
        return Place::Nothing;
    }
    match snapshot.frontends.get(&original.0) {
        Some(frontend) => Place::Service(frontend.clone(), snapshot.backends.get(&frontend.backend).cloned()),
        None if is_listener(snapshot, original, by) => Place::Nothing,
        None => Place::Direct(EndpointAddr(original.0)),
    }
}

/// Whether somebody dialled the listener itself: dialling on would come back here again and again.
fn is_listener(snapshot: &Snapshot, original: OrigDstAddr, by: By) -> bool {
    let ip = original.ip();
    let is_ours = ip == by.address.ip() || ip.is_loopback() || snapshot.node_addresses.contains(&ip);
    is_ours && original.port() == by.address.port()
}

/// What enters by a Gateway and is no pod is `reserved:ingress` to the backends.
fn source(snapshot: &Snapshot, client: ClientAddr, place: &Place) -> Source {
    let mut party = Party::of(snapshot, EndpointAddr(client.0));
    if matches!(place, Place::Gateway(_)) && party.workload.is_none() {
        party.identity = IdentityId::INGRESS;
        party.labels = snapshot.identities.get(&party.identity);
    }
    Source { client, identity: party.identity, local: party.local(), peer: party.peer() }
}

#[cfg(test)]
mod tests;
