//! HTTPRoutes: read once each, attached to the tables of their parents, and touched again only
//! when they or what they name changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gateway_api::httproutes::HttpRoute;
use model::route::RouteMatch;
use objects::{Entry, Kind, ObjectKey, Problem, Store};

use crate::gateways::Gateways;
use crate::report::{self, Problems};
use crate::seen::Seen;
use crate::services::Services;
use crate::status::{Condition, Part, Reason, Status};
use crate::tables::{Attachment, Tables};

mod compile;
mod filters;
mod parents;
mod references;
#[cfg(test)]
mod tests;

use compile::{Compiled, compile};
use parents::Outcome;

/// What routes are read against.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) store: &'a Store,
    pub(crate) services: &'a Services,
    pub(crate) gateways: &'a Gateways,
}

/// All HTTPRoutes.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    objects: Seen<HttpRoute>,
    states: HashMap<ObjectKey, RouteState>,
    problems: BTreeMap<ObjectKey, Problems>,
    revision: Option<u64>,
    surroundings: Option<[u64; 5]>,
}

/// One HTTPRoute.
#[derive(Debug)]
struct RouteState {
    /// The object as it was read last.
    seen: Arc<HttpRoute>,
    /// Why it was refused, if it was.
    refused: Problems,
    /// What is in force: the object, or its last good version if it was refused.
    good: Option<Compiled>,
    /// What each of its parents said.
    parents: Vec<Outcome>,
    /// Where it is attached.
    attachments: Vec<Attachment>,
}

impl Routes {
    /// Takes in what changed and brings the tables up to date.
    pub(crate) fn update(&mut self, context: Context<'_>, tables: &mut Tables) {
        let store = context.store;
        let named = [Kind::Service, Kind::Gateway, Kind::GatewayClass, Kind::ReferenceGrant, Kind::Namespace];
        let surroundings = Some(named.map(|kind| store.revision(kind)));
        let moved = std::mem::replace(&mut self.surroundings, surroundings) != surroundings;
        let revision = Some(store.revision(Kind::HttpRoute));
        let changed = std::mem::replace(&mut self.revision, revision) != revision;
        if !moved && !changed {
            return;
        }
        let diff = self.objects.diff(store.http_routes());
        for (key, _) in diff.stale.iter().filter(|(key, _)| !store.contains(key)) {
            let old = self.states.remove(key);
            retable(tables, old.as_ref(), None);
            self.problems.remove(key);
        }
        if moved {
            store.http_routes().iter().for_each(|entry| self.route(entry, context, tables));
        } else {
            diff.fresh.into_iter().for_each(|entry| self.route(entry, context, tables));
        }
    }

    fn route(&mut self, entry: &Entry<HttpRoute>, context: Context<'_>, tables: &mut Tables) {
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

    /// The status of each route towards each of its parents that is ours.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = Status> + '_ {
        self.states.iter().flat_map(|(key, state)| {
            let parents = state.parents.iter().enumerate();
            parents.filter_map(|(at, outcome)| {
                let conditions = state.conditions(outcome)?;
                let object = key.clone();
                Some(Status { object, part: Part::Parent(at), conditions, attached_routes: None })
            })
        })
    }
}

impl RouteState {
    /// The state of a route from its last one.
    fn next(old: Option<&Self>, entry: &Entry<HttpRoute>, context: Context<'_>) -> Self {
        let unchanged = old.filter(|old| Arc::ptr_eq(&old.seen, &entry.object));
        let (good, refused) = match unchanged {
            Some(old) => (old.good.clone(), old.refused.clone()),
            None => match compile(&entry.key, &entry.object, context) {
                Ok(compiled) => (Some(compiled), Vec::new()),
                Err(problems) => (old.and_then(|old| old.good.clone()), problems),
            },
        };
        // What was read earlier may name something else by now.
        let good = good.map(|good| match good.is_current(context) {
            true => good,
            false => compile(&entry.key, &good.object, context).unwrap_or(good),
        });
        let object = good.as_ref().map_or(&entry.object, |good| &good.object);
        let parents = parents::outcomes(&entry.key, object, context);
        let mut attachments: Vec<Attachment> = Vec::new();
        for attachment in parents.iter().flat_map(Outcome::attachments).filter(|_| good.is_some()) {
            // Two parentRefs can lead to one listener.
            if attachments.iter().all(|known| known.table != attachment.table) {
                attachments.push(attachment.clone());
            }
        }
        Self { seen: entry.object.clone(), refused, good, parents, attachments }
    }

    fn matches(&self) -> &[Arc<RouteMatch>] {
        self.good.as_ref().map_or(&[], |good| &good.matches)
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
fn retable(tables: &mut Tables, old: Option<&RouteState>, new: Option<&RouteState>) {
    let none = (&[][..], &[][..]);
    let (old_places, old_matches) = old.map_or(none, |s| (&s.attachments[..], s.matches()));
    let (new_places, new_matches) = new.map_or(none, |s| (&s.attachments[..], s.matches()));
    let same = old_matches.len() == new_matches.len()
        && old_matches.iter().zip(new_matches).all(|(a, b)| Arc::ptr_eq(a, b));
    for place in old_places.iter().filter(|place| !same || !new_places.contains(place)) {
        tables.detach(place, old_matches);
    }
    for place in new_places.iter().filter(|place| !same || !old_places.contains(place)) {
        tables.attach(place, new_matches);
    }
}
