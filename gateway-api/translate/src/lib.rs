//! Kubernetes objects to a [`Snapshot`]: pure and total.
//!
//! Bad input becomes a [`Problem`] on its object; it stops no other object and removes nothing
//! that worked. What did not change keeps its `Arc` from one Snapshot to the next: a changed
//! route touches the hosts it names in the tables it is attached to, a changed endpoint touches
//! no route.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use model::Snapshot;
use model::service::GatewayAddr;
use model::tls::KeyPair;
use objects::types::{GrpcRoute, HttpRoute, TcpRoute, TlsRoute, UdpRoute};
use objects::{Problem, Store};

mod backend_policies;
mod credentials;
mod gateways;
mod grants;
mod identity;
pub mod policy;
mod publish;
mod report;
mod routes;
mod seen;
mod services;
mod status;
mod tables;
#[cfg(test)]
mod tests;
mod workloads;

pub use gateways::CONTROLLER;
pub use status::{Condition, Part, Reason, Status};

/// What does not change while the process lives.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster's name, a label of every identity (`io.cilium.k8s.policy.cluster`).
    pub cluster_name: String,
    /// This node's name: pods with it in `spec.nodeName` are local. Without it those are whose
    /// address is in the set given to [`Translator::translate`].
    pub node: Option<String>,
    /// Whether a certificate chain and its key can be used; the error says why not. What is
    /// refused here is reported on the Gateway that names it.
    pub check_key_pair: fn(&KeyPair) -> Result<(), String>,
    /// What is to be said now of the time that a certificate is valid for. It is in use all the same.
    pub certificate_lapse: fn(&KeyPair) -> Lapse,
    /// The same as `check_key_pair` for authorities, DER certificates.
    pub check_authorities: fn(&[Vec<u8>]) -> Result<(), String>,
}

impl Default for Options {
    /// No names; every certificate that is one in PEM can be used.
    fn default() -> Self {
        Self {
            cluster_name: String::new(),
            node: None,
            check_key_pair: |_| Ok(()),
            certificate_lapse: |_| Lapse::default(),
            check_authorities: |_| Ok(()),
        }
    }
}

/// What is to be said of the time that a certificate is valid for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lapse {
    /// That it is over, or almost.
    pub said: Option<String>,
    /// When something else will have to be said.
    pub next: Option<SystemTime>,
}

/// What a store came to.
#[derive(Clone, Debug)]
pub struct Translation {
    /// What the data plane works by; the same `Arc` as before if nothing changed.
    pub snapshot: Arc<Snapshot>,
    /// What is wrong with the objects, ordered by place.
    pub problems: Vec<Problem>,
}

impl Translation {
    /// The addresses and ports that Gateways listen on.
    pub fn listeners(&self) -> HashSet<GatewayAddr> {
        self.snapshot.gateways.keys().copied().collect()
    }
}

/// Translates the states of one store after another.
#[derive(Debug)]
pub struct Translator {
    options: Options,
    identities: identity::IdentityAllocator,
    policies: policy::PolicyTranslator,
    workloads: workloads::Workloads,
    backend_policies: backend_policies::BackendPolicies,
    services: services::Services,
    credentials: credentials::Credentials,
    gateways: gateways::Gateways,
    http_routes: routes::Routes<HttpRoute>,
    grpc_routes: routes::Routes<GrpcRoute>,
    tls_routes: routes::Routes<TlsRoute>,
    tcp_routes: routes::Routes<TcpRoute>,
    udp_routes: routes::Routes<UdpRoute>,
    conflicts: routes::Conflicts,
    tables: tables::Tables,
    published: publish::Published,
}

impl Translator {
    /// A translator that has seen nothing yet.
    pub fn new(options: Options) -> Self {
        Self {
            identities: identity::IdentityAllocator::new(&options.cluster_name),
            policies: policy::PolicyTranslator::new(&options.cluster_name),
            workloads: workloads::Workloads::default(),
            backend_policies: backend_policies::BackendPolicies::default(),
            services: services::Services::default(),
            credentials: credentials::Credentials::new(&options),
            gateways: gateways::Gateways::default(),
            http_routes: routes::Routes::default(),
            grpc_routes: routes::Routes::default(),
            tls_routes: routes::Routes::default(),
            tcp_routes: routes::Routes::default(),
            udp_routes: routes::Routes::default(),
            conflicts: routes::Conflicts::default(),
            tables: tables::Tables::default(),
            published: publish::Published::default(),
            options,
        }
    }

    /// Translates the present state of the store. `local` holds the addresses of pods found on
    /// this node and `node_addresses` the node's own.
    ///
    /// All calls must be given the same store or clones of it: what changed is told by its
    /// revisions.
    pub fn translate(
        &mut self,
        store: &Store,
        local: &HashSet<IpAddr>,
        node_addresses: &[IpAddr],
    ) -> Translation {
        let mut problems = Vec::new();
        let node = self.options.node.as_deref();
        let locality = workloads::Locality { node, addresses: local };
        self.workloads
            .update(store, locality, |pod, named_ports| self.identities.pod(store, pod, named_ports));
        self.credentials.sweep(store);
        let policed = self.backend_policies.update(store, &mut self.credentials);
        self.services.update(store, &self.backend_policies, policed);
        self.gateways.update(store, &mut self.credentials);
        let context = routes::Context { store, services: &self.services, gateways: &self.gateways };
        self.http_routes.update(context, &mut self.tables);
        self.grpc_routes.update(context, &mut self.tables);
        self.conflicts.settle(&mut self.http_routes, &mut self.grpc_routes, &mut self.tables);
        self.tls_routes.update(context, &mut self.tables);
        self.tcp_routes.update(context, &mut self.tables);
        self.udp_routes.update(context, &mut self.tables);

        self.policies.update(store, &mut problems);
        let (identities, addresses) = self.identities.tables(&identity::World {
            store,
            node,
            node_addresses,
            prefixes: &self.policies.prefixes(),
            workloads: self.workloads.by_address(),
        });
        let policies = self.policies.compile(self.workloads.by_address(), &identities);

        self.published.frontends(&mut self.services, &mut self.tables);
        self.published.gateways(&self.gateways, &self.tables);
        let snapshot = self.published.snapshot(Snapshot {
            identities,
            addresses,
            workloads: self.workloads.by_address().clone(),
            policies,
            backends: self.services.backends().clone(),
            node_addresses: node_addresses.into(),
            node: node.map(Arc::from),
            zone: node.and_then(|node| zone(store, node)),
            ..Snapshot::default()
        });
        problems.extend(self.workloads.problems(store));
        problems.extend(self.backend_policies.problems(store));
        problems.extend(self.services.problems(store));
        problems.extend(self.gateways.problems(store));
        problems.extend(self.credentials.problems(store));
        problems.extend(self.http_routes.problems(store));
        problems.extend(self.grpc_routes.problems(store));
        problems.extend(self.tls_routes.problems(store));
        problems.extend(self.tcp_routes.problems(store));
        problems.extend(self.udp_routes.problems(store));
        problems.sort();
        Translation { snapshot, problems }
    }

    /// When something else than in the last translation is to be said of the certificates in use.
    pub fn next_lapse(&self) -> Option<SystemTime> {
        self.credentials.next_lapse()
    }

    /// Has the next translation look at the time that certificates are valid for, which changes
    /// without any object.
    pub fn review_certificates(&mut self) {
        self.gateways.reread();
    }

    /// The status of every Gateway, listener and route of ours as of the last translation.
    pub fn statuses(&self) -> Vec<Status> {
        let mut statuses: Vec<Status> = self.http_routes.statuses().collect();
        statuses.extend(self.grpc_routes.statuses());
        statuses.extend(self.tls_routes.statuses());
        statuses.extend(self.tcp_routes.statuses());
        statuses.extend(self.udp_routes.statuses());
        statuses.extend(
            self.gateways.statuses(|key| self.tables.attached(&tables::TableKey::Listener(key.clone()))),
        );
        let uses = self.http_routes.uses().chain(self.grpc_routes.uses());
        let uses = uses.chain(self.tls_routes.uses()).chain(self.tcp_routes.uses());
        statuses.extend(self.backend_policies.statuses(&uses.chain(self.udp_routes.uses()).collect()));
        statuses
    }
}

/// The label of a Node that names its zone.
const ZONE: &str = "topology.kubernetes.io/zone";

/// The zone of a node, if its object is there and says so.
fn zone(store: &Store, node: &str) -> Option<Arc<str>> {
    let node = store.nodes().get("", node)?;
    node.object.metadata.labels.as_ref()?.get(ZONE).map(|zone| zone.as_str().into())
}
