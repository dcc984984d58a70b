//! The answer as data: what the text form and the JSON form are both made from.

use model::address::EndpointAddr;

use crate::explain::forward::Routing;
use crate::explain::question::Question;
use crate::explain::{json, text};

/// What `weir explain` found out.
#[derive(Debug)]
pub(crate) struct Explanation {
    pub(super) question: Question,
    /// It is, or has to be, an HTTP request: routes or policy judge it as one.
    pub(super) is_http: bool,
    pub(super) routing: Routing,
    pub(super) backends: Vec<BackendAnswer>,
    pub(super) outcome: Outcome,
}

/// How it ends, over all that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It passes, wherever it is sent.
    Allowed,
    /// Policy stops it, wherever it is sent; what the client sees.
    Denied(String),
    /// It is answered without a backend: a redirect.
    Answered(String),
    /// It cannot be served: no route, no backend, no endpoint.
    Failed(String),
    /// It depends on the backend or endpoint that is chosen.
    Mixed,
}

/// One backend that may be chosen.
#[derive(Debug)]
pub(super) struct BackendAnswer {
    /// The Service port, or the address itself.
    pub(super) name: String,
    /// `weight` and its share of all, in percent; `None` where nothing is weighted.
    pub(super) weight: Option<(u32, f64)>,
    /// Whether it gets anything at all.
    pub(super) is_used: bool,
    /// Status and reason where it cannot be used.
    pub(super) problem: Option<(u16, String)>,
    pub(super) endpoints: Vec<EndpointAnswer>,
}

/// One endpoint that may be picked.
#[derive(Debug)]
pub(super) struct EndpointAnswer {
    pub(super) address: EndpointAddr,
    pub(super) pod: Option<String>,
    pub(super) ready: bool,
    pub(super) egress: Side,
    pub(super) ingress: Side,
}

impl EndpointAnswer {
    /// Whether both sides let it pass.
    pub(super) fn allowed(&self) -> bool {
        self.egress.allowed() && self.ingress.allowed()
    }
}

/// What the policy of one side says.
#[derive(Debug)]
pub(super) enum Side {
    /// Nothing is judged here; why.
    NotJudged(String),
    /// It was asked.
    Judged {
        /// The pod whose policy it is.
        pod: String,
        /// Addresses, identities, protocol and port.
        connection: Ruling,
        /// The request, where HTTP rules decide.
        request: Option<RequestRuling>,
    },
}

impl Side {
    pub(super) fn allowed(&self) -> bool {
        match self {
            Self::NotJudged(_) => true,
            Self::Judged { connection, request, .. } => match (connection, request) {
                (Ruling::Allowed { .. }, _) => true,
                (Ruling::Denied { .. }, _) | (Ruling::ByRequest { .. }, None) => false,
                (Ruling::ByRequest { .. }, Some(request)) => request.allowed,
            },
        }
    }
}

/// The verdict of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It passes; by which rule, or because nothing is enforced or built in.
    Allowed { by: Option<String>, note: &'static str },
    /// It does not.
    Denied { reason: &'static str, by: Option<String> },
    /// So many HTTP rules judge each request.
    ByRequest { rules: usize },
}

/// The verdict of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestRuling {
    pub(super) allowed: bool,
    pub(super) by: Option<String>,
    /// What the policy changes in the request or takes note of.
    pub(super) edits: Vec<String>,
    /// Where nothing matches: the rules, nearest first, and why each does not match.
    pub(super) misses: Vec<Miss>,
}

/// A rule that does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Miss {
    pub(super) rule: String,
    pub(super) reasons: Vec<String>,
}

impl Explanation {
    /// Whether the connection or request would be served.
    pub(crate) fn allowed(&self) -> bool {
        matches!(self.outcome, Outcome::Allowed | Outcome::Answered(_))
    }

    /// Whether a request is judged, or was asked about where bytes may be one.
    pub(super) fn is_request(&self) -> bool {
        let carried = matches!(self.routing, Routing::Carried { .. } | Routing::NotCarried { .. });
        self.is_http || !(self.question.is_assumed || carried)
    }

    /// The steps for people, several lines.
    pub(crate) fn text(&self) -> String {
        text::text(self)
    }

    /// One JSON object; its fields are in `docs/explain.md`.
    pub(crate) fn json(&self) -> serde_json::Value {
        json::json(self)
    }
}
