//! HTTP routes as the Gateway API defines them, indexed by host and path so that finding one does
//! not depend on how many there are.
//!
//! The tree is listener → host → path. Every node shares what it can with the one before it: a
//! changed route copies the parts on its own path only. `route::insert` builds it, `route::find` searches it.

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use crate::service::{BackendId, ObjectRef};
use crate::shared_map::SharedMap;

/// All routes of one parent (a listener or a Service), by host.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    /// `spec.hostnames` without a wildcard, lower case.
    pub exact_hosts: SharedMap<Arc<str>, Arc<HostRoutes>>,
    /// `*.example.com` under the key `.example.com`.
    pub wildcard_hosts: SharedMap<Arc<str>, Arc<HostRoutes>>,
    /// Routes without hostnames.
    pub any_host: Option<Arc<HostRoutes>>,
}

/// The TLSRoutes of a listener by server name; the oldest route of a name is the one in force.
#[derive(Clone, Debug, Default)]
pub struct SniTable {
    /// `spec.hostnames` without a wildcard, lower case.
    pub exact: SharedMap<Arc<str>, Arc<RouteRule>>,
    /// `*.example.com` under the key `.example.com`.
    pub wildcard: SharedMap<Arc<str>, Arc<RouteRule>>,
    /// Routes without hostnames.
    pub any: Option<Arc<RouteRule>>,
}

/// The matches of one hostname, by path. Each list is ordered best first.
#[derive(Clone, Debug, Default)]
pub struct HostRoutes {
    /// `Exact` paths.
    pub exact: SharedMap<Arc<str>, Arc<[Arc<RouteMatch>]>>,
    /// `RegularExpression` paths, longest expression first.
    pub regex: Arc<[Arc<RouteMatch>]>,
    /// `PathPrefix` paths without the trailing slash; `/` is the empty string.
    pub prefix: SharedMap<Arc<str>, Arc<[Arc<RouteMatch>]>>,
    /// Bytes of the longest key of `prefix`.
    pub prefix_max: usize,
    /// [`PathMatch::Method`]s: after every path that names a service, before the one that names nothing.
    pub methods: Arc<[Arc<RouteMatch>]>,
}

/// One entry of `rules[].matches[]`, with the rule it leads to.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// `path`; `PathPrefix /` by default.
    pub path: PathMatch,
    /// `method`.
    pub method: Option<Arc<str>>,
    /// `headers`, the first of each name.
    pub headers: Vec<HeaderMatch>,
    /// `queryParams`, the first of each name.
    pub query: Vec<QueryMatch>,
    /// Seconds since the epoch of the route's `creationTimestamp`; `i64::MAX` when it has none.
    pub created: i64,
    /// The rule.
    pub rule: Arc<RouteRule>,
}

/// `matches[].path`.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// The whole path.
    Exact(Arc<str>),
    /// Whole path elements; stored without the trailing slash.
    Prefix(Arc<str>),
    /// The whole path, RE2-like; compiled with anchors at both ends.
    Regex(Regex),
    /// A GRPCRoute's `method` that does not name a service as it is: those that do are paths.
    Method(Box<MethodMatch>),
}

/// `matches[].method` of a GRPCRoute, against the two elements of `/package.Service/Method`.
#[derive(Clone, Debug)]
pub struct MethodMatch {
    /// `service`; any by default.
    pub service: Option<ValueMatch>,
    /// `method`; any by default.
    pub method: Option<ValueMatch>,
}

/// `exact` or `regularExpression`.
#[derive(Clone, Debug)]
pub enum ValueMatch {
    /// The whole value, case-sensitive.
    Exact(Arc<str>),
    /// The whole value, RE2-like; compiled with anchors at both ends.
    Regex(Regex),
}

/// `matches[].headers[]`.
#[derive(Clone, Debug)]
pub struct HeaderMatch {
    /// Lower case.
    pub name: Arc<str>,
    /// What the joined value must be.
    pub value: ValueMatch,
}

/// `matches[].queryParams[]`.
#[derive(Clone, Debug)]
pub struct QueryMatch {
    /// Case-sensitive.
    pub name: Arc<str>,
    /// What the first value of that name must be.
    pub value: ValueMatch,
}

/// One entry of `spec.rules[]` of an HTTPRoute, GRPCRoute, TLSRoute, TCPRoute or UDPRoute.
#[derive(Clone, Debug)]
pub struct RouteRule {
    /// The route.
    pub route: ObjectRef,
    /// Its place in `spec.rules`.
    pub index: u32,
    /// `rules[].name`.
    pub name: Option<Arc<str>>,
    /// `rules[].filters`, in order.
    pub filters: Vec<Filter>,
    /// `rules[].backendRefs`. Empty with no redirect among the filters: every request gets 500.
    pub backends: Vec<WeightedBackend>,
    /// `rules[].timeouts`.
    pub timeouts: Timeouts,
    /// `rules[].retry`; `None`: only what is known not to have been sent is tried again.
    pub retry: Option<Retry>,
    /// The rule of a GRPCRoute: its backends are spoken to in HTTP/2.
    pub grpc: bool,
}

/// `rules[].retry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// `codes`: statuses of answers that are tried again. Failed connections always are.
    pub codes: Vec<u16>,
    /// `attempts`: tries beyond the first; 0 turns retries off.
    pub attempts: u32,
    /// `backoff`: the least time between two tries; `None` leaves it to us.
    pub backoff: Option<Duration>,
}

/// `rules[].timeouts`; zero in the object is `None` here: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// `request`: from the request's first byte to the response's last.
    pub request: Option<Duration>,
    /// `backendRequest`: one try.
    pub backend_request: Option<Duration>,
}

/// `rules[].backendRefs[]`.
#[derive(Clone, Debug)]
pub struct WeightedBackend {
    /// Share of the requests; 0 gets none.
    pub weight: u32,
    /// Where they go.
    pub target: BackendTarget,
    /// `filters` of this reference alone.
    pub filters: Vec<Filter>,
}

/// What a backend reference came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendTarget {
    /// A Service port.
    Service(BackendId),
    /// Unresolved: its share of requests is answered with 500. The reason, for flows and `explain`.
    Invalid(Arc<str>),
}

/// `filters[]` of a rule or of a backend reference.
#[derive(Clone, Debug)]
pub enum Filter {
    /// `RequestHeaderModifier`.
    RequestHeaders(HeaderEdits),
    /// `ResponseHeaderModifier`.
    ResponseHeaders(HeaderEdits),
    /// `RequestRedirect`.
    Redirect(Redirect),
    /// `URLRewrite`.
    Rewrite(Rewrite),
    /// `RequestMirror`.
    Mirror(Mirror),
    /// `CORS`.
    Cors(Arc<Cors>),
}

/// `cors`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// `allowOrigins`; empty allows none.
    pub origins: Vec<Origin>,
    /// `allowCredentials`.
    pub credentials: bool,
    /// `allowMethods`; `*` stands for all.
    pub methods: Vec<Arc<str>>,
    /// `allowHeaders`; `*` stands for all.
    pub headers: Vec<Arc<str>>,
    /// `exposeHeaders`; `*` stands for all.
    pub expose: Vec<Arc<str>>,
    /// `maxAge` in seconds; 5 by default.
    pub max_age: u32,
}

/// `allowOrigins[]`, compared without case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `*`.
    Any,
    /// `https://example.com:8443`, lower case.
    Exact(Arc<str>),
    /// `https://*.example.com`: the scheme with `://`, and what follows the wildcard (`.example.com`).
    Wildcard {
        /// `https://`.
        scheme: Arc<str>,
        /// `.example.com`, with the port if one is said.
        suffix: Arc<str>,
    },
}

/// `set`, `add` and `remove`, applied in this order; names lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Replaces every value of the name.
    pub set: Vec<(Arc<str>, Arc<str>)>,
    /// Appended, by comma to an existing value.
    pub add: Vec<(Arc<str>, Arc<str>)>,
    /// Removed.
    pub remove: Vec<Arc<str>>,
}

/// `path` of a redirect or rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathEdit {
    /// `ReplaceFullPath`.
    Full(Arc<str>),
    /// `ReplacePrefixMatch`: the matched prefix is replaced.
    Prefix(Arc<str>),
}

/// `requestRedirect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// `scheme`; the request's own when absent.
    pub scheme: Option<Arc<str>>,
    /// `hostname`; the request's host when absent.
    pub hostname: Option<Arc<str>>,
    /// `path`; the request's path when absent.
    pub path: Option<PathEdit>,
    /// `port`; see the field's rules for its absence.
    pub port: Option<u16>,
    /// `statusCode`: 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// `urlRewrite`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// `hostname`: the new authority.
    pub hostname: Option<Arc<str>>,
    /// `path`.
    pub path: Option<PathEdit>,
}

/// `requestMirror`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Where copies go.
    pub target: BackendTarget,
    /// Copies for `numerator` of `denominator` requests; 1 of 1 when the object does not say.
    pub numerator: u32,
    /// See `numerator`; never 0.
    pub denominator: u32,
}
