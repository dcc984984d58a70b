//! Network policy: the entries that policies come to, and the compiled form that verdicts are
//! made from. One compiled [`EndpointPolicy`] feeds both the kernel's map and the proxy.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use regex::Regex;

use crate::identity::IdentityId;
use crate::service::ObjectRef;
use crate::workload::Protocol;

/// Traffic direction, seen from the endpoint that a policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// To the endpoint.
    Ingress = 0,
    /// From the endpoint.
    Egress = 1,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// The rule behind a verdict: a policy and the place in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleRef {
    /// The policy object.
    pub policy: ObjectRef,
    /// The place: `spec.ingress[0].toPorts[0].rules.http[1]`.
    pub place: Arc<str>,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.policy, self.place)
    }
}

/// The compiled policy of one endpoint of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointPolicy {
    /// What may reach the endpoint.
    pub ingress: DirectionPolicy,
    /// What the endpoint may reach.
    pub egress: DirectionPolicy,
}

impl EndpointPolicy {
    /// The half for one direction.
    pub fn direction(&self, direction: Direction) -> &DirectionPolicy {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Whether and why a direction is enforced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// No policy selects the endpoint in this direction: everything passes.
    #[default]
    Open,
    /// Only what an entry allows passes.
    Enforced,
    /// Nothing passes: a policy that selects the endpoint was refused (named here) and has no
    /// last good version.
    Closed(Arc<RuleRef>),
}

/// One direction of a compiled policy.
///
/// `entries[peer]` holds the entries of that identity; `entries[IdentityId::UNKNOWN]` those of
/// any peer. Within one list no entry is covered by a broader one of higher or equal precedence
/// with another verdict, so the longest match is the deciding one (as the kernel's map needs).
///
/// A peer's own list takes everything into account that the any-peer list says. So a match in the
/// own list decides, and the any-peer list is asked only when there is none; comparing the
/// precedence of both matches leads to the same verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectionPolicy {
    /// Whether anything is enforced.
    pub enforcement: Enforcement,
    /// Entries by peer identity.
    pub entries: HashMap<IdentityId, Arc<[PolicyEntry]>>,
}

/// One entry of a compiled policy: the ports it covers and what happens there. Lists are ordered
/// so that the first entry that covers a port is the longest match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyEntry {
    /// `None`: every protocol (then `port_prefix` is 0).
    pub protocol: Option<Protocol>,
    /// First port of the covered block.
    pub port: u16,
    /// Number of leading bits of `port` that count: 16 for one port, 0 for all.
    pub port_prefix: u8,
    /// Denying (255) beats HTTP (154) beats allowing (1), as the low byte of Cilium's precedence.
    pub precedence: u32,
    /// What happens.
    pub verdict: PolicyVerdict,
    /// The rule that decided; `None` for built-in entries.
    pub by: Option<Arc<RuleRef>>,
}

/// What a policy entry says of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyVerdict {
    /// It passes.
    Allow,
    /// It is dropped.
    Deny,
    /// It goes to the proxy, which judges each request.
    Http(Arc<HttpRules>),
}

/// The united HTTP rules of one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRules {
    /// A plain allow covers the same peer and port: every request passes, and is shown. The rule
    /// that says so; `Some(None)` for a built-in one.
    pub any: Option<Option<Arc<RuleRef>>>,
    /// A request passes if one of these matches.
    pub rules: Vec<Arc<HttpRule>>,
}

/// One compiled `rules.http[]` element. Absent fields match everything.
#[derive(Clone, Debug)]
pub struct HttpRule {
    /// Whole match of path and query.
    pub path: Option<Regex>,
    /// Whole match of the method.
    pub method: Option<Regex>,
    /// Whole match of the authority with its port.
    pub host: Option<Regex>,
    /// `headers` and the `headerMatches` that fail on mismatch.
    pub headers: Vec<RequiredHeader>,
    /// `headerMatches` that edit or log instead of failing.
    pub edits: Vec<HeaderMismatch>,
    /// Where it stands.
    pub by: Arc<RuleRef>,
}

impl HttpRule {
    /// Whether two rules ask and do the same, wherever they stand.
    pub fn same(&self, other: &Self) -> bool {
        let text = |regex: &Option<Regex>| regex.as_ref().map(|r| r.as_str().to_owned());
        text(&self.path) == text(&other.path)
            && text(&self.method) == text(&other.method)
            && text(&self.host) == text(&other.host)
            && self.headers == other.headers
            && self.edits == other.edits
    }
}

impl PartialEq for HttpRule {
    fn eq(&self, other: &Self) -> bool {
        self.by == other.by && self.same(other)
    }
}

impl Eq for HttpRule {}

/// A header that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredHeader {
    /// Lower case.
    pub name: Arc<str>,
    /// The value, joined by commas; `None`: presence is enough.
    pub value: Option<Arc<str>>,
}

/// A `headerMatches[]` element with a `mismatch` action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMismatch {
    /// Lower case.
    pub name: Arc<str>,
    /// The wanted value; `None`: presence.
    pub value: Option<Arc<str>>,
    /// What to do when it is not met.
    pub action: MismatchAction,
}

/// `headerMatches[].mismatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MismatchAction {
    /// Allow and note it in the flow record.
    Log,
    /// Append the wanted header.
    Add,
    /// Remove a header of another value.
    Delete,
    /// Set the wanted value.
    Replace,
}
