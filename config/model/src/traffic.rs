//! How load is spread over the endpoints of a Service port and what protects them: from fields of
//! the Service, its annotations and an XBackendTrafficPolicy.

use std::time::Duration;

/// See the module. The default is what a Service without a word about it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficPolicy {
    /// How an endpoint is chosen among those that are preferred.
    pub algorithm: Algorithm,
    /// Which endpoints are preferred.
    pub locality: Locality,
    /// What is let through at most.
    pub breaker: Breaker,
    /// When an endpoint is left out; `None`: never.
    pub outlier: Option<Outlier>,
    /// How much of the load retries may add.
    pub retry_budget: RetryBudget,
}

/// `weir.dev/load-balancing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// `least-request`: the less loaded of two random endpoints.
    #[default]
    LeastRequest,
    /// `round-robin`.
    RoundRobin,
    /// `random`.
    Random,
}

/// `spec.trafficDistribution`. Endpoints farther away are used once no nearer one is ready, or
/// the nearer ones are overloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locality {
    /// None are preferred.
    #[default]
    Any,
    /// `PreferSameZone` and `PreferClose`.
    PreferZone,
    /// `PreferSameNode`: the same node, then the same zone.
    PreferNode,
}

/// Counts beyond which requests are refused with 503 rather than queued. Whole proxy; each worker
/// enforces its share. `None`: no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// `weir.dev/max-connections`: upstream connections of the Service port.
    pub connections: Option<u32>,
    /// `weir.dev/max-pending-requests`: requests that wait for a connection.
    pub pending: Option<u32>,
    /// `weir.dev/max-requests`: requests under way at the Service port.
    pub requests: Option<u32>,
    /// `weir.dev/max-endpoint-connections`: upstream connections of one endpoint.
    pub endpoint_connections: Option<u32>,
    /// `weir.dev/max-endpoint-requests`: requests under way at one endpoint.
    pub endpoint_requests: Option<u32>,
}

/// When an endpoint is ejected. Its state belongs to the endpoint, whatever route leads there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// `weir.dev/outlier-consecutive-errors`: 5xx answers, failed connections and resets in a row.
    pub consecutive_errors: u32,
    /// `weir.dev/outlier-base-ejection-time`: how long the first ejection lasts; each one in a row is
    /// longer by as much.
    pub base_ejection: Duration,
    /// `weir.dev/outlier-max-ejection-time`.
    pub max_ejection: Duration,
    /// `weir.dev/outlier-max-ejected-percent`: no more than this share of the endpoints is left out at a
    /// time, but always one may be.
    pub max_ejected_percent: u8,
}

impl Outlier {
    /// What is not said otherwise, once any annotation asks for ejection.
    pub const DEFAULT: Self = Self {
        consecutive_errors: 5,
        base_ejection: Duration::from_secs(30),
        max_ejection: Duration::from_secs(300),
        max_ejected_percent: 50,
    };
}

/// `retryConstraint` of an XBackendTrafficPolicy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// `budget.percent`: retries among all requests of an interval.
    pub percent: u8,
    /// `budget.interval`.
    pub interval: Duration,
    /// `minRetryRate.count`: retries that are always allowed...
    pub min_retries: u32,
    /// `minRetryRate.interval`: ...in so much time.
    pub min_interval: Duration,
}

impl Default for RetryBudget {
    /// The API's defaults.
    fn default() -> Self {
        Self {
            percent: 20,
            interval: Duration::from_secs(10),
            min_retries: 10,
            min_interval: Duration::from_secs(1),
        }
    }
}
