//! Kubernetes objects to a [`Snapshot`]: pure and total.
//!
//! Bad input becomes a [`Problem`] on its object; it stops no other object and removes nothing
//! that worked. What did not change keeps its `Arc` from one Snapshot to the next: a changed
//! route touches the hosts it names in the tables it is attached to, a changed endpoint touches
//! no route.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use model::Snapshot;
use model::service::GatewayAddr;
use objects::{Problem, Store};

mod gateways;
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
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The cluster's name, a label of every identity (`io.cilium.k8s.policy.cluster`).
    pub cluster_name: String,
    /// This node's name: pods with it in `spec.nodeName` are local. Without it those are whose
    /// address is in the set given to [`Translator::translate`].
    pub node: Option<String>,
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
    services: services::Services,
    gateways: gateways::Gateways,
    routes: routes::Routes,
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
            services: services::Services::default(),
            gateways: gateways::Gateways::default(),
            routes: routes::Routes::default(),
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
        self.services.update(store);
        self.gateways.update(store);
        let context = routes::Context { store, services: &self.services, gateways: &self.gateways };
        self.routes.update(context, &mut self.tables);

        self.policies.update(store, &mut problems);
        let (identities, addresses) = self.identities.tables(&identity::World {
            store,
            node,
            node_addresses,
            prefixes: &self.policies.prefixes(),
            workloads: self.workloads.by_address(),
        });
        let policies = self.policies.compile(self.workloads.by_address(), &identities);

        self.published.frontends(&self.services, &mut self.tables);
        self.published.gateways(&self.gateways, &self.tables);
        let snapshot = self.published.snapshot(Snapshot {
            identities,
            addresses,
            workloads: self.workloads.by_address().clone(),
            policies,
            backends: self.services.backends().clone(),
            node_addresses: node_addresses.into(),
            ..Snapshot::default()
        });
        problems.extend(self.workloads.problems(store));
        problems.extend(self.services.problems(store));
        problems.extend(self.gateways.problems(store));
        problems.extend(self.routes.problems(store));
        problems.sort();
        Translation { snapshot, problems }
    }

    /// The status of every Gateway, listener and route of ours as of the last translation.
    pub fn statuses(&self) -> Vec<Status> {
        let mut statuses: Vec<Status> = self.routes.statuses().collect();
        statuses.extend(
            self.gateways.statuses(|key| self.tables.attached(&tables::TableKey::Listener(key.clone()))),
        );
        statuses
    }
}
