//! The adapter from a Snapshot to what the kernel is told: the same policy and the same addresses,
//! in plain numbers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::Snapshot;
use model::identity::IdentityId;
use model::policy::{Direction, DirectionPolicy, EndpointPolicy, Enforcement, PolicyVerdict};
use model::shared_map::SharedMap;
use model::workload::{EndpointId, Protocol, Workload};
use redirect::{Action, Device, Endpoint, Frontend, PolicyEntry, State};

/// The kernel's state for a snapshot, with the devices where the local pods were found.
pub(crate) fn state(snapshot: &Snapshot, devices: &HashMap<IpAddr, Device>) -> State {
    State {
        endpoints: endpoints(snapshot, devices),
        identities: identities(snapshot),
        frontends: frontends(snapshot),
    }
}

fn endpoints(snapshot: &Snapshot, devices: &HashMap<IpAddr, Device>) -> Vec<Endpoint> {
    let mut pods: HashMap<EndpointId, &Workload> = HashMap::new();
    for workload in snapshot.workloads.values() {
        if let Some(id) = workload.local {
            pods.insert(id, workload);
        }
    }
    let mut endpoints: Vec<Endpoint> =
        pods.into_iter().map(|(id, pod)| endpoint(snapshot, id, pod, devices)).collect();
    endpoints.sort_by_key(|endpoint| endpoint.id);
    endpoints
}

fn endpoint(
    snapshot: &Snapshot,
    id: EndpointId,
    pod: &Workload,
    devices: &HashMap<IpAddr, Device>,
) -> Endpoint {
    let policy = snapshot.policies.get(&id);
    let enforcement = |direction| match policy {
        // Not known yet: closed, never open.
        None => redirect::Enforcement::Closed,
        Some(policy) => match policy.direction(direction).enforcement {
            Enforcement::Open => redirect::Enforcement::Open,
            Enforcement::Enforced => redirect::Enforcement::Enforced,
            Enforcement::Closed(_) => redirect::Enforcement::Closed,
        },
    };
    Endpoint {
        id: id.0,
        addresses: pod.addresses.clone(),
        device: pod.addresses.iter().find_map(|ip| devices.get(ip).cloned()),
        ingress: enforcement(Direction::Ingress),
        egress: enforcement(Direction::Egress),
        policy: policy.map(|policy| entries(policy)).unwrap_or_default(),
    }
}

fn entries(policy: &EndpointPolicy) -> Vec<PolicyEntry> {
    let mut entries = Vec::new();
    entries_of(&policy.ingress, redirect::Direction::Ingress, &mut entries);
    entries_of(&policy.egress, redirect::Direction::Egress, &mut entries);
    // In an order of their own, so that an unchanged policy compares equal.
    entries.sort_unstable();
    entries
}

fn entries_of(policy: &DirectionPolicy, direction: redirect::Direction, entries: &mut Vec<PolicyEntry>) {
    for (peer, list) in &policy.entries {
        entries.extend(list.iter().map(|entry| PolicyEntry {
            direction,
            identity: peer.0,
            protocol: entry.protocol.map(|protocol| protocol as u8),
            port: entry.port,
            port_prefix: entry.port_prefix,
            action: match entry.verdict {
                PolicyVerdict::Allow => Action::Allow,
                PolicyVerdict::Deny => Action::Deny,
                PolicyVerdict::Http(_) => Action::Redirect,
            },
            precedence: entry.precedence,
        }));
    }
}

fn identities(snapshot: &Snapshot) -> Vec<(IpNet, u32)> {
    let mut all: Vec<(IpNet, u32)> = snapshot.addresses.entries().map(|(net, id)| (net, id.0)).collect();
    // The address table answers with the world where nothing matches; the kernel's with 0.
    let worlds = [
        (IpNet::from(Ipv4Net::default()), IdentityId::WORLD_IPV4),
        (IpNet::from(Ipv6Net::default()), IdentityId::WORLD_IPV6),
    ];
    for (net, id) in worlds {
        if !all.iter().any(|(other, _)| *other == net) {
            all.push((net, id.0));
        }
    }
    all.sort_unstable();
    all
}

/// Whether the same addresses answer in both.
pub(crate) fn same_frontends(a: &Snapshot, b: &Snapshot) -> bool {
    type Frontends = Arc<SharedMap<SocketAddr, Arc<model::service::Frontend>>>;
    let same = |a: &Frontends, b: &Frontends| {
        Arc::ptr_eq(a, b) || (a.len() == b.len() && a.keys().all(|at| b.contains_key(at)))
    };
    same(&a.frontends, &b.frontends)
        && same(&a.datagram_frontends, &b.datagram_frontends)
        && a.gateways.len() == b.gateways.len()
        && a.gateways.keys().all(|at| b.gateways.contains_key(at))
}

fn frontends(snapshot: &Snapshot) -> Vec<Frontend> {
    let of_services = |transport, addresses: &SharedMap<SocketAddr, Arc<model::service::Frontend>>| {
        let frontend = |at: &SocketAddr| Frontend {
            address: at.ip(),
            port: at.port(),
            protocol: transport as u8,
            outside: false,
        };
        addresses.keys().map(frontend).collect::<Vec<_>>()
    };
    let streams = of_services(Protocol::Tcp, &snapshot.frontends);
    let datagrams = of_services(Protocol::Udp, &snapshot.datagram_frontends);
    let gateways = snapshot.gateways.keys().flat_map(|at| {
        let protocol = at.transport as u8;
        let addresses: Vec<IpAddr> = match at.ip {
            Some(ip) => vec![ip],
            None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        };
        addresses.into_iter().map(move |address| Frontend { address, port: at.port, protocol, outside: true })
    });
    let mut all: Vec<Frontend> = streams.into_iter().chain(datagrams).chain(gateways).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests;
