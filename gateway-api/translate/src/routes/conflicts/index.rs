//! The claims to one table by hostname: which of one kind share a host with one of the other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use objects::{Kind, ObjectKey};

#[cfg(test)]
mod tests;

/// The claims of both kinds.
#[derive(Debug, Default)]
pub(super) struct Index {
    http: Side,
    grpc: Side,
}

/// The claims of one kind.
#[derive(Debug, Default)]
struct Side {
    claims: HashMap<ObjectKey, Claimed>,
    /// Those without hostnames.
    any: BTreeSet<ObjectKey>,
    /// Hostnames read from their end, so that all below a suffix are together. `*.example.com` is
    /// there without its asterisk: alone it ends with a dot.
    names: BTreeMap<Box<str>, BTreeSet<ObjectKey>>,
}

/// A route's claim; see [`Claim`](super::Claim).
#[derive(Clone, Debug)]
pub(in crate::routes) struct Claimed {
    pub(in crate::routes) created: i64,
    pub(in crate::routes) hostnames: Vec<Arc<str>>,
}

impl Index {
    /// Adds or replaces the claim of a route.
    pub(super) fn insert(&mut self, route: &ObjectKey, claimed: Claimed) {
        self.remove(route);
        self.side(route.kind).insert(route, claimed);
    }

    /// Takes out the claim of a route.
    pub(super) fn remove(&mut self, route: &ObjectKey) {
        self.side(route.kind).remove(route);
    }

    /// The claim of a route.
    pub(super) fn get(&self, route: &ObjectKey) -> Option<&Claimed> {
        let side = if route.kind == Kind::GrpcRoute { &self.grpc } else { &self.http };
        side.claims.get(route)
    }

    /// Whether no GRPCRoute is there: then nothing can conflict.
    pub(super) fn is_settled(&self) -> bool {
        self.grpc.claims.is_empty()
    }

    /// The routes whose fate these changes can touch: those that share a host with one that did or
    /// does have these hostnames, those that share one with them, and so on.
    pub(super) fn touched(&self, mut changes: Vec<(ObjectKey, Vec<Arc<str>>)>) -> HashSet<ObjectKey> {
        let there = changes.iter().map(|(route, _)| route).filter(|route| self.get(route).is_some());
        let mut touched: HashSet<ObjectKey> = there.cloned().collect();
        while let Some((route, hostnames)) = changes.pop() {
            let other = if route.kind == Kind::GrpcRoute { &self.http } else { &self.grpc };
            for (met, claimed) in other.sharing(&hostnames) {
                if touched.insert(met.clone()) {
                    changes.push((met.clone(), claimed.hostnames.clone()));
                }
            }
        }
        touched
    }

    fn side(&mut self, kind: Kind) -> &mut Side {
        if kind == Kind::GrpcRoute { &mut self.grpc } else { &mut self.http }
    }
}

impl Side {
    fn insert(&mut self, route: &ObjectKey, claimed: Claimed) {
        if claimed.hostnames.is_empty() {
            self.any.insert(route.clone());
        }
        for hostname in &claimed.hostnames {
            self.names.entry(reversed(hostname)).or_default().insert(route.clone());
        }
        self.claims.insert(route.clone(), claimed);
    }

    fn remove(&mut self, route: &ObjectKey) {
        let Some(claimed) = self.claims.remove(route) else { return };
        self.any.remove(route);
        for hostname in claimed.hostnames {
            let name = reversed(&hostname);
            if let Some(routes) = self.names.get_mut(&name) {
                routes.remove(route);
                if routes.is_empty() {
                    self.names.remove(&name);
                }
            }
        }
    }

    /// The claims to a host that is of one of these hostnames; none stand for any host.
    fn sharing(&self, hostnames: &[Arc<str>]) -> Vec<(&ObjectKey, &Claimed)> {
        if hostnames.is_empty() {
            return self.claims.iter().collect();
        }
        let mut met: BTreeSet<&ObjectKey> = self.any.iter().collect();
        for hostname in hostnames {
            let name = reversed(hostname);
            if name.ends_with('.') {
                let from = self.names.range::<str, _>((Bound::Included(&*name), Bound::Unbounded));
                met.extend(
                    from.take_while(|(other, _)| other.starts_with(&*name)).flat_map(|(_, routes)| routes),
                );
            } else {
                met.extend(self.names.get(&name).into_iter().flatten());
            }
            let above = name.match_indices('.').map(|(at, _)| &name[..=at]);
            met.extend(above.filter_map(|suffix| self.names.get(suffix)).flatten());
        }
        met.into_iter().filter_map(|route| Some((route, self.claims.get(route)?))).collect()
    }
}

/// A hostname from its end; of `*.example.com` what stands behind the asterisk.
fn reversed(hostname: &str) -> Box<str> {
    hostname.strip_prefix('*').unwrap_or(hostname).chars().rev().collect()
}
