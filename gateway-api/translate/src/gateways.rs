//! Gateways and their ListenerSets: what they listen on, and whom each listener lets in.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use gateway_api::gateways::Gateway;
use model::service::GatewayAddr;
use model::tls::KeyPair;
use objects::{Entry, Kind, ObjectKey, Problem, Store};

use crate::credentials::Credentials;
use crate::report::{self, Problems, created};
use crate::status::{Condition, Part, Reason, Status};

pub(crate) mod allowed;
mod conflicts;
mod listener;
mod sets;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use listener::{Listener, ListenerKey, Protocol};
use sets::SetState;
pub(crate) use sets::parent as parent_of_set;

/// The kinds that Gateways are read from.
const READ: [Kind; 7] = [
    Kind::Gateway,
    Kind::GatewayClass,
    Kind::ListenerSet,
    Kind::Namespace,
    Kind::Secret,
    Kind::ConfigMap,
    Kind::ReferenceGrant,
];
/// `spec.controllerName` of the GatewayClasses whose Gateways are ours.
pub const CONTROLLER: &str = "weir.dev/gateway";

/// A Gateway of ours.
#[derive(Debug)]
pub(crate) struct GatewayState {
    /// The Gateway.
    pub(crate) key: ObjectKey,
    /// Its own listeners, served or not.
    pub(crate) listeners: Vec<Listener>,
    /// Its ListenerSets, the oldest first.
    sets: Vec<SetState>,
    /// The addresses it asks for; `None` alone for every address of the node.
    addresses: Vec<Option<IpAddr>>,
    /// `spec.tls`.
    tls: tls::GatewayWide,
    /// Why the whole Gateway serves nothing, if so.
    pub(crate) refused: Option<Reason>,
    created: i64,
    problems: Problems,
}

/// All Gateways.
#[derive(Debug, Default)]
pub(crate) struct Gateways {
    ours: HashMap<ObjectKey, GatewayState>,
    /// Where the ListenerSets of ours are: the Gateway and the place among its sets.
    sets: HashMap<ObjectKey, (ObjectKey, usize)>,
    ignored: Vec<(ObjectKey, Problems)>,
    revisions: Option<[u64; 7]>,
}

impl Gateways {
    /// Takes in what changed.
    pub(crate) fn update(&mut self, store: &Store, credentials: &mut Credentials) {
        let revisions = READ.map(|kind| store.revision(kind));
        if self.revisions.replace(revisions) == Some(revisions) {
            return;
        }
        credentials.begin();
        let mut ours: Vec<GatewayState> = Vec::new();
        self.ignored.clear();
        for entry in store.gateways().iter() {
            let name = &entry.object.spec.gateway_class_name;
            match store.gateway_classes().get("", name) {
                Some(class) if class.object.spec.controller_name == CONTROLLER => {
                    ours.push(gateway(entry, self.ours.get(&entry.key), store, credentials));
                }
                // In a cluster others have theirs; of files that Weir is given nobody else takes any.
                Some(class) if entry.source.is_some() => {
                    let controller = &class.object.spec.controller_name;
                    self.ignore(entry, format!(
                        "GatewayClass {name} has controllerName {controller}, not {CONTROLLER}: Weir does not serve the Gateway"
                    ));
                }
                Some(_) => {}
                None => {
                    self.ignore(entry, format!("there is no GatewayClass {name}: nobody serves the Gateway"));
                }
            }
        }
        self.add_sets(&mut ours, store, credentials);
        credentials.end();
        // The oldest keeps what several claim.
        ours.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
        conflicts::between(&mut ours);
        self.ours = ours.into_iter().map(|state| (state.key.clone(), state)).collect();
        self.sets.clear();
        for state in self.ours.values() {
            let sets = state.sets.iter().enumerate();
            self.sets.extend(sets.map(|(at, set)| (set.key.clone(), (state.key.clone(), at))));
        }
    }

    /// Notes a Gateway that is not ours.
    fn ignore(&mut self, entry: &Entry<Gateway>, why: String) {
        let mut problems = Vec::new();
        report::warning(&mut problems, "spec.gatewayClassName", why);
        self.ignored.push((entry.key.clone(), problems));
    }

    /// Has the next update read everything again.
    pub(crate) fn reread(&mut self) {
        self.revisions = None;
    }

    /// Adds each ListenerSet to its Gateway. What names none is reported; what names another's is
    /// another's.
    fn add_sets(&mut self, ours: &mut [GatewayState], store: &Store, credentials: &mut Credentials) {
        let places: HashMap<ObjectKey, usize> =
            ours.iter().enumerate().map(|(at, state)| (state.key.clone(), at)).collect();
        for entry in store.listener_sets().iter() {
            let found = sets::parent(entry).and_then(|key| {
                let gateway = store.gateways().get(&key.namespace, &key.name);
                gateway.ok_or_else(|| format!("there is no {key}"))
            });
            match found {
                Ok(gateway) => {
                    let Some(at) = places.get(&gateway.key) else { continue };
                    let old = self.set(&entry.key);
                    ours[*at].add(&gateway.object, entry, old, store, credentials);
                }
                Err(message) => {
                    let mut problems = Vec::new();
                    report::error(&mut problems, "spec.parentRef", message);
                    self.ignored.push((entry.key.clone(), problems));
                }
            }
        }
        for GatewayState { listeners, sets, .. } in ours {
            sets.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
            conflicts::with_sets(listeners, sets);
        }
    }

    /// A Gateway of ours.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&GatewayState> {
        self.ours.get(key)
    }

    /// A ListenerSet of a Gateway of ours.
    pub(crate) fn set(&self, key: &ObjectKey) -> Option<&SetState> {
        let (gateway, at) = self.sets.get(key)?;
        self.ours.get(gateway)?.sets.get(*at)
    }

    /// The listeners in force by address, most specific hostname first, with their Gateways.
    pub(crate) fn by_address(&self) -> HashMap<GatewayAddr, Vec<(&GatewayState, &Listener)>> {
        let mut by_address: HashMap<GatewayAddr, Vec<(&GatewayState, &Listener)>> = HashMap::new();
        for (state, listener) in self.ours.values().flat_map(|s| s.all().map(move |l| (s, l))) {
            if listener.refused.is_none() {
                for ip in listener.addresses(&state.addresses) {
                    by_address.entry(ip).or_default().push((state, listener));
                }
            }
        }
        for listeners in by_address.values_mut() {
            // Exact names, then wildcards from the longest, then none; the name settles ties.
            listeners.sort_by_key(|(_, l)| (std::cmp::Reverse(specificity(l.hostname.as_deref())), &l.key));
        }
        by_address
    }

    /// What is wrong with Gateways.
    pub(crate) fn problems<'s>(&'s self, store: &'s Store) -> impl Iterator<Item = Problem> + 's {
        let ours = self.ours.values().flat_map(|state| {
            let sets = state.sets.iter().map(|set| (&set.key, &set.problems));
            sets.chain([(&state.key, &state.problems)])
        });
        let ignored = self.ignored.iter().map(|(key, problems)| (key, problems));
        ours.chain(ignored).flat_map(move |(key, problems)| report::placed(problems, key, store))
    }

    /// The status of each Gateway, ListenerSet and listener. `attached` counts the routes of a
    /// listener.
    pub(crate) fn statuses(&self, attached: impl Fn(&Arc<ListenerKey>) -> usize) -> Vec<Status> {
        let whole = |object: &ObjectKey, conditions, sets| Status {
            object: object.clone(),
            part: Part::Whole,
            conditions,
            attached_routes: None,
            supported_kinds: Vec::new(),
            attached_listener_sets: sets,
        };
        let mut statuses = Vec::new();
        for state in self.ours.values() {
            let sets = state.sets.iter().filter(|set| set.is_accepted()).count();
            statuses.push(whole(&state.key, state.conditions(), Some(sets)));
            statuses.extend(state.sets.iter().map(|set| whole(&set.key, set.conditions(), None)));
            statuses.extend(state.all().map(|listener| Status {
                object: listener.key.owner().clone(),
                part: Part::Listener(listener.key.name.clone()),
                conditions: listener.conditions(),
                attached_routes: Some(attached(&listener.key)),
                supported_kinds: listener.allowed.kinds.clone(),
                attached_listener_sets: None,
            }));
        }
        statuses
    }
}

impl GatewayState {
    /// `spec.tls.backend.clientCertificateRef`, where it leads to a certificate.
    pub(crate) fn backend_certificate(&self) -> Option<&Arc<KeyPair>> {
        self.tls.backend.as_ref()?.as_ref().ok()
    }

    /// Its own listeners and those of its sets.
    fn all(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().chain(self.sets.iter().flat_map(|set| &set.listeners))
    }

    /// The conditions of the whole.
    fn conditions(&self) -> Vec<Condition> {
        let accepted = self.listeners.iter().filter(|l| l.unaccepted().is_none()).count();
        let serves = self.listeners.iter().any(|l| l.unprogrammed().is_none());
        let accepted = match self.refused {
            Some(reason) => Condition::new("Accepted", false, reason),
            None if accepted == self.listeners.len() => Condition::new("Accepted", true, Reason::Accepted),
            None => Condition::new("Accepted", accepted > 0, Reason::ListenersNotValid),
        };
        let reason = if serves { Reason::Programmed } else { Reason::Invalid };
        let mut conditions = vec![accepted, Condition::new("Programmed", serves, reason)];
        // The API leaves both out where there is nothing to say.
        conditions.extend(self.tls.backend.as_ref().map(|backend| match backend {
            Ok(_) => Condition::new("ResolvedRefs", true, Reason::ResolvedRefs),
            Err(reason) => Condition::new("ResolvedRefs", false, *reason),
        }));
        if self.tls.is_insecure() {
            let kind = "InsecureFrontendValidationMode";
            conditions.push(Condition::new(kind, true, Reason::ConfigurationChanged));
        }
        conditions
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

fn gateway(
    entry: &Entry<Gateway>,
    old: Option<&GatewayState>,
    store: &Store,
    credentials: &mut Credentials,
) -> GatewayState {
    let spec = &entry.object.spec;
    let mut state = GatewayState {
        key: entry.key.clone(),
        listeners: Vec::new(),
        sets: Vec::new(),
        addresses: Vec::new(),
        tls: tls::GatewayWide::default(),
        refused: None,
        created: created(&entry.object.metadata),
        problems: Vec::new(),
    };
    addresses(&entry.object, &mut state);
    allowed::check_sets(&entry.object, &mut state.problems);
    for (index, object) in spec.listeners.iter().enumerate() {
        let key = ListenerKey { gateway: entry.key.clone(), set: None, name: (&*object.name).into() };
        let mut listener = Listener::read(key, index, object, &mut state.problems);
        listener.refused = listener.refused.or(state.refused);
        state.listeners.push(listener);
    }
    conflicts::within(&mut state.listeners, &mut state.problems);
    let problems = &mut state.problems;
    let mut reader = tls::Reader { object: &entry.key, store, credentials, problems };
    state.tls = reader.gateway(spec.tls.as_ref());
    for (object, listener) in spec.listeners.iter().zip(&mut state.listeners) {
        let before = old.and_then(|old| old.listeners.iter().find(|known| known.key == listener.key));
        listener.resolve(object, &state.tls, before, &mut reader);
    }
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
