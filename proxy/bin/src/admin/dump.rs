//! The Snapshot in force as JSON, for people who look for what Weir has made of their objects.
//!
//! Every field is named here, so that nothing is shown by accident: no certificate and no key, and
//! of headers and query parameters that rules ask for or set only the names, as their values may be
//! secrets. One object after the other is turned into JSON and written out; the memory needed is that
//! of the text.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;

use model::Snapshot;
use model::policy::{DirectionPolicy, Enforcement, PolicyEntry, PolicyVerdict};
use model::service::{Backend, BackendId, GatewayAddr, GatewayPort, Listener, ListenerProtocol};
use model::tls::{ClientAuth, UpstreamSecurity};
use model::workload::Workload;
use proxy::Limits;
use serde_json::{Value, json};

use crate::admin::dump::routes::{rule, server_names, table};
use crate::limits;

mod routes;

/// One object, with the lists in a fixed order.
pub(crate) fn json(snapshot: &Snapshot, limits: &Limits) -> Vec<u8> {
    let mut out = Writer { out: Vec::new() };
    out.head(snapshot, limits);
    let mut gateways: Vec<_> = snapshot.gateways.iter().collect();
    gateways.sort_by_key(|(at, _)| **at);
    out.list("gateways", gateways.into_iter().map(|(at, port)| gateway(snapshot, at, port)));
    let addresses = cluster_addresses(snapshot);
    let mut backends: Vec<_> = snapshot.backends.values().collect();
    backends.sort_by_key(|backend| (&backend.service, backend.port));
    out.list("services", backends.into_iter().map(|backend| service(snapshot, backend, &addresses)));
    let mut pods: Vec<_> =
        snapshot.workloads.iter().filter(|(ip, pod)| pod.addresses.first() == Some(ip)).collect();
    pods.sort_by_key(|(_, pod)| (&pod.namespace, &pod.name));
    out.list("pods", pods.into_iter().map(|(_, pod)| workload(snapshot, pod)));
    out.end()
}

struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn head(&mut self, snapshot: &Snapshot, limits: &Limits) {
        let limits: serde_json::Map<String, Value> =
            limits::each(limits).map(|(name, value)| (name.to_owned(), value.into())).collect();
        let own = json!({
            "revision": snapshot.revision,
            "node": snapshot.node.as_deref(),
            "zone": snapshot.zone.as_deref(),
            "node_addresses": all(snapshot.node_addresses.iter()),
            "limits": limits,
        });
        let text = own.to_string();
        // Left open for the lists.
        self.out.extend_from_slice(text.strip_suffix('}').unwrap_or_default().as_bytes());
    }

    fn list(&mut self, name: &str, items: impl Iterator<Item = Value>) {
        self.out.extend_from_slice(format!(",\n\"{name}\":[").as_bytes());
        for (index, item) in items.enumerate() {
            self.out.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
            self.out.extend_from_slice(item.to_string().as_bytes());
        }
        self.out.push(b']');
    }

    fn end(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"}\n");
        self.out
    }
}

/// Each as text.
fn all<T: Display>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

fn gateway(snapshot: &Snapshot, at: &GatewayAddr, port: &GatewayPort) -> Value {
    json!({
        "address": at.ip.map_or_else(|| "*".to_owned(), |ip| ip.to_string()),
        "port": at.port,
        "transport": at.transport.to_string(),
        "listeners": port.listeners.iter().map(|one| listener(snapshot, one)).collect::<Vec<_>>(),
    })
}

fn listener(snapshot: &Snapshot, listener: &Listener) -> Value {
    let (protocol, routes) = match &listener.protocol {
        ListenerProtocol::Http(routes) => ("HTTP", table(snapshot, routes)),
        ListenerProtocol::Https { routes, .. } => ("HTTPS", table(snapshot, routes)),
        ListenerProtocol::TlsPassthrough(routes) => ("TLS passthrough", server_names(snapshot, routes)),
        ListenerProtocol::TlsTerminate { routes, .. } => ("TLS", server_names(snapshot, routes)),
        ListenerProtocol::Tcp(taken) => ("TCP", taken.iter().map(|taken| rule(snapshot, taken)).collect()),
        ListenerProtocol::Udp(taken) => ("UDP", taken.iter().map(|taken| rule(snapshot, taken)).collect()),
    };
    let tls = listener.server_tls().map(|tls| {
        json!({
            "certificates": all(tls.certificates.iter().map(|pair| &pair.source)),
            "client_certificates": match tls.client {
                ClientAuth::None => "none",
                ClientAuth::Required(_) => "required",
                ClientAuth::Optional => "optional",
            },
        })
    });
    json!({
        "gateway": listener.gateway.to_string(),
        "name": &*listener.name,
        "hostname": listener.hostname.as_deref(),
        "protocol": protocol,
        "tls": tls,
        "backend_certificate": listener.backend_certificate.as_ref().map(|pair| pair.source.to_string()),
        "routes": routes,
    })
}

/// The ClusterIPs and ports of each Service port.
fn cluster_addresses(snapshot: &Snapshot) -> HashMap<BackendId, Vec<SocketAddr>> {
    let mut addresses: HashMap<BackendId, Vec<SocketAddr>> = HashMap::new();
    for (address, frontend) in snapshot.frontends.iter().chain(snapshot.datagram_frontends.iter()) {
        addresses.entry(frontend.backend).or_default().push(*address);
    }
    addresses.values_mut().for_each(|list| list.sort());
    addresses
}

fn service(snapshot: &Snapshot, backend: &Backend, addresses: &HashMap<BackendId, Vec<SocketAddr>>) -> Value {
    let addresses = addresses.get(&backend.id).map(Vec::as_slice).unwrap_or_default();
    // All addresses of a Service port have the same routes.
    let frontend = addresses.first().and_then(|address| snapshot.frontends.get(address));
    // A port of UDP may have the same number, and has none.
    let frontend = frontend.filter(|frontend| frontend.backend == backend.id);
    let routes = frontend.and_then(|frontend| frontend.routes.as_ref());
    let endpoints = backend.endpoints.iter().map(|endpoint| {
        json!({
            "address": endpoint.address.to_string(),
            "ready": endpoint.ready,
            "node": endpoint.node.as_deref(),
            "zone": endpoint.zone.as_deref(),
        })
    });
    let tls = match &backend.security {
        UpstreamSecurity::Cleartext => Value::Null,
        UpstreamSecurity::Tls(tls) => json!({"policy": tls.policy.to_string(), "hostname": &*tls.hostname}),
        UpstreamSecurity::Invalid(why) => json!({"invalid": &**why}),
    };
    json!({
        "service": backend.service.to_string(),
        "port": backend.port,
        "protocol": format!("{:?}", backend.protocol),
        "addresses": all(addresses),
        "endpoints": endpoints.collect::<Vec<_>>(),
        "traffic": format!("{:?}", backend.traffic),
        "tls": tls,
        "routes": routes.map(|routes| table(snapshot, routes)),
    })
}

fn workload(snapshot: &Snapshot, pod: &Workload) -> Value {
    let identity = snapshot.identities.get(&pod.identity);
    let policy = pod.local.map(|local| match snapshot.policies.get(&local) {
        Some(policy) => {
            json!({"ingress": direction(&policy.ingress), "egress": direction(&policy.egress)})
        }
        None => json!("closed: its policy is not known"),
    });
    json!({
        "pod": pod.to_string(),
        "node": &*pod.node,
        "addresses": all(&pod.addresses),
        "identity": pod.identity.0,
        "labels": identity.map(|identity| all(identity.labels.iter())),
        "policy": policy,
    })
}

fn direction(policy: &DirectionPolicy) -> Value {
    let mut peers: Vec<_> = policy.entries.iter().collect();
    peers.sort_by_key(|(peer, _)| **peer);
    let entries = peers.into_iter().flat_map(|(peer, entries)| {
        entries.iter().map(|one| {
            let mut value = entry(one);
            value["peer"] = peer.0.into();
            value
        })
    });
    let (enforcement, by) = match &policy.enforcement {
        Enforcement::Open => ("open", None),
        Enforcement::Enforced => ("enforced", None),
        Enforcement::Closed(by) => ("closed", Some(by.to_string())),
    };
    json!({"enforcement": enforcement, "by": by, "entries": entries.collect::<Vec<_>>()})
}

/// Without its peer; 0 there stands for any.
fn entry(entry: &PolicyEntry) -> Value {
    let (verdict, rules) = match &entry.verdict {
        PolicyVerdict::Allow => ("allow", None),
        PolicyVerdict::Deny => ("deny", None),
        PolicyVerdict::Http(rules) => ("http", Some(rules)),
    };
    let http = rules.map(|http| {
        let rules = http.rules.iter().map(|rule| {
            json!({
                "method": rule.method.as_ref().map(|regex| regex.as_str()),
                "path": rule.path.as_ref().map(|regex| regex.as_str()),
                "host": rule.host.as_ref().map(|regex| regex.as_str()),
                "headers": rule.headers.iter().map(|header| &*header.name).collect::<Vec<_>>(),
                "mismatches": rule.edits.iter().map(|header| &*header.name).collect::<Vec<_>>(),
                "by": rule.by.to_string(),
            })
        });
        json!({"any": http.any.is_some(), "rules": rules.collect::<Vec<_>>()})
    });
    json!({
        "protocol": entry.protocol.map(|protocol| protocol.to_string()),
        "port": entry.port,
        "port_prefix": entry.port_prefix,
        "verdict": verdict,
        "by": entry.by.as_ref().map(|by| by.to_string()),
        "http": http,
    })
}

#[cfg(test)]
mod tests;
