//! Weir's metrics: what is exported, under which name, with which labels.
//!
//! The workers' counters are read when somebody asks, so nothing is counted twice and nothing is kept
//! for it. How many series there are does not depend on how many pods, routes or clients there are;
//! of Services the first [`proxy::stats::SERVICES_MAX`] have series of their own.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::Snapshot;
use model::flow::{FlowReason, HttpVersion};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use proxy::Totals;
use proxy::stats::{BUCKET_SECONDS, Outcomes, Sample, ServiceRequests};
use telemetry::reason::reason_name;

use crate::admin::observed::Observed;
use crate::certificates::expiries;

mod process;

/// Everything that is exported.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    /// Of this process.
    pub(crate) fn new(observed: Arc<Observed>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Source(observed)));
        Self(registry)
    }

    /// The metrics now, in the OpenMetrics text format.
    pub(crate) fn text(&self) -> Result<String, Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.0)?;
        Ok(out)
    }
}

#[derive(Debug)]
struct Source(Arc<Observed>);

impl Collector for Source {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut out = Out(encoder);
        let observed = &*self.0;
        totals(&Totals::of(observed.workers.iter().map(|stats| &**stats)), &mut out)?;
        let outcomes = Outcomes::of(observed.workers.iter().map(|stats| &**stats));
        requests(&outcomes, &mut out)?;
        services(&outcomes, observed, &mut out)?;
        workers(observed, &mut out)?;
        control(observed, &mut out)?;
        certificates(&observed.current.get(), &mut out)?;
        kernel(observed, &mut out)?;
        process::encode(&mut out)
    }
}

/// Writes metrics one after the other.
struct Out<'e>(DescriptorEncoder<'e>);

impl Out<'_> {
    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &'s str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        ConstCounter::new(value).encode(self.begin(name, help, MetricType::Counter)?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        ConstGauge::new(value).encode(self.begin(name, help, MetricType::Gauge)?)
    }

    fn seconds(&mut self, name: &str, help: &str, kind: MetricType, value: f64) -> Result<(), Error> {
        match kind {
            MetricType::Counter => ConstCounter::new(value).encode(self.begin(name, help, kind)?),
            _ => ConstGauge::new(value).encode(self.begin(name, help, kind)?),
        }
    }

    /// One counter for each set of labels.
    fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([(&'l str, &'l str); N], u64)>,
    ) -> Result<(), Error> {
        let mut metric = self.begin(name, help, MetricType::Counter)?;
        for (labels, value) in rows {
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// The counters that are no counter of their own in metrics, or have another name: with the name
/// and whether it is a gauge. Those that are not here are counters of their own name.
const NAMED: &[(&str, &str, MetricType)] = &[
    ("accepted", "weir_connections_accepted", MetricType::Counter),
    ("open", "weir_connections", MetricType::Gauge),
    ("revoked", "weir_connections_revoked", MetricType::Counter),
    ("upstream_idle", "weir_upstream_connections_idle", MetricType::Gauge),
    ("streams", "weir_http2_streams", MetricType::Counter),
    ("streams_open", "weir_http2_streams_open", MetricType::Gauge),
    ("ejections", "weir_endpoint_ejections", MetricType::Counter),
    ("ejected", "weir_endpoints_ejected", MetricType::Gauge),
    ("mirrored", "weir_requests_mirrored", MetricType::Counter),
    ("pipes_open", "weir_pipes_open", MetricType::Gauge),
];

/// The counters whose names begin alike and go on with a label: how they begin, their metric, the
/// label and the help text.
const FAMILIES: [(&str, &str, &str, &str); 2] = [
    ("limit_", "weir_limit_hits", "limit", "What the limits stopped, by limit."),
    (
        "breaker_",
        "weir_breaker_rejected",
        "breaker",
        "Requests that circuit breakers of Services refused, by what there was enough of.",
    ),
];

fn totals(totals: &Totals, out: &mut Out<'_>) -> Result<(), Error> {
    for (prefix, metric, label, help) in FAMILIES {
        let rows =
            totals.each().filter_map(|one| Some(([(label, one.name.strip_prefix(prefix)?)], one.value)));
        out.counters(metric, help, rows)?;
    }
    upstream(totals, out)?;
    let is_other =
        |name: &str| !IN_DETAIL.contains(&name) && !FAMILIES.iter().any(|family| name.starts_with(family.0));
    for Sample { name, help, value } in totals.each().filter(|one| is_other(one.name)) {
        match NAMED.iter().find(|(stat, ..)| *stat == name) {
            Some((_, metric, MetricType::Gauge)) => out.gauge(metric, help, value)?,
            Some((_, metric, _)) => out.counter(metric, help, value)?,
            None => out.counter(&format!("weir_{name}"), help, value)?,
        }
    }
    Ok(())
}

/// Counters that are shown in more detail, with labels.
const IN_DETAIL: [&str; 5] =
    ["requests", "upstream_opened", "upstream_http2_opened", "upstream_reused", "upstream_http2_reused"];

/// Connections to endpoints, by what they were opened for: HTTP/2, or anything else.
fn upstream(totals: &Totals, out: &mut Out<'_>) -> Result<(), Error> {
    let by_protocol = |all: u64, http2: u64| {
        [("http1", all.saturating_sub(http2)), ("http2", http2)]
            .map(|(protocol, count)| ([("protocol", protocol)], count))
    };
    let opened = by_protocol(totals.upstream_opened, totals.upstream_http2_opened);
    let help = "Connections to endpoints opened; those for bytes are counted with HTTP/1.1.";
    out.counters("weir_upstream_connections_opened", help, opened)?;
    let reused = by_protocol(totals.upstream_reused, totals.upstream_http2_reused);
    let help = "Requests sent on a connection to an endpoint that was already open.";
    out.counters("weir_upstream_connections_reused", help, reused)
}

fn requests(outcomes: &Outcomes, out: &mut Out<'_>) -> Result<(), Error> {
    let rows = outcomes.requests().map(|(version, class, reason, count)| {
        let protocol = match version {
            HttpVersion::Http1 => "http1",
            HttpVersion::Http2 => "http2",
        };
        ([("protocol", protocol), ("class", CLASS_NAMES[class]), ("reason", reason_label(reason))], count)
    });
    let help = "HTTP requests, by what the client spoke, the class of the answer and what went wrong.";
    out.counters("weir_requests", help, rows)?;
    let rows = outcomes.connections().map(|(reason, count)| ([("reason", reason_label(reason))], count));
    let help = "Client connections that ended, by what went wrong. One whose only request was refused \
                is counted as that request alone.";
    out.counters("weir_connections_ended", help, rows)?;
    let bounds = BUCKET_SECONDS.iter().copied().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(outcomes.durations().iter().copied()).collect();
    let count = outcomes.durations().iter().sum();
    let help = "From the first byte of a request to the last of its answer.";
    out.begin("weir_request_duration_seconds", help, MetricType::Histogram)?.encode_histogram::<NoLabels>(
        outcomes.duration_seconds(),
        count,
        &buckets,
        None,
    )
}

/// The labels of what has none.
type NoLabels = [(&'static str, &'static str); 0];

fn services(outcomes: &Outcomes, observed: &Observed, out: &mut Out<'_>) -> Result<(), Error> {
    let snapshot = observed.current.get();
    let mut rows: Vec<(String, &str, String, ServiceRequests)> = Vec::new();
    for backend in snapshot.backends.values() {
        let requests =
            outcomes.service(backend.id).filter(|requests| **requests != ServiceRequests::default());
        if let Some(requests) = requests {
            let service = &backend.service;
            rows.push((service.namespace.to_string(), &service.name, backend.port.to_string(), *requests));
        }
    }
    rows.sort_by(|a, b| (&a.0, a.1, &a.2).cmp(&(&b.0, b.1, &b.2)));
    if *outcomes.other_services() != ServiceRequests::default() {
        rows.push((String::new(), "other", String::new(), *outcomes.other_services()));
    }
    let by_class = rows.iter().flat_map(|(namespace, name, port, requests)| {
        let classes = requests.by_class.iter().enumerate().filter(|(_, count)| **count > 0);
        classes.map(move |(class, count)| {
            let class = CLASS_NAMES[class];
            (
                [("namespace", namespace.as_str()), ("service", *name), ("port", port), ("class", class)],
                *count,
            )
        })
    });
    let help = "HTTP requests by Service port and class of the answer; those beyond the bound are `other`.";
    out.counters("weir_service_requests", help, by_class)?;
    let overloaded =
        rows.iter().filter(|row| row.3.overloaded > 0).map(|(namespace, name, port, requests)| {
            let labels = [("namespace", namespace.as_str()), ("service", *name), ("port", port)];
            (labels, requests.overloaded)
        });
    let help = "HTTP requests refused because a circuit breaker of the Service port was open.";
    out.counters("weir_service_requests_overloaded", help, overloaded)
}

fn workers(observed: &Observed, out: &mut Out<'_>) -> Result<(), Error> {
    let each: Vec<(String, Totals)> = observed
        .workers
        .iter()
        .enumerate()
        .map(|(index, stats)| (index.to_string(), Totals::of([&**stats])))
        .collect();
    let rows = each.iter().map(|(worker, totals)| ([("worker", worker.as_str())], totals.requests));
    out.counters("weir_worker_requests", "HTTP requests by worker.", rows)?;
    let mut metric =
        out.begin("weir_worker_connections", "Client connections open now, by worker.", MetricType::Gauge)?;
    for (worker, totals) in &each {
        ConstGauge::new(totals.open).encode(metric.encode_family(&[("worker", worker.as_str())])?)?;
    }
    process::workers(out)
}

fn control(observed: &Observed, out: &mut Out<'_>) -> Result<(), Error> {
    let mut build = out.begin("weir_build_info", "1, with the version of Weir.", MetricType::Gauge)?;
    ConstGauge::new(1).encode(build.encode_family(&[("version", env!("CARGO_PKG_VERSION"))])?)?;
    let help = "Revision of the configuration that all workers and the kernel have in force.";
    out.gauge("weir_config_revision", help, observed.revision())?;
    let problems = &observed.problems;
    let mut metric = out.begin(
        "weir_config_problems",
        "Problems of the configuration now, by severity.",
        MetricType::Gauge,
    )?;
    for (severity, count) in [("error", &problems.errors), ("warning", &problems.warnings)] {
        let gauge = ConstGauge::new(count.load(Ordering::Relaxed));
        gauge.encode(metric.encode_family(&[("severity", severity)])?)?;
    }
    let ready = u64::from(observed.ready().is_ok());
    out.gauge("weir_ready", "1 while new connections are welcome, as /ready says.", ready)?;
    let flows = &observed.flows;
    out.counter("weir_flow_records", "Flow records handed to their readers.", flows.taken())?;
    let rows = [([("at", "ring")], flows.lost()), ([("at", "reader")], flows.unread())];
    let help = "Flow records lost because the ring of a worker was full, or because a reader was too slow.";
    out.counters("weir_flow_records_lost", help, rows)
}

/// The certificates in use, those that expire first.
fn certificates(snapshot: &Snapshot, out: &mut Out<'_>) -> Result<(), Error> {
    let help =
        "When the certificate of a Secret in use expires, in seconds since 1970; the first 256 to do so.";
    let name = "weir_certificate_expiry_timestamp_seconds";
    let mut metric = out.begin(name, help, MetricType::Gauge)?;
    for (expiry, secret) in expiries(snapshot) {
        let labels = [("namespace", &*secret.namespace), ("secret", &*secret.name)];
        ConstGauge::new(expiry).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// What the programs in the kernel count; nothing where there are none.
fn kernel(observed: &Observed, out: &mut Out<'_>) -> Result<(), Error> {
    let rows = observed.kernel().into_iter().flat_map(|counters| {
        [
            ("forwarded", counters.forwarded),
            ("redirected", counters.redirected),
            ("dropped", counters.dropped),
            ("unreported", counters.lost),
            ("orphan_fragments", counters.orphans),
            ("spilled_flows", counters.spilled),
        ]
    });
    let rows = rows.map(|(event, count)| ([("event", event)], count));
    out.counters("weir_kernel_events", "What the programs in the kernel did with packets and flows.", rows)
}

/// By class of answer: none, 1xx to 5xx.
const CLASS_NAMES: [&str; proxy::stats::CLASSES] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The reason as in flow records; empty where nothing went wrong.
fn reason_label(reason: FlowReason) -> &'static str {
    reason_name(reason).unwrap_or_default()
}

#[cfg(test)]
mod tests;
