//! Finding the route of a request.

use std::sync::Arc;

use model::request::HttpRequest;
use model::route::{HostRoutes, PathMatch, RouteMatch, RouteTable, ValueMatch};

use crate::host::{HOST_MAX, canonical};
use crate::values::{has_header, has_query};

#[cfg(test)]
mod tests;

/// The match that takes a request, by the Gateway API's precedence: exact host, then the longest
/// wildcard, then any host, each only if nothing before it matches; within a host the exact path,
/// then regular expressions, then the longest prefix, of which a GRPCRoute's match by method alone
/// goes before the empty one; then as the lists are ordered.
///
/// Allocates nothing unless a regular expression meets a repeated header or an escaped query value.
pub fn find<'t>(table: &'t RouteTable, request: &HttpRequest<'_>) -> Option<&'t Arc<RouteMatch>> {
    let mut buffer = [0; HOST_MAX];
    let host = canonical(request.host(), &mut buffer);
    let exact = table.exact_hosts.get(host).and_then(|routes| in_host(routes, request));
    exact
        .or_else(|| in_wildcards(table, host, request))
        .or_else(|| table.any_host.as_ref().and_then(|routes| in_host(routes, request)))
}

/// Wildcards from the longest suffix to the shortest.
fn in_wildcards<'t>(
    table: &'t RouteTable,
    host: &str,
    request: &HttpRequest<'_>,
) -> Option<&'t Arc<RouteMatch>> {
    if table.wildcard_hosts.is_empty() {
        return None;
    }
    // A wildcard stands for at least one character.
    let dots = host.match_indices('.').map(|(at, _)| at).filter(|at| *at > 0);
    dots.filter_map(|at| table.wildcard_hosts.get(&host[at..])).find_map(|routes| in_host(routes, request))
}

fn in_host<'t>(routes: &'t HostRoutes, request: &HttpRequest<'_>) -> Option<&'t Arc<RouteMatch>> {
    let exact = routes.exact.get(request.path).and_then(|list| first(list, request));
    exact
        .or_else(|| routes.regex.iter().find(|m| is_path(m, request.path) && rest_matches(m, request)))
        .or_else(|| in_prefixes(routes, request))
        .or_else(|| routes.methods.iter().find(|m| is_path(m, request.path) && rest_matches(m, request)))
        .or_else(|| routes.prefix.get("").and_then(|list| first(list, request)))
}

/// Prefixes from the whole path upwards, one path element at a time; all but the empty one.
fn in_prefixes<'t>(routes: &'t HostRoutes, request: &HttpRequest<'_>) -> Option<&'t Arc<RouteMatch>> {
    if routes.prefix_max == 0 {
        return None;
    }
    // Element boundaries beyond the longest prefix need no look: a long path costs no more.
    let reach = request.path.len().min(routes.prefix_max + 1);
    let bytes = &request.path.as_bytes()[..reach];
    let whole = (request.path.len() <= routes.prefix_max).then_some(request.path.len());
    let slashes = bytes.iter().enumerate().skip(1).rev().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
    whole
        .into_iter()
        .chain(slashes)
        .filter_map(|end| routes.prefix.get(&request.path[..end]))
        .find_map(|list| first(list, request))
}

fn first<'t>(list: &'t [Arc<RouteMatch>], request: &HttpRequest<'_>) -> Option<&'t Arc<RouteMatch>> {
    list.iter().find(|m| rest_matches(m, request))
}

fn is_path(entry: &RouteMatch, path: &str) -> bool {
    match &entry.path {
        PathMatch::Regex(regex) => regex.is_match(path),
        PathMatch::Method(wanted) => {
            let names = path.strip_prefix('/').and_then(|path| path.split_once('/'));
            names.is_some_and(|(service, method)| {
                is_name(wanted.service.as_ref(), service) && is_name(wanted.method.as_ref(), method)
            })
        }
        // Found by their keys.
        PathMatch::Exact(_) | PathMatch::Prefix(_) => true,
    }
}

/// Whether the name of a service or method is the wanted one, if one is wanted.
fn is_name(wanted: Option<&ValueMatch>, name: &str) -> bool {
    let is_wanted = match wanted {
        None => true,
        Some(ValueMatch::Exact(wanted)) => **wanted == *name,
        Some(ValueMatch::Regex(regex)) => regex.is_match(name),
    };
    is_wanted && !name.is_empty() && !name.contains('/')
}

/// Everything but host and path.
fn rest_matches(entry: &RouteMatch, request: &HttpRequest<'_>) -> bool {
    entry.method.as_deref().is_none_or(|method| method == request.method)
        && entry.headers.iter().all(|wanted| has_header(request, wanted))
        && entry.query.iter().all(|wanted| has_query(request, wanted))
}
