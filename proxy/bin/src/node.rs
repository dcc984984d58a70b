//! What this node is said to be: its name, and the addresses that Gateways ask of it.

use std::net::IpAddr;
use std::sync::Arc;

use model::Snapshot;
use model::service::ObjectRef;
use objects::{Kind, ObjectKey, Problem, Store};

use crate::explain::name::near;

/// What is wrong with `--node`: a name that nothing has makes every pod another node's, and then
/// nothing is policed. While there are neither Nodes nor Pods there is nothing to tell it by.
pub(crate) fn unknown_name(node: Option<&str>, store: &Store) -> Option<Problem> {
    let node = node?;
    if store.nodes().get("", node).is_some() || nodes_of_pods(store).any(|name| name == node) {
        return None;
    }
    if store.pods().is_empty() {
        return None;
    }
    let mut known: Vec<&str> = store.nodes().iter().map(|entry| &*entry.key.name).collect();
    known.extend(nodes_of_pods(store));
    known.sort_unstable();
    known.dedup();
    let mut likely = near(node, known.iter().copied());
    if likely.is_empty() {
        likely = known;
        likely.truncate(NAMES_SHOWN);
    }
    let hint = match likely[..] {
        [] => "no Pod has a spec.nodeName".to_owned(),
        _ => format!("did you mean {}?", likely.join(" or ")),
    };
    Some(Problem::error(format!(
        "--node {node}: there is no Node of this name and no Pod on it, so that no pod is policed; {hint}"
    )))
}

fn nodes_of_pods(store: &Store) -> impl Iterator<Item = &str> {
    store.pods().iter().filter_map(|pod| pod.object.spec.as_ref()?.node_name.as_deref())
}

/// The Gateways that ask for an address which this node does not have. A socket takes it all the
/// same where connections are redirected: this node's pods reach it.
pub(crate) fn foreign_addresses(snapshot: &Snapshot, own: &[IpAddr]) -> Vec<Problem> {
    // Unknown, and not none at all.
    if own.is_empty() {
        return Vec::new();
    }
    let mut foreign: Vec<(IpAddr, &ObjectRef)> = Vec::new();
    for (at, port) in snapshot.gateways.iter() {
        let Some(ip) = at.ip.filter(|ip| !own.contains(ip) && !ip.is_loopback() && !ip.is_unspecified())
        else {
            continue;
        };
        foreign.extend(port.listeners.iter().map(|listener| (ip, &listener.gateway)));
    }
    foreign.sort();
    foreign.dedup();
    let problem = |(ip, gateway): (IpAddr, &ObjectRef)| {
        Problem::warning(format!(
            "{ip} is no address of this node: only its own pods reach the Gateway there, \
             unless others are routed here"
        ))
        .field("spec.addresses")
        .of(ObjectKey {
            kind: Kind::Gateway,
            namespace: Arc::clone(&gateway.namespace),
            name: Arc::clone(&gateway.name),
        })
    };
    foreign.into_iter().map(problem).collect()
}

/// Names shown where none is like the one that was given.
const NAMES_SHOWN: usize = 5;

#[cfg(test)]
mod tests;
