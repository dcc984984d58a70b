//! The endpoints of one Service port, out of any number of EndpointSlices.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use model::address::EndpointAddr;
use model::service::Endpoint;

use crate::report::{self, Problems};

/// The endpoints of a port, ordered by address. While no endpoint is ready, those that still
/// serve although they are terminating stand in, as with kube-proxy.
pub(super) fn of_port(
    port: &ServicePort,
    slices: &[Arc<EndpointSlice>],
    problems: &mut Problems,
) -> Vec<Endpoint> {
    let mut found: BTreeMap<EndpointAddr, (Endpoint, bool)> = BTreeMap::new();
    for slice in slices {
        let Some(number) = number_in(port, slice) else { continue };
        for (index, endpoint) in slice.endpoints.iter().flatten().enumerate() {
            let Some(ip) = ip_of(endpoint, slice, problems) else { continue };
            if let Some(range) = special(ip) {
                let name = slice.metadata.name.as_deref().unwrap_or_default();
                let at = format!("EndpointSlice {name}: endpoints[{index}].addresses[0]");
                report_once(problems, format!("{at}: {ip} is {range}: no endpoint can be there"));
                continue;
            }
            let address = EndpointAddr(SocketAddr::new(ip, number));
            let (ready, last_resort) = readiness(endpoint.conditions.as_ref());
            let fresh = || {
                let text = |text: &Option<String>| text.as_deref().map(Arc::from);
                let node = text(&endpoint.node_name);
                (Endpoint { address, ready, node, zone: text(&endpoint.zone) }, last_resort)
            };
            // While a pod moves between slices it can be in two of them.
            let (known, serving) = found.entry(address).or_insert_with(fresh);
            known.ready |= ready;
            *serving |= last_resort;
        }
    }
    let any_ready = found.values().any(|(endpoint, _)| endpoint.ready);
    let settle = |(endpoint, last_resort): (Endpoint, bool)| Endpoint {
        ready: endpoint.ready || (!any_ready && last_resort),
        ..endpoint
    };
    found.into_values().map(settle).collect()
}

/// The port's number in a slice: ports go together by name.
fn number_in(port: &ServicePort, slice: &EndpointSlice) -> Option<u16> {
    let name = port.name.as_deref().unwrap_or_default();
    let transport = port.protocol.as_deref().unwrap_or("TCP");
    let mut ports = slice.ports.iter().flatten();
    let same = ports.find(|p| {
        p.name.as_deref().unwrap_or_default() == name && p.protocol.as_deref().unwrap_or("TCP") == transport
    })?;
    // A slice port without a number stands for all; the Service then says which.
    let wanted = same.port.or(match port.target_port {
        Some(IntOrString::Int(target)) => Some(target),
        _ => Some(port.port),
    });
    u16::try_from(wanted?).ok().filter(|number| *number != 0)
}

/// The endpoint's address: the first, as in kube-proxy; the others are not for traffic.
fn ip_of(endpoint: &SliceEndpoint, slice: &EndpointSlice, problems: &mut Problems) -> Option<IpAddr> {
    let text = endpoint.addresses.first()?;
    let name = slice.metadata.name.as_deref().unwrap_or_default();
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.is_ipv4() == (slice.address_type == "IPv4") => Some(ip),
        _ => {
            let message = format!("EndpointSlice {name}: {text:?} is not an {} address", slice.address_type);
            report_once(problems, message);
            None
        }
    }
}

/// A slice is read for each port of its Service.
fn report_once(problems: &mut Problems, message: String) {
    if !problems.iter().any(|p| p.message == message) {
        report::error(problems, "", message);
    }
}

/// What an address is that may be no endpoint's, as Kubernetes has it: seen from here it is this node
/// itself, or whoever answers on its link, which are not for routes to give away.
fn special(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        ip if ip.is_unspecified() => Some("the unspecified address"),
        ip if ip.is_loopback() => Some("a loopback address"),
        ip if ip.is_multicast() => Some("a multicast address"),
        IpAddr::V4(ip) if ip.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(ip) if ip.is_link_local() => Some("a link-local address"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    }
}

/// Whether an endpoint is ready, and whether it may serve when none is. What is not said is as
/// the API has it: ready, serving like ready, not terminating.
fn readiness(conditions: Option<&EndpointConditions>) -> (bool, bool) {
    let said = |field: fn(&EndpointConditions) -> Option<bool>| conditions.and_then(field);
    let ready = said(|c| c.ready).unwrap_or(true);
    let serving = said(|c| c.serving).unwrap_or(ready);
    let terminating = said(|c| c.terminating).unwrap_or(false);
    (ready, serving && terminating)
}
