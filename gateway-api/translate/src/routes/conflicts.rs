//! HTTPRoutes and GRPCRoutes that want the same requests. Both are never merged: on a listener the
//! older of two whose hostnames intersect is accepted, at a port of a Service the GRPCRoute is.

use std::collections::HashMap;
use std::sync::Arc;

use objects::types::{GrpcRoute, HttpRoute};
use objects::{Kind, ObjectKey};

use super::Routes;
use crate::status::Reason;
use crate::tables::{Attachment, TableKey, Tables};

mod index;
#[cfg(test)]
mod tests;

pub(super) use index::Claimed;
use index::Index;

/// The claims to the tables that a GRPCRoute claims.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    tables: HashMap<TableKey, Index>,
}

/// A route whose claims may differ from those of before.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) route: ObjectKey,
    /// Its claims of before.
    pub(super) before: Vec<Attachment>,
}

/// The routes of one table whose claims changed, with the hostnames they had and have.
type Changes = Vec<(ObjectKey, Vec<Arc<str>>)>;

/// A table in which a route does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) table: TableKey,
    /// The route that counts there instead.
    pub(super) to: ObjectKey,
}

/// A route that is attached to a table, in force or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) route: &'a ObjectKey,
    /// Seconds since the epoch of its `creationTimestamp`; `i64::MAX` when it has none.
    pub(super) created: i64,
    /// The hostnames that count there; none: any host.
    pub(super) hostnames: &'a [Arc<str>],
}

impl Conflicts {
    /// Takes the routes that lose out of their tables, and puts those back that no longer do. Looks
    /// at the routes that moved and at those whose hosts they touch.
    pub(crate) fn settle(
        &mut self,
        http: &mut Routes<HttpRoute>,
        grpc: &mut Routes<GrpcRoute>,
        tables: &mut Tables,
    ) {
        let moved: Vec<Moved> = http.take_moved().into_iter().chain(grpc.take_moved()).collect();
        let mut changed: HashMap<TableKey, Changes> = HashMap::new();
        for Moved { route, before } in &moved {
            for at in before {
                if let Some(index) = self.tables.get_mut(&at.table) {
                    index.remove(route);
                    changed.entry(at.table.clone()).or_default().push((route.clone(), at.hostnames.clone()));
                }
            }
        }
        let claims = moved.into_iter().map(|Moved { route, .. }| {
            let claims =
                if route.kind == Kind::GrpcRoute { grpc.claims_of(&route) } else { http.claims_of(&route) };
            (route, claims)
        });
        // A table is looked through as a whole when it gets its first GRPCRoute.
        let mut claims: Vec<(ObjectKey, Vec<(TableKey, Claimed)>)> = claims.collect();
        claims.sort_by_key(|(route, _)| route.kind != Kind::GrpcRoute);
        for (route, claims) in claims {
            for (table, claimed) in claims {
                if route.kind == Kind::GrpcRoute && !self.tables.contains_key(&table) {
                    self.tables.insert(table.clone(), index(&table, http, grpc));
                }
                let Some(index) = self.tables.get_mut(&table) else { continue };
                changed.entry(table).or_default().push((route.clone(), claimed.hostnames.clone()));
                index.insert(&route, claimed);
            }
        }
        for (table, changes) in changed {
            let Some(index) = self.tables.get(&table) else { continue };
            let touched = index.touched(changes);
            let claim = |route| Some(Claim::of(route, index.get(route)?));
            let (of_grpc, of_http): (Vec<Claim<'_>>, Vec<_>) =
                touched.iter().filter_map(claim).partition(|claim| claim.route.kind == Kind::GrpcRoute);
            let losers = losers(&table, of_http.into_iter(), of_grpc.into_iter());
            for route in &touched {
                let to = losers.get(route);
                match route.kind {
                    Kind::GrpcRoute => grpc.lose(&table, route, to, tables),
                    _ => http.lose(&table, route, to, tables),
                }
            }
            if index.is_settled() {
                self.tables.remove(&table);
            }
        }
    }
}

/// Every claim to a table.
fn index(table: &TableKey, http: &Routes<HttpRoute>, grpc: &Routes<GrpcRoute>) -> Index {
    let mut index = Index::default();
    http.claims(table).chain(grpc.claims(table)).for_each(|(route, claimed)| index.insert(route, claimed));
    index
}

impl Lost {
    /// The reason of the `Accepted` condition.
    pub(super) fn reason(&self) -> Reason {
        match self.table {
            TableKey::Listener(_) => Reason::HostnameConflict,
            TableKey::Service(_) => Reason::Conflicted,
        }
    }

    /// The same for a person.
    pub(super) fn message(&self) -> String {
        let (to, reason) = (&self.to, self.reason());
        match &self.table {
            TableKey::Listener(listener) => {
                let (name, gateway) = (&listener.name, &listener.gateway);
                format!(
                    "{to} comes first and has hostnames of this route on listener {name} of {gateway}, where \
                     an HTTPRoute and a GRPCRoute cannot share one ({reason})"
                )
            }
            TableKey::Service(_) => {
                format!(
                    "{to} has this port of the Service, and a GRPCRoute goes before HTTPRoutes ({reason})"
                )
            }
        }
    }
}

/// The routes that lose at a table, each with the one it loses to.
fn losers<'a>(
    table: &TableKey,
    http: impl Iterator<Item = Claim<'a>>,
    grpc: impl Iterator<Item = Claim<'a>>,
) -> HashMap<ObjectKey, ObjectKey> {
    let grpc: Vec<Claim<'_>> = grpc.collect();
    if matches!(table, TableKey::Service(_)) {
        let winner = grpc.iter().min_by_key(|claim| claim.age());
        let lose = |winner: &Claim<'_>| -> HashMap<ObjectKey, ObjectKey> {
            http.map(|claim| (claim.route.clone(), winner.route.clone())).collect()
        };
        return winner.map(lose).unwrap_or_default();
    }
    // Most routes share no hostname with one of the other kind.
    let of_grpc = Names::of(&grpc);
    let mut claims: Vec<Claim<'_>> =
        http.filter(|claim| of_grpc.owner_of_any(claim.hostnames).is_some()).collect();
    let of_http = Names::of(&claims);
    claims.extend(grpc.iter().filter(|claim| of_http.owner_of_any(claim.hostnames).is_some()));
    claims.sort_by_key(Claim::age);
    let (mut of_http, mut of_grpc) = (Names::default(), Names::default());
    let mut losers = HashMap::new();
    for claim in claims {
        let (own, other) = match claim.route.kind {
            Kind::GrpcRoute => (&mut of_grpc, &of_http),
            _ => (&mut of_http, &of_grpc),
        };
        match other.owner_of_any(claim.hostnames) {
            Some(owner) => drop(losers.insert(claim.route.clone(), owner.clone())),
            None => own.insert(&claim),
        }
    }
    losers
}

impl<'a> Claim<'a> {
    fn of(route: &'a ObjectKey, claimed: &'a Claimed) -> Self {
        Self { route, created: claimed.created, hostnames: &claimed.hostnames }
    }

    /// What decides between routes: their age, then namespace and name. One name in both kinds is
    /// left to the kinds' own order.
    fn age(&self) -> (i64, &'a str, &'a str, Kind) {
        let ObjectKey { kind, namespace, name } = self.route;
        (self.created, namespace, name, *kind)
    }
}

/// The hostnames of routes, and which route was the first to have each.
#[derive(Default)]
struct Names<'a> {
    first: Option<&'a ObjectKey>,
    /// The route without hostnames.
    any: Option<&'a ObjectKey>,
    exact: HashMap<&'a str, &'a ObjectKey>,
    /// `*.example.com` under `.example.com`.
    wildcard: HashMap<&'a str, &'a ObjectKey>,
    /// Every `.suffix` of a name of either.
    above: HashMap<&'a str, &'a ObjectKey>,
}

impl<'a> Names<'a> {
    fn of(claims: &[Claim<'a>]) -> Self {
        let mut names = Self::default();
        claims.iter().for_each(|claim| names.insert(claim));
        names
    }

    fn insert(&mut self, claim: &Claim<'a>) {
        let route = claim.route;
        self.first.get_or_insert(route);
        if claim.hostnames.is_empty() {
            self.any.get_or_insert(route);
        }
        for hostname in claim.hostnames {
            match hostname.strip_prefix('*') {
                None => self.exact.entry(hostname).or_insert(route),
                Some(suffix) => self.wildcard.entry(suffix).or_insert(route),
            };
            for suffix in suffixes(hostname) {
                self.above.entry(suffix).or_insert(route);
            }
        }
    }

    /// The route that has a host which is of one of these hostnames; none stand for any host.
    fn owner_of_any(&self, hostnames: &[Arc<str>]) -> Option<&'a ObjectKey> {
        if hostnames.is_empty() {
            return self.first;
        }
        self.any.or_else(|| hostnames.iter().find_map(|hostname| self.owner(hostname)))
    }

    fn owner(&self, hostname: &str) -> Option<&'a ObjectKey> {
        let below = match hostname.strip_prefix('*') {
            None => self.exact.get(hostname),
            Some(suffix) => self.above.get(suffix),
        };
        below.copied().or_else(|| suffixes(hostname).find_map(|suffix| self.wildcard.get(suffix).copied()))
    }
}

/// `.example.com` and `.com` of `a.example.com`, and of `*.example.com`.
fn suffixes(hostname: &str) -> impl Iterator<Item = &str> {
    hostname.match_indices('.').filter(|(at, _)| *at > 0).map(|(at, _)| &hostname[at..])
}
