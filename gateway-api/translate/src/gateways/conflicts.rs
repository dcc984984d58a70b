//! Listeners that cannot be told apart: within a Gateway none of them is served, between Gateways
//! on one address the oldest keeps its own.

use std::collections::HashMap;
use std::sync::Arc;

use model::service::GatewayAddr;

use super::{GatewayState, Listener};
use crate::report::{self, Problems};
use crate::status::Reason;

/// Refuses the listeners of one Gateway that share a port and differ in protocol, or share port
/// and hostname.
pub(super) fn within(listeners: &mut [Listener], problems: &mut Problems) {
    let conflict = |a: &Listener, b: &Listener| {
        if a.port != b.port || transport(&a.protocol) != transport(&b.protocol) {
            None
        } else if layer(&a.protocol) != layer(&b.protocol) {
            Some(Reason::ProtocolConflict)
        } else if a.hostname == b.hostname {
            Some(Reason::HostnameConflict)
        } else {
            None
        }
    };
    let found: Vec<_> = listeners
        .iter()
        .map(|a| {
            let others = listeners.iter().filter(|b| b.index != a.index);
            others.filter_map(|b| conflict(a, b).map(|reason| (reason, b.key.name.clone()))).next()
        })
        .collect();
    for (listener, found) in listeners.iter_mut().zip(found) {
        let Some((reason, other)) = found else { continue };
        let (field, shared) = match reason {
            Reason::ProtocolConflict => ("protocol", "its port with another protocol"),
            _ => ("hostname", "its port and hostname"),
        };
        let message = format!("listener {other:?} of the same Gateway has {shared}: neither is served");
        report::error(problems, format!("spec.listeners[{}].{field}", listener.index), message);
        listener.refused = Some(reason);
    }
}

/// Refuses the listeners whose address, port and hostname an earlier Gateway of the slice has.
pub(super) fn between(gateways: &mut [GatewayState]) {
    let mut taken: HashMap<(GatewayAddr, Option<Arc<str>>), String> = HashMap::new();
    for gateway in gateways {
        for at in 0..gateway.listeners.len() {
            let listener = &gateway.listeners[at];
            if listener.refused.is_some() {
                continue;
            }
            let places: Vec<_> =
                gateway.addresses_of(listener).map(|ip| (ip, listener.hostname.clone())).collect();
            if let Some(owner) = places.iter().find_map(|place| taken.get(place)) {
                let field = format!("spec.listeners[{}].hostname", listener.index);
                let message = format!("{owner} is older and has this port and hostname on the same address");
                report::error(&mut gateway.problems, field, message);
                gateway.listeners[at].refused = Some(Reason::HostnameConflict);
            } else {
                let owner = gateway.key.to_string();
                taken.extend(places.into_iter().map(|place| (place, owner.clone())));
            }
        }
    }
}

fn transport(protocol: &str) -> &'static str {
    if protocol == "UDP" { "UDP" } else { "TCP" }
}

/// Protocols that can share a port: those told apart by the same means.
fn layer(protocol: &str) -> &str {
    match protocol {
        "HTTPS" => "TLS",
        other => other,
    }
}
