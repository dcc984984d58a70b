//! The verdict, step by step: the data plane's own functions, asked for everything that might be
//! chosen instead of for what is.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Snapshot;
use model::address::EndpointAddr;
use model::policy::{Direction, Enforcement, HttpRules};
use model::route::{BackendTarget, Filter, RouteMatch, RouteRule};
use model::service::{AppProtocol, Backend};
use model::tls::UpstreamSecurity;
use model::workload::{Protocol, Workload};
use policy::{ConnectionVerdict, HeaderEdit};
use telemetry::reason::reason_name;

use crate::explain::answer::{
    BackendAnswer, EndpointAnswer, Explanation, Outcome, RequestRuling, Ruling, Side,
};
use crate::explain::forward::{self, Routing};
use crate::explain::question::{Place, Question, Request};
use crate::explain::why;

/// Answers the question.
pub(super) fn explain(snapshot: &Snapshot, question: Question) -> Explanation {
    let routing = forward::route(&question);
    let judge = Judge { snapshot, question: &question };
    let backends = match &routing {
        Routing::Matched { matched, .. } => judge.backends(&matched.rule, Some(matched)),
        Routing::Carried { rule, .. } => judge.backends(rule, None),
        Routing::Unrouted => vec![judge.unrouted()],
        Routing::Redirected { .. } | Routing::Unmatched { .. } | Routing::NotCarried { .. } => Vec::new(),
    };
    let is_http = is_http(&question, &routing, &backends);
    let outcome = outcome(&question, &routing, &backends, is_http);
    Explanation { question, is_http, routing, backends, outcome }
}

struct Judge<'s> {
    snapshot: &'s Snapshot,
    question: &'s Question,
}

impl Judge<'_> {
    /// The backends of a rule, with their shares.
    fn backends(&self, rule: &RouteRule, matched: Option<&RouteMatch>) -> Vec<BackendAnswer> {
        let total: u64 = rule.backends.iter().map(|backend| u64::from(backend.weight)).sum();
        let mut answers = Vec::new();
        for backend in &rule.backends {
            // Weights are at most a million: exact as floats.
            #[allow(clippy::cast_precision_loss)]
            let percent = if total == 0 { 0.0 } else { f64::from(backend.weight) * 100.0 / total as f64 };
            let mut answer = match &backend.target {
                BackendTarget::Invalid(reason) => broken("invalid backendRef", 500, reason),
                BackendTarget::Service(id) => match self.snapshot.backends.get(id) {
                    None => broken("unknown Service", 500, "the Service is gone"),
                    Some(service) => self.service(service, matched, &backend.filters),
                },
            };
            answer.weight = Some((backend.weight, percent));
            answer.is_used = backend.weight > 0;
            answers.push(answer);
        }
        answers
    }

    /// Where the connection was going.
    fn unrouted(&self) -> BackendAnswer {
        match &self.question.target.place {
            Place::Service(.., Some(backend)) => self.service(backend, None, &[]),
            Place::Service(.., None) => broken("Service", 503, "the Service has no port behind this address"),
            Place::Direct | Place::Gateway(_) => {
                let address = EndpointAddr(self.question.target.address);
                let request = forward::forwarded(self.question, None, &[]);
                let endpoints = vec![self.endpoint(address, true, &request)];
                BackendAnswer { endpoints, ..answer(self.question.target.name.clone()) }
            }
        }
    }

    fn service(&self, service: &Backend, matched: Option<&RouteMatch>, own: &[Filter]) -> BackendAnswer {
        let request = forward::forwarded(self.question, matched, own);
        let endpoints: Vec<EndpointAnswer> =
            service.endpoints.iter().map(|e| self.endpoint(e.address, e.ready, &request)).collect();
        let none_ready = !endpoints.iter().any(|endpoint| endpoint.ready);
        let problem = match &service.security {
            UpstreamSecurity::Invalid(reason) => Some((500, reason.to_string())),
            _ => none_ready.then(|| (503, "no ready endpoint".to_owned())),
        };
        BackendAnswer { endpoints, problem, ..answer(format!("{}:{}", service.service, service.port)) }
    }

    /// Both sides of one endpoint: egress sees the request as sent, ingress as forwarded.
    fn endpoint(&self, address: EndpointAddr, ready: bool, forwarded: &Request) -> EndpointAnswer {
        let source = &self.question.source;
        let pod = self.snapshot.workload(address.ip());
        let peer = self.snapshot.addresses.identity(address.ip());
        let (egress, edits) = match &source.workload {
            None => (Side::NotJudged("the client is no pod".into()), Vec::new()),
            Some(client) => {
                let ask = |policy| policy::connection(policy, peer, self.question.protocol, address.port());
                self.side(client, Direction::Egress, ask, &self.question.request)
            }
        };
        let mut forwarded = forwarded.clone();
        forward::amend(&mut forwarded, &edits);
        let ingress = match pod {
            None => Side::NotJudged("the destination is no pod".into()),
            Some(pod) => {
                let ask =
                    |policy| policy::connection(policy, source.id, self.question.protocol, address.port());
                self.side(pod, Direction::Ingress, ask, &forwarded).0
            }
        };
        EndpointAnswer { address, pod: pod.map(ToString::to_string), ready, egress, ingress }
    }

    /// One side, and what its policy changes in the request.
    fn side<'p>(
        &'p self,
        pod: &Workload,
        direction: Direction,
        ask: impl FnOnce(&'p model::policy::DirectionPolicy) -> ConnectionVerdict<'p>,
        request: &Request,
    ) -> (Side, Vec<HeaderEdit>) {
        let name = pod.to_string();
        let Some(local) = pod.local else {
            let node = if pod.node.is_empty() { "its own node" } else { &*pod.node };
            let side = Side::NotJudged(format!("{name} is not on this node; {node} judges it"));
            return (side, Vec::new());
        };
        let Some(policy) = self.snapshot.policies.get(&local) else {
            let reason = "its policy is not known yet";
            return (
                Side::Judged { pod: name, connection: Ruling::Denied { reason, by: None }, request: None },
                Vec::new(),
            );
        };
        let policy = policy.direction(direction);
        let (connection, ruling, edits) = match ask(policy) {
            ConnectionVerdict::Allow(by) => {
                let note = if policy.enforcement == Enforcement::Open { "not enforced" } else { "built in" };
                (Ruling::Allowed { by: by.map(ToString::to_string), note }, None, Vec::new())
            }
            ConnectionVerdict::Deny { reason, by } => {
                let reason = reason_name(reason).unwrap_or("denied");
                (Ruling::Denied { reason, by: by.map(ToString::to_string) }, None, Vec::new())
            }
            ConnectionVerdict::Http(rules) => {
                let (ruling, edits) = request.view(|view| http(rules, view));
                (Ruling::ByRequest { rules: rules.rules.len() }, Some(ruling), edits)
            }
        };
        (Side::Judged { pod: name, connection, request: ruling }, edits)
    }
}

fn http(
    rules: &Arc<HttpRules>,
    request: &model::request::HttpRequest<'_>,
) -> (RequestRuling, Vec<HeaderEdit>) {
    let verdict = policy::request(rules, request);
    let misses = if verdict.allowed { Vec::new() } else { why::misses(rules, request) };
    let edits = verdict.mismatches.iter().map(|mismatch| {
        let name = &mismatch.wanted.name;
        match &mismatch.edit {
            None => format!("note that header {name:?} is not as wanted"),
            Some(HeaderEdit::Add(name, _)) => format!("add header {name:?}"),
            Some(HeaderEdit::Set(name, _)) => format!("set header {name:?}"),
            Some(HeaderEdit::Remove(name)) => format!("remove header {name:?}"),
        }
    });
    let edits = edits.collect();
    let by = verdict.by.map(ToString::to_string);
    (RequestRuling { allowed: verdict.allowed, by, edits, misses }, verdict.edits)
}

fn answer(name: String) -> BackendAnswer {
    BackendAnswer { name, weight: None, is_used: true, problem: None, endpoints: Vec::new() }
}

fn broken(name: &str, status: u16, reason: &str) -> BackendAnswer {
    BackendAnswer { problem: Some((status, reason.to_owned())), ..answer(name.to_owned()) }
}

/// Whether only HTTP is spoken there, as the data plane decides it.
fn is_http(question: &Question, routing: &Routing, backends: &[BackendAnswer]) -> bool {
    let by_request = |side: &Side| matches!(side, Side::Judged { connection: Ruling::ByRequest { .. }, .. });
    let judged = backends
        .iter()
        .flat_map(|backend| &backend.endpoints)
        .any(|endpoint| by_request(&endpoint.egress) || by_request(&endpoint.ingress));
    judged
        || match &question.target.place {
            Place::Gateway(_) => !matches!(routing, Routing::Carried { .. } | Routing::NotCarried { .. }),
            Place::Direct => false,
            Place::Service(frontend, _, backend) => {
                let protocol = backend.as_ref().map(|backend| backend.protocol);
                let says_http =
                    matches!(protocol, Some(AppProtocol::Http | AppProtocol::H2c | AppProtocol::WebSocket));
                frontend.routes.is_some() || says_http
            }
        }
}

fn outcome(question: &Question, routing: &Routing, backends: &[BackendAnswer], is_http: bool) -> Outcome {
    let ended = match question.protocol {
        Protocol::Udp => "the datagrams are dropped",
        _ => "the connection is reset",
    };
    match routing {
        Routing::Unmatched { .. } => return Outcome::Failed("404: no route matches".into()),
        Routing::NotCarried { .. } => return Outcome::Failed(format!("{ended}: no route")),
        Routing::Redirected { status, location, .. } => {
            return Outcome::Answered(format!("{status} to {location}"));
        }
        Routing::Matched { .. } | Routing::Carried { .. } | Routing::Unrouted => {}
    }
    // What the kernel drops never reaches the proxy.
    let refused = match (&question.target.place, is_http) {
        (Place::Service(..) | Place::Gateway(_), true) => "403: Access denied",
        (Place::Service(..) | Place::Gateway(_), false) => ended,
        (Place::Direct, _) => "the connection is dropped",
    };
    let by_request = |endpoint: &EndpointAnswer| {
        let dropped = |side: &Side| matches!(side, Side::Judged { connection: Ruling::Denied { .. }, .. });
        !dropped(&endpoint.egress) && !dropped(&endpoint.ingress)
    };
    let mut outcomes = BTreeSet::new();
    for backend in backends.iter().filter(|backend| backend.is_used) {
        if let Some((status, reason)) = &backend.problem {
            outcomes.insert((2, if is_http { format!("{status}: {reason}") } else { reason.clone() }));
        }
        for endpoint in backend.endpoints.iter().filter(|endpoint| endpoint.ready) {
            outcomes.insert(match (endpoint.allowed(), by_request(endpoint)) {
                (true, _) => (0, String::new()),
                (false, true) => (1, "403: Access denied".to_owned()),
                (false, false) => (1, refused.to_owned()),
            });
        }
    }
    let kinds: BTreeSet<i32> = outcomes.iter().map(|(kind, _)| *kind).collect();
    let said = || outcomes.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(", or ");
    match kinds.into_iter().collect::<Vec<_>>()[..] {
        [0] => Outcome::Allowed,
        [1] => Outcome::Denied(said()),
        [2] => Outcome::Failed(said()),
        [] if is_http => Outcome::Failed("500: the rule has no backend with a weight".into()),
        [] => Outcome::Failed(format!("{ended}: the rule has no backend with a weight")),
        _ => Outcome::Mixed,
    }
}
