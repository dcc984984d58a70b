//! What a Service itself says about its traffic: `spec.trafficDistribution`, `appProtocol` and
//! the annotations `weir.dev/...`. A bad value is left out; the rest of the Service counts.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use model::service::AppProtocol;
use model::traffic::{Algorithm, Breaker, Locality, Outlier, TrafficPolicy};

use crate::report::{self, Problems};

#[cfg(test)]
mod tests;

/// What the names of our annotations begin with.
const PREFIX: &str = "weir.dev/";
const LOAD_BALANCING: &str = "load-balancing";
const MAX_CONNECTIONS: &str = "max-connections";
const MAX_PENDING_REQUESTS: &str = "max-pending-requests";
const MAX_REQUESTS: &str = "max-requests";
const MAX_ENDPOINT_CONNECTIONS: &str = "max-endpoint-connections";
const MAX_ENDPOINT_REQUESTS: &str = "max-endpoint-requests";
const CONSECUTIVE_ERRORS: &str = "outlier-consecutive-errors";
const BASE_EJECTION_TIME: &str = "outlier-base-ejection-time";
const MAX_EJECTION_TIME: &str = "outlier-max-ejection-time";
const MAX_EJECTED_PERCENT: &str = "outlier-max-ejected-percent";

/// Every annotation of a Service that has a meaning, without the prefix.
const KNOWN: [&str; 10] = [
    LOAD_BALANCING,
    MAX_CONNECTIONS,
    MAX_PENDING_REQUESTS,
    MAX_REQUESTS,
    MAX_ENDPOINT_CONNECTIONS,
    MAX_ENDPOINT_REQUESTS,
    CONSECUTIVE_ERRORS,
    BASE_EJECTION_TIME,
    MAX_EJECTION_TIME,
    MAX_EJECTED_PERCENT,
];

/// The policy of all ports of a Service, but for what other objects say.
pub(super) fn policy(service: &Service, problems: &mut Problems) -> TrafficPolicy {
    let empty = BTreeMap::new();
    let annotations = service.metadata.annotations.as_ref().unwrap_or(&empty);
    let mut reader = Reader { annotations, problems };
    reader.unknown();
    TrafficPolicy {
        algorithm: reader.value(LOAD_BALANCING, algorithm).unwrap_or_default(),
        locality: locality(service, reader.problems),
        breaker: Breaker {
            connections: reader.value(MAX_CONNECTIONS, count),
            pending: reader.value(MAX_PENDING_REQUESTS, count),
            requests: reader.value(MAX_REQUESTS, count),
            endpoint_connections: reader.value(MAX_ENDPOINT_CONNECTIONS, count),
            endpoint_requests: reader.value(MAX_ENDPOINT_REQUESTS, count),
        },
        outlier: reader.outlier(),
        ..TrafficPolicy::default()
    }
}

/// What a port speaks, by the names that Kubernetes, Istio and Envoy Gateway give it, in any case.
/// A protocol in TLS of the client's own is bytes to us.
pub(super) fn protocol(port: &ServicePort) -> AppProtocol {
    let Some(said) = port.app_protocol.as_deref().filter(|said| !said.is_empty()) else {
        return AppProtocol::Unspecified;
    };
    match &*said.to_ascii_lowercase() {
        "http" | "grpc-web" => AppProtocol::Http,
        "kubernetes.io/h2c" | "h2c" | "http2" | "grpc" => AppProtocol::H2c,
        "kubernetes.io/ws" | "ws" => AppProtocol::WebSocket,
        _ => AppProtocol::Opaque,
    }
}

/// Warns of an `appProtocol` that is all but one that we know: what it leads to is bytes.
pub(super) fn check_protocol(port: &ServicePort, index: usize, problems: &mut Problems) {
    let said = port.app_protocol.as_deref().unwrap_or_default();
    let lower = said.to_ascii_lowercase();
    if PROTOCOLS.contains(&&*lower) || TAKEN_FOR_BYTES.contains(&&*lower) {
        return;
    }
    if let Some(near) = PROTOCOLS.iter().find(|known| distance(&lower, known) == 1) {
        let message = format!("{said:?} is not known: its connections are bytes; did you mean {near}?");
        report::warning(problems, format!("spec.ports[{index}].appProtocol"), message);
    }
}

/// What [`protocol`] knows.
const PROTOCOLS: [&str; 8] =
    ["http", "grpc", "grpc-web", "h2c", "http2", "kubernetes.io/h2c", "kubernetes.io/ws", "ws"];
/// Names that look like those, and mean something else.
const TAKEN_FOR_BYTES: [&str; 6] = ["https", "h2", "wss", "kubernetes.io/wss", "grpcs", ""];

fn locality(service: &Service, problems: &mut Problems) -> Locality {
    let said = service.spec.as_ref().and_then(|spec| spec.traffic_distribution.as_deref());
    match said {
        None | Some("") => Locality::Any,
        Some("PreferSameZone" | "PreferClose") => Locality::PreferZone,
        Some("PreferSameNode") => Locality::PreferNode,
        Some(other) => {
            let message = format!("{other:?} is not known: no endpoint is preferred");
            report::warning(problems, "spec.trafficDistribution", message);
            Locality::Any
        }
    }
}

/// Reads annotations.
struct Reader<'a> {
    annotations: &'a BTreeMap<String, String>,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    /// Warns of each annotation with our prefix that means nothing.
    fn unknown(&mut self) {
        for name in self.annotations.keys().filter_map(|name| name.strip_prefix(PREFIX)) {
            if !KNOWN.contains(&name) {
                let nearest = KNOWN.iter().min_by_key(|known| distance(name, known)).unwrap_or(&name);
                let message = format!("is not known and has no effect; did you mean {PREFIX}{nearest}?");
                report::warning(self.problems, field(name), message);
            }
        }
    }

    /// The value of an annotation, if it is there and good.
    fn value<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, &'static str>) -> Option<T> {
        let text = self.annotations.get(&format!("{PREFIX}{name}"))?;
        match read(text.trim()) {
            Ok(value) => Some(value),
            Err(wanted) => {
                report::error(self.problems, field(name), format!("must be {wanted}, not {text:?}"));
                None
            }
        }
    }

    /// Ejection is on once one of its annotations is good.
    fn outlier(&mut self) -> Option<Outlier> {
        let consecutive_errors = self.value(CONSECUTIVE_ERRORS, count);
        let base = self.value(BASE_EJECTION_TIME, duration);
        let max = self.value(MAX_EJECTION_TIME, duration);
        let percent = self.value(MAX_EJECTED_PERCENT, percent);
        if consecutive_errors.is_none() && base.is_none() && max.is_none() && percent.is_none() {
            return None;
        }
        let default = Outlier::DEFAULT;
        // What is said counts: a default gives way to it.
        let base_ejection = base.unwrap_or(default.base_ejection.min(max.unwrap_or(default.base_ejection)));
        let max_ejection = max.unwrap_or(default.max_ejection).max(base_ejection);
        if max.is_some_and(|max| max < base_ejection) {
            let message = format!("shorter than {PREFIX}{BASE_EJECTION_TIME}, which counts in its place");
            report::error(self.problems, field(MAX_EJECTION_TIME), message);
        }
        Some(Outlier {
            consecutive_errors: consecutive_errors.unwrap_or(default.consecutive_errors),
            base_ejection,
            max_ejection,
            max_ejected_percent: percent.unwrap_or(default.max_ejected_percent),
        })
    }
}

fn field(name: &str) -> String {
    format!("metadata.annotations[{PREFIX}{name}]")
}

fn algorithm(text: &str) -> Result<Algorithm, &'static str> {
    match text {
        "least-request" => Ok(Algorithm::LeastRequest),
        "round-robin" => Ok(Algorithm::RoundRobin),
        "random" => Ok(Algorithm::Random),
        _ => Err("least-request, round-robin or random"),
    }
}

fn count(text: &str) -> Result<u32, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("a whole number from 1 to 4294967295")
}

fn percent(text: &str) -> Result<u8, &'static str> {
    text.parse().ok().filter(|percent| *percent <= 100).ok_or("a whole number from 0 to 100")
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    report::duration(text).ok_or("a duration like 30s or 1m30s")
}

/// How many letters have to be put in, left out or changed to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, left) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (index, right) in b.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[index + 1];
            row[index + 1] = changed.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[b.len()]
}
