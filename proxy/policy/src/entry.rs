//! Policy entries: what one element of `ingress`, `ingressDeny`, `egress` or `egressDeny` comes to.

use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::identity::{Identity, IdentityId};
use model::policy::{Direction, HttpRule, RuleRef};
use model::workload::Protocol;

use crate::selector::Selector;

/// One element of a section of a policy, or the stand-in for a policy that was refused.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The endpoints it is about.
    pub subject: Selector,
    /// The direction it is about.
    pub direction: Direction,
    /// What it does.
    pub action: Action,
    /// Whether it makes the direction deny what no rule allows.
    pub default_deny: bool,
    /// Whom it is about.
    pub peers: EntryPeers,
    /// The ports it is about; see [`EntryPeers`] for what an empty list means.
    pub ports: Vec<PortEntry>,
    /// Whether it names ports at all; if not, it is about all of them.
    pub has_ports: bool,
    /// Where it stands.
    pub by: Arc<RuleRef>,
}

/// What an entry does to the traffic it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Allows it, or hands it to the proxy where there are HTTP rules.
    Allow,
    /// Denies it, whatever else allows it.
    Deny,
    /// Closes the whole direction: the policy was refused and has no last good version.
    Close,
}

/// The peers of an entry.
#[derive(Clone, Debug)]
pub enum EntryPeers {
    /// An empty list was written: nobody, though the direction is still restricted.
    Nobody,
    /// No peers were written: everybody where ports are named, nobody where they are not.
    Unsaid,
    /// Those that one of these selects.
    Selected(Vec<PeerSelector>),
}

/// One peer or class of peers.
#[derive(Clone, Debug)]
pub enum PeerSelector {
    /// By label; no condition at all means everybody, known or not.
    Labels(Selector),
    /// Addresses outside the cluster by network, but for some networks inside it.
    Cidr {
        /// The network.
        net: IpNet,
        /// Its holes.
        except: Vec<IpNet>,
    },
}

impl PeerSelector {
    /// Whether it selects a peer of this identity.
    pub fn matches(&self, identity: &Identity) -> bool {
        match self {
            Self::Labels(selector) => selector.matches(&identity.labels),
            Self::Cidr { net, except } => network(identity)
                .is_some_and(|peer| net.contains(&peer) && !except.iter().any(|hole| hole.contains(&peer))),
        }
    }

    /// Whether it selects everybody, known or not.
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Labels(selector) if selector.is_wildcard())
    }
}

/// The network outside the cluster that an identity stands for. Pods and nodes stand for none:
/// CIDR rules do not reach them.
fn network(identity: &Identity) -> Option<IpNet> {
    identity.cidr.or(match identity.id {
        IdentityId::WORLD_IPV4 => Some(IpNet::V4(Ipv4Net::default())),
        IdentityId::WORLD_IPV6 => Some(IpNet::V6(Ipv6Net::default())),
        _ => None,
    })
}

/// One port of an entry.
#[derive(Clone, Debug)]
pub struct PortEntry {
    /// `None`: TCP, UDP and SCTP (written `ANY`).
    pub protocol: Option<Protocol>,
    /// Which ports.
    pub port: Port,
    /// HTTP rules; empty for a plain allow or deny.
    pub http: Arc<[Arc<HttpRule>]>,
    /// Where it stands.
    pub by: Arc<RuleRef>,
}

/// Which ports of a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// All of them.
    All,
    /// From the first to the last, both included; the first is not 0.
    Range(u16, u16),
    /// The destination's port of that name, lower case.
    Named(Arc<str>),
}
