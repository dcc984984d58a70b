//! The answer for programs. The fields are described in `docs/explain.md`.

use model::route::RouteRule;
use serde_json::{Value, json};

use crate::explain::answer::{BackendAnswer, EndpointAnswer, Explanation, Outcome, Ruling, Side};
use crate::explain::forward::Routing;
use crate::explain::text::{conditions, verdict};

/// One object.
pub(super) fn json(explanation: &Explanation) -> Value {
    let question = &explanation.question;
    let labels = question
        .source
        .identity
        .as_ref()
        .map(|identity| identity.labels.iter().map(ToString::to_string).collect::<Vec<_>>());
    let (name, _) = verdict(&explanation.outcome);
    let detail = match &explanation.outcome {
        Outcome::Allowed | Outcome::Mixed => None,
        Outcome::Denied(why) | Outcome::Answered(why) | Outcome::Failed(why) => Some(why),
    };
    let request = explanation.is_request().then(|| {
        let request = &question.request;
        json!({
            "method": request.method,
            "path": request.target,
            "authority": request.authority,
            "assumed": question.is_assumed,
        })
    });
    json!({
        "verdict": name,
        "detail": detail,
        "source": {
            "name": question.source.name,
            "ip": question.source.ip.map(|ip| ip.to_string()),
            "identity": question.source.id.0,
            "labels": labels,
        },
        "destination": {
            "name": question.target.name,
            "address": question.target.address.to_string(),
        },
        "protocol": question.protocol.to_string(),
        "request": request,
        "route": route(&explanation.routing),
        "backends": explanation.backends.iter().map(backend).collect::<Vec<_>>(),
    })
}

fn route(routing: &Routing) -> Value {
    match routing {
        Routing::Unrouted | Routing::Unmatched { .. } | Routing::NotCarried { .. } => Value::Null,
        Routing::Carried { listener, rule } => of_rule(rule, None, Some(listener)),
        Routing::Matched { listener, matched } | Routing::Redirected { listener, matched, .. } => {
            of_rule(&matched.rule, Some(conditions(matched)), listener.as_deref())
        }
    }
}

fn of_rule(rule: &RouteRule, conditions: Option<String>, listener: Option<&str>) -> Value {
    json!({
        "kind": rule.route.kind,
        "namespace": &*rule.route.namespace,
        "name": &*rule.route.name,
        "rule": rule.index,
        "rule_name": rule.name.as_deref(),
        "match": conditions,
        "listener": listener,
    })
}

fn backend(backend: &BackendAnswer) -> Value {
    json!({
        "name": backend.name,
        "weight": backend.weight.map(|(weight, _)| weight),
        "percent": backend.weight.map(|(_, percent)| percent),
        "status": backend.problem.as_ref().map(|(status, _)| *status),
        "problem": backend.problem.as_ref().map(|(_, reason)| reason),
        "endpoints": backend.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn endpoint(endpoint: &EndpointAnswer) -> Value {
    json!({
        "address": endpoint.address.to_string(),
        "pod": endpoint.pod,
        "ready": endpoint.ready,
        "verdict": if endpoint.allowed() { "ALLOWED" } else { "DENIED" },
        "egress": side(&endpoint.egress),
        "ingress": side(&endpoint.ingress),
    })
}

fn side(side: &Side) -> Value {
    let (pod, connection, request) = match side {
        Side::NotJudged(why) => return json!({ "connection": "not_judged", "reason": why }),
        Side::Judged { pod, connection, request } => (pod, connection, request),
    };
    let (word, reason, rule) = match connection {
        Ruling::Allowed { by: Some(by), .. } => ("allowed", None, Some(by)),
        Ruling::Allowed { by: None, note } => ("allowed", Some(*note), None),
        Ruling::Denied { reason, by } => ("denied", Some(*reason), by.as_ref()),
        Ruling::ByRequest { .. } => ("by_request", None, None),
    };
    let request = request.as_ref().map(|request| {
        let misses = request.misses.iter().map(|miss| json!({ "rule": miss.rule, "reasons": miss.reasons }));
        json!({
            "verdict": if request.allowed { "allowed" } else { "denied" },
            "rule": request.by,
            "edits": request.edits,
            "not_matching": misses.collect::<Vec<_>>(),
        })
    });
    json!({ "pod": pod, "connection": word, "reason": reason, "rule": rule, "request": request })
}
