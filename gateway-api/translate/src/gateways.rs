//! Gateways: what they listen on, and whom each listener lets in.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use gateway_api::gateways::{Gateway, GatewayListeners};
use model::service::GatewayAddr;
use objects::{Entry, Kind, ObjectKey, Problem, Store};

use crate::report::{self, Problems, created};
use crate::status::{Condition, Part, Reason, Status};

pub(crate) mod allowed;
mod conflicts;
#[cfg(test)]
mod tests;

/// `spec.controllerName` of the GatewayClasses whose Gateways are ours.
pub const CONTROLLER: &str = "weir.dev/gateway";

/// Which listener: its Gateway and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ListenerKey {
    /// The Gateway.
    pub(crate) gateway: ObjectKey,
    /// `listeners[].name`.
    pub(crate) name: Arc<str>,
}

/// One listener of a Gateway of ours.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Which.
    pub(crate) key: ListenerKey,
    /// `listeners[].port`.
    pub(crate) port: u16,
    /// `listeners[].protocol`.
    pub(crate) protocol: Arc<str>,
    /// `listeners[].hostname`, lower case.
    pub(crate) hostname: Option<Arc<str>>,
    /// `listeners[].allowedRoutes`.
    pub(crate) allowed: allowed::AllowedRoutes,
    /// Why it serves nothing, if so.
    pub(crate) refused: Option<Reason>,
    /// Its place in `spec.listeners`.
    pub(crate) index: usize,
}

/// A Gateway of ours.
#[derive(Debug)]
pub(crate) struct GatewayState {
    /// The Gateway.
    pub(crate) key: ObjectKey,
    /// Its listeners, served or not.
    pub(crate) listeners: Vec<Listener>,
    /// The addresses it asks for; `None` alone for every address of the node.
    addresses: Vec<Option<IpAddr>>,
    /// Why the whole Gateway serves nothing, if so.
    pub(crate) refused: Option<Reason>,
    created: i64,
    problems: Problems,
}

/// All Gateways.
#[derive(Debug, Default)]
pub(crate) struct Gateways {
    ours: HashMap<ObjectKey, GatewayState>,
    ignored: Vec<(ObjectKey, Problems)>,
    revisions: Option<(u64, u64)>,
}

impl Gateways {
    /// Takes in what changed.
    pub(crate) fn update(&mut self, store: &Store) {
        let revisions = (store.revision(Kind::Gateway), store.revision(Kind::GatewayClass));
        if self.revisions.replace(revisions) == Some(revisions) {
            return;
        }
        let mut ours: Vec<GatewayState> = Vec::new();
        self.ignored.clear();
        for entry in store.gateways().iter() {
            let name = &entry.object.spec.gateway_class_name;
            match store.gateway_classes().get("", name) {
                Some(class) if class.object.spec.controller_name == CONTROLLER => ours.push(gateway(entry)),
                Some(_) => {}
                None => {
                    let mut problems = Vec::new();
                    let message = format!("there is no GatewayClass {name}: nobody serves the Gateway");
                    report::warning(&mut problems, "spec.gatewayClassName", message);
                    self.ignored.push((entry.key.clone(), problems));
                }
            }
        }
        // The oldest keeps what several claim.
        ours.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
        conflicts::between(&mut ours);
        self.ours = ours.into_iter().map(|state| (state.key.clone(), state)).collect();
    }

    /// A Gateway of ours.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&GatewayState> {
        self.ours.get(key)
    }

    /// The listeners in force by address, most specific hostname first.
    pub(crate) fn by_address(&self) -> HashMap<GatewayAddr, Vec<&Listener>> {
        let mut by_address: HashMap<GatewayAddr, Vec<&Listener>> = HashMap::new();
        for (state, listener) in self.ours.values().flat_map(|s| s.listeners.iter().map(move |l| (s, l))) {
            if listener.refused.is_none() {
                for ip in state.addresses_of(listener) {
                    by_address.entry(ip).or_default().push(listener);
                }
            }
        }
        for listeners in by_address.values_mut() {
            // Exact names, then wildcards from the longest, then none; the name settles ties.
            listeners.sort_by_key(|l| (std::cmp::Reverse(specificity(l.hostname.as_deref())), &l.key));
        }
        by_address
    }

    /// What is wrong with Gateways.
    pub(crate) fn problems<'s>(&'s self, store: &'s Store) -> impl Iterator<Item = Problem> + 's {
        let ours = self.ours.values().map(|state| (&state.key, &state.problems));
        let ignored = self.ignored.iter().map(|(key, problems)| (key, problems));
        ours.chain(ignored).flat_map(move |(key, problems)| report::placed(problems, key, store))
    }

    /// The status of each Gateway and listener. `attached` counts the routes of a listener.
    pub(crate) fn statuses(&self, attached: impl Fn(&ListenerKey) -> usize) -> Vec<Status> {
        let mut statuses = Vec::new();
        for state in self.ours.values() {
            statuses.push(Status {
                object: state.key.clone(),
                part: Part::Whole,
                conditions: state.conditions(),
                attached_routes: None,
            });
            statuses.extend(state.listeners.iter().map(|listener| Status {
                object: state.key.clone(),
                part: Part::Listener(listener.key.name.clone()),
                conditions: listener.conditions(),
                attached_routes: Some(attached(&listener.key)),
            }));
        }
        statuses
    }
}

impl GatewayState {
    /// Where a listener listens.
    fn addresses_of(&self, listener: &Listener) -> impl Iterator<Item = GatewayAddr> + '_ {
        let port = listener.port;
        self.addresses.iter().map(move |ip| GatewayAddr::tcp(*ip, port))
    }

    /// `Accepted` and `Programmed` of the whole.
    fn conditions(&self) -> Vec<Condition> {
        let served = self.listeners.iter().filter(|l| l.refused.is_none()).count();
        let accepted = match self.refused {
            Some(reason) => Condition::new("Accepted", false, reason),
            None if served == self.listeners.len() => Condition::new("Accepted", true, Reason::Accepted),
            None => Condition::new("Accepted", served > 0, Reason::ListenersNotValid),
        };
        let reason = if served > 0 { Reason::Programmed } else { Reason::Invalid };
        vec![accepted, Condition::new("Programmed", served > 0, reason)]
    }
}

impl Listener {
    fn conditions(&self) -> Vec<Condition> {
        let conflict =
            self.refused.filter(|r| matches!(r, Reason::HostnameConflict | Reason::ProtocolConflict));
        let of = |kind, bad: Option<Reason>, good, when_bad| {
            let reason = bad.unwrap_or(good);
            Condition::new(kind, bad.is_some() == when_bad, reason)
        };
        let kinds = self.allowed.unknown_kinds.then_some(Reason::InvalidRouteKinds);
        vec![
            of("Accepted", self.refused, Reason::Accepted, false),
            of("Programmed", self.refused, Reason::Programmed, false),
            of("ResolvedRefs", kinds, Reason::ResolvedRefs, false),
            of("Conflicted", conflict, Reason::NoConflicts, true),
        ]
    }
}

/// How specific a hostname is: exact, then the longest wildcard, then none.
fn specificity(hostname: Option<&str>) -> (u8, usize) {
    match hostname {
        None => (0, 0),
        Some(name) if name.starts_with('*') => (1, name.len()),
        Some(_) => (2, 0),
    }
}

fn gateway(entry: &Entry<Gateway>) -> GatewayState {
    let mut state = GatewayState {
        key: entry.key.clone(),
        listeners: Vec::new(),
        addresses: Vec::new(),
        refused: None,
        created: created(&entry.object.metadata),
        problems: Vec::new(),
    };
    addresses(&entry.object, &mut state);
    for (index, object) in entry.object.spec.listeners.iter().enumerate() {
        let mut listener = listener(&entry.key, index, object, &mut state.problems);
        listener.refused = listener.refused.or(state.refused);
        state.listeners.push(listener);
    }
    conflicts::within(&mut state.listeners, &mut state.problems);
    state
}

/// `spec.addresses`: IP addresses, or none for every address of the node. An address without a
/// value leaves the choice to us, which is the same.
fn addresses(gateway: &Gateway, state: &mut GatewayState) {
    let mut found = BTreeSet::new();
    for (index, address) in gateway.spec.addresses.iter().flatten().enumerate() {
        let value = address.value.as_deref().unwrap_or_default();
        let kind = address.r#type.as_deref().unwrap_or("IPAddress");
        if kind != "IPAddress" {
            let message = format!("{kind:?} is not supported: use IPAddress");
            report::error(&mut state.problems, format!("spec.addresses[{index}].type"), message);
            state.refused = Some(Reason::UnsupportedAddress);
        } else if value.is_empty() {
            found.insert(None);
        } else if let Ok(ip) = value.parse::<IpAddr>() {
            found.insert(Some(ip));
        } else {
            let message = format!("{value:?} is not an IP address");
            report::error(&mut state.problems, format!("spec.addresses[{index}].value"), message);
            state.refused = Some(Reason::UnsupportedAddress);
        }
    }
    if found.is_empty() || found.contains(&None) {
        state.addresses = vec![None];
    } else {
        state.addresses = found.into_iter().collect();
    }
}

fn listener(
    gateway: &ObjectKey,
    index: usize,
    object: &GatewayListeners,
    problems: &mut Problems,
) -> Listener {
    let mut listener = Listener {
        key: ListenerKey { gateway: gateway.clone(), name: (&*object.name).into() },
        port: u16::try_from(object.port).unwrap_or_default(),
        protocol: (&*object.protocol).into(),
        hostname: object.hostname.as_deref().filter(|h| !h.is_empty()).map(|h| h.to_ascii_lowercase().into()),
        allowed: allowed::AllowedRoutes::read(index, object, problems),
        refused: None,
        index,
    };
    let field = |name: &str| format!("spec.listeners[{index}].{name}");
    if listener.port == 0 {
        report::error(problems, field("port"), format!("{} is not a port", object.port));
        listener.refused = Some(Reason::PortUnavailable);
    }
    match &*object.protocol {
        "HTTP" => {}
        "HTTPS" | "TLS" | "TCP" | "UDP" => {
            let message = format!("{} is not supported yet: the listener serves nothing", object.protocol);
            report::error(problems, field("protocol"), message);
            listener.refused = Some(Reason::UnsupportedProtocol);
        }
        other => {
            report::error(problems, field("protocol"), format!("{other:?} is not a protocol we know"));
            listener.refused = Some(Reason::UnsupportedProtocol);
        }
    }
    listener
}
