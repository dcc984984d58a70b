//! What requests and connections came to, in arrays of fixed size: as many series as there are
//! classes, versions and reasons, however many clients, routes and pods there are.

use model::flow::{FlowReason, FlowRecord, HttpVersion};
use model::service::BackendId;

use super::{Counter, Stats};

/// Classes of answers: none, 1xx to 5xx.
pub const CLASSES: usize = 6;
const REASONS: usize = FlowReason::ALL.len();
const VERSIONS: [HttpVersion; 2] = [HttpVersion::Http1, HttpVersion::Http2];
/// Service ports that are counted one by one, by their number; the rest are counted as one.
pub const SERVICES_MAX: usize = 256;
/// Upper bounds of the histogram of durations, in seconds.
pub const BUCKET_SECONDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
/// The same in nanoseconds.
pub(super) const BUCKET_NS: [u64; BUCKET_SECONDS.len()] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    100_000_000,
    500_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// One worker's.
#[derive(Debug)]
pub(crate) struct OutcomeCounters {
    requests: [[[Counter; REASONS]; CLASSES]; VERSIONS.len()],
    connections: [Counter; REASONS],
    /// The last one is for what is longer than all bounds.
    durations: [Counter; BUCKET_NS.len() + 1],
    duration_us: Counter,
    /// The last one is for all other Services.
    services: Box<[ServiceCounters]>,
}

#[derive(Debug, Default)]
struct ServiceCounters {
    requests: [Counter; CLASSES],
    overloaded: Counter,
}

impl Default for OutcomeCounters {
    fn default() -> Self {
        Self {
            requests: Default::default(),
            connections: Default::default(),
            durations: Default::default(),
            duration_us: Counter::default(),
            services: (0..=SERVICES_MAX).map(|_| ServiceCounters::default()).collect(),
        }
    }
}

impl OutcomeCounters {
    /// Counts what a request or connection came to, and for which Service port if one was chosen.
    pub(crate) fn count(&self, record: &FlowRecord, service: Option<BackendId>) {
        let reason = record.reason as usize;
        let Some(http) = &record.http else {
            return self.connections[reason].add();
        };
        let class = class(http.status);
        self.requests[http.version as usize][class][reason].add();
        let bucket = BUCKET_NS.iter().position(|bound| record.latency_ns <= *bound);
        self.durations[bucket.unwrap_or(BUCKET_NS.len())].add();
        self.duration_us.add_many(record.latency_ns / 1000);
        if let Some(service) = service {
            let counters = &self.services[slot(service)];
            counters.requests[class].add();
            if record.reason == FlowReason::Overloaded {
                counters.overloaded.add();
            }
        }
    }
}

fn class(status: u16) -> usize {
    usize::from(status / 100).min(CLASSES - 1)
}

fn slot(service: BackendId) -> usize {
    usize::try_from(service.0).map_or(SERVICES_MAX, |number| number.min(SERVICES_MAX))
}

/// The requests of one Service port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceRequests {
    /// By class of answer: none, 1xx to 5xx.
    pub by_class: [u64; CLASSES],
    /// Those refused because a circuit breaker was open or the retry budget used up.
    pub overloaded: u64,
}

/// What requests and connections came to at all workers, since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomes {
    requests: [[[u64; REASONS]; CLASSES]; VERSIONS.len()],
    connections: [u64; REASONS],
    durations: [u64; BUCKET_NS.len() + 1],
    duration_us: u64,
    services: Vec<ServiceRequests>,
}

impl Outcomes {
    /// Sums up the counters of workers.
    pub fn of<'s>(workers: impl IntoIterator<Item = &'s Stats>) -> Self {
        let mut sums = Self {
            requests: [[[0; REASONS]; CLASSES]; VERSIONS.len()],
            connections: [0; REASONS],
            durations: [0; BUCKET_NS.len() + 1],
            duration_us: 0,
            services: vec![ServiceRequests::default(); SERVICES_MAX + 1],
        };
        for stats in workers {
            let one = &stats.outcomes;
            let requests = sums.requests.as_flattened_mut().as_flattened_mut();
            add(requests, one.requests.as_flattened().as_flattened());
            add(&mut sums.connections, &one.connections);
            add(&mut sums.durations, &one.durations);
            sums.duration_us += one.duration_us.get();
            for (sum, service) in sums.services.iter_mut().zip(&one.services) {
                add(&mut sum.by_class, &service.requests);
                sum.overloaded += service.overloaded.get();
            }
        }
        sums
    }

    /// Requests that there were, by version, class of answer (0: none) and reason.
    pub fn requests(&self) -> impl Iterator<Item = (HttpVersion, usize, FlowReason, u64)> {
        let all = VERSIONS.into_iter().zip(&self.requests).flat_map(|(version, classes)| {
            classes.iter().enumerate().flat_map(move |(class, reasons)| {
                FlowReason::ALL.into_iter().zip(reasons).map(move |(reason, n)| (version, class, reason, *n))
            })
        });
        all.filter(|(.., count)| *count > 0)
    }

    /// Connections that ended, by reason: those of bytes, those that carried HTTP requests, and
    /// those that ended before either.
    pub fn connections(&self) -> impl Iterator<Item = (FlowReason, u64)> {
        FlowReason::ALL.into_iter().zip(self.connections).filter(|(_, count)| *count > 0)
    }

    /// Requests by duration: for each of [`BUCKET_SECONDS`] those above the bound before and not
    /// above this one, and then the rest.
    pub fn durations(&self) -> &[u64] {
        &self.durations
    }

    /// The durations of all requests together, in seconds.
    #[allow(clippy::cast_precision_loss)] // Microseconds of 285 years fit.
    pub fn duration_seconds(&self) -> f64 {
        self.duration_us as f64 / 1e6
    }

    /// The requests of a Service port; `None` if it is counted among [`Outcomes::other_services`].
    pub fn service(&self, id: BackendId) -> Option<&ServiceRequests> {
        let slot = slot(id);
        (slot < SERVICES_MAX).then(|| &self.services[slot])
    }

    /// The requests of the Service ports beyond [`SERVICES_MAX`].
    pub fn other_services(&self) -> &ServiceRequests {
        &self.services[SERVICES_MAX]
    }
}

fn add(sums: &mut [u64], counters: &[Counter]) {
    for (sum, counter) in sums.iter_mut().zip(counters) {
        *sum += counter.get();
    }
}
