//! What a stage says instead of passing a request on.

use model::address::EndpointAddr;
use model::flow::{FlowReason, FlowVerdict};
use route::Header;

use crate::permitted::Denial;

/// An answer of our own, and how the flow record explains it. A connection of bytes is reset.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Status of the answer; 0 for none: the connection closes without a word.
    pub(crate) status: u16,
    pub(crate) verdict: FlowVerdict,
    pub(crate) reason: FlowReason,
    /// `Location` of a redirect.
    pub(crate) location: Option<String>,
    /// Other fields of the answer.
    pub(crate) fields: Vec<Header<'static>>,
    /// The denial, if policy denied it.
    pub(crate) denial: Option<Denial>,
    /// The connection cannot be used after it.
    pub(crate) closes: bool,
    /// Whether another try could do better.
    pub(crate) unsent: Unsent,
}

/// Why nothing was sent to the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// It is not known that nothing was sent, or another try would fare no better.
    No,
    /// The endpoint did not accept a connection.
    Unreachable(EndpointAddr),
    /// It did not within the time that the route allows for one try.
    Late(EndpointAddr),
    /// The Service or its endpoints have as many connections as they may.
    Full,
    /// The idle connection taken had been closed.
    Stale,
    /// The endpoint said that it has not looked at it: it refused the stream, or is about to leave.
    Unprocessed,
    /// The same of one that left after it had taken others: a matter of luck, and of another try.
    LeftOut,
}

impl Refusal {
    /// A request that failed.
    pub(crate) fn new(status: u16, reason: FlowReason) -> Self {
        Self {
            status,
            verdict: FlowVerdict::Failed,
            reason,
            location: None,
            fields: Vec::new(),
            denial: None,
            closes: false,
            unsent: Unsent::No,
        }
    }

    /// A request whose endpoint could not be had: one that is not who it has to be, or speaks no
    /// TLS, is no better later, as one that is not there may be.
    pub(crate) fn unreachable(reason: FlowReason) -> Self {
        Self::new(if reason == FlowReason::TlsFailed { 502 } else { 503 }, reason)
    }

    /// A request that policy denied.
    pub(crate) fn denied(denial: Denial) -> Self {
        let refusal = Self::new(403, denial.reason);
        Self { verdict: FlowVerdict::Denied, denial: Some(denial), ..refusal }
    }

    /// A redirect.
    pub(crate) fn redirect(status: u16, location: String) -> Self {
        Self { location: Some(location), ..Self::answered(status) }
    }

    /// A request that the route itself answers.
    pub(crate) fn answered(status: u16) -> Self {
        Self { verdict: FlowVerdict::Forwarded, ..Self::new(status, FlowReason::None) }
    }

    /// A preflight, or a refusal that says what a browser of another origin is told.
    pub(crate) fn with_fields(self, fields: Vec<Header<'static>>) -> Self {
        Self { fields, ..self }
    }

    /// The same, of a request that was not sent.
    pub(crate) fn unsent(self, unsent: Unsent) -> Self {
        Self { unsent, ..self }
    }

    /// The same, and the connection closes after it.
    pub(crate) fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    /// What the client reads.
    pub(crate) fn body(&self) -> &'static str {
        match (self.status, self.reason) {
            (403, _) => "Access denied\r\n",
            (408, _) => "The request took too long to arrive\r\n",
            (405, _) => "Method not allowed\r\n",
            (421, _) => "The host is not this connection's\r\n",
            (431, _) => "Request header fields too large\r\n",
            (_, FlowReason::BadRequest) => "Bad request\r\n",
            (_, FlowReason::NoRoute) => "No route matches\r\n",
            (_, FlowReason::InvalidBackend) => "The route's backend is not valid\r\n",
            (_, FlowReason::NoEndpoint) => "No endpoint is ready\r\n",
            (_, FlowReason::TlsFailed) => "No TLS with the endpoint\r\n",
            (_, FlowReason::ConnectFailed) => "The endpoint does not accept connections\r\n",
            (_, FlowReason::Overloaded) => "The service is overloaded\r\n",
            (_, FlowReason::UpstreamFailed) => "The endpoint gave no valid response\r\n",
            (_, FlowReason::DeadlineExceeded) => "The deadline of the call has passed\r\n",
            (504, _) => "The endpoint took too long to answer\r\n",
            _ => "",
        }
    }
}
