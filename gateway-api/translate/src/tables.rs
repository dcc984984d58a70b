//! The route tables of listeners and Services. A change touches the tables that its route is
//! attached to and, in them, the hosts it names.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use model::route::{RouteMatch, RouteRule, RouteTable, SniTable};
use model::service::BackendId;

use crate::gateways::ListenerKey;

/// Whose routes a table holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TableKey {
    /// A listener's.
    Listener(Arc<ListenerKey>),
    /// A Service port's.
    Service(BackendId),
}

/// A route's place in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// The table.
    pub(crate) table: TableKey,
    /// The route's hostnames that count there; none: any host.
    pub(crate) hostnames: Vec<Arc<str>>,
}

/// What a route puts into the tables it is attached to.
#[derive(Clone, Debug)]
pub(crate) enum Entries {
    /// Of an HTTPRoute or GRPCRoute: they merge with those of other routes of the kind.
    Http(Vec<Arc<RouteMatch>>),
    /// Of a TLSRoute, TCPRoute or UDPRoute: of several routes for one name the oldest counts.
    Stream(Claim),
}

/// A route that carries bytes.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// Seconds since the epoch of its `creationTimestamp`; `i64::MAX` when it has none.
    pub(crate) created: i64,
    /// Where the bytes go.
    pub(crate) rule: Arc<RouteRule>,
}

/// Every table with a route in it.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    http: HashMap<TableKey, HttpTable>,
    streams: HashMap<TableKey, StreamTable>,
    changed: HashSet<TableKey>,
}

#[derive(Debug, Default)]
struct HttpTable {
    routes: Arc<RouteTable>,
    attached: usize,
}

#[derive(Debug, Default)]
struct StreamTable {
    routes: Arc<SniTable>,
    /// Every route of a server name, the oldest first; the empty name stands for any.
    claims: HashMap<Arc<str>, BTreeMap<Age, Arc<RouteRule>>>,
    attached: usize,
}

/// What decides between routes: their age, then namespace and name.
type Age = (i64, Arc<str>, Arc<str>);

impl Entries {
    /// Whether both put the same into a table.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http(a), Self::Http(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
            }
            (Self::Stream(a), Self::Stream(b)) => Arc::ptr_eq(&a.rule, &b.rule),
            _ => false,
        }
    }
}

impl Claim {
    fn age(&self) -> Age {
        let route = &self.rule.route;
        (self.created, route.namespace.clone(), route.name.clone())
    }
}

impl Tables {
    /// Adds a route to a table.
    pub(crate) fn attach(&mut self, at: &Attachment, entries: &Entries) {
        match entries {
            Entries::Http(matches) => {
                let table = self.http.entry(at.table.clone()).or_default();
                let routes = Arc::make_mut(&mut table.routes);
                for entry in matches {
                    route::insert(routes, &at.hostnames, entry.clone());
                }
                table.attached += 1;
            }
            Entries::Stream(claim) => {
                let table = self.streams.entry(at.table.clone()).or_default();
                for name in names(&at.hostnames) {
                    table.claims.entry(name.clone()).or_default().insert(claim.age(), claim.rule.clone());
                    table.settle(&name);
                }
                table.attached += 1;
            }
        }
        self.changed.insert(at.table.clone());
    }

    /// Takes a route out of a table.
    pub(crate) fn detach(&mut self, at: &Attachment, entries: &Entries) {
        match entries {
            Entries::Http(matches) => {
                let Some(table) = self.http.get_mut(&at.table) else { return };
                let routes = Arc::make_mut(&mut table.routes);
                for entry in matches {
                    route::remove(routes, &at.hostnames, entry);
                }
                table.attached -= 1;
                if table.attached == 0 {
                    self.http.remove(&at.table);
                }
            }
            Entries::Stream(claim) => {
                let Some(table) = self.streams.get_mut(&at.table) else { return };
                for name in names(&at.hostnames) {
                    if let Some(claims) = table.claims.get_mut(&name) {
                        claims.remove(&claim.age());
                    }
                    table.settle(&name);
                }
                table.attached -= 1;
                if table.attached == 0 {
                    self.streams.remove(&at.table);
                }
            }
        }
        self.changed.insert(at.table.clone());
    }

    /// The HTTPRoutes and GRPCRoutes of a table; `None` when no route is attached.
    pub(crate) fn http(&self, key: &TableKey) -> Option<&Arc<RouteTable>> {
        self.http.get(key).map(|table| &table.routes)
    }

    /// The TLSRoutes, TCPRoutes or UDPRoutes of a table by server name; those without server names
    /// are under any.
    pub(crate) fn streams(&self, key: &TableKey) -> Option<&Arc<SniTable>> {
        self.streams.get(key).map(|table| &table.routes)
    }

    /// How many routes are attached, in force or not.
    pub(crate) fn attached(&self, key: &TableKey) -> usize {
        let http = self.http.get(key).map_or(0, |table| table.attached);
        http + self.streams.get(key).map_or(0, |table| table.attached)
    }

    /// The tables that changed since this was asked last.
    pub(crate) fn take_changed(&mut self) -> HashSet<TableKey> {
        std::mem::take(&mut self.changed)
    }
}

impl StreamTable {
    /// Puts the oldest claim to a name in force. Nothing is touched if it is already.
    fn settle(&mut self, name: &Arc<str>) {
        let oldest = self.claims.get(name).and_then(|claims| claims.values().next()).cloned();
        if oldest.is_none() {
            self.claims.remove(name);
        }
        let is = |now: Option<&Arc<RouteRule>>| match (now, &oldest) {
            (Some(now), Some(oldest)) => Arc::ptr_eq(now, oldest),
            (None, None) => true,
            _ => false,
        };
        if name.is_empty() {
            if !is(self.routes.any.as_ref()) {
                Arc::make_mut(&mut self.routes).any = oldest;
            }
            return;
        }
        let suffix = name.strip_prefix('*');
        let known = match suffix {
            Some(suffix) => self.routes.wildcard.get(suffix),
            None => self.routes.exact.get(name),
        };
        if is(known) {
            return;
        }
        let routes = Arc::make_mut(&mut self.routes);
        let (names, key) = match suffix {
            Some(suffix) => (&mut routes.wildcard, suffix.into()),
            None => (&mut routes.exact, name.clone()),
        };
        match oldest {
            Some(oldest) => names.insert(key, oldest),
            None => names.remove(&key),
        };
    }
}

/// The names of an attachment; the empty one for any.
fn names(hostnames: &[Arc<str>]) -> Vec<Arc<str>> {
    if hostnames.is_empty() { vec!["".into()] } else { hostnames.to_vec() }
}
