//! The contents of the maps that a state comes to.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::abi;
use crate::attach::Hook;
use crate::discover::bridge_of;
use crate::netlink::Link;
use crate::state::{Endpoint, Enforcement, Frontend, State};
use crate::table::Prefix;

use super::places::Places;

/// Identities by prefix.
pub(super) fn identities(state: &State) -> HashMap<Prefix<abi::Address>, u32> {
    let entries = state.identities.iter().map(|(net, identity)| {
        let address = abi::Address::new(net.network());
        let length = match net {
            IpNet::V4(net) => 96 + u32::from(net.prefix_len()),
            IpNet::V6(net) => u32::from(net.prefix_len()),
        };
        ((length, address), *identity)
    });
    entries.collect()
}

/// Frontends, and for each of their addresses an entry without port that says so.
pub(super) fn frontends(state: &State, node: &[IpAddr]) -> HashMap<abi::Frontend, u32> {
    let mut entries = HashMap::new();
    for frontend in &state.frontends {
        let own = node.iter().filter(|ip| ip.is_ipv4() == frontend.address.is_ipv4());
        let addresses: Vec<IpAddr> =
            if frontend.address.is_unspecified() { own.copied().collect() } else { vec![frontend.address] };
        for address in addresses {
            let key = key(address, frontend);
            let flags = if frontend.outside { abi::FRONTEND_OUTSIDE } else { 0 };
            // The same place may be a frontend of both kinds.
            *entries.entry(key).or_insert(0) |= flags;
            *entries.entry(abi::Frontend { port: 0, protocol: 0, ..key }).or_insert(0) |= flags;
        }
    }
    entries
}

fn key(address: IpAddr, frontend: &Frontend) -> abi::Frontend {
    abi::Frontend {
        address: abi::Address::new(address),
        port: frontend.port.to_be(),
        protocol: frontend.protocol,
        unused: 0,
    }
}

/// Flags of an endpoint.
pub(super) fn flags(endpoint: &Endpoint) -> u32 {
    let ingress = match endpoint.ingress {
        Enforcement::Open => 0,
        Enforcement::Enforced => abi::INGRESS_ENFORCED,
        Enforcement::Closed => abi::INGRESS_CLOSED,
    };
    let egress = match endpoint.egress {
        Enforcement::Open => 0,
        Enforcement::Enforced => abi::EGRESS_ENFORCED,
        Enforcement::Closed => abi::EGRESS_CLOSED,
    };
    ingress | egress
}

/// The entry of a device. A pod's flags are in it for packets without an address of the pod.
pub(super) fn device(links: &[Link], link: &Link, mut flags: u32, pod_mac: [u8; 6]) -> abi::Device {
    if !link.ethernet {
        flags |= abi::DEVICE_NO_MAC;
    }
    let bridge = bridge_of(links, link).map_or(0, |bridge| bridge.index);
    abi::Device { flags, bridge, mac: link.mac.unwrap_or_default(), pod_mac }
}

/// Where programs are to be attached, in which order: uplinks last, they lead nowhere that a pod's
/// own device does not.
pub(super) fn hooks(places: &Places, uplinks: &[u32]) -> Vec<Hook> {
    let mut hooks = Vec::new();
    let mut seen = HashSet::new();
    for ifindex in places.devices() {
        if seen.insert(ifindex) {
            hooks.extend(Hook::pod(ifindex));
        }
    }
    hooks.extend(uplinks.iter().map(|ifindex| Hook::uplink(*ifindex)));
    hooks
}
