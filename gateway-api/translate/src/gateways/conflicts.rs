//! Listeners that cannot be told apart: within a Gateway or ListenerSet none of them is served. A
//! Gateway comes before its ListenerSets and among those the oldest; between Gateways on one
//! address the oldest keeps its own, and what Gateways have for themselves comes before what sets
//! add to any of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use model::service::GatewayAddr;

use super::GatewayState;
use super::listener::{Layer, Listener};
use super::sets::SetState;
use crate::report::Problems;
use crate::status::Reason;

/// Refuses the listeners of one object that share a port and differ in protocol, or share port and
/// hostname.
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
        let kind = listener.key.owner().kind;
        let message = format!("listener {other:?} of the same {kind} has {shared}: neither is served");
        listener.refuse(field, reason, message, problems);
    }
}

/// Refuses the listeners of ListenerSets, the oldest first, whose place their Gateway or a set before
/// has. Who that is, is not said: one namespace need not know what another has.
pub(super) fn with_sets(own: &[Listener], sets: &mut [SetState]) {
    let place = |listener: &Listener| {
        let (port, transport) = (listener.port, listener.protocol.transport());
        vec![GatewayAddr { ip: None, port, transport }]
    };
    let mut claims = Claims::default();
    // What its owner has wrong is still not another's to take.
    for listener in own.iter().filter(|l| l.refused.is_none() || l.is_conflicted()) {
        claims.take(place(listener), listener, "the Gateway");
    }
    for SetState { listeners, problems, .. } in sets {
        for listener in listeners.iter_mut().filter(|l| l.refused.is_none()) {
            if let Some(lost) = claims.lost(&place(listener), listener) {
                listener.refuse(lost.field, lost.reason, lost.message, problems);
            }
        }
        // What lost its place to others takes nobody of its own set down.
        within(listeners, problems);
        for listener in listeners.iter().filter(|l| l.refused.is_none()) {
            claims.take(place(listener), listener, "an older ListenerSet");
        }
    }
}

/// Refuses the listeners whose address and port an earlier Gateway of the slice has, with the
/// same hostname or for another protocol.
pub(super) fn between(gateways: &mut [GatewayState]) {
    let mut claims = Claims::default();
    for GatewayState { key, addresses, listeners, problems, .. } in &mut *gateways {
        let owner = format!("{key} is older and");
        for listener in listeners.iter_mut().filter(|l| l.refused.is_none()) {
            claims.settle(listener, addresses, &owner, problems);
        }
    }
    for GatewayState { addresses, sets, .. } in gateways {
        for SetState { listeners, problems, .. } in sets {
            for listener in listeners.iter_mut().filter(|l| l.refused.is_none()) {
                claims.settle(listener, addresses, "another Gateway", problems);
            }
        }
    }
}

/// Who has which place.
#[derive(Default)]
struct Claims {
    names: HashMap<(GatewayAddr, Option<Arc<str>>), String>,
    layers: HashMap<GatewayAddr, (Layer, String)>,
}

/// Why a listener does not get its place.
struct Lost {
    field: &'static str,
    reason: Reason,
    message: String,
}

impl Claims {
    /// Gives a listener its places at these addresses, or refuses it.
    fn settle(
        &mut self,
        listener: &mut Listener,
        addresses: &[Option<IpAddr>],
        owner: &str,
        problems: &mut Problems,
    ) {
        let places: Vec<_> = listener.addresses(addresses).collect();
        match self.lost(&places, listener) {
            Some(lost) => listener.refuse(lost.field, lost.reason, lost.message, problems),
            None => self.take(places, listener, owner),
        }
    }

    /// Why a listener does not get all of these places, if so.
    fn lost(&self, places: &[GatewayAddr], listener: &Listener) -> Option<Lost> {
        let (layer, hostname) = (listener.protocol.layer(), &listener.hostname);
        if let Some((_, owner)) = places.iter().find_map(|at| self.layers.get(at).filter(|l| l.0 != layer)) {
            let message = format!("{owner} has another protocol on this address and port");
            return Some(Lost { field: "protocol", reason: Reason::ProtocolConflict, message });
        }
        if let Some(owner) = places.iter().find_map(|at| self.names.get(&(*at, hostname.clone()))) {
            let message = format!("{owner} has this port and hostname on the same address");
            return Some(Lost { field: "hostname", reason: Reason::HostnameConflict, message });
        }
        None
    }

    /// Takes what nobody has yet of these places.
    fn take(&mut self, places: Vec<GatewayAddr>, listener: &Listener, owner: &str) {
        for at in places {
            let name = (at, listener.hostname.clone());
            self.names.entry(name).or_insert_with(|| owner.to_owned());
            self.layers.entry(at).or_insert_with(|| (listener.protocol.layer(), owner.to_owned()));
        }
    }
}
