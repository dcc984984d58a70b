//! Identities: a number for each set of labels and each network that policies can tell apart, and
//! the table from addresses to them.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Pod;
use model::address::AddressTable;
use model::identity::{Identities, Identity, IdentityId, Label, Labels};
use model::workload::{NamedPort, Workload};
use objects::{Entry, Store};

/// The label of a pod's namespace.
pub(crate) const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// What the labels of a pod's namespace begin with.
pub(crate) const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
/// The label of a pod's ServiceAccount.
const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
/// The label of a pod's cluster.
pub(crate) const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

mod labels;

/// Gives out numbers. The same labels get the same number as long as the allocator lives.
#[derive(Debug)]
pub(crate) struct IdentityAllocator {
    cluster: String,
    pods: HashMap<Labels, Arc<Identity>>,
    networks: HashMap<(IpNet, Labels), Arc<Identity>>,
    seen: Option<Seen>,
    identities: Arc<Identities>,
    addresses: Arc<AddressTable>,
}

/// What the last tables were made from.
#[derive(Debug)]
struct Seen {
    workloads: Arc<HashMap<IpAddr, Arc<Workload>>>,
    here: BTreeSet<IpAddr>,
    elsewhere: BTreeSet<IpAddr>,
    api_servers: BTreeSet<IpAddr>,
    prefixes: BTreeSet<IpNet>,
}

impl Seen {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.workloads, &other.workloads)
            && self.here == other.here
            && self.elsewhere == other.elsewhere
            && self.api_servers == other.api_servers
            && self.prefixes == other.prefixes
    }
}

/// What the tables are made from, beside the pods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World<'a> {
    /// Nodes and the API server's endpoints are read from it.
    pub(crate) store: &'a Store,
    /// This node's name.
    pub(crate) node: Option<&'a str>,
    /// This node's own addresses.
    pub(crate) node_addresses: &'a [IpAddr],
    /// Networks that policies name.
    pub(crate) prefixes: &'a BTreeSet<IpNet>,
    /// Every pod, by address.
    pub(crate) workloads: &'a Arc<HashMap<IpAddr, Arc<Workload>>>,
}

impl IdentityAllocator {
    /// An allocator that has given out nothing yet. `cluster` is the cluster's name.
    pub(crate) fn new(cluster: &str) -> Self {
        let (identities, addresses) = (Arc::default(), Arc::default());
        Self {
            cluster: cluster.to_owned(),
            pods: HashMap::new(),
            networks: HashMap::new(),
            seen: None,
            identities,
            addresses,
        }
    }

    /// The number of a pod. Its namespace's labels are read from the store. `named_ports` is what
    /// its containers name: pods with different ports under one name are different peers.
    pub(crate) fn pod(&mut self, store: &Store, pod: &Entry<Pod>, named_ports: &[NamedPort]) -> IdentityId {
        let namespace = store.namespaces().get("", &pod.key.namespace).map(|entry| &*entry.object);
        let labels = labels::of_pod(&self.cluster, &pod.object, namespace, named_ports);
        let next = IdentityId(IdentityId::FIRST_ALLOCATED.0 + count(self.pods.len()));
        let identity = self
            .pods
            .entry(labels)
            .or_insert_with_key(|labels| Arc::new(Identity { id: next, labels: labels.clone(), cidr: None }));
        identity.id
    }

    /// Every identity there is now, and the table from addresses to them. What did not change
    /// keeps its `Arc`. The pods of `world` have been given their numbers by [`Self::pod`].
    pub(crate) fn tables(&mut self, world: &World<'_>) -> (Arc<Identities>, Arc<AddressTable>) {
        let (here, elsewhere) = node_addresses(world);
        let (api_servers, prefixes) = (api_servers(world.store), world.prefixes.clone());
        let seen = Seen { workloads: world.workloads.clone(), here, elsewhere, api_servers, prefixes };
        if self.seen.as_ref().is_none_or(|last| !last.is(&seen)) {
            let (identities, addresses) = self.build(&seen);
            if *self.identities != identities {
                self.identities = Arc::new(identities);
            }
            if *self.addresses != addresses {
                self.addresses = Arc::new(addresses);
            }
            self.seen = Some(seen);
        }
        (self.identities.clone(), self.addresses.clone())
    }

    fn build(&mut self, seen: &Seen) -> (Identities, AddressTable) {
        let mut addresses = AddressTable::default();
        let mut identities = reserved();
        let by_number: HashMap<IdentityId, &Arc<Identity>> = self.pods.values().map(|i| (i.id, i)).collect();
        for (ip, workload) in &*seen.workloads {
            addresses.insert_exact(*ip, workload.identity);
            if let Some(identity) = by_number.get(&workload.identity) {
                identities.insert(identity.id, (*identity).clone());
            }
        }
        for net in seen.prefixes.iter().filter(|net| net.prefix_len() > 0) {
            let identity = self.network(*net, false);
            addresses.insert_prefix(*net, identity.id);
            identities.insert(identity.id, identity);
        }
        for ip in seen.api_servers.iter().filter(|ip| !seen.workloads.contains_key(ip)) {
            let identity = self.network(IpNet::from(*ip), true);
            addresses.insert_exact(*ip, identity.id);
            identities.insert(identity.id, identity);
        }
        for ip in &seen.elsewhere {
            let is_api_server = seen.api_servers.contains(ip);
            let id = if is_api_server { IdentityId::KUBE_APISERVER } else { IdentityId::REMOTE_NODE };
            addresses.insert_exact(*ip, id);
        }
        for ip in &seen.here {
            addresses.insert_exact(*ip, IdentityId::HOST);
        }
        if !seen.here.is_disjoint(&seen.api_servers) {
            let labels = Labels::new(vec![reserved_label("host"), reserved_label("kube-apiserver")]);
            let host = Identity { id: IdentityId::HOST, labels, cidr: None };
            identities.insert(host.id, Arc::new(host));
        }
        (identities, addresses)
    }

    fn network(&mut self, net: IpNet, is_api_server: bool) -> Arc<Identity> {
        let world = if net.addr().is_ipv4() { "world-ipv4" } else { "world-ipv6" };
        let mut labels = vec![reserved_label(world), labels::of_network(net)];
        labels.extend(is_api_server.then(|| reserved_label("kube-apiserver")));
        let labels = Labels::new(labels);
        let id = IdentityId(IdentityId::FIRST_CIDR.0 + count(self.networks.len()));
        let known = self.networks.entry((net, labels));
        known
            .or_insert_with_key(|(net, labels)| {
                Arc::new(Identity { id, labels: labels.clone(), cidr: Some(*net) })
            })
            .clone()
    }
}

/// The identities that mean the same on every node.
pub(crate) fn reserved() -> Identities {
    let identities = [
        (IdentityId::HOST, &["host"][..]),
        (IdentityId::WORLD, &["world"]),
        (IdentityId::UNMANAGED, &["unmanaged"]),
        (IdentityId::HEALTH, &["health"]),
        (IdentityId::INIT, &["init"]),
        (IdentityId::REMOTE_NODE, &["remote-node"]),
        (IdentityId::KUBE_APISERVER, &["kube-apiserver", "remote-node"]),
        (IdentityId::INGRESS, &["ingress"]),
        (IdentityId::WORLD_IPV4, &["world-ipv4"]),
        (IdentityId::WORLD_IPV6, &["world-ipv6"]),
    ];
    let identity = |(id, names): (IdentityId, &[&str])| {
        let labels = Labels::new(names.iter().map(|name| reserved_label(name)).collect());
        (id, Arc::new(Identity { id, labels, cidr: None }))
    };
    identities.into_iter().map(identity).collect()
}

fn reserved_label(name: &str) -> Label {
    Label::new("reserved", name, "")
}

/// A count as part of a number. There are fewer sets of labels than numbers.
fn count(len: usize) -> u32 {
    u32::try_from(len).expect("fewer identities than 2^32")
}

/// The addresses of this node and of all others.
fn node_addresses(world: &World<'_>) -> (BTreeSet<IpAddr>, BTreeSet<IpAddr>) {
    let mut here: BTreeSet<IpAddr> = world.node_addresses.iter().copied().collect();
    let mut elsewhere = BTreeSet::new();
    for node in world.store.nodes().iter() {
        let status = node.object.status.as_ref();
        let addresses = status.and_then(|status| status.addresses.as_deref()).unwrap_or_default();
        let kinds = ["InternalIP", "ExternalIP"];
        let ips: Vec<IpAddr> = addresses
            .iter()
            .filter(|address| kinds.contains(&address.type_.as_str()))
            .filter_map(|address| address.address.parse().ok())
            .collect();
        let is_here = world.node == Some(&*node.key.name) || ips.iter().any(|ip| here.contains(ip));
        if is_here { here.extend(ips) } else { elsewhere.extend(ips) }
    }
    (here, elsewhere)
}

/// The addresses behind Service `default/kubernetes`.
fn api_servers(store: &Store) -> BTreeSet<IpAddr> {
    let serves = |labels: Option<&std::collections::BTreeMap<String, String>>| {
        labels.and_then(|l| l.get("kubernetes.io/service-name")).is_some_and(|name| name == "kubernetes")
    };
    let slices = store.endpoint_slices().namespace("default");
    slices
        .filter(|slice| serves(slice.object.metadata.labels.as_ref()))
        .flat_map(|slice| slice.object.endpoints.iter().flatten().flat_map(|endpoint| &endpoint.addresses))
        .filter_map(|address| address.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests;
