//! Workloads: the pods that connections come from and go to.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::identity::IdentityId;

/// The number of a pod of this node in the kernel's maps; unique on the node, never reused while
/// the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u32);

/// Transport protocol, numbered as in the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// ICMP; the "port" is the type.
    Icmp = 1,
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
    /// ICMPv6; the "port" is the type.
    IcmpV6 = 58,
    /// SCTP.
    Sctp = 132,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Icmp => "ICMP",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::IcmpV6 => "ICMPv6",
            Self::Sctp => "SCTP",
        })
    }
}

/// A named container port (`spec.containers[].ports[]`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedPort {
    /// The name policies use.
    pub name: Arc<str>,
    /// The number it stands for.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// A pod, on this node or another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `spec.nodeName`; empty when the object does not say.
    pub node: Arc<str>,
    /// `status.podIPs`, in files too.
    pub addresses: Vec<IpAddr>,
    /// The identity its labels give it.
    pub identity: IdentityId,
    /// Named ports of its containers.
    pub named_ports: Vec<NamedPort>,
    /// Its number in the kernel's maps if it runs on this node.
    pub local: Option<EndpointId>,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
