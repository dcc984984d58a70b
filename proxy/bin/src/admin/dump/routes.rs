//! Route tables as lists of matches, in the order of hosts and paths.

use model::Snapshot;
use model::route::{
    BackendTarget, Filter, HeaderEdits, HostRoutes, PathMatch, RouteMatch, RouteRule, RouteTable, SniTable,
    ValueMatch,
};
use serde_json::{Value, json};

/// Every match of a table with the host it is for.
pub(super) fn table(snapshot: &Snapshot, table: &RouteTable) -> Vec<Value> {
    let exact = table.exact_hosts.iter().map(|(host, routes)| (host.to_string(), routes));
    let wildcard = table.wildcard_hosts.iter().map(|(host, routes)| (format!("*{host}"), routes));
    let any = table.any_host.iter().map(|routes| ("*".to_owned(), routes));
    let mut hosts: Vec<_> = exact.chain(wildcard).chain(any).collect();
    hosts.sort_by(|(a, _), (b, _)| a.cmp(b));
    hosts.into_iter().flat_map(|(host, routes)| matches(snapshot, &host, routes)).collect()
}

/// Every server name of a table with its rule.
pub(super) fn server_names(snapshot: &Snapshot, table: &SniTable) -> Vec<Value> {
    let exact = table.exact.iter().map(|(name, taken)| (name.to_string(), taken));
    let wildcard = table.wildcard.iter().map(|(name, taken)| (format!("*{name}"), taken));
    let any = table.any.iter().map(|taken| ("*".to_owned(), taken));
    let mut names: Vec<_> = exact.chain(wildcard).chain(any).collect();
    names.sort_by(|(a, _), (b, _)| a.cmp(b));
    let shown = names.into_iter().map(|(name, taken)| json!({"host": name, "rule": rule(snapshot, taken)}));
    shown.collect()
}

fn matches(snapshot: &Snapshot, host: &str, routes: &HostRoutes) -> Vec<Value> {
    let mut paths: Vec<_> = routes.exact.iter().collect();
    paths.sort_by_key(|(path, _)| *path);
    let mut prefixes: Vec<_> = routes.prefix.iter().collect();
    // The longest first, as they are tried.
    prefixes.sort_by_key(|(path, _)| (std::cmp::Reverse(path.len()), *path));
    let exact = paths.into_iter().flat_map(|(_, list)| list.iter());
    let prefix = prefixes.into_iter().flat_map(|(_, list)| list.iter());
    let (of_all, of_some) = prefix.partition::<Vec<_>, _>(|one| is_any(&one.path));
    let all = exact.chain(routes.regex.iter()).chain(of_some).chain(routes.methods.iter()).chain(of_all);
    all.map(|one| route_match(snapshot, host, one)).collect()
}

fn route_match(snapshot: &Snapshot, host: &str, one: &RouteMatch) -> Value {
    let path = match &one.path {
        PathMatch::Exact(path) => json!({"type": "Exact", "value": **path}),
        path if is_any(path) => json!({"type": "PathPrefix", "value": "/"}),
        PathMatch::Prefix(path) => json!({"type": "PathPrefix", "value": **path}),
        PathMatch::Regex(regex) => json!({"type": "RegularExpression", "value": regex.as_str()}),
        PathMatch::Method(method) => {
            json!({"type": "Method", "service": value(&method.service), "method": value(&method.method)})
        }
    };
    json!({
        "host": host,
        "path": path,
        "method": one.method.as_deref(),
        "headers": one.headers.iter().map(|header| &*header.name).collect::<Vec<_>>(),
        "query": one.query.iter().map(|parameter| &*parameter.name).collect::<Vec<_>>(),
        "rule": rule(snapshot, &one.rule),
    })
}

fn is_any(path: &PathMatch) -> bool {
    matches!(path, PathMatch::Prefix(path) if path.is_empty())
}

/// A name or an expression; null for any.
fn value(value: &Option<ValueMatch>) -> Value {
    match value {
        None => Value::Null,
        Some(ValueMatch::Exact(name)) => json!(**name),
        Some(ValueMatch::Regex(regex)) => json!(regex.as_str()),
    }
}

/// A rule: where it is from and where it leads.
pub(super) fn rule(snapshot: &Snapshot, rule: &RouteRule) -> Value {
    let backends = rule.backends.iter().map(|backend| {
        json!({
            "weight": backend.weight,
            "to": target(snapshot, &backend.target),
            "filters": backend.filters.iter().map(|one| filter(snapshot, one)).collect::<Vec<_>>(),
        })
    });
    let seconds = |duration: Option<std::time::Duration>| duration.map(|duration| duration.as_secs_f64());
    json!({
        "route": rule.route.to_string(),
        "index": rule.index,
        "name": rule.name.as_deref(),
        "filters": rule.filters.iter().map(|one| filter(snapshot, one)).collect::<Vec<_>>(),
        "backends": backends.collect::<Vec<_>>(),
        "timeout_seconds": seconds(rule.timeouts.request),
        "try_timeout_seconds": seconds(rule.timeouts.backend_request),
        "retry": rule.retry.as_ref().map(|retry| json!({"codes": retry.codes, "attempts": retry.attempts})),
    })
}

fn target(snapshot: &Snapshot, target: &BackendTarget) -> String {
    match target {
        BackendTarget::Service(id) => match snapshot.backends.get(id) {
            Some(backend) => format!("{}:{}", backend.service, backend.port),
            None => "nothing: the Service port is gone".to_owned(),
        },
        BackendTarget::Invalid(why) => format!("invalid: {why}"),
    }
}

fn filter(snapshot: &Snapshot, filter: &Filter) -> String {
    match filter {
        Filter::RequestHeaders(edits) => format!("RequestHeaderModifier {}", headers(edits)),
        Filter::ResponseHeaders(edits) => format!("ResponseHeaderModifier {}", headers(edits)),
        Filter::Redirect(redirect) => format!("RequestRedirect {}", redirect.status),
        Filter::Rewrite(_) => "URLRewrite".to_owned(),
        Filter::Mirror(mirror) => format!(
            "RequestMirror {}/{} to {}",
            mirror.numerator,
            mirror.denominator,
            target(snapshot, &mirror.target)
        ),
        Filter::Cors(_) => "CORS".to_owned(),
    }
}

fn headers(edits: &HeaderEdits) -> String {
    let set = edits.set.iter().map(|(name, _)| format!("set {name}"));
    let add = edits.add.iter().map(|(name, _)| format!("add {name}"));
    let remove = edits.remove.iter().map(|name| format!("remove {name}"));
    set.chain(add).chain(remove).collect::<Vec<_>>().join(", ")
}
