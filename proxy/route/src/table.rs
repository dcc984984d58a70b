//! Building a route table: each list is kept in the Gateway API's order of precedence, so that
//! the first match found is the right one.

use std::cmp::Ordering;
use std::sync::Arc;

use model::route::{HostRoutes, PathMatch, RouteMatch, RouteTable, ValueMatch};
use regex::{Regex, RegexBuilder};

#[cfg(test)]
mod tests;

/// Bytes of compiled program allowed for one expression of a route.
const REGEX_SIZE_MAX: usize = 1 << 20;

/// Compiles an expression that must match the whole value, as Gateway API fields of type
/// `RegularExpression` do.
pub fn full_match(expression: &str) -> Result<Regex, regex::Error> {
    // Alone first: an expression with unbalanced brackets could balance inside the anchors.
    RegexBuilder::new(expression).size_limit(REGEX_SIZE_MAX).build()?;
    RegexBuilder::new(&format!("^(?:{expression})$")).size_limit(REGEX_SIZE_MAX).build()
}

/// Adds one match under each hostname (lower case; `*.suffix` for a wildcard; no hostnames: any
/// host). Entries of one rule must be added in the order of the rule's `matches`.
///
/// Nodes that other tables share are copied first, so a clone of a table never changes.
pub fn insert(table: &mut RouteTable, hostnames: &[Arc<str>], entry: Arc<RouteMatch>) {
    if hostnames.is_empty() {
        let routes = table.any_host.get_or_insert_default();
        add(Arc::make_mut(routes), entry);
        return;
    }
    for hostname in hostnames {
        let (hosts, key) = match hostname.strip_prefix('*') {
            Some(suffix) => (&mut table.wildcard_hosts, Arc::from(suffix)),
            None => (&mut table.exact_hosts, hostname.clone()),
        };
        add(Arc::make_mut(hosts.get_or_default(key)), entry.clone());
    }
}

/// Takes out a match that was added with these hostnames; the same `Arc` is meant. Hosts without
/// a match left are taken out too.
pub fn remove(table: &mut RouteTable, hostnames: &[Arc<str>], entry: &Arc<RouteMatch>) {
    if hostnames.is_empty() {
        if let Some(routes) = &mut table.any_host {
            take(Arc::make_mut(routes), entry);
        }
        table.any_host.take_if(|routes| is_empty(routes));
        return;
    }
    for hostname in hostnames {
        let (hosts, key) = match hostname.strip_prefix('*') {
            Some(suffix) => (&mut table.wildcard_hosts, suffix),
            None => (&mut table.exact_hosts, &**hostname),
        };
        let Some(routes) = hosts.get_mut(key) else { continue };
        take(Arc::make_mut(routes), entry);
        if is_empty(routes) {
            hosts.remove(key);
        }
    }
}

fn add(routes: &mut HostRoutes, entry: Arc<RouteMatch>) {
    let list = match &entry.path {
        PathMatch::Exact(path) => routes.exact.get_or_default(path.clone()),
        PathMatch::Regex(_) => &mut routes.regex,
        PathMatch::Method(_) => &mut routes.methods,
        PathMatch::Prefix(path) => {
            routes.prefix_max = routes.prefix_max.max(path.len());
            routes.prefix.get_or_default(path.clone())
        }
    };
    // After its equals: they are earlier matches of the same rule.
    let at = list.partition_point(|other| precedence(other, &entry) != Ordering::Greater);
    *list = list[..at].iter().chain([&entry]).chain(&list[at..]).cloned().collect();
}

fn take(routes: &mut HostRoutes, entry: &Arc<RouteMatch>) {
    let without = |list: &Arc<[Arc<RouteMatch>]>| -> Arc<[Arc<RouteMatch>]> {
        list.iter().filter(|other| !Arc::ptr_eq(other, entry)).cloned().collect()
    };
    match &entry.path {
        PathMatch::Regex(_) => routes.regex = without(&routes.regex),
        PathMatch::Method(_) => routes.methods = without(&routes.methods),
        PathMatch::Exact(path) => {
            let Some(list) = routes.exact.get_mut(&**path) else { return };
            *list = without(list);
            if list.is_empty() {
                routes.exact.remove(&**path);
            }
        }
        PathMatch::Prefix(path) => {
            let Some(list) = routes.prefix.get_mut(&**path) else { return };
            *list = without(list);
            if list.is_empty() {
                routes.prefix.remove(&**path);
                if path.len() == routes.prefix_max {
                    routes.prefix_max = routes.prefix.keys().map(|p| p.len()).max().unwrap_or(0);
                }
            }
        }
    }
}

fn is_empty(routes: &HostRoutes) -> bool {
    let lists = [&routes.regex, &routes.methods];
    routes.exact.is_empty() && routes.prefix.is_empty() && lists.iter().all(|list| list.is_empty())
}

/// `Less` when `a` goes before `b` in one list: most of the path said, method, most headers, most
/// query parameters, oldest route, namespace and name, rule.
fn precedence(a: &RouteMatch, b: &RouteMatch) -> Ordering {
    let route = |m: &RouteMatch| (m.rule.route.namespace.clone(), m.rule.route.name.clone());
    weight(&b.path)
        .cmp(&weight(&a.path))
        .then_with(|| b.method.is_some().cmp(&a.method.is_some()))
        .then_with(|| b.headers.len().cmp(&a.headers.len()))
        .then_with(|| b.query.len().cmp(&a.query.len()))
        .then_with(|| a.created.cmp(&b.created))
        .then_with(|| route(a).cmp(&route(b)))
        .then_with(|| a.rule.index.cmp(&b.rule.index))
}

/// How much of a path is said, where others of its list may say more: the longest expression; of a
/// GRPCRoute's method the service before the method, each by its characters, exact ones before
/// expressions.
fn weight(path: &PathMatch) -> [(u8, usize); 2] {
    let part = |part: &Option<ValueMatch>| match part {
        Some(ValueMatch::Exact(name)) => (2, name.len()),
        Some(ValueMatch::Regex(regex)) => (1, regex.as_str().len()),
        None => (0, 0),
    };
    match path {
        PathMatch::Exact(_) | PathMatch::Prefix(_) => [(0, 0); 2],
        PathMatch::Regex(regex) => [(1, regex.as_str().len()), (0, 0)],
        PathMatch::Method(method) => [part(&method.service), part(&method.method)],
    }
}
