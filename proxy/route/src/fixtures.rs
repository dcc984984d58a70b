//! Routes and requests in short notation, for the tests of this crate.

use std::sync::Arc;

use model::request::{HeaderView, HttpRequest};
use model::route::{
    HeaderMatch, MethodMatch, PathMatch, QueryMatch, RouteMatch, RouteRule, RouteTable, Timeouts, ValueMatch,
};
use model::service::ObjectRef;

use crate::table::{full_match, insert};

/// A match in short notation: `"GET /path"`, `"=/exact"`, `"~/regex.*"`, `"@service/method"` of a
/// GRPCRoute, either of which may be missing, then `name:value`
/// headers and `name=value` queries, each with `~` before a value that is an expression.
pub(crate) fn entry(route: &str, created: i64, index: u32, text: &str) -> Arc<RouteMatch> {
    let mut words = text.split(' ').peekable();
    let method = words.next_if(|w| w.chars().all(|c| c.is_ascii_uppercase()) && !w.is_empty());
    let path = words.next().unwrap();
    let (headers, query): (Vec<&str>, Vec<&str>) =
        words.partition(|w| w.find(':').is_some_and(|at| w.find('=').is_none_or(|eq| at < eq)));
    let rule = RouteRule {
        route: ObjectRef { kind: "HTTPRoute", namespace: "ns".into(), name: route.into() },
        index,
        name: None,
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        grpc: false,
    };
    let pair = |text: &str, by: char| {
        let (name, value) = text.split_once(by).unwrap();
        (Arc::from(name), self::value(value))
    };
    Arc::new(RouteMatch {
        path: self::path(path),
        method: method.map(Arc::from),
        headers: headers
            .iter()
            .map(|h| pair(h, ':'))
            .map(|(name, value)| HeaderMatch { name, value })
            .collect(),
        query: query.iter().map(|q| pair(q, '=')).map(|(name, value)| QueryMatch { name, value }).collect(),
        created,
        rule: Arc::new(rule),
    })
}

fn path(text: &str) -> PathMatch {
    match text.split_at(1) {
        ("=", exact) => PathMatch::Exact(exact.into()),
        ("~", expression) => PathMatch::Regex(full_match(expression).unwrap()),
        ("@", names) => {
            let (service, method) = names.split_once('/').unwrap();
            let part = |text: &str| Some(text).filter(|text| !text.is_empty()).map(value);
            PathMatch::Method(Box::new(MethodMatch { service: part(service), method: part(method) }))
        }
        _ => PathMatch::Prefix(text.trim_end_matches('/').into()),
    }
}

fn value(text: &str) -> ValueMatch {
    match text.strip_prefix('~') {
        Some(expression) => ValueMatch::Regex(full_match(expression).unwrap()),
        None => ValueMatch::Exact(text.into()),
    }
}

/// A table of `(hostname, route name, match)`; an empty hostname means any.
pub(crate) fn table(rows: &[(&str, &str, &str)]) -> RouteTable {
    let mut table = RouteTable::default();
    for (hostname, route, text) in rows {
        let hostnames: Vec<Arc<str>> = hostname.split_terminator(',').map(Arc::from).collect();
        insert(&mut table, &hostnames, entry(route, 0, 0, text));
    }
    table
}

/// Runs `check` with the request `METHOD authority/path?query` and these headers.
pub(crate) fn with_request<T>(
    line: &str,
    headers: &[(&str, &str)],
    check: impl FnOnce(&HttpRequest<'_>) -> T,
) -> T {
    let (method, rest) = line.split_once(' ').unwrap();
    let (authority, target) = rest.split_at(rest.find('/').unwrap());
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let headers: Vec<HeaderView<'_>> =
        headers.iter().map(|(name, value)| HeaderView { name, value: value.as_bytes() }).collect();
    check(&HttpRequest { method, authority, path, query, target, headers: &headers })
}
