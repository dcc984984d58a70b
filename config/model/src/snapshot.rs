//! The Snapshot: everything the data plane knows at one moment. Immutable; its parts are shared
//! with the Snapshot before it wherever they did not change.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::address::AddressTable;
use crate::identity::{Identities, Identity, IdentityId};
use crate::policy::EndpointPolicy;
use crate::service::{Backend, BackendId, Frontend, GatewayAddr, GatewayPort};
use crate::shared_map::SharedMap;
use crate::workload::{EndpointId, Protocol, Workload};

/// Everything the data plane knows at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts published Snapshots; also the policy revision in the kernel's flow map.
    pub revision: u64,
    /// Identity by number.
    pub identities: Arc<Identities>,
    /// Identity by address.
    pub addresses: Arc<AddressTable>,
    /// Pod by address, local or not.
    pub workloads: Arc<HashMap<IpAddr, Arc<Workload>>>,
    /// Compiled policy of each pod of this node. A local pod without an entry is closed.
    pub policies: Arc<HashMap<EndpointId, Arc<EndpointPolicy>>>,
    /// Service ports by number.
    pub backends: Arc<SharedMap<BackendId, Arc<Backend>>>,
    /// What answers on each ClusterIP and TCP port.
    pub frontends: Arc<SharedMap<SocketAddr, Arc<Frontend>>>,
    /// What answers on each ClusterIP and UDP port.
    pub datagram_frontends: Arc<SharedMap<SocketAddr, Arc<Frontend>>>,
    /// What answers on each Gateway address and port.
    pub gateways: Arc<HashMap<GatewayAddr, Arc<GatewayPort>>>,
    /// Addresses of this node itself.
    pub node_addresses: Arc<[IpAddr]>,
    /// This node's name, for endpoints that prefer their own node; `None` if nobody said it.
    pub node: Option<Arc<str>>,
    /// This node's `topology.kubernetes.io/zone`.
    pub zone: Option<Arc<str>>,
}

impl Snapshot {
    /// The identity of an address, with its labels where they are known.
    pub fn identity_of(&self, ip: IpAddr) -> (IdentityId, Option<&Arc<Identity>>) {
        let id = self.addresses.identity(ip);
        (id, self.identities.get(&id))
    }

    /// The pod that has this address.
    pub fn workload(&self, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.workloads.get(&ip)
    }

    /// What answers on a ClusterIP and port of a transport, TCP or UDP.
    pub fn frontend_of(&self, address: SocketAddr, transport: Protocol) -> Option<&Arc<Frontend>> {
        let of_transport =
            if transport == Protocol::Udp { &self.datagram_frontends } else { &self.frontends };
        of_transport.get(&address)
    }

    /// The Gateway listeners of TCP on a local address: those bound to it, else those bound to
    /// every address.
    pub fn gateway(&self, local: SocketAddr) -> Option<&Arc<GatewayPort>> {
        self.gateway_of(local, Protocol::Tcp)
    }

    /// The same of a transport, TCP or UDP.
    pub fn gateway_of(&self, local: SocketAddr, transport: Protocol) -> Option<&Arc<GatewayPort>> {
        let exact = GatewayAddr { ip: Some(local.ip()), port: local.port(), transport };
        let any = GatewayAddr { ip: None, port: local.port(), transport };
        self.gateways.get(&exact).or_else(|| {
            let ours = self.node_addresses.contains(&local.ip()) || local.ip().is_loopback();
            self.gateways.get(&any).filter(|_| ours)
        })
    }
}
