//! The parts of a Snapshot that join what the others found, each kept while it is the same.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use model::Snapshot;
use model::route::{RouteTable, SniTable};
use model::service::{BackendId, Frontend, GatewayAddr, GatewayPort, Listener, ListenerProtocol};
use model::shared_map::SharedMap;
use model::workload;

use crate::gateways::{self, GatewayState, Gateways, ListenerKey, Protocol};
use crate::services::Services;
use crate::tables::{TableKey, Tables};

/// What was published last.
#[derive(Debug, Default)]
pub(crate) struct Published {
    snapshot: Arc<Snapshot>,
    frontends: Arc<SharedMap<SocketAddr, Arc<Frontend>>>,
    datagram_frontends: Arc<SharedMap<SocketAddr, Arc<Frontend>>>,
    gateways: Arc<HashMap<GatewayAddr, Arc<GatewayPort>>>,
    listeners: HashMap<Arc<ListenerKey>, Arc<Listener>>,
    no_routes: Arc<RouteTable>,
    no_names: Arc<SniTable>,
}

impl Published {
    /// Brings the ClusterIPs up to date: those that Services claim or no longer claim, and those
    /// whose routes changed.
    pub(crate) fn frontends(&mut self, services: &mut Services, tables: &mut Tables) {
        let mut touched = services.take_moved();
        for table in tables.take_changed() {
            if let TableKey::Service(id) = table {
                touched.extend(services.addresses(id));
            }
        }
        for address in touched {
            let published = match address.1 {
                workload::Protocol::Udp => &mut self.datagram_frontends,
                _ => &mut self.frontends,
            };
            let old = published.get(&address.0);
            let new = services.owner(address).map(|id| frontend(id, tables, old));
            if is_same_arc(old, new.as_ref()) {
                continue;
            }
            let published = Arc::make_mut(published);
            match new {
                Some(new) => published.insert(address.0, new),
                None => published.remove(&address.0),
            };
        }
    }

    /// Brings the Gateways' listeners up to date.
    pub(crate) fn gateways(&mut self, gateways: &Gateways, tables: &Tables) {
        let mut listeners = HashMap::new();
        let mut ports = HashMap::new();
        for (address, at) in gateways.by_address() {
            let of_port = at.into_iter().map(|(gateway, listener)| {
                let fresh = || self.listener(gateway, listener, tables);
                listeners.entry(listener.key.clone()).or_insert_with(fresh).clone()
            });
            let port = GatewayPort { listeners: of_port.collect() };
            let old = self.gateways.get(&address).filter(|old| {
                old.listeners.len() == port.listeners.len()
                    && old.listeners.iter().zip(&port.listeners).all(|(a, b)| Arc::ptr_eq(a, b))
            });
            ports.insert(address, old.cloned().unwrap_or_else(|| Arc::new(port)));
        }
        self.listeners = listeners;
        if !same(&ports, &self.gateways) {
            self.gateways = Arc::new(ports);
        }
    }

    /// A listener, the published one if nothing about it changed.
    fn listener(&self, gateway: &GatewayState, from: &gateways::Listener, tables: &Tables) -> Arc<Listener> {
        let fresh = Listener {
            gateway: crate::report::object_ref(&from.key.gateway),
            name: match &from.key.set {
                None => from.key.name.clone(),
                Some(set) => format!("{}/{}/{}", set.namespace, set.name, from.key.name).into(),
            },
            hostname: from.hostname.clone(),
            protocol: self.protocol(from, tables),
            backend_certificate: gateway.backend_certificate().cloned(),
        };
        let old = self.listeners.get(&from.key).filter(|old| is_same_listener(old, &fresh));
        old.cloned().unwrap_or_else(|| Arc::new(fresh))
    }

    fn protocol(&self, from: &gateways::Listener, tables: &Tables) -> ListenerProtocol {
        let key = TableKey::Listener(from.key.clone());
        let http = || tables.http(&key).unwrap_or(&self.no_routes).clone();
        let streams = || tables.streams(&key).unwrap_or(&self.no_names).clone();
        match (from.protocol, &from.tls.server) {
            (Protocol::Http, _) => ListenerProtocol::Http(http()),
            (Protocol::Https, Some(tls)) => ListenerProtocol::Https { tls: tls.clone(), routes: http() },
            (Protocol::TlsTerminate, Some(tls)) => {
                ListenerProtocol::TlsTerminate { tls: tls.clone(), routes: streams() }
            }
            // With nothing to present it still owns its hostname: left out, its clients would
            // reach a listener with a broader one. No name leads anywhere, so all are closed.
            (Protocol::Https | Protocol::TlsTerminate, None) => {
                ListenerProtocol::TlsPassthrough(self.no_names.clone())
            }
            (Protocol::TlsPassthrough, _) => ListenerProtocol::TlsPassthrough(streams()),
            (Protocol::Udp, _) => ListenerProtocol::Udp(streams().any.clone()),
            (Protocol::Tcp | Protocol::Unknown, _) => ListenerProtocol::Tcp(streams().any.clone()),
        }
    }

    /// Completes a Snapshot and numbers it; the last one if nothing differs.
    pub(crate) fn snapshot(&mut self, mut next: Snapshot) -> Arc<Snapshot> {
        next.frontends = self.frontends.clone();
        next.datagram_frontends = self.datagram_frontends.clone();
        next.gateways = self.gateways.clone();
        let last = &self.snapshot;
        let nothing_new = Arc::ptr_eq(&last.identities, &next.identities)
            && Arc::ptr_eq(&last.addresses, &next.addresses)
            && Arc::ptr_eq(&last.workloads, &next.workloads)
            && Arc::ptr_eq(&last.policies, &next.policies)
            && Arc::ptr_eq(&last.backends, &next.backends)
            && Arc::ptr_eq(&last.frontends, &next.frontends)
            && Arc::ptr_eq(&last.datagram_frontends, &next.datagram_frontends)
            && Arc::ptr_eq(&last.gateways, &next.gateways)
            && last.node_addresses == next.node_addresses
            && (&last.node, &last.zone) == (&next.node, &next.zone);
        if !nothing_new || last.revision == 0 {
            next.revision = last.revision + 1;
            self.snapshot = Arc::new(next);
        }
        self.snapshot.clone()
    }
}

/// What answers for a Service port: the old answer if it is the same.
fn frontend(backend: BackendId, tables: &Tables, old: Option<&Arc<Frontend>>) -> Arc<Frontend> {
    let routes = tables.http(&TableKey::Service(backend));
    let same_routes = |old: &Frontend| match (&old.routes, routes) {
        (None, None) => true,
        (Some(old), Some(new)) => Arc::ptr_eq(old, new),
        _ => false,
    };
    let kept = old.filter(|old| old.backend == backend && same_routes(old));
    kept.cloned().unwrap_or_else(|| Arc::new(Frontend { backend, routes: routes.cloned() }))
}

/// Whether two listeners say the same by the same nodes.
fn is_same_listener(a: &Listener, b: &Listener) -> bool {
    a.gateway == b.gateway
        && a.name == b.name
        && a.hostname == b.hostname
        && is_same_arc(a.backend_certificate.as_ref(), b.backend_certificate.as_ref())
        && is_same_protocol(&a.protocol, &b.protocol)
}

fn is_same_protocol(a: &ListenerProtocol, b: &ListenerProtocol) -> bool {
    use ListenerProtocol as P;
    match (a, b) {
        (P::Http(a), P::Http(b)) => Arc::ptr_eq(a, b),
        (P::Https { tls, routes }, P::Https { tls: other_tls, routes: other }) => {
            Arc::ptr_eq(tls, other_tls) && Arc::ptr_eq(routes, other)
        }
        (P::TlsPassthrough(a), P::TlsPassthrough(b)) => Arc::ptr_eq(a, b),
        (P::TlsTerminate { tls, routes }, P::TlsTerminate { tls: other_tls, routes: other }) => {
            Arc::ptr_eq(tls, other_tls) && Arc::ptr_eq(routes, other)
        }
        (P::Tcp(a), P::Tcp(b)) | (P::Udp(a), P::Udp(b)) => is_same_arc(a.as_ref(), b.as_ref()),
        _ => false,
    }
}

fn is_same_arc<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// Whether two maps hold the same nodes.
fn same<K: Eq + std::hash::Hash, V>(a: &HashMap<K, Arc<V>>, b: &HashMap<K, Arc<V>>) -> bool {
    a.len() == b.len() && a.iter().all(|(key, v)| b.get(key).is_some_and(|other| Arc::ptr_eq(v, other)))
}
