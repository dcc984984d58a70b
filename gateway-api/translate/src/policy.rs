//! CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy objects to policy entries, and those to
//! the compiled policy of each pod of this node.
//!
//! A policy is translated whole or refused whole, with the field that is to blame. A refused one
//! leaves its last good version in force; without one it closes the pods that it selects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::identity::{Identities, IdentityId};
use model::policy::EndpointPolicy;
use model::workload::{EndpointId, NamedPort, Workload};
use objects::cilium::{CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy};
use objects::{Object, ObjectKey, Problem, Store};
use policy::{Entry, EntryPeers, PeerSelector, Peers, Subject};

pub use evaluation::{Evaluation, Fault};
use rule::Scope;

mod close;
mod evaluation;
mod http;
mod peers;
mod ports;
pub(crate) mod re2;
mod rule;
mod selector;

/// Compiled policy by pod of this node.
pub(crate) type Policies = HashMap<EndpointId, Arc<EndpointPolicy>>;

/// Translates policies one store after another and compiles them for this node's pods.
#[derive(Debug)]
pub(crate) struct PolicyTranslator {
    cluster: String,
    policies: BTreeMap<ObjectKey, Known>,
    /// The entries of all policies, and a number that changes with them.
    entries: Vec<Arc<Entry>>,
    revision: u64,
    compiled: Compiled,
}

/// What is known of one policy.
#[derive(Debug)]
struct Known {
    version: Version,
    entries: Vec<Arc<Entry>>,
    /// The entries are those of a version that was accepted.
    good: bool,
    fault: Option<Fault>,
}

/// What the entries were made from, to tell whether it is still the same.
#[derive(Debug)]
enum Version {
    Namespaced(Arc<CiliumNetworkPolicy>),
    Clusterwide(Arc<CiliumClusterwideNetworkPolicy>),
    Refused(Box<objects::Refused>),
}

/// The last compilation and what it was made from.
#[derive(Debug, Default)]
struct Compiled {
    revision: u64,
    identities: Arc<Identities>,
    workloads: Arc<HashMap<IpAddr, Arc<Workload>>>,
    peer_ports: HashMap<IdentityId, Vec<NamedPort>>,
    subjects: HashMap<EndpointId, (IdentityId, Vec<NamedPort>)>,
    policies: Arc<Policies>,
}

impl PolicyTranslator {
    /// A translator that has seen no policy yet. `cluster` is the cluster's name.
    pub(crate) fn new(cluster: &str) -> Self {
        let cluster = cluster.to_owned();
        let (policies, compiled) = (BTreeMap::new(), Compiled::default());
        Self { cluster, policies, entries: Vec::new(), revision: 1, compiled }
    }

    /// Takes the policies of a store over; only those that changed are translated. Every policy
    /// that is refused is a problem each time, those that `objects` refused excepted: whoever
    /// refused them said so.
    pub(crate) fn update(&mut self, store: &Store, problems: &mut Vec<Problem>) {
        let mut before = std::mem::take(&mut self.policies);
        let mut changed = false;
        for entry in store.network_policies().iter() {
            let version = Version::Namespaced(entry.object.clone());
            changed |= self.take(before.remove(&entry.key), &entry.key, version);
        }
        for entry in store.clusterwide_policies().iter() {
            let version = Version::Clusterwide(entry.object.clone());
            changed |= self.take(before.remove(&entry.key), &entry.key, version);
        }
        for (key, refused) in store.refused().iter().filter(|(key, _)| key.kind.is_policy()) {
            changed |= self.take(before.remove(key), key, Version::Refused(Box::new(refused.clone())));
        }
        if changed || !before.is_empty() {
            self.entries = self.policies.values().flat_map(|known| known.entries.iter().cloned()).collect();
            self.revision += 1;
        }
        for (key, known) in &self.policies {
            problems.extend(known.fault.iter().map(|fault| {
                let problem = Problem::error(fault.message.clone()).field(fault.field.clone());
                let problem = problem.of(key.clone()).at(store.source(key).cloned());
                if fault.selector && !known.good { problem.fatal() } else { problem }
            }));
        }
    }

    /// Every network that a policy in force names, its holes included.
    pub(crate) fn prefixes(&self) -> BTreeSet<IpNet> {
        let mut prefixes = BTreeSet::new();
        for entry in &self.entries {
            let EntryPeers::Selected(peers) = &entry.peers else { continue };
            for peer in peers {
                if let PeerSelector::Cidr { net, except } = peer {
                    prefixes.insert(*net);
                    prefixes.extend(except);
                }
            }
        }
        prefixes
    }

    /// The compiled policy of each workload of this node (those with `local`). What did not change
    /// keeps its `Arc`. `workloads` are all that are known, by address.
    pub(crate) fn compile(
        &mut self,
        workloads: &Arc<HashMap<IpAddr, Arc<Workload>>>,
        identities: &Arc<Identities>,
    ) -> Arc<Policies> {
        let last = &self.compiled;
        let same_entries = last.revision == self.revision && Arc::ptr_eq(&last.identities, identities);
        if same_entries && Arc::ptr_eq(&last.workloads, workloads) {
            return last.policies.clone();
        }
        let peer_ports = peer_ports(workloads);
        let subjects: HashMap<EndpointId, (IdentityId, Vec<NamedPort>)> = workloads
            .values()
            .filter_map(|pod| Some((pod.local?, (pod.identity, pod.named_ports.clone()))))
            .collect();
        let same_world = same_entries && last.peer_ports == peer_ports;
        if same_world && last.subjects == subjects {
            self.compiled.workloads = workloads.clone();
            return self.compiled.policies.clone();
        }
        let peers = Peers { identities, named_ports: &peer_ports };
        let mut alike: HashMap<&(IdentityId, Vec<NamedPort>), Arc<EndpointPolicy>> = HashMap::new();
        let mut policies = Policies::new();
        for (id, subject) in &subjects {
            // Without its labels a pod stays without a policy, which closes it.
            let Some(identity) = identities.get(&subject.0) else { continue };
            let old = last.policies.get(id);
            let old_subject = last.subjects.get(id);
            let policy = match (old, alike.get(subject)) {
                (Some(old), _) if same_world && old_subject == Some(subject) => old.clone(),
                (_, Some(twin)) => twin.clone(),
                (old, None) => {
                    let subject = Subject { labels: &identity.labels, named_ports: &subject.1 };
                    let new = policy::compile(subject, &self.entries, peers);
                    old.filter(|old| ***old == new).cloned().unwrap_or_else(|| Arc::new(new))
                }
            };
            alike.insert(subject, policy.clone());
            policies.insert(*id, policy);
        }
        let identities = identities.clone();
        let policies = Arc::new(policies);
        let (revision, workloads) = (self.revision, workloads.clone());
        self.compiled = Compiled { revision, identities, workloads, peer_ports, subjects, policies };
        self.compiled.policies.clone()
    }

    /// Keeps or translates one policy. True if its entries may have changed.
    fn take(&mut self, before: Option<Known>, key: &ObjectKey, version: Version) -> bool {
        let (known, changed) = match before {
            Some(known) if known.version.is(&version) => (known, false),
            before => (self.translate(before, key, version), true),
        };
        self.policies.insert(key.clone(), known);
        changed
    }

    fn translate(&self, before: Option<Known>, key: &ObjectKey, version: Version) -> Known {
        let scope = Scope::new(&self.cluster, key);
        let object = match &version {
            Version::Namespaced(policy) => Object::CiliumNetworkPolicy(policy.clone()),
            Version::Clusterwide(policy) => Object::CiliumClusterwideNetworkPolicy(policy.clone()),
            Version::Refused(refused) => {
                let entries = close::refused(&scope, refused);
                return Known { entries, good: false, fault: None, version };
            }
        };
        let rules = rule::rules(&object);
        match rule::entries(&scope, &rules) {
            Ok(entries) => Known { version, entries, good: true, fault: None },
            Err(fault) => match before.filter(|known| known.good) {
                Some(last) => Known { version, entries: last.entries, good: true, fault: Some(fault) },
                None => {
                    let entries = close::rules(&scope, &rules);
                    Known { version, entries, good: false, fault: Some(fault) }
                }
            },
        }
    }
}

impl Version {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Namespaced(a), Self::Namespaced(b)) => Arc::ptr_eq(a, b),
            (Self::Clusterwide(a), Self::Clusterwide(b)) => Arc::ptr_eq(a, b),
            (Self::Refused(a), Self::Refused(b)) => a == b,
            _ => false,
        }
    }
}

/// The container ports of each identity: those of all its pods.
fn peer_ports(workloads: &HashMap<IpAddr, Arc<Workload>>) -> HashMap<IdentityId, Vec<NamedPort>> {
    let mut ports: HashMap<IdentityId, Vec<NamedPort>> = HashMap::new();
    for pod in workloads.values() {
        let of_identity = ports.entry(pod.identity).or_default();
        for port in &pod.named_ports {
            if !of_identity.contains(port) {
                of_identity.push(port.clone());
            }
        }
    }
    for of_identity in ports.values_mut() {
        of_identity.sort_by(|a, b| (&a.name, a.port, a.protocol).cmp(&(&b.name, b.port, b.protocol)));
    }
    ports.retain(|_, of_identity| !of_identity.is_empty());
    ports
}

#[cfg(test)]
mod tests;
