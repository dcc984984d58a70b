//! Stage 6. Policy permits: the source's egress policy and, where the endpoint is a pod of this
//! node, its ingress policy. Nobody else makes a [`Permitted`], and it holds the very bytes that
//! were judged.

use std::sync::Arc;

use model::Snapshot;
use model::address::EndpointAddr;
use model::flow::FlowReason;
use model::identity::IdentityId;
use model::policy::{Direction, DirectionPolicy, HttpRule, HttpRules, RuleRef};
use model::request::HttpRequest;
use model::route::{Filter, HeaderEdits, RouteMatch, Timeouts};
use model::workload::{EndpointId, Protocol};
use policy::{ConnectionVerdict, HeaderEdit, Mismatch};

use crate::addressed::{Addressing, Party, Place, Source};
use crate::flow::Flow;
use crate::forward::{Forward, Front};
use crate::parsed::{Message, Request, Room};
use crate::picked::Picked;
use crate::refusal::Refusal;
use crate::resilience::Target;
use crate::routed::{Context, Route};
use crate::tls;
use crate::upstream::{Ends, Key, source};

/// A message that may go to its endpoint.
pub(crate) struct Permitted {
    key: Key,
    target: Target,
    head: Vec<u8>,
    /// The scheme that the client asked by.
    scheme: &'static str,
    /// The route taken and the place of the backend reference in its rule.
    route: Option<(Arc<RouteMatch>, usize)>,
}

/// Why policy said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) direction: Direction,
    pub(crate) reason: FlowReason,
    pub(crate) by: Option<Arc<RuleRef>>,
}

/// Which direction let a message pass, and by which rule.
pub(crate) type Decision = Option<(Direction, Option<Arc<RuleRef>>)>;

impl Picked<'_> {
    /// Judges the message; a request's head is written to `head` as it will be forwarded.
    ///
    /// # Errors
    /// Policy denies it, or its route makes a head that cannot be sent: what to answer.
    pub(crate) fn permit(
        self,
        context: &Context<'_>,
        mut head: Vec<u8>,
        flow: Option<&mut Flow>,
    ) -> Result<Permitted, Refusal> {
        let judge = context.ends.judge();
        let mut mismatches = Vec::new();
        let decision = match self.message {
            Message::Bytes => judge.bytes(&self.endpoint).map_err(Refusal::denied)?,
            Message::Request(request) => {
                if request.is_connect()
                    && !self.route.is_some_and(Route::names_connect)
                    && !judge.names_connect(&self.endpoint, &request.view())
                {
                    return Err(Refusal::new(405, FlowReason::BadRequest).closing());
                }
                let is_gateway = matches!(context.ends.place, Place::Gateway(_));
                let front = Front { client: context.client, scheme: context.scheme() };
                let mut forward = Forward::new(request, self.route, is_gateway.then_some(front));
                let decision = judge.request(&self.endpoint, &request.view(), &mut forward);
                let decision = decision.map_err(Refusal::denied)?;
                head.clear();
                let written = forward.write(self.version, &mut head);
                written.map_err(|_| Refusal::new(500, FlowReason::InvalidBackend))?;
                mismatches = forward.mismatches;
                decision
            }
        };
        if let Some(flow) = flow {
            if let Some((direction, by)) = decision {
                flow.decided(direction, by);
            }
            flow.mismatched(mismatches);
        }
        let transparent = context.worker.config.transparent;
        let ends = || Ends::of(&context.ends.view, &context.ends.source, &self.endpoint);
        let source = if transparent { source(ends()) } else { None };
        let tls = tls::identity(&self, context)?;
        let key = Key { endpoint: self.endpoint.address, source, version: self.version, tls };
        let route = self.route.map(|route| (route.matched.clone(), route.backend));
        Ok(Permitted { key, target: self.target, head, scheme: context.scheme(), route })
    }
}

impl Permitted {
    /// Where it goes.
    pub(crate) fn endpoint(&self) -> EndpointAddr {
        self.key.endpoint
    }

    /// The same with what the worker knows of it, and through which Service.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Where it goes and under whose address.
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// The head that was judged, as its endpoint's stream takes it: text, or a [`codec::h2::text::RequestList`].
    /// Empty for bytes.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Takes the head, to send it.
    pub(crate) fn take_head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.route().map(|route| route.matched.rule.timeouts).unwrap_or_default()
    }

    /// Response filters of the rule, then of the backend reference.
    pub(crate) fn response_edits(&self) -> impl Iterator<Item = &HeaderEdits> {
        self.route().into_iter().flat_map(|route| route.filters()).filter_map(|filter| match filter {
            Filter::ResponseHeaders(edits) => Some(edits),
            _ => None,
        })
    }

    /// Whether policy, as it is now, still permits it. `head`: the client's, as it came; `None`
    /// for bytes.
    pub(crate) fn still(&self, ends: &Addressing, head: Option<&[u8]>, client: &str) -> Result<(), Denial> {
        let endpoint = Party::of(&ends.view, self.key.endpoint);
        let Some(head) = head else {
            return ends.judge().bytes(&endpoint).map(drop);
        };
        let mut room: Room<'_> = codec::http1::uninit_headers();
        let any =
            codec::http1::Limits { head_bytes: usize::MAX, target_bytes: usize::MAX, ..Default::default() };
        // It was read and written before; a head that cannot be read again is not let pass.
        let unread = || Denial { direction: Direction::Egress, reason: FlowReason::Internal, by: None };
        let head = codec::http1::parse_request(head, &mut room, &any).ok().flatten().ok_or_else(unread)?;
        let request = Request::read(head).map_err(|_| unread())?;
        let by_route = self.route().is_some_and(Route::names_connect);
        if request.is_connect() && !by_route && !ends.judge().names_connect(&endpoint, &request.view()) {
            let reason = FlowReason::PolicyDefaultDeny;
            return Err(Denial { direction: Direction::Egress, reason, by: None });
        }
        let is_gateway = matches!(ends.place, Place::Gateway(_));
        let front = Front { client, scheme: self.scheme };
        let mut forward = Forward::new(&request, self.route(), is_gateway.then_some(front));
        ends.judge().request(&endpoint, &request.view(), &mut forward).map(drop)
    }

    fn route(&self) -> Option<Route<'_>> {
        self.route.as_ref().map(|(matched, backend)| Route { matched, backend: *backend })
    }
}

/// The policies of one Snapshot, asked about one source.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'s> {
    pub(crate) snapshot: &'s Snapshot,
    pub(crate) source: &'s Source,
    /// TCP or UDP.
    pub(crate) transport: Protocol,
}

impl<'s> Judge<'s> {
    /// What egress and ingress policy say of a connection to an endpoint. A direction whose pod is
    /// not on this node is another node's to judge.
    pub(crate) fn connection(self, endpoint: &Party<'_>) -> (ConnectionVerdict<'s>, ConnectionVerdict<'s>) {
        let ask = |pod: Option<EndpointId>, direction, peer: IdentityId| match pod {
            None => ConnectionVerdict::Allow(None),
            Some(pod) => match self.policy(pod, direction) {
                Some(policy) => policy::connection(policy, peer, self.transport, endpoint.address.port()),
                None => ConnectionVerdict::Deny { reason: FlowReason::PolicyDefaultDeny, by: None },
            },
        };
        let egress = ask(self.source.local, Direction::Egress, endpoint.identity);
        let ingress = ask(endpoint.local(), Direction::Ingress, self.source.identity);
        (egress, ingress)
    }

    fn policy(self, pod: EndpointId, direction: Direction) -> Option<&'s DirectionPolicy> {
        self.snapshot.policies.get(&pod).map(|policy| policy.direction(direction))
    }

    /// Whether requests to an endpoint are judged one by one.
    pub(crate) fn has_http_rules(self, endpoint: EndpointAddr) -> bool {
        let (egress, ingress) = self.connection(&Party::of(self.snapshot, endpoint));
        matches!(egress, ConnectionVerdict::Http(_)) || matches!(ingress, ConnectionVerdict::Http(_))
    }

    /// Whether a rule that lets this CONNECT pass says so: one that has its method. A rule that is
    /// silent about the method opens no tunnel.
    pub(crate) fn names_connect(self, endpoint: &Party<'_>, sent: &HttpRequest<'_>) -> bool {
        let (egress, ingress) = self.connection(endpoint);
        [egress, ingress].into_iter().any(|verdict| {
            let ConnectionVerdict::Http(rules) = verdict else { return false };
            let names = |rule: &&Arc<HttpRule>| {
                rule.method.as_ref().is_some_and(|method| method.as_str().contains("CONNECT"))
            };
            let rules = rules.rules.iter().filter(names).cloned().collect();
            policy::request(&HttpRules { any: None, rules }, sent).allowed
        })
    }

    /// Judges a connection of bytes. HTTP rules cannot see what is in it: they deny it.
    pub(crate) fn bytes(self, endpoint: &Party<'_>) -> Result<Decision, Denial> {
        let (egress, ingress) = self.connection(endpoint);
        let judge = |direction, verdict| match verdict {
            ConnectionVerdict::Allow(by) => Ok(by.map(|by| (direction, Some(by.clone())))),
            ConnectionVerdict::Deny { reason, by } => Err(Denial { direction, reason, by: by.cloned() }),
            ConnectionVerdict::Http(_) => Err(Denial { direction, reason: FlowReason::NotHttp, by: None }),
        };
        let egress = judge(Direction::Egress, egress)?;
        Ok(judge(Direction::Ingress, ingress)?.or(egress))
    }

    /// Judges a request: egress as the client sent it, ingress as it will be forwarded.
    pub(crate) fn request(
        self,
        endpoint: &Party<'_>,
        sent: &HttpRequest<'_>,
        forward: &mut Forward<'_>,
    ) -> Result<Decision, Denial> {
        let (egress, ingress) = self.connection(endpoint);
        let egress = one(Direction::Egress, egress, |rules| policy::request(rules, sent))?;
        forward.amend(&egress);
        let ingress = one(Direction::Ingress, ingress, |rules| {
            forward.with_view(|forwarded| policy::request(rules, forwarded))
        })?;
        forward.amend(&ingress);
        Ok(ingress.decision.or(egress.decision))
    }
}

/// What a direction that allows a request says of it.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) decision: Decision,
    pub(crate) edits: Vec<HeaderEdit>,
    pub(crate) mismatches: Vec<Mismatch>,
}

/// One direction's verdict of a request.
fn one<'s>(
    direction: Direction,
    verdict: ConnectionVerdict<'s>,
    judge: impl FnOnce(&'s model::policy::HttpRules) -> policy::RequestVerdict<'s>,
) -> Result<Judged, Denial> {
    let decided = |by: &Arc<RuleRef>| (direction, Some(by.clone()));
    match verdict {
        ConnectionVerdict::Allow(by) => Ok(Judged { decision: by.map(decided), ..Judged::default() }),
        ConnectionVerdict::Deny { reason, by } => Err(Denial { direction, reason, by: by.cloned() }),
        ConnectionVerdict::Http(rules) => {
            let verdict = judge(rules);
            if verdict.allowed {
                let decision = verdict.by.map(decided);
                return Ok(Judged { decision, edits: verdict.edits, mismatches: verdict.mismatches });
            }
            Err(Denial { direction, reason: FlowReason::PolicyDefaultDeny, by: verdict.by.cloned() })
        }
    }
}

#[cfg(test)]
mod tests;
