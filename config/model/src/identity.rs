//! Security identities: a number for a set of labels, as Cilium numbers them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

/// A numeric security identity. Numbers below 256 are reserved and mean the same everywhere;
/// the rest are given out by this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityId(pub u32);

impl IdentityId {
    /// No identity; as a key of a compiled policy, "any peer".
    pub const UNKNOWN: Self = Self(0);
    /// This node.
    pub const HOST: Self = Self(1);
    /// Outside the cluster, of no known address family.
    pub const WORLD: Self = Self(2);
    /// A workload that is not managed.
    pub const UNMANAGED: Self = Self(3);
    /// The health endpoint of a node.
    pub const HEALTH: Self = Self(4);
    /// A workload whose labels are not known yet.
    pub const INIT: Self = Self(5);
    /// Another node of the cluster.
    pub const REMOTE_NODE: Self = Self(6);
    /// The API server.
    pub const KUBE_APISERVER: Self = Self(7);
    /// What enters through a Gateway from outside.
    pub const INGRESS: Self = Self(8);
    /// Outside the cluster, IPv4.
    pub const WORLD_IPV4: Self = Self(9);
    /// Outside the cluster, IPv6.
    pub const WORLD_IPV6: Self = Self(10);
    /// First number given to a set of workload labels.
    pub const FIRST_ALLOCATED: Self = Self(256);
    /// First number given to a CIDR that a policy names.
    pub const FIRST_CIDR: Self = Self(1 << 24);
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One label with the source that gave it: `k8s:app=web`, `reserved:host`, `cidr:10.0.0.0/8`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// `k8s`, `reserved`, `cidr`.
    pub source: Arc<str>,
    /// The key, without the source.
    pub key: Arc<str>,
    /// The value; empty for reserved labels.
    pub value: Arc<str>,
}

impl Label {
    /// A label of its three parts.
    pub fn new(source: &str, key: &str, value: &str) -> Self {
        Self { source: source.into(), key: key.into(), value: value.into() }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.key)?;
        if self.value.is_empty() { Ok(()) } else { write!(f, "={}", self.value) }
    }
}

/// A sorted set of labels, cheap to clone and to compare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[Label]>);

impl Labels {
    /// Sorts the labels and drops duplicates.
    pub fn new(mut labels: Vec<Label>) -> Self {
        labels.sort();
        labels.dedup();
        Self(labels.into())
    }

    /// The labels in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.0.iter()
    }

    /// The first value of `key` from `source`, or from any source when it is `None`.
    pub fn get(&self, source: Option<&str>, key: &str) -> Option<&str> {
        let same = |l: &&Label| &*l.key == key && source.is_none_or(|s| s == &*l.source);
        self.0.iter().find(same).map(|l| &*l.value)
    }

    /// Whether the set holds `reserved:<name>`.
    pub fn is_reserved(&self, name: &str) -> bool {
        self.get(Some("reserved"), name).is_some()
    }
}

/// An identity: its number, its labels and, for the identity of a CIDR, the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The number.
    pub id: IdentityId,
    /// What policies select it by.
    pub labels: Labels,
    /// The network this identity stands for; `None` for workloads and reserved identities.
    pub cidr: Option<IpNet>,
}

/// Every identity that this node knows.
pub type Identities = HashMap<IdentityId, Arc<Identity>>;
