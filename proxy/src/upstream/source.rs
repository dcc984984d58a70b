//! Under whose address a connection goes to an endpoint.

use std::net::IpAddr;

use model::Snapshot;

use crate::addressed::{Party, Source};

/// The two ends of an upstream connection, as the rule sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) client: IpAddr,
    pub(crate) endpoint: IpAddr,
    /// The client is a pod of this node.
    pub(crate) client_is_local: bool,
    /// The endpoint is a pod of this node.
    pub(crate) endpoint_is_local: bool,
    /// The client has an address of the node itself.
    pub(crate) client_is_node: bool,
    /// The endpoint has an address of the node itself.
    pub(crate) endpoint_is_node: bool,
}

impl Ends {
    pub(crate) fn of(snapshot: &Snapshot, source: &Source, endpoint: &Party<'_>) -> Self {
        let is_node = |ip: IpAddr| ip.is_loopback() || snapshot.node_addresses.contains(&ip);
        let (client, address) = (source.client.ip(), endpoint.address.ip());
        Self {
            client,
            endpoint: address,
            client_is_local: source.local.is_some(),
            endpoint_is_local: endpoint.local().is_some(),
            client_is_node: is_node(client),
            endpoint_is_node: is_node(address),
        }
    }
}

/// The client's address where it is kept, `None` for the node's own.
///
/// It is kept where the answer comes back through this node: if one of the two is a pod of it. It
/// is not kept where the node itself is an end, where the endpoint is the client itself (it would
/// see a connection from its own address), and where the families differ.
pub(crate) fn source(ends: Ends) -> Option<IpAddr> {
    let comes_back = ends.client_is_local || ends.endpoint_is_local;
    let is_node = ends.client_is_node || ends.endpoint_is_node;
    let same_family = ends.client.is_ipv4() == ends.endpoint.is_ipv4();
    (comes_back && !is_node && same_family && ends.client != ends.endpoint).then_some(ends.client)
}

#[cfg(test)]
mod tests;
