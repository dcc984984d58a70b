//! Routes of every kind: read once each, attached to the tables of their parents, and touched again only
//! when they or what they name changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use objects::route::Route;
use objects::{Entry, Kind, ObjectKey, Problem, Store};

use crate::gateways::Gateways;
use crate::report::{self, Problems, created};
use crate::seen::Seen;
use crate::services::Services;
use crate::status::{Condition, Part, Reason, Status};
use crate::tables::{Attachment, Entries, TableKey, Tables};

mod compile;
mod conflicts;
mod filters;
mod grpc;
mod http;
mod parents;
mod references;
mod stream;
#[cfg(test)]
mod tests;

use compile::{Compiled, Compiler};
pub(crate) use conflicts::Conflicts;
use conflicts::{Claimed, Lost, Moved};
use parents::Outcome;

/// The kinds that decide, with the route and Services, what becomes of it. They are few, or change seldom.
const NAMED: [Kind; 5] =
    [Kind::Gateway, Kind::GatewayClass, Kind::ListenerSet, Kind::ReferenceGrant, Kind::Namespace];

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
    /// Services with the routes that name them, there or not.
    naming: BTreeSet<(ObjectKey, ObjectKey)>,
    moved: Vec<Moved>,
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
    /// In which of those tables it does not count.
    lost: Vec<Lost>,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self {
            objects: Seen::default(),
            states: HashMap::new(),
            problems: BTreeMap::new(),
            naming: BTreeSet::new(),
            moved: Vec::new(),
            revision: None,
            surroundings: None,
        }
    }
}

impl<T: RouteKind> Routes<T> {
    /// Takes in what changed and brings the tables up to date.
    pub(crate) fn update(&mut self, context: Context<'_>, tables: &mut Tables) {
        let store = context.store;
        let surroundings = Some(NAMED.map(|kind| store.revision(kind)));
        let moved = std::mem::replace(&mut self.surroundings, surroundings) != surroundings;
        let revision = Some(store.revision(T::KIND));
        let changed = std::mem::replace(&mut self.revision, revision) != revision;
        let services = context.services.changed();
        if !moved && !changed && services.is_empty() {
            return;
        }
        let diff = self.objects.diff(T::table(store));
        for (key, _) in diff.stale.iter().filter(|(key, _)| !store.contains(key)) {
            let old = self.states.remove(key);
            retable(tables, old.as_ref(), None);
            self.name(key, old.as_ref(), None);
            self.note_moved(key, old, None);
            self.problems.remove(key);
        }
        if moved {
            return T::table(store).iter().for_each(|entry| self.route(entry, context, tables));
        }
        let mut due: BTreeMap<&ObjectKey, &Entry<T>> =
            diff.fresh.into_iter().map(|entry| (&entry.key, entry)).collect();
        for route in services.iter().flat_map(|service| self.naming(service)) {
            due.extend(T::table(store).get(&route.namespace, &route.name).map(|entry| (&entry.key, entry)));
        }
        due.into_values().for_each(|entry| self.route(entry, context, tables));
    }

    fn route(&mut self, entry: &Entry<T>, context: Context<'_>, tables: &mut Tables) {
        let old = self.states.remove(&entry.key);
        let new = RouteState::next(old.as_ref(), entry, context);
        retable(tables, old.as_ref(), Some(&new));
        self.name(&entry.key, old.as_ref(), Some(&new));
        note(&mut self.problems, &entry.key, &new);
        self.note_moved(&entry.key, old, Some(&new));
        self.states.insert(entry.key.clone(), new);
    }

    /// Keeps a route's claims of before unless they are the same.
    fn note_moved(&mut self, key: &ObjectKey, old: Option<RouteState<T>>, new: Option<&RouteState<T>>) {
        // No other kind conflicts with another.
        if !matches!(T::KIND, Kind::HttpRoute | Kind::GrpcRoute) {
            return;
        }
        let is_same = |(old, new): (&RouteState<T>, &RouteState<T>)| {
            Arc::ptr_eq(old.object(), new.object()) && old.attachments == new.attachments
        };
        if !old.as_ref().zip(new).is_some_and(is_same) {
            let before = old.map(|old| old.attachments).unwrap_or_default();
            self.moved.push(Moved { route: key.clone(), before });
        }
    }

    /// Keeps which Services a route names.
    fn name(&mut self, key: &ObjectKey, old: Option<&RouteState<T>>, new: Option<&RouteState<T>>) {
        let is_same = |(old, new): (&RouteState<T>, &RouteState<T>)| Arc::ptr_eq(old.object(), new.object());
        if old.zip(new).is_some_and(is_same) {
            return;
        }
        for service in old.into_iter().flat_map(|old| old.services(key)) {
            self.naming.remove(&(service, key.clone()));
        }
        self.naming.extend(new.into_iter().flat_map(|new| new.services(key)).map(|s| (s, key.clone())));
    }

    /// The routes that name a Service.
    fn naming(&self, service: &ObjectKey) -> impl Iterator<Item = &ObjectKey> {
        let first = (service.clone(), ObjectKey::new(T::KIND, "", ""));
        self.naming.range(first..).take_while(move |(of, _)| of == service).map(|(_, route)| route)
    }

    /// The routes that are attached to a table.
    fn claims(&self, table: &TableKey) -> impl Iterator<Item = (&ObjectKey, Claimed)> {
        self.states.iter().filter_map(move |(route, state)| {
            let claim =
                |(at, claimed): (&Attachment, Claimed)| (at.table == *table).then_some((route, claimed));
            state.claims().find_map(claim)
        })
    }

    /// The tables that a route is attached to.
    fn claims_of(&self, route: &ObjectKey) -> Vec<(TableKey, Claimed)> {
        let claims = self.states.get(route).into_iter().flat_map(RouteState::claims);
        claims.map(|(at, claimed)| (at.table.clone(), claimed)).collect()
    }

    /// The routes whose claims may have changed since this was asked last.
    fn take_moved(&mut self) -> Vec<Moved> {
        std::mem::take(&mut self.moved)
    }

    /// Takes a route out of a table where it loses to another, or back in where it no longer does.
    fn lose(&mut self, table: &TableKey, route: &ObjectKey, to: Option<&ObjectKey>, tables: &mut Tables) {
        let Some(state) = self.states.get_mut(route) else { return };
        let old = state.lost.iter().any(|lost| lost.table == *table);
        let new = to.map(|to| Lost { table: table.clone(), to: to.clone() });
        if !old && new.is_none() {
            return;
        }
        let place = state.attachments.iter().find(|at| at.table == *table);
        let Some((place, entries)) = place.zip(state.entries()) else { return };
        match (old, new.is_some()) {
            (false, true) => tables.detach(place, entries),
            (true, false) => tables.attach(place, entries),
            _ => {}
        }
        state.lost.retain(|lost| lost.table != *table);
        state.lost.extend(new);
        note(&mut self.problems, route, state);
    }

    /// What is wrong with routes.
    pub(crate) fn problems<'s>(&'s self, store: &'s Store) -> impl Iterator<Item = Problem> + 's {
        self.problems.iter().flat_map(move |(key, problems)| report::placed(problems, key, store))
    }

    /// Gateways with the Services that their routes lead to.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (ObjectKey, ObjectKey)> + '_ {
        self.states.values().flat_map(|state| {
            let gateways = state.places().filter_map(|at| match &at.table {
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
                Some(Status {
                    object,
                    part,
                    conditions,
                    attached_routes: None,
                    supported_kinds: Vec::new(),
                    attached_listener_sets: None,
                })
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
        attachments.shrink_to_fit();
        // Until the conflicts are settled again, which they are if the table changes.
        let is_same = |old: &&Self| match (&old.good, &good) {
            (Some(old), Some(new)) => Arc::ptr_eq(&old.object, &new.object),
            _ => false,
        };
        let lost = old.filter(is_same).map_or_else(Vec::new, |old| {
            let is_kept = |at: &Attachment| old.attachments.contains(at) && attachments.contains(at);
            let kept = |lost: &&Lost| old.attachments.iter().any(|at| at.table == lost.table && is_kept(at));
            old.lost.iter().filter(kept).cloned().collect()
        });
        Self { seen: entry.object.clone(), refused, good, parents, attachments, lost }
    }

    /// What is in force, or would be if it were not refused.
    fn object(&self) -> &Arc<T> {
        self.good.as_ref().map_or(&self.seen, |good| &good.object)
    }

    /// The Services that it names as backends or parents.
    fn services(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let parents = parents::services(key, &**self.object());
        self.good.iter().flat_map(Compiled::named).chain(parents).collect()
    }

    /// Where it is attached, in force or not.
    fn claims(&self) -> impl Iterator<Item = (&Attachment, Claimed)> {
        let created = self.good.as_ref().map(|good| created(good.object.metadata()));
        let attachments =
            created.into_iter().flat_map(|created| self.attachments.iter().map(move |at| (at, created)));
        attachments.map(|(at, created)| (at, Claimed { created, hostnames: at.hostnames.clone() }))
    }

    /// Where it counts.
    fn places(&self) -> impl Iterator<Item = &Attachment> {
        self.attachments.iter().filter(|at| self.lost_at(at).is_none())
    }

    fn lost_at(&self, at: &Attachment) -> Option<&Lost> {
        self.lost.iter().find(|lost| lost.table == at.table)
    }

    fn entries(&self) -> Option<&Entries> {
        self.good.as_ref().map(|good| &good.entries)
    }

    fn problems(&self) -> Problems {
        let parents = self.parents.iter().enumerate().filter_map(|(at, parent)| parent.problem(at));
        let mut problems = self.refused.clone();
        problems.extend(parents);
        for (at, parent) in self.parents.iter().enumerate() {
            for lost in parent.attachments().iter().filter_map(|place| self.lost_at(place)) {
                report::error(&mut problems, format!("spec.parentRefs[{at}]"), lost.message());
            }
        }
        for (reference, unresolved) in self.good.iter().flat_map(Compiled::unresolved) {
            let lost = match T::KIND {
                _ if reference.field.contains(".requestMirror") => "nothing is mirrored to it",
                Kind::UdpRoute => "its share of the datagrams is dropped",
                Kind::TcpRoute | Kind::TlsRoute => "its share of the connections is closed",
                _ => "its share is answered with 500",
            };
            let message = format!("{} ({}): {lost}", unresolved.message, unresolved.reason);
            report::error(&mut problems, reference.field.clone(), message);
        }
        problems
    }

    /// `Accepted` and `ResolvedRefs` towards one parent; `None` for another controller's parent.
    fn conditions(&self, outcome: &Outcome) -> Option<Vec<Condition>> {
        let accepted = match outcome {
            Outcome::Foreign => return None,
            _ if !self.refused.is_empty() => Condition::new("Accepted", false, Reason::UnsupportedValue),
            Outcome::Attached(places) => {
                let lost: Vec<&Lost> = places.iter().filter_map(|at| self.lost_at(at)).collect();
                match lost.first().filter(|_| lost.len() == places.len()) {
                    Some(lost) => Condition::new("Accepted", false, lost.reason()),
                    None => Condition::new("Accepted", true, Reason::Accepted),
                }
            }
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

/// Keeps what is wrong with a route.
fn note<T: RouteKind>(all: &mut BTreeMap<ObjectKey, Problems>, key: &ObjectKey, state: &RouteState<T>) {
    let problems = state.problems();
    if problems.is_empty() {
        all.remove(key);
    } else {
        all.insert(key.clone(), problems);
    }
}

/// Moves a route from its old places to its new ones; where nothing changed nothing is touched.
fn retable<T: RouteKind>(tables: &mut Tables, old: Option<&RouteState<T>>, new: Option<&RouteState<T>>) {
    let old_places: Vec<&Attachment> = old.into_iter().flat_map(RouteState::places).collect();
    let new_places: Vec<&Attachment> = new.into_iter().flat_map(RouteState::places).collect();
    let (old, new) = (old.and_then(RouteState::entries), new.and_then(RouteState::entries));
    let same = old.zip(new).is_some_and(|(old, new)| old.is_same(new));
    for place in old_places.iter().filter(|place| !same || !new_places.contains(place)) {
        old.into_iter().for_each(|entries| tables.detach(place, entries));
    }
    for place in new_places.iter().filter(|place| !same || !old_places.contains(place)) {
        new.into_iter().for_each(|entries| tables.attach(place, entries));
    }
}
