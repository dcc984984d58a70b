//! Flow records: one for each connection and each request, written by workers into bounded rings
//! and formatted elsewhere. The shape is fixed; texts of any length are cut to [`TEXT_MAX`].

use std::net::SocketAddr;
use std::sync::Arc;

use crate::identity::Identity;
use crate::policy::{Direction, RuleRef};
use crate::route::RouteRule;
use crate::workload::{Protocol, Workload};

/// Bytes kept of a path or authority.
pub const TEXT_MAX: usize = 128;

/// A short text of fixed size, cut at [`TEXT_MAX`] bytes on a character boundary.
#[derive(Clone, Copy)]
pub struct Text {
    len: u8,
    bytes: [u8; TEXT_MAX],
}

impl Text {
    /// Copies as much of `text` as fits.
    pub fn new(text: &str) -> Self {
        let mut len = text.len().min(TEXT_MAX);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        let mut bytes = [0; TEXT_MAX];
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        // TEXT_MAX fits in a byte.
        #[allow(clippy::cast_possible_truncation)]
        Self { len: len as u8, bytes }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl Default for Text {
    fn default() -> Self {
        Self { len: 0, bytes: [0; TEXT_MAX] }
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// One side of a flow.
#[derive(Debug)]
pub struct FlowPeer {
    /// Address and port.
    pub address: SocketAddr,
    /// Its identity with labels, if known.
    pub identity: Option<Arc<Identity>>,
    /// The pod, if it is one.
    pub workload: Option<Arc<Workload>>,
}

impl Clone for FlowPeer {
    fn clone(&self) -> Self {
        Self { address: self.address, identity: self.identity.clone(), workload: self.workload.clone() }
    }

    /// Leaves the counts of references alone where nothing changes: others may count them too.
    fn clone_from(&mut self, source: &Self) {
        self.address = source.address;
        take_on(&mut self.identity, &source.identity);
        take_on(&mut self.workload, &source.workload);
    }
}

fn take_on<T>(own: &mut Option<Arc<T>>, other: &Option<Arc<T>>) {
    if own.as_ref().map(Arc::as_ptr) != other.as_ref().map(Arc::as_ptr) {
        own.clone_from(other);
    }
}

/// Whether traffic passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowVerdict {
    /// It passed.
    Forwarded,
    /// Policy stopped it.
    Denied,
    /// It could not be served: bad request, no backend, upstream failure, time-out.
    Failed,
}

/// Why a flow ended as it did. The names are stable: readers filter by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowReason {
    /// Nothing to say.
    None,
    /// No rule allows it.
    PolicyDefaultDeny,
    /// A deny rule matches.
    PolicyDenyRule,
    /// The endpoint is closed because a policy was refused.
    PolicyRefused,
    /// The policy changed and no longer allows the live connection.
    PolicyRevoked,
    /// The source address is not the pod's own.
    Spoofed,
    /// A packet that cannot be read (fragment, IP option) towards an L7-policed destination.
    Unreadable,
    /// No proxy is listening.
    NoProxy,
    /// Not HTTP on a port with HTTP policy or routes.
    NotHttp,
    /// The client sent a malformed request.
    BadRequest,
    /// The client was too slow.
    ClientTimeout,
    /// The client went away.
    ClientGone,
    /// No route matches.
    NoRoute,
    /// The route's backend reference is invalid.
    InvalidBackend,
    /// No ready endpoint.
    NoEndpoint,
    /// The endpoint could not be connected to.
    ConnectFailed,
    /// The endpoint broke off or answered malformed bytes.
    UpstreamFailed,
    /// `timeouts.request` or `timeouts.backendRequest` ran out.
    RouteTimeout,
    /// The time that the client itself allowed (`grpc-timeout`) is over.
    DeadlineExceeded,
    /// A named limit was hit.
    Limit,
    /// A circuit breaker of the Service is open, or the retry budget is used up.
    Overloaded,
    /// A TLS handshake failed, with the client or with the endpoint.
    TlsFailed,
    /// The request's host belongs to another listener than its connection's server name (421).
    Misdirected,
    /// A defect of ours; the connection alone was closed.
    Internal,
}

impl FlowReason {
    /// Every reason, in the order of their numbers (`reason as usize`).
    pub const ALL: [Self; Self::Internal as usize + 1] = [
        Self::None,
        Self::PolicyDefaultDeny,
        Self::PolicyDenyRule,
        Self::PolicyRefused,
        Self::PolicyRevoked,
        Self::Spoofed,
        Self::Unreadable,
        Self::NoProxy,
        Self::NotHttp,
        Self::BadRequest,
        Self::ClientTimeout,
        Self::ClientGone,
        Self::NoRoute,
        Self::InvalidBackend,
        Self::NoEndpoint,
        Self::ConnectFailed,
        Self::UpstreamFailed,
        Self::RouteTimeout,
        Self::DeadlineExceeded,
        Self::Limit,
        Self::Overloaded,
        Self::TlsFailed,
        Self::Misdirected,
        Self::Internal,
    ];
}

/// The version of HTTP that a client spoke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0 and HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, with TLS or without.
    Http2,
}

/// The HTTP part of a request's record.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpFlow {
    /// Method.
    pub method: Text16,
    /// Authority.
    pub authority: Text,
    /// Path and query as the client sent them, normalised.
    pub path: Text,
    /// Status answered; 0 when none was.
    pub status: u16,
    /// What the client spoke.
    pub version: HttpVersion,
}

/// A text of at most 16 bytes (methods).
#[derive(Clone, Copy, Debug, Default)]
pub struct Text16 {
    len: u8,
    bytes: [u8; 16],
}

impl Text16 {
    /// Copies as much of `text` as fits.
    pub fn new(text: &str) -> Self {
        let mut out = Self::default();
        for byte in text.bytes().take(16).filter(u8::is_ascii) {
            out.bytes[usize::from(out.len)] = byte;
            out.len += 1;
        }
        out
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

/// One connection or one request.
#[derive(Clone, Debug)]
pub struct FlowRecord {
    /// Nanoseconds since the Unix epoch at its end.
    pub time_ns: u64,
    /// Who opened it.
    pub source: FlowPeer,
    /// Where the client wanted to go.
    pub destination: FlowPeer,
    /// The endpoint chosen, when it is not the destination itself.
    pub backend: Option<FlowPeer>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Whether it passed.
    pub verdict: FlowVerdict,
    /// Why.
    pub reason: FlowReason,
    /// The direction whose policy decided, if one did.
    pub direction: Option<Direction>,
    /// The rule that decided, if one did.
    pub rule: Option<Arc<RuleRef>>,
    /// The route taken.
    pub route: Option<Arc<RouteRule>>,
    /// Present for requests.
    pub http: Option<HttpFlow>,
    /// Names of headers that a rule's `headerMatches` let pass with another value than it wants
    /// (`mismatch: LOG`, `ADD`, `DELETE`, `REPLACE`). Empty, without memory of its own, for nearly all.
    pub header_mismatches: Vec<Arc<str>>,
    /// Nanoseconds from its beginning to its end.
    pub latency_ns: u64,
    /// Bytes of body or stream from the client.
    pub bytes_in: u64,
    /// Bytes of body or stream to the client.
    pub bytes_out: u64,
}

impl FlowRecord {
    /// A record to fill in: of nothing, between no addresses.
    pub fn blank() -> Self {
        let nobody =
            || FlowPeer { address: SocketAddr::from(([0, 0, 0, 0], 0)), identity: None, workload: None };
        Self {
            time_ns: 0,
            source: nobody(),
            destination: nobody(),
            backend: None,
            protocol: Protocol::Tcp,
            verdict: FlowVerdict::Failed,
            reason: FlowReason::None,
            direction: None,
            rule: None,
            route: None,
            http: None,
            header_mismatches: Vec::new(),
            latency_ns: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}
