//! Addresses by their role, so that no two bare socket addresses can be confused, and the table
//! from an address to the identity behind it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::identity::IdentityId;

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub SocketAddr);
        impl $name {
            /// The IP address alone.
            pub fn ip(self) -> IpAddr {
                self.0.ip()
            }
            /// The port alone.
            pub fn port(self) -> u16 {
                self.0.port()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

role! {
    /// Where a connection came from: the peer of the accepted socket.
    ClientAddr
}
role! {
    /// Where the client wanted to go: the local address of the accepted socket.
    OrigDstAddr
}
role! {
    /// Where a request is sent: a pod behind a Service, or the original destination itself.
    EndpointAddr
}

/// IP address to identity: exact addresses of pods and nodes first, then the longest CIDR that a
/// policy names, then the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressTable {
    exact: HashMap<IpAddr, IdentityId>,
    /// Prefix length to network address, longest first by reverse iteration; one map per family.
    v4: BTreeMap<u8, HashMap<IpAddr, IdentityId>>,
    v6: BTreeMap<u8, HashMap<IpAddr, IdentityId>>,
}

impl AddressTable {
    /// Gives one address an identity; it wins over every prefix.
    pub fn insert_exact(&mut self, ip: IpAddr, identity: IdentityId) {
        self.exact.insert(ip, identity);
    }

    /// Gives the addresses of a network an identity; the longest network wins.
    pub fn insert_prefix(&mut self, net: IpNet, identity: IdentityId) {
        let family = if net.addr().is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        family.entry(net.prefix_len()).or_default().insert(net.network(), identity);
    }

    /// The identity of an address; `world-ipv4` or `world-ipv6` when nothing names it.
    pub fn identity(&self, ip: IpAddr) -> IdentityId {
        if let Some(id) = self.exact.get(&ip) {
            return *id;
        }
        let (family, world) = match ip {
            IpAddr::V4(_) => (&self.v4, IdentityId::WORLD_IPV4),
            IpAddr::V6(_) => (&self.v6, IdentityId::WORLD_IPV6),
        };
        for (len, nets) in family.iter().rev() {
            let network = IpNet::new(ip, *len).map(|net| net.network());
            if let Some(id) = network.ok().and_then(|net| nets.get(&net)) {
                return *id;
            }
        }
        world
    }

    /// Every entry as a network, for the kernel's longest-prefix map.
    pub fn entries(&self) -> impl Iterator<Item = (IpNet, IdentityId)> + '_ {
        let exact = self.exact.iter().map(|(ip, id)| (IpNet::from(*ip), *id));
        let prefixes = self.v4.iter().chain(self.v6.iter()).flat_map(|(len, nets)| {
            nets.iter().filter_map(|(ip, id)| IpNet::new(*ip, *len).ok().map(|net| (net, *id)))
        });
        exact.chain(prefixes)
    }
}
