//! Services and EndpointSlices: the addresses clients dial and the endpoints behind them.
//!
//! Each Service is read again only when it or one of its slices changed; a [`BackendId`] stays
//! with its Service port for good.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use model::service::{AppProtocol, Backend, BackendId, ObjectRef};
use model::shared_map::SharedMap;
use model::traffic::TrafficPolicy;
use model::workload::Protocol;
use objects::{Entry, Kind, ObjectKey, Problem, Store};

use crate::backend_policies::BackendPolicies;
use crate::report::{self, Problems, object_ref};
use crate::seen::Seen;

mod addresses;
mod endpoints;
#[cfg(test)]
mod tests;
mod traffic;

pub(crate) use addresses::Address;
use addresses::Addresses;

/// The label that names the Service of an EndpointSlice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What is known of all Services.
#[derive(Debug, Default)]
pub(crate) struct Services {
    ids: HashMap<(ObjectKey, u16, Protocol), BackendId>,
    objects: Seen<Service>,
    slice_objects: Seen<EndpointSlice>,
    known: HashMap<ObjectKey, Known>,
    slices: HashMap<ObjectKey, BTreeMap<ObjectKey, Arc<EndpointSlice>>>,
    backends: Arc<SharedMap<BackendId, Arc<Backend>>>,
    addresses: Addresses,
    /// The Services that the last update found new, changed or gone.
    changed: BTreeSet<ObjectKey>,
    /// Problems of Services, of EndpointSlices, and of Services that claim one address.
    problems: [BTreeMap<ObjectKey, Problems>; 3],
    revisions: Option<(u64, u64)>,
}

/// One Service as it was read last.
#[derive(Debug)]
struct Known {
    object: Arc<Service>,
    ports: Vec<Port>,
}

/// One TCP or UDP port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    /// `spec.ports[].port`.
    pub(crate) port: u16,
    /// `spec.ports[].protocol`: TCP or UDP.
    pub(crate) transport: Protocol,
    /// `spec.ports[].name`.
    pub(crate) name: Option<Arc<str>>,
    /// Its number.
    pub(crate) id: BackendId,
    /// What it speaks.
    pub(crate) protocol: AppProtocol,
}

/// What naming a Service port came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// It is there.
    Found(BackendId),
    /// There is no such Service.
    NoService,
    /// It is of type `ExternalName`: a name and no endpoints.
    External,
    /// The Service has no such port.
    NoPort,
    /// The port is there for another transport only.
    OtherTransport,
}

impl Port {
    /// Where it answers on an address of its Service.
    fn address(&self, ip: IpAddr) -> Address {
        (SocketAddr::new(ip, self.port), self.transport)
    }
}

impl Services {
    /// Takes in what changed; `policed` are the Services about which policies say something else.
    pub(crate) fn update(&mut self, store: &Store, policies: &BackendPolicies, policed: BTreeSet<ObjectKey>) {
        let revisions = (store.revision(Kind::Service), store.revision(Kind::EndpointSlice));
        self.changed.clear();
        if self.revisions.replace(revisions) == Some(revisions) && policed.is_empty() {
            return;
        }
        let diff = self.objects.diff(store.services());
        self.changed.extend(diff.stale.into_iter().map(|(key, _)| key));
        self.changed.extend(diff.fresh.into_iter().map(|entry| entry.key.clone()));
        let mut touched = self.update_slices(store);
        touched.extend(policed);
        touched.extend(self.changed.iter().cloned());
        let mut moved = Vec::new();
        for key in touched {
            self.problems[0].remove(&key);
            let claimed = |known: Option<&Known>| {
                known.map(|known| addresses::claimed(&known.object, &known.ports)).unwrap_or_default()
            };
            let before = claimed(self.known.get(&key));
            match store.services().get(&key.namespace, &key.name) {
                Some(entry) => self.service(entry, policies),
                None => {
                    let ports = self.known.remove(&key).map(|known| known.ports).unwrap_or_default();
                    self.drop_ports(&ports, &[]);
                }
            }
            moved.extend(self.addresses.set(&key, &before, &claimed(self.known.get(&key))));
        }
        let claimants = moved.into_iter().flat_map(|at| self.addresses.of(at)).map(|(key, _)| key.clone());
        let judged: BTreeSet<ObjectKey> = claimants.chain(self.changed.iter().cloned()).collect();
        judged.iter().for_each(|key| self.judge_addresses(key));
    }

    /// The Services that the last update found new, changed or gone.
    pub(crate) fn changed(&self) -> &BTreeSet<ObjectKey> {
        &self.changed
    }

    /// The TCP and UDP ports of a Service; `None` when there is no such Service.
    pub(crate) fn ports(&self, key: &ObjectKey) -> Option<&[Port]> {
        self.known.get(key).map(|known| &*known.ports)
    }

    /// The number of a Service port.
    pub(crate) fn lookup(&self, key: &ObjectKey, port: u16, transport: Protocol) -> Lookup {
        let Some(known) = self.known.get(key) else { return Lookup::NoService };
        if is_external(&known.object) {
            return Lookup::External;
        }
        if let Some(found) = known.ports.iter().find(|p| (p.port, p.transport) == (port, transport)) {
            return Lookup::Found(found.id);
        }
        let other = service_ports(&known.object).any(|p| p.port == i32::from(port));
        if other { Lookup::OtherTransport } else { Lookup::NoPort }
    }

    /// Service ports by number.
    pub(crate) fn backends(&self) -> &Arc<SharedMap<BackendId, Arc<Backend>>> {
        &self.backends
    }

    /// The Service port that answers on a ClusterIP and port.
    pub(crate) fn owner(&self, address: Address) -> Option<BackendId> {
        self.addresses.owner(address)
    }

    /// The addresses that a Service port claims.
    pub(crate) fn addresses(&self, id: BackendId) -> Vec<Address> {
        let Some(backend) = self.backends.get(&id) else { return Vec::new() };
        let ObjectRef { namespace, name, .. } = &backend.service;
        let key = ObjectKey { kind: Kind::Service, namespace: namespace.clone(), name: name.clone() };
        let claimed = self.known.get(&key).map(|known| addresses::claimed(&known.object, &known.ports));
        claimed.into_iter().flatten().filter(|(_, of)| *of == id).map(|(address, _)| address).collect()
    }

    /// The addresses whose claims changed since this was asked last.
    pub(crate) fn take_moved(&mut self) -> BTreeSet<Address> {
        self.addresses.take_moved()
    }

    /// What is wrong with Services and EndpointSlices.
    pub(crate) fn problems<'s>(&'s self, store: &'s Store) -> impl Iterator<Item = Problem> + 's {
        let problems = self.problems.iter().flatten();
        problems.flat_map(move |(key, problems)| report::placed(problems, key, store))
    }

    /// Brings the EndpointSlices of each Service up to date. Gives the Services they concern.
    fn update_slices(&mut self, store: &Store) -> BTreeSet<ObjectKey> {
        let mut touched = BTreeSet::new();
        let diff = self.slice_objects.diff(store.endpoint_slices());
        for (key, object) in diff.stale {
            self.problems[1].remove(&key);
            let Some(service) = service_of(&key, &object) else { continue };
            if let Some(slices) = self.slices.get_mut(&service) {
                slices.remove(&key);
                if slices.is_empty() {
                    self.slices.remove(&service);
                }
            }
            touched.insert(service);
        }
        for entry in diff.fresh {
            let mut problems = Vec::new();
            match (service_of(&entry.key, &entry.object), &*entry.object.address_type) {
                (None, _) => {
                    let message = format!("without the label {SERVICE_NAME} it belongs to no Service");
                    report::warning(&mut problems, "metadata.labels", message);
                }
                (Some(service), "IPv4" | "IPv6") => {
                    let slices = self.slices.entry(service.clone()).or_default();
                    slices.insert(entry.key.clone(), entry.object.clone());
                    touched.insert(service);
                }
                (Some(_), other) => {
                    let message = format!("address type {other:?} is not supported: use IPv4 or IPv6");
                    report::error(&mut problems, "addressType", message);
                }
            }
            if !problems.is_empty() {
                self.problems[1].insert(entry.key.clone(), problems);
            }
        }
        touched
    }

    /// Takes in one Service.
    fn service(&mut self, entry: &Entry<Service>, policies: &BackendPolicies) {
        let mut problems = Vec::new();
        let retry_budget = policies.retry_budget(&entry.key);
        let traffic = TrafficPolicy { retry_budget, ..traffic::policy(&entry.object, &mut problems) };
        let traffic = Arc::new(traffic);
        let mut ports: Vec<Port> = Vec::new();
        let slices: Vec<_> =
            self.slices.get(&entry.key).into_iter().flat_map(|s| s.values().cloned()).collect();
        for (index, port) in service_ports(&entry.object).enumerate() {
            let Some(transport) = transport(port) else { continue };
            let field = format!("spec.ports[{index}].port");
            let Some(number) = u16::try_from(port.port).ok().filter(|number| *number != 0) else {
                report::error(&mut problems, field, format!("{} is not a port", port.port));
                continue;
            };
            if ports.iter().any(|p| (p.port, p.transport) == (number, transport)) {
                let name = if transport == Protocol::Udp { "UDP" } else { "TCP" };
                report::error(&mut problems, field, format!("{name} port {number} is given twice"));
                continue;
            }
            traffic::check_protocol(port, index, &mut problems);
            let id = self.id(&entry.key, number, transport);
            let name = port.name.as_deref().map(Arc::from);
            let read = Port { port: number, transport, name, id, protocol: traffic::protocol(port) };
            self.backend(Backend {
                id,
                service: object_ref(&entry.key),
                port: number,
                protocol: read.protocol,
                endpoints: endpoints::of_port(port, &slices, &mut problems).into(),
                traffic: traffic.clone(),
                security: policies.security(&entry.key, port.name.as_deref()),
            });
            ports.push(read);
        }
        if !problems.is_empty() {
            self.problems[0].insert(entry.key.clone(), problems);
        }
        if let Some(old) = self.known.remove(&entry.key) {
            self.drop_ports(&old.ports, &ports);
        }
        self.known.insert(entry.key.clone(), Known { object: entry.object.clone(), ports });
    }

    /// Puts one Service port in force unless nothing about it changed.
    fn backend(&mut self, backend: Backend) {
        if self.backends.get(&backend.id).is_none_or(|old| **old != backend) {
            Arc::make_mut(&mut self.backends).insert(backend.id, Arc::new(backend));
        }
    }

    fn drop_ports(&mut self, old: &[Port], new: &[Port]) {
        for port in old.iter().filter(|old| new.iter().all(|new| new.id != old.id)) {
            Arc::make_mut(&mut self.backends).remove(&port.id);
        }
    }

    fn id(&mut self, key: &ObjectKey, port: u16, transport: Protocol) -> BackendId {
        // Numbers are given out in turn and never taken back, so their count is the next.
        let next = BackendId(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        *self.ids.entry((key.clone(), port, transport)).or_insert(next)
    }

    /// Reports addresses of a Service that are none, and those that another Service has.
    fn judge_addresses(&mut self, key: &ObjectKey) {
        self.problems[2].remove(key);
        let Some(known) = self.known.get(key) else { return };
        let mut problems = Vec::new();
        for (field, text) in addresses::cluster_ips(&known.object) {
            let Ok(ip) = text.parse::<IpAddr>() else {
                report::error(&mut problems, field, format!("{text:?} is not an IP address"));
                continue;
            };
            for port in &known.ports {
                let address = port.address(ip);
                let owner = self.addresses.owner(address).filter(|owner| *owner != port.id);
                if let Some(other) = owner.and_then(|owner| self.backends.get(&owner)) {
                    let message = format!("{} belongs to {} already", address.0, other.service);
                    report::error(&mut problems, field.clone(), message);
                }
            }
        }
        if !problems.is_empty() {
            self.problems[2].insert(key.clone(), problems);
        }
    }
}

/// The Service that an EndpointSlice belongs to.
fn service_of(key: &ObjectKey, slice: &EndpointSlice) -> Option<ObjectKey> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(ObjectKey::new(Kind::Service, &key.namespace, name))
}

/// `spec.ports`.
fn service_ports(service: &Service) -> impl Iterator<Item = &ServicePort> {
    service.spec.iter().flat_map(|spec| spec.ports.iter().flatten())
}

/// What a port is for, if it is one that we serve.
fn transport(port: &ServicePort) -> Option<Protocol> {
    match port.protocol.as_deref() {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some(_) => None,
    }
}

fn is_external(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("ExternalName")
}
