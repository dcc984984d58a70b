//! Which Service answers on each address and port: of those that claim it, the first by name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Service;
use model::service::BackendId;
use model::workload::Protocol;
use objects::{Kind, ObjectKey};

use super::Port;

/// An address and port of a transport, TCP or UDP.
pub(crate) type Address = (SocketAddr, Protocol);

/// Every claim of a Service to an address.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    claims: BTreeMap<(Address, ObjectKey), BackendId>,
    moved: BTreeSet<Address>,
}

impl Addresses {
    /// Replaces what a Service claims. Gives the addresses whose claims changed.
    pub(super) fn set(
        &mut self,
        service: &ObjectKey,
        before: &[(Address, BackendId)],
        now: &[(Address, BackendId)],
    ) -> Vec<Address> {
        if before == now {
            return Vec::new();
        }
        for (address, _) in before {
            self.claims.remove(&(*address, service.clone()));
        }
        for (address, id) in now {
            self.claims.insert((*address, service.clone()), *id);
        }
        let moved: Vec<Address> = before.iter().chain(now).map(|(address, _)| *address).collect();
        self.moved.extend(&moved);
        moved
    }

    /// The Service port that answers on an address.
    pub(super) fn owner(&self, address: Address) -> Option<BackendId> {
        self.of(address).next().map(|(_, id)| id)
    }

    /// The Services that claim an address with the port that each means, the owner first.
    pub(super) fn of(&self, address: Address) -> impl Iterator<Item = (&ObjectKey, BackendId)> {
        let first = (address, ObjectKey::new(Kind::Service, "", ""));
        let of_address = self.claims.range(first..).take_while(move |((at, _), _)| *at == address);
        of_address.map(|((_, service), id)| (service, *id))
    }

    /// The addresses whose claims changed since this was asked last.
    pub(super) fn take_moved(&mut self) -> BTreeSet<Address> {
        std::mem::take(&mut self.moved)
    }
}

/// What a Service claims with these of its ports, as far as it can be read.
pub(super) fn claimed(service: &Service, ports: &[Port]) -> Vec<(Address, BackendId)> {
    let ips: BTreeSet<IpAddr> = cluster_ips(service).iter().filter_map(|(_, ip)| ip.parse().ok()).collect();
    let of_ip = |ip| ports.iter().map(move |port| (port.address(ip), port.id));
    ips.into_iter().flat_map(of_ip).collect()
}

/// The Service's own addresses with their fields; none for a headless Service.
pub(super) fn cluster_ips(service: &Service) -> Vec<(String, &str)> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let many = spec.cluster_ips.iter().flatten().enumerate();
    let mut ips: Vec<_> = many.map(|(i, ip)| (format!("spec.clusterIPs[{i}]"), &**ip)).collect();
    if ips.is_empty() {
        ips.extend(spec.cluster_ip.as_deref().map(|ip| ("spec.clusterIP".to_owned(), ip)));
    }
    ips.retain(|(_, ip)| !ip.is_empty() && *ip != "None");
    ips
}
