//! Listeners that cannot be told apart: within a Gateway none of them is served, between Gateways
//! on one address the oldest keeps its own.

use std::collections::HashMap;
use std::sync::Arc;

use model::service::GatewayAddr;

use super::GatewayState;
use super::listener::{Layer, Listener};
use crate::report::{self, Problems};
use crate::status::Reason;

/// Refuses the listeners of one Gateway that share a port and differ in protocol, or share port
/// and hostname.
pub(super) fn within(listeners: &mut [Listener], problems: &mut Problems) {
    let conflict = |a: &Listener, b: &Listener| {
        if a.port != b.port || a.protocol.transport() != b.protocol.transport() {
            None
        } else if a.protocol.layer() != b.protocol.layer() {
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
            let others = listeners.iter().filter(|b| b.index != a.index && b.refused.is_none());
            let others = others.filter(|_| a.refused.is_none());
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

/// Refuses the listeners whose address and port an earlier Gateway of the slice has, with the
/// same hostname or for another protocol.
pub(super) fn between(gateways: &mut [GatewayState]) {
    let mut places: HashMap<(GatewayAddr, Option<Arc<str>>), String> = HashMap::new();
    let mut layers: HashMap<GatewayAddr, (Layer, String)> = HashMap::new();
    for gateway in gateways {
        let owner = gateway.key.to_string();
        for at in 0..gateway.listeners.len() {
            let listener = &gateway.listeners[at];
            if listener.refused.is_some() {
                continue;
            }
            let (layer, hostname) = (listener.protocol.layer(), listener.hostname.clone());
            let addresses: Vec<_> = gateway.addresses_of(listener).collect();
            let same = addresses.iter().find_map(|ip| places.get(&(*ip, hostname.clone())));
            let other = addresses.iter().find_map(|ip| layers.get(ip).filter(|(known, _)| *known != layer));
            let (reason, field, message) = match (same, other) {
                (_, Some((_, owner))) => {
                    let message =
                        format!("{owner} is older and has another protocol on this address and port");
                    (Reason::ProtocolConflict, "protocol", message)
                }
                (Some(owner), None) => {
                    let message =
                        format!("{owner} is older and has this port and hostname on the same address");
                    (Reason::HostnameConflict, "hostname", message)
                }
                (None, None) => {
                    for ip in addresses {
                        places.insert((ip, hostname.clone()), owner.clone());
                        layers.entry(ip).or_insert_with(|| (layer, owner.clone()));
                    }
                    continue;
                }
            };
            let field = format!("spec.listeners[{}].{field}", listener.index);
            report::error(&mut gateway.problems, field, message);
            gateway.listeners[at].refused = Some(reason);
        }
    }
}
