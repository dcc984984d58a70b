//! Where routes lead a request, and what it is when it gets there.

use std::sync::Arc;

use model::route::{BackendTarget, Filter, Origin, Retry, RouteMatch, RouteRule, RouteTable};
use model::service::ListenerProtocol;
use policy::HeaderEdit;

use crate::explain::question::{Place, Question, Request};

/// What the data plane's routing comes to.
#[derive(Debug)]
pub(super) enum Routing {
    /// No route is asked: the connection goes where it was going.
    Unrouted,
    /// A rule takes it; `listener` is the Gateway's.
    Matched { listener: Option<String>, matched: Arc<RouteMatch> },
    /// A rule answers it by itself.
    Redirected { listener: Option<String>, matched: Arc<RouteMatch>, status: u16, location: String },
    /// Nothing takes it: 404.
    Unmatched { listener: Option<String> },
    /// A rule takes the bytes as they are.
    Carried { listener: String, rule: Arc<RouteRule> },
    /// No rule does.
    NotCarried { listener: String },
}

/// Asks the routes.
pub(super) fn route(question: &Question) -> Routing {
    match &question.target.place {
        Place::Direct => Routing::Unrouted,
        Place::Service(frontend, ..) => match &frontend.routes {
            Some(table) => by_table(table, None, question),
            None => Routing::Unrouted,
        },
        Place::Gateway(port) => {
            let host = question.request.view(|request| request.host().to_owned());
            match route::listener(port, &host) {
                None => Routing::Unmatched { listener: None },
                Some(listener) => {
                    let name = format!("{} listener {}", listener.gateway, listener.name);
                    match listener.http_routes() {
                        Some(routes) => by_table(routes, Some(name), question),
                        None => carry(&listener.protocol, name, &host),
                    }
                }
            }
        }
    }
}

/// Asks the TCPRoute or UDPRoute of a listener, or its TLSRoutes about a server name.
fn carry(protocol: &ListenerProtocol, listener: String, host: &str) -> Routing {
    let rule = match protocol {
        ListenerProtocol::Tcp(rule) | ListenerProtocol::Udp(rule) => rule.as_ref(),
        ListenerProtocol::TlsPassthrough(names) | ListenerProtocol::TlsTerminate { routes: names, .. } => {
            route::sni(names, Some(&host.to_ascii_lowercase()))
        }
        ListenerProtocol::Http(_) | ListenerProtocol::Https { .. } => None,
    };
    match rule.cloned() {
        Some(rule) => Routing::Carried { listener, rule },
        None => Routing::NotCarried { listener },
    }
}

fn by_table(table: &RouteTable, listener: Option<String>, question: &Question) -> Routing {
    let Some(matched) = question.request.view(|request| route::find(table, request).cloned()) else {
        return Routing::Unmatched { listener };
    };
    let redirect = matched.rule.filters.iter().find_map(|filter| match filter {
        Filter::Redirect(redirect) => Some(redirect),
        _ => None,
    });
    let Some(redirect) = redirect else { return Routing::Matched { listener, matched } };
    let port = question.target.address.port();
    let (status, location) =
        question.request.view(|request| route::redirect(redirect, &matched, request, "http", port));
    Routing::Redirected { listener, matched, status, location }
}

/// The request as a backend gets it: `X-Forwarded-*` of a Gateway, then the filters of the rule,
/// then those of the backend reference.
pub(super) fn forwarded(question: &Question, matched: Option<&RouteMatch>, own: &[Filter]) -> Request {
    let mut out = question.request.clone();
    if let (Place::Gateway(_), Some(ip)) = (&question.target.place, question.source.ip) {
        forwarded_for(&mut out, &ip.to_string());
    }
    let Some(matched) = matched else { return out };
    for filter in matched.rule.filters.iter().chain(own) {
        match filter {
            Filter::RequestHeaders(edits) => {
                let mut fields: Vec<route::Header<'_>> = out
                    .headers
                    .iter()
                    .map(|(name, value)| route::Header { name: name.into(), value: value.into() })
                    .collect();
                route::edit_headers(edits, &mut fields);
                out.headers =
                    fields.into_iter().map(|f| (f.name.into_owned(), f.value.into_owned())).collect();
            }
            Filter::Rewrite(rewrite) => {
                let done = question.request.view(|request| route::rewrite(rewrite, matched, request));
                if let Some(authority) = done.authority {
                    out.authority = authority.to_string();
                }
                out.target = done.target.unwrap_or(out.target);
            }
            Filter::ResponseHeaders(_) | Filter::Redirect(_) | Filter::Mirror(_) | Filter::Cors(_) => {}
        }
    }
    out
}

fn forwarded_for(request: &mut Request, client: &str) {
    let mut value = Vec::new();
    for (_, received) in
        request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"))
    {
        value.extend_from_slice(received);
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(client.as_bytes());
    let replaced = |name: &str| {
        name.eq_ignore_ascii_case("x-forwarded-for") || name.eq_ignore_ascii_case("x-forwarded-proto")
    };
    request.headers.retain(|(name, _)| !replaced(name));
    request.headers.push(("x-forwarded-for".into(), value));
    request.headers.push(("x-forwarded-proto".into(), b"http".to_vec()));
}

/// Carries out what a policy asks for.
pub(super) fn amend(request: &mut Request, edits: &[HeaderEdit]) {
    for edit in edits {
        match edit {
            HeaderEdit::Add(name, value) => {
                request.headers.push((name.to_string(), value.as_bytes().to_vec()));
            }
            HeaderEdit::Set(name, value) => {
                request.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
                request.headers.push((name.to_string(), value.as_bytes().to_vec()));
            }
            HeaderEdit::Remove(name) => request.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name)),
        }
    }
}

/// A filter for people.
pub(super) fn describe(filter: &Filter) -> String {
    match filter {
        Filter::RequestHeaders(edits) => format!("request headers: {}", header_edits(edits)),
        Filter::ResponseHeaders(edits) => format!("response headers: {}", header_edits(edits)),
        Filter::Redirect(redirect) => format!("redirect with status {}", redirect.status),
        Filter::Rewrite(_) => "URL rewrite".into(),
        Filter::Cors(cors) => format!("CORS for {}", origins(cors)),
        Filter::Mirror(mirror) => {
            let to = match &mirror.target {
                BackendTarget::Service(id) => format!("Service port {}", id.0),
                BackendTarget::Invalid(reason) => format!("nowhere: {reason}"),
            };
            format!(
                "mirror {} of {} to {to}, judged by policy like any request",
                mirror.numerator, mirror.denominator
            )
        }
    }
}

/// `allowOrigins` as the object has them.
fn origins(cors: &model::route::Cors) -> String {
    let shown = cors.origins.iter().map(|origin| match origin {
        Origin::Any => "all origins".to_owned(),
        Origin::Exact(origin) => origin.to_string(),
        Origin::Wildcard { scheme, suffix } => format!("{scheme}*{suffix}"),
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    if shown.is_empty() { "no origin".to_owned() } else { shown }
}

/// When a rule tries again, for people.
pub(super) fn describe_retry(retry: &Retry) -> String {
    if retry.attempts == 0 {
        return "never".to_owned();
    }
    let codes = retry.codes.iter().map(|code| format!(", {code}")).collect::<String>();
    let backoff = retry.backoff.map_or_else(String::new, |wait| format!(", at least {wait:?} apart"));
    format!("up to {} more tries after a failed connection{codes}{backoff}", retry.attempts)
}

fn header_edits(edits: &model::route::HeaderEdits) -> String {
    let set = edits.set.iter().map(|(name, value)| format!("set {name}: {value}"));
    let add = edits.add.iter().map(|(name, value)| format!("add {name}: {value}"));
    let remove = edits.remove.iter().map(|name| format!("remove {name}"));
    set.chain(add).chain(remove).collect::<Vec<_>>().join(", ")
}
