//! Pods: who is behind each address and which of them run on this node.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use model::identity::IdentityId;
use model::workload::{EndpointId, NamedPort, Protocol, Workload};
use objects::{Entry, Kind, ObjectKey, Problem, Store};

use crate::report::{self, Problems, created};

#[cfg(test)]
mod tests;

/// What is known of all pods.
#[derive(Debug, Default)]
pub(crate) struct Workloads {
    numbers: HashMap<(ObjectKey, Option<String>), EndpointId>,
    given: u32,
    by_address: Arc<HashMap<IpAddr, Arc<Workload>>>,
    problems: Vec<(ObjectKey, Problems)>,
    seen: Option<((u64, u64), HashSet<IpAddr>)>,
}

/// How pods of this node are told from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Locality<'a> {
    /// This node's name, if it is known.
    pub(crate) node: Option<&'a str>,
    /// Addresses found behind this node's own devices, where no name is known.
    pub(crate) addresses: &'a HashSet<IpAddr>,
}

impl Workloads {
    /// Takes in what changed. `identity` gives the identity of a pod and its named ports.
    pub(crate) fn update(
        &mut self,
        store: &Store,
        locality: Locality<'_>,
        mut identity: impl FnMut(&Entry<Pod>, &[NamedPort]) -> IdentityId,
    ) {
        let revisions = (store.revision(Kind::Pod), store.revision(Kind::Namespace));
        let same = |last: &(_, HashSet<IpAddr>)| last.0 == revisions && last.1 == *locality.addresses;
        if self.seen.as_ref().is_some_and(same) {
            return;
        }
        self.seen = Some((revisions, locality.addresses.clone()));
        self.problems.clear();
        let mut by_address: HashMap<IpAddr, (&Entry<Pod>, Arc<Workload>)> = HashMap::new();
        let mut seen = HashSet::new();
        for entry in store.pods().iter().filter(|entry| has_own_network(&entry.object)) {
            let mut problems = Vec::new();
            let addresses = addresses(&entry.object, &mut problems);
            let uid = (entry.key.clone(), entry.object.metadata.uid.clone());
            let local = locality.holds(&entry.object, &addresses).then(|| self.number(uid.clone()));
            seen.insert(uid);
            let named_ports = named_ports(&entry.object);
            let workload = self.shared(Workload {
                namespace: entry.key.namespace.clone(),
                name: entry.key.name.clone(),
                node: node_of(&entry.object).unwrap_or_default().into(),
                addresses,
                identity: identity(entry, &named_ports),
                named_ports,
                local,
            });
            for ip in &workload.addresses {
                let other = by_address.get(ip).map(|(other, _)| *other);
                if let Some(other) = other {
                    report::error(&mut problems, "status.podIPs", format!("{ip} is also {}'s", other.key));
                }
                // Of two the younger has the address: the elder's was given away.
                let age = |entry: &Entry<Pod>| created(&entry.object.metadata);
                if other.is_none_or(|other| age(entry) > age(other)) {
                    by_address.insert(*ip, (entry, workload.clone()));
                }
            }
            if !problems.is_empty() {
                self.problems.push((entry.key.clone(), problems));
            }
        }
        self.numbers.retain(|uid, _| seen.contains(uid));
        let same = |(ip, (_, w)): (&IpAddr, &(_, Arc<Workload>))| {
            self.by_address.get(ip).is_some_and(|old| Arc::ptr_eq(old, w))
        };
        if by_address.len() != self.by_address.len() || !by_address.iter().all(same) {
            self.by_address = Arc::new(by_address.into_iter().map(|(ip, (_, w))| (ip, w)).collect());
        }
    }

    /// Pods by address.
    pub(crate) fn by_address(&self) -> &Arc<HashMap<IpAddr, Arc<Workload>>> {
        &self.by_address
    }

    /// What is wrong with pods.
    pub(crate) fn problems<'s>(&'s self, store: &'s Store) -> impl Iterator<Item = Problem> + 's {
        self.problems.iter().flat_map(move |(key, problems)| report::placed(problems, key, store))
    }

    fn number(&mut self, uid: (ObjectKey, Option<String>)) -> EndpointId {
        let given = &mut self.given;
        *self.numbers.entry(uid).or_insert_with(|| {
            *given += 1;
            EndpointId(*given)
        })
    }

    /// The workload in force if it is the same.
    fn shared(&self, workload: Workload) -> Arc<Workload> {
        let old = workload.addresses.first().and_then(|ip| self.by_address.get(ip));
        old.filter(|old| ***old == workload).cloned().unwrap_or_else(|| Arc::new(workload))
    }
}

impl Locality<'_> {
    fn holds(self, pod: &Pod, addresses: &[IpAddr]) -> bool {
        match self.node {
            Some(node) => node_of(pod) == Some(node),
            None => addresses.iter().any(|ip| self.addresses.contains(ip)),
        }
    }
}

/// Whether a pod has addresses of its own: it runs, and not on the node's network.
pub(crate) fn has_own_network(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let on_host = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false);
    !on_host && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// `spec.nodeName`.
fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref())
}

/// `status.podIPs`, or `status.podIP` where that alone is given.
fn addresses(pod: &Pod, problems: &mut Problems) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let many = status.pod_ips.iter().flatten().map(|ip| &*ip.ip);
    let mut texts: Vec<&str> = many.collect();
    if texts.is_empty() {
        texts.extend(status.pod_ip.as_deref());
    }
    let mut addresses = Vec::new();
    for text in texts.into_iter().filter(|text| !text.is_empty()) {
        match text.parse() {
            Ok(ip) if !addresses.contains(&ip) => addresses.push(ip),
            Ok(_) => {}
            Err(_) => report::error(problems, "status.podIPs", format!("{text:?} is not an IP address")),
        }
    }
    addresses
}

fn named_ports(pod: &Pod) -> Vec<NamedPort> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let named = ports.filter_map(|port| {
        let protocol = match port.protocol.as_deref() {
            None | Some("TCP") => Protocol::Tcp,
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            Some(_) => return None,
        };
        let number = u16::try_from(port.container_port).ok()?;
        Some(NamedPort { name: port.name.as_deref()?.to_ascii_lowercase().into(), port: number, protocol })
    });
    named.collect()
}
