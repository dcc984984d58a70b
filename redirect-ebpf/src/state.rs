//! What redirection is told: pods, identities, policy, frontends.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::discover::Device;
use crate::events::Direction;

/// All that the kernel is to know; [`crate::Redirect::apply`] brings it there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The pods of this node.
    pub endpoints: Vec<Endpoint>,
    /// Identity by address; the longest prefix decides, an address without one has identity 0.
    pub identities: Vec<(IpNet, u32)>,
    /// Destinations that always go to the proxy.
    pub frontends: Vec<Frontend>,
}

/// A pod of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its number, not 0; comes back in [`crate::Event::endpoint`].
    pub id: u32,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The host end of its veth; `None`: not found, so what it sends is not judged unless the
    /// programs are still on the veth that it had.
    pub device: Option<Device>,
    /// Whether ingress is enforced.
    pub ingress: Enforcement,
    /// Whether egress is enforced.
    pub egress: Enforcement,
    /// Its entries, both directions.
    pub policy: Vec<PolicyEntry>,
}

/// Whether a direction is enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Everything passes; no entry is looked at.
    #[default]
    Open,
    /// Only what an entry allows passes.
    Enforced,
    /// Nothing new passes.
    Closed,
}

/// A policy entry: a peer, the ports it covers and what happens there.
///
/// Of the entries for the peer and those for any peer, the longest match of each is found; of the
/// two the higher precedence decides, then the longer prefix, then the peer's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyEntry {
    /// Seen from the endpoint.
    pub direction: Direction,
    /// The peer's identity; 0: any peer.
    pub identity: u32,
    /// Number in the IP header; `None`: every protocol (`port` and `port_prefix` are then 0).
    pub protocol: Option<u8>,
    /// First port of the block; for ICMP the type.
    pub port: u16,
    /// Leading bits of `port` that count, 0 to 16.
    pub port_prefix: u8,
    /// What happens.
    pub action: Action,
    /// The higher wins.
    pub precedence: u32,
}

/// What a policy entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// It passes.
    Allow,
    /// It is dropped.
    Deny,
    /// It goes to the proxy (TCP; anything else is dropped).
    Redirect,
}

/// A destination that always goes to the proxy: a Service's ClusterIP or a Gateway's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frontend {
    /// The address; unspecified (`0.0.0.0`, `::`): every address of that family that the node's
    /// own devices have when the state is applied.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// Number in the IP header; the proxy takes TCP (6) and UDP (17).
    pub protocol: u8,
    /// Whether packets from uplinks may dial it too, not only those of this node's pods.
    pub outside: bool,
}
