//! The answer for people.

use std::fmt::Write as _;

use model::route::{PathMatch, RouteMatch, ValueMatch};

use crate::explain::answer::{BackendAnswer, EndpointAnswer, Explanation, Outcome, Ruling, Side};
use crate::explain::forward::{Routing, describe, describe_retry};
use crate::explain::why::written;

/// All steps, one thing a line.
pub(super) fn text(explanation: &Explanation) -> String {
    let question = &explanation.question;
    let mut out = String::new();
    let labels = question.source.identity.as_ref().map_or_else(String::new, |identity| {
        let labels = identity.labels.iter().filter(|label| !label.key.starts_with("io."));
        labels.map(|label| format!("{label}, ")).collect()
    });
    line(&mut out, "from", &format!("{} ({labels}identity {})", question.source.name, question.source.id));
    line(&mut out, "to", &format!("{}, {}", question.target.name, question.protocol));
    if explanation.is_request() {
        let request = &question.request;
        let assumed =
            if question.is_assumed { " (assumed: no --method, --path, --host or --header)" } else { "" };
        let shown = format!("{} {} at host {}{assumed}", request.method, request.target, request.authority);
        line(&mut out, "request", &shown);
    }
    route(explanation, &mut out);
    for backend in &explanation.backends {
        self::backend(backend, &mut out);
    }
    let (verdict, why) = verdict(&explanation.outcome);
    line(&mut out, "verdict", &format!("{verdict}{why}"));
    out
}

/// The verdict's name, as in flow records where they have it, and what the client sees.
pub(super) fn verdict(outcome: &Outcome) -> (&'static str, String) {
    let after = |why: &str| if why.is_empty() { String::new() } else { format!(": {why}") };
    match outcome {
        Outcome::Allowed => ("ALLOWED", String::new()),
        Outcome::Denied(why) => ("DENIED", after(why)),
        Outcome::Answered(why) => ("ANSWERED", after(why)),
        Outcome::Failed(why) => ("FAILED", after(why)),
        Outcome::Mixed => ("MIXED", ": it depends on the backend or endpoint that is chosen".into()),
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key:<8} {value}");
}

fn route(explanation: &Explanation, out: &mut String) {
    let (listener, matched) = match &explanation.routing {
        Routing::Unrouted => return,
        Routing::Unmatched { listener } => {
            let place = listener.as_ref().map_or("no listener has this host".into(), |name| {
                format!("{name}: no rule of its routes matches")
            });
            return line(out, "route", &place);
        }
        Routing::NotCarried { listener } => {
            return line(out, "route", &format!("{listener}: it has no route for this"));
        }
        Routing::Carried { listener, rule } => {
            line(out, "listener", listener);
            return line(out, "route", &format!("{} spec.rules[{}]", rule.route, rule.index));
        }
        Routing::Matched { listener, matched } | Routing::Redirected { listener, matched, .. } => {
            (listener, matched)
        }
    };
    if let Some(listener) = listener {
        line(out, "listener", listener);
    }
    let rule = &matched.rule;
    let name = rule.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let shown = format!("{} spec.rules[{}]{name}, by {}", rule.route, rule.index, conditions(matched));
    line(out, "route", &shown);
    for filter in &rule.filters {
        line(out, "filter", &describe(filter));
    }
    if let Some(retry) = &rule.retry {
        line(out, "retry", &describe_retry(retry));
    }
}

/// What a match asks for, as in the object.
pub(super) fn conditions(matched: &RouteMatch) -> String {
    let value = |value: &ValueMatch| match value {
        ValueMatch::Exact(value) => format!("{value:?}"),
        ValueMatch::Regex(regex) => format!("like {:?}", written(regex)),
    };
    let mut all = vec![match &matched.path {
        PathMatch::Exact(path) => format!("path {path} (Exact)"),
        PathMatch::Prefix(path) if path.is_empty() => "path / (PathPrefix)".into(),
        PathMatch::Prefix(path) => format!("path {path} (PathPrefix)"),
        PathMatch::Regex(regex) => format!("path {} (RegularExpression)", written(regex)),
        PathMatch::Method(wanted) => {
            let parts = [("service", &wanted.service), ("method", &wanted.method)];
            let parts = parts.into_iter().filter_map(|(name, part)| Some((name, part.as_ref()?)));
            parts.map(|(name, part)| format!("gRPC {name} {}", value(part))).collect::<Vec<_>>().join(" and ")
        }
    }];
    all.extend(matched.method.iter().map(|method| format!("method {method}")));
    all.extend(matched.headers.iter().map(|h| format!("header {} {}", h.name, value(&h.value))));
    all.extend(matched.query.iter().map(|q| format!("query parameter {} {}", q.name, value(&q.value))));
    all.join(" and ")
}

fn backend(backend: &BackendAnswer, out: &mut String) {
    let weight = backend
        .weight
        .map_or_else(String::new, |(weight, percent)| format!(", weight {weight} ({percent:.1}%)"));
    let problem = backend
        .problem
        .as_ref()
        .map_or_else(String::new, |(status, reason)| format!(": {reason} (HTTP requests get {status})"));
    line(out, "backend", &format!("{}{weight}{problem}", backend.name));
    for endpoint in &backend.endpoints {
        self::endpoint(endpoint, out);
    }
}

fn endpoint(endpoint: &EndpointAnswer, out: &mut String) {
    let pod = endpoint.pod.as_ref().map_or_else(String::new, |pod| format!(" {pod}"));
    let ready = if endpoint.ready { "" } else { ", not ready: gets nothing" };
    let verdict = if endpoint.allowed() { "allowed" } else { "DENIED" };
    let _ = writeln!(out, "  endpoint {}{pod}{ready}: {verdict}", endpoint.address);
    side("egress", &endpoint.egress, out);
    side("ingress", &endpoint.ingress, out);
}

fn side(direction: &str, side: &Side, out: &mut String) {
    let (pod, connection, request) = match side {
        Side::NotJudged(why) => {
            let _ = writeln!(out, "    {direction:<7} not judged here: {why}");
            return;
        }
        Side::Judged { pod, connection, request } => (pod, connection, request),
    };
    let ruling = match connection {
        Ruling::Allowed { by: Some(by), .. } => format!("connection allowed by {by}"),
        Ruling::Allowed { by: None, note } => format!("connection allowed: {note}"),
        Ruling::Denied { reason, by: Some(by) } => format!("connection DENIED ({reason}) by {by}"),
        Ruling::Denied { reason, by: None } => format!("connection DENIED ({reason}): no rule allows it"),
        Ruling::ByRequest { rules } => {
            format!("HTTP rules judge each request ({rules} for this peer and port)")
        }
    };
    let _ = writeln!(out, "    {direction:<7} of {pod}: {ruling}");
    let Some(request) = request else { return };
    match (&request.by, request.allowed) {
        (Some(by), true) => {
            let _ = writeln!(out, "      request allowed by {by}");
        }
        (None, true) => {
            let _ = writeln!(out, "      request allowed: built in");
        }
        (_, false) => {
            let _ = writeln!(out, "      request DENIED: no rule matches");
        }
    }
    for edit in &request.edits {
        let _ = writeln!(out, "      {edit}");
    }
    for miss in &request.misses {
        let _ = writeln!(out, "      {}: {}", miss.rule, miss.reasons.join("; "));
    }
}
