//! Routes of every kind: read once each, attached to the tables of their parents, and touched again only
//! when they or what they name changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use objects::route::Route;
use objects::{Entry, Kind, ObjectKey, Problem, Store};

use crate::gateways::Gateways;
use crate::report::{self, Problems};
use crate::seen::Seen;
use crate::services::Services;
use crate::status::{Condition, Part, Reason, Status};
use crate::tables::{Attachment, Entries, TableKey, Tables};

mod compile;
mod filters;
mod grpc;
mod http;
mod parents;
mod references;
mod stream;
#[cfg(test)]
mod tests;

use compile::{Compiled, Compiler};
use parents::Outcome;

/// A kind of route: all that differs between kinds.
pub(crate) trait RouteKind: Route {
    /// Whether a Service can be its parent.
    const BINDS_TO_SERVICES: bool;

    /// What the route puts into tables. Faults go to the compiler and refuse the route.
    fn compile(&self, compiler: &mut Compiler<'_>) -> Entries;
}

/// What routes are read against.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) store: &'a Store,
    pub(crate) services: &'a Services,
    pub(crate) gateways: &'a Gateways,
}

/// All routes of one kind.
#[derive(Debug)]
pub(crate) struct Routes<T> {
    objects: Seen<T>,
    states: HashMap<ObjectKey, RouteState<T>>,
    problems: BTreeMap<ObjectKey, Problems>,
    revision: Option<u64>,
    surroundings: Option<[u64; 5]>,
}

/// One route.
#[derive(Debug)]
struct RouteState<T> {
    /// The object as it was read last.
    seen: Arc<T>,
    /// Why it was refused, if it was.
    refused: Problems,
    /// What is in force: the object, or its last good version if it was refused.
    good: Option<Compiled<T>>,
    /// What each of its parents said.
    parents: Vec<Outcome>,
    /// Where it is attached.
    attachments: Vec<Attachment>,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self {
            objects: Seen::default(),
            states: HashMap::new(),
            problems: BTreeMap::new(),
            revision: None,
            surroundings: None,
        }
    }
}

impl<T: RouteKind> Routes<T> {
    /// Takes in what changed and brings the tables up to date.
    pub(crate) fn update(&mut self, context: Context<'_>, tables: &mut Tables) {
        let store = context.store;
        let named = [Kind::Service, Kind::Gateway, Kind::GatewayClass, Kind::ReferenceGrant, Kind::Namespace];
        let surroundings = Some(named.map(|kind| store.revision(kind)));
        let moved = std::mem::replace(&mut self.surroundings, surroundings) != surroundings;
        let revision = Some(store.revision(T::KIND));
        let changed = std::mem::replace(&mut self.revision, revision) != revision;
        if !moved && !changed {
            return;
        }
        let diff = self.objects.diff(T::table(store));
        for (key, _) in diff.stale.iter().filter(|(key, _)| !store.contains(key)) {
            let old = self.states.remove(key);
            retable(tables, old.as_ref(), None);
            self.problems.remove(key);
        }
        if moved {
            T::table(store).iter().for_each(|entry| self.route(entry, context, tables));
        } else {
            diff.fresh.into_iter().for_each(|entry| self.route(entry, context, tables));
        }
    }

    fn route(&mut self, entry: &Entry<T>, context: Context<'_>, tables: &mut Tables) {
        let old = self.states.remove(&entry.key);
        let new = RouteState::next(old.as_ref(), entry, context);
        retable(tables, old.as_ref(), Some(&new));
        let problems = new.problems();
        if problems.is_empty() {
            self.problems.remove(&entry.key);
        } else {
            self.problems.insert(entry.key.clone(), problems);
        }
        self.states.insert(entry.key.clone(), new);
    }

    /// What is wrong with routes.
    pub(crate) fn problems<'s>(&'s self, store: &'s Store) -> impl Iterator<Item = Problem> + 's {
        self.problems.iter().flat_map(move |(key, problems)| report::placed(problems, key, store))
    }

    /// Gateways with the Services that their routes lead to.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (ObjectKey, ObjectKey)> + '_ {
        self.states.values().flat_map(|state| {
            let gateways = state.attachments.iter().filter_map(|at| match &at.table {
                TableKey::Listener(listener) => Some(listener.gateway.clone()),
                TableKey::Service(_) => None,
            });
            gateways.flat_map(|gateway| {
                let services = state.good.iter().flat_map(Compiled::services);
                services.map(move |service| (gateway.clone(), service))
            })
        })
    }

    /// The status of each route towards each of its parents that is ours.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = Status> + '_ {
        self.states.iter().flat_map(|(key, state)| {
            let parents = state.parents.iter().enumerate();
            parents.filter_map(|(at, outcome)| {
                let conditions = state.conditions(outcome)?;
                let object = key.clone();
                let part = Part::Parent(at);
                Some(Status { object, part, conditions, attached_routes: None, supported_kinds: Vec::new() })
            })
        })
    }
}

impl<T: RouteKind> RouteState<T> {
    /// The state of a route from its last one.
    fn next(old: Option<&Self>, entry: &Entry<T>, context: Context<'_>) -> Self {
        let unchanged = old.filter(|old| Arc::ptr_eq(&old.seen, &entry.object));
        let (good, refused) = match unchanged {
            Some(old) => (old.good.clone(), old.refused.clone()),
            None => match Compiled::read(&entry.key, &entry.object, context) {
                Ok(compiled) => (Some(compiled), Vec::new()),
                Err(problems) => (old.and_then(|old| old.good.clone()), problems),
            },
        };
        // What was read earlier may name something else by now.
        let good = good.map(|good| match good.is_current(&entry.key, context) {
            true => good,
            false => Compiled::read(&entry.key, &good.object, context).unwrap_or(good),
        });
        let object = good.as_ref().map_or(&entry.object, |good| &good.object);
        let parents = parents::outcomes(&entry.key, &**object, context);
        let mut attachments: Vec<Attachment> = Vec::new();
        for attachment in parents.iter().flat_map(Outcome::attachments).filter(|_| good.is_some()) {
            // Two parentRefs can lead to one listener.
            if attachments.iter().all(|known| known.table != attachment.table) {
                attachments.push(attachment.clone());
            }
        }
        Self { seen: entry.object.clone(), refused, good, parents, attachments }
    }

    fn entries(&self) -> Option<&Entries> {
        self.good.as_ref().map(|good| &good.entries)
    }

    fn problems(&self) -> Problems {
        let parents = self.parents.iter().enumerate().filter_map(|(at, parent)| parent.problem(at));
        let mut problems = self.refused.clone();
        problems.extend(parents);
        for (reference, unresolved) in self.good.iter().flat_map(Compiled::unresolved) {
            let message =
                format!("{} ({}): its share is answered with 500", unresolved.message, unresolved.reason);
            report::error(&mut problems, reference.field.clone(), message);
        }
        problems
    }

    /// `Accepted` and `ResolvedRefs` towards one parent; `None` for another controller's parent.
    fn conditions(&self, outcome: &Outcome) -> Option<Vec<Condition>> {
        let accepted = match outcome {
            Outcome::Foreign => return None,
            _ if !self.refused.is_empty() => Condition::new("Accepted", false, Reason::UnsupportedValue),
            Outcome::Attached(_) => Condition::new("Accepted", true, Reason::Accepted),
            Outcome::Refused { reason, .. } => Condition::new("Accepted", false, *reason),
        };
        let unresolved = self.good.iter().flat_map(Compiled::unresolved).next();
        let resolved = match unresolved {
            None => Condition::new("ResolvedRefs", true, Reason::ResolvedRefs),
            Some((_, unresolved)) => Condition::new("ResolvedRefs", false, unresolved.reason),
        };
        Some(vec![accepted, resolved])
    }
}

/// Moves a route from its old places to its new ones; where nothing changed nothing is touched.
fn retable<T: RouteKind>(tables: &mut Tables, old: Option<&RouteState<T>>, new: Option<&RouteState<T>>) {
    let old_places = old.map_or(&[][..], |state| &state.attachments);
    let new_places = new.map_or(&[][..], |state| &state.attachments);
    let (old, new) = (old.and_then(RouteState::entries), new.and_then(RouteState::entries));
    let same = old.zip(new).is_some_and(|(old, new)| old.is_same(new));
    for place in old_places.iter().filter(|place| !same || !new_places.contains(place)) {
        old.into_iter().for_each(|entries| tables.detach(place, entries));
    }
    for place in new_places.iter().filter(|place| !same || !old_places.contains(place)) {
        new.into_iter().for_each(|entries| tables.attach(place, entries));
    }
}
