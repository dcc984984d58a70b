//! The route tables of listeners and Services. A change touches the tables that its route is
//! attached to and, in them, the hosts it names.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::route::{RouteMatch, RouteTable};
use model::service::BackendId;

use crate::gateways::ListenerKey;

/// Whose routes a table holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TableKey {
    /// A listener's.
    Listener(ListenerKey),
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

/// Every table with a route in it.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    tables: HashMap<TableKey, Table>,
    changed: HashSet<TableKey>,
}

#[derive(Debug, Default)]
struct Table {
    routes: Arc<RouteTable>,
    attached: usize,
}

impl Tables {
    /// Adds a route to a table.
    pub(crate) fn attach(&mut self, at: &Attachment, matches: &[Arc<RouteMatch>]) {
        let table = self.tables.entry(at.table.clone()).or_default();
        let routes = Arc::make_mut(&mut table.routes);
        for entry in matches {
            route::insert(routes, &at.hostnames, entry.clone());
        }
        table.attached += 1;
        self.changed.insert(at.table.clone());
    }

    /// Takes a route out of a table.
    pub(crate) fn detach(&mut self, at: &Attachment, matches: &[Arc<RouteMatch>]) {
        let Some(table) = self.tables.get_mut(&at.table) else { return };
        let routes = Arc::make_mut(&mut table.routes);
        for entry in matches {
            route::remove(routes, &at.hostnames, entry);
        }
        table.attached -= 1;
        if table.attached == 0 {
            self.tables.remove(&at.table);
        }
        self.changed.insert(at.table.clone());
    }

    /// The routes of a table; `None` when no route is attached.
    pub(crate) fn get(&self, key: &TableKey) -> Option<&Arc<RouteTable>> {
        self.tables.get(key).map(|table| &table.routes)
    }

    /// How many routes are attached.
    pub(crate) fn attached(&self, key: &TableKey) -> usize {
        self.tables.get(key).map_or(0, |table| table.attached)
    }

    /// The tables that changed since this was asked last.
    pub(crate) fn take_changed(&mut self) -> HashSet<TableKey> {
        std::mem::take(&mut self.changed)
    }
}
