//! Names that people give to what a Snapshot knows by address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use model::Snapshot;
use model::identity::IdentityId;
use model::service::{GatewayAddr, Listener, ObjectRef};
use model::workload::{Protocol, Workload};

use crate::explain::question::{Place, Source, Target};

/// Who `text` names: `outside`, an address, or a pod.
pub(super) fn source(snapshot: &Snapshot, text: &str) -> Result<Source> {
    if text == "outside" {
        let id = IdentityId::WORLD_IPV4;
        let identity = snapshot.identities.get(&id).cloned();
        return Ok(Source { name: text.into(), ip: None, id, identity, workload: None });
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(at(snapshot, ip));
    }
    let pods = pods(snapshot);
    match pods.get(text.strip_prefix("pod:").unwrap_or(text)) {
        Some(pod) => match pod.addresses.first() {
            Some(ip) => Ok(at(snapshot, *ip)),
            None => bail!("--from {text}: the pod has no address"),
        },
        None => bail!("--from {text}: {}", unknown("pod", text, pods.keys().map(String::as_str))),
    }
}

fn at(snapshot: &Snapshot, ip: IpAddr) -> Source {
    let (id, identity) = snapshot.identity_of(ip);
    let workload = snapshot.workload(ip).cloned();
    let name = workload.as_ref().map_or_else(|| ip.to_string(), |pod| format!("{pod} {ip}"));
    Source { name, ip: Some(ip), id, identity: identity.cloned(), workload }
}

/// What `text` names: an address with a port, or a pod, Service or Gateway.
pub(super) fn target(snapshot: &Snapshot, text: &str, transport: Protocol) -> Result<Target> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(answering(snapshot, address, transport));
    }
    ensure!(text.parse::<IpAddr>().is_err(), "--to {text}: a port is missing ({text}:PORT)");
    let (kind, rest) = match text.split_once(':') {
        Some((kind @ ("pod" | "service" | "gateway"), rest)) => (Some(kind), rest),
        _ => (None, text),
    };
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (rest, None),
    };
    let places = places(snapshot, transport);
    let mut found: Vec<(&str, &Addresses)> = Vec::new();
    for ((place_kind, place_name), addresses) in &places {
        if place_name == name && kind.is_none_or(|kind| kind == *place_kind) {
            found.push((place_kind, addresses));
        }
    }
    match found[..] {
        [] => {
            let all: BTreeSet<&str> = places.keys().map(|(_, name)| name.as_str()).collect();
            bail!(
                "--to {text}: {}",
                unknown(kind.unwrap_or("pod, Service or Gateway"), name, all.into_iter())
            )
        }
        [(_, addresses)] => {
            let address = choose(snapshot, text, name, addresses, port)?;
            Ok(answering(snapshot, address, transport))
        }
        _ => {
            let choices: Vec<String> = found.iter().map(|(kind, _)| format!("{kind}:{rest}")).collect();
            bail!("--to {text}: several objects have this name; say {}", choices.join(" or "))
        }
    }
}

/// What answers at an address. What does on another transport only is found last, to be said.
fn answering(snapshot: &Snapshot, address: SocketAddr, transport: Protocol) -> Target {
    let transports = [transport, Protocol::Tcp, Protocol::Udp];
    let place = transports.into_iter().find_map(|transport| place(snapshot, address, transport));
    let place = place.unwrap_or(Place::Direct);
    let name = match &place {
        Place::Gateway(port) => {
            let gateways: BTreeSet<String> = port.listeners.iter().map(|l| l.gateway.to_string()).collect();
            format!("{} at {address}", gateways.into_iter().collect::<Vec<_>>().join(", "))
        }
        Place::Service(.., backend) => {
            let service = backend.as_ref().map_or("Service".into(), |b| format!("{}:{}", b.service, b.port));
            format!("{service} at {address}")
        }
        Place::Direct => match snapshot.workload(address.ip()) {
            Some(pod) => format!("Pod {pod} at {address}"),
            None => address.to_string(),
        },
    };
    Target { name, address, place }
}

/// What answers on a transport, by the data plane's order.
fn place(snapshot: &Snapshot, address: SocketAddr, transport: Protocol) -> Option<Place> {
    if let Some(port) = snapshot.gateway_of(address, transport) {
        return Some(Place::Gateway(port.clone()));
    }
    if !matches!(transport, Protocol::Tcp | Protocol::Udp) {
        return None;
    }
    let frontend = snapshot.frontend_of(address, transport)?;
    let backend = snapshot.backends.get(&frontend.backend).cloned();
    Some(Place::Service(frontend.clone(), transport, backend))
}

/// Where something answers; the port is 0 for a pod, which may listen anywhere.
type Addresses = Vec<SocketAddr>;

/// Kind and namespaced name of all that can be dialled.
fn places(snapshot: &Snapshot, transport: Protocol) -> BTreeMap<(&'static str, String), Addresses> {
    let mut all: BTreeMap<(&'static str, String), BTreeSet<SocketAddr>> = BTreeMap::new();
    for (name, pod) in pods(snapshot) {
        let addresses = pod.addresses.iter().map(|ip| SocketAddr::new(*ip, 0));
        all.entry(("pod", name)).or_default().extend(addresses);
    }
    let of_udp = snapshot.datagram_frontends.iter().filter(|_| transport == Protocol::Udp);
    for (address, frontend) in snapshot.frontends.iter().chain(of_udp) {
        if let Some(backend) = snapshot.backends.get(&frontend.backend) {
            let name = format!("{}/{}", backend.service.namespace, backend.service.name);
            all.entry(("service", name)).or_default().insert(*address);
        }
    }
    // A Gateway that listens on both is asked about the one in question.
    let of_transport =
        |address: &GatewayAddr| (address.transport == Protocol::Udp) == (transport == Protocol::Udp);
    let (mine, others): (Vec<_>, Vec<_>) =
        snapshot.gateways.iter().partition(|(address, _)| of_transport(address));
    let named: BTreeSet<&ObjectRef> =
        mine.iter().flat_map(|(_, port)| &port.listeners).map(|listener| &listener.gateway).collect();
    for (address, port) in mine.iter().chain(&others) {
        // A listener on every address is dialled at the node's.
        let node = snapshot.node_addresses.first().copied();
        let Some(ip) = address.ip.or(node).or_else(|| "127.0.0.1".parse().ok()) else { continue };
        let is_other =
            |listener: &&Arc<Listener>| of_transport(address) || !named.contains(&listener.gateway);
        for listener in port.listeners.iter().filter(is_other) {
            let name = format!("{}/{}", listener.gateway.namespace, listener.gateway.name);
            all.entry(("gateway", name)).or_default().insert(SocketAddr::new(ip, address.port));
        }
    }
    all.into_iter().map(|(key, addresses)| (key, addresses.into_iter().collect())).collect()
}

fn pods(snapshot: &Snapshot) -> BTreeMap<String, Arc<Workload>> {
    snapshot.workloads.values().map(|pod| (pod.to_string(), pod.clone())).collect()
}

/// The one address that name and port mean. With several families, the first will do.
fn choose(
    snapshot: &Snapshot,
    text: &str,
    name: &str,
    addresses: &Addresses,
    port: Option<&str>,
) -> Result<SocketAddr> {
    let Some(first) = addresses.first() else { bail!("--to {text}: it has no address") };
    let pod = snapshot.workload(first.ip()).filter(|pod| first.port() == 0 && pod.to_string() == name);
    let wanted = match (port, pod) {
        (None, None) => None,
        (None, Some(pod)) => match &pod.named_ports[..] {
            [only] => Some(only.port),
            _ => bail!("--to {text}: which port? ({text}:PORT)"),
        },
        (Some(port), pod) => match port.parse::<u16>() {
            Ok(port) => Some(port),
            Err(_) => match pod.and_then(|pod| pod.named_ports.iter().find(|named| &*named.name == port)) {
                Some(named) => Some(named.port),
                None => bail!("--to {text}: {port:?} is no port of it"),
            },
        },
    };
    if pod.is_some() {
        return Ok(SocketAddr::new(first.ip(), wanted.unwrap_or_default()));
    }
    let fitting = addresses.iter().find(|address| wanted.is_none_or(|port| port == address.port()));
    let ports: BTreeSet<u16> = addresses.iter().map(SocketAddr::port).collect();
    let listed = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    match fitting {
        Some(_) if wanted.is_none() && ports.len() > 1 => bail!("--to {text}: which port? It has {listed}"),
        Some(address) => Ok(*address),
        None => bail!("--to {text}: it has no such port, but {listed}"),
    }
}

/// A message for a name that means nothing, with those that it may have been meant for.
fn unknown<'n>(kind: &str, name: &str, all: impl Iterator<Item = &'n str>) -> String {
    let near = near(name, all);
    let shape = if name.contains('/') { "" } else { " (names are NAMESPACE/NAME)" };
    match near[..] {
        [] => format!("there is no {kind} of this name{shape}"),
        _ => format!("there is no {kind} of this name{shape}; did you mean {}?", near.join(" or ")),
    }
}

/// The names that this one may have been meant for, the likeliest first.
pub(crate) fn near<'n>(name: &str, all: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut near: Vec<(usize, &str)> = all.map(|other| (distance(name, other), other)).collect();
    near.sort_unstable();
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    near.into_iter()
        .filter(|(distance, other)| *distance <= NEAR_MAX || last(name) == last(other))
        .map(|(_, other)| other)
        .take(NAMES_SHOWN)
        .collect()
}

/// Edit distance (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Edits that still look like a slip of the hand.
const NEAR_MAX: usize = 3;
const NAMES_SHOWN: usize = 5;
