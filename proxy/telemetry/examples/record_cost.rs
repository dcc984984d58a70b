//! What a flow record costs: in the worker that writes it into its ring, and in the collector that
//! writes it as a line. `cargo run --release -p telemetry --example record_cost`.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::flow::{FlowPeer, FlowReason, FlowRecord, FlowVerdict, HttpFlow, HttpVersion, Text, Text16};
use model::identity::{Identity, IdentityId, Label, Labels};
use model::policy::{Direction, RuleRef};
use model::route::{RouteRule, Timeouts};
use model::service::ObjectRef;
use model::workload::{Protocol, Workload};
use telemetry::Json;

const ROUNDS: usize = 201;
const RECORDS: usize = 4096;
/// What a worker with 30,000 requests a second writes in 10 ms.
const BATCH: usize = 300;

/// A pod with the labels that Kubernetes and Cilium give to every pod, and three of its own.
fn pod(name: &str, address: &str, id: u32) -> FlowPeer {
    let own = [("app", name), ("pod-template-hash", "7c5ddbdf54"), ("version", "v1")];
    let added = [
        ("io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name", "default"),
        ("io.cilium.k8s.policy.cluster", "default"),
        ("io.cilium.k8s.policy.serviceaccount", "default"),
        ("io.kubernetes.pod.namespace", "default"),
    ];
    let labels = own.iter().chain(&added).map(|(key, value)| Label::new("k8s", key, value)).collect();
    let address: std::net::SocketAddr = address.parse().expect("an address");
    FlowPeer {
        address,
        identity: Some(Arc::new(Identity { id: IdentityId(id), labels: Labels::new(labels), cidr: None })),
        workload: Some(Arc::new(Workload {
            namespace: "default".into(),
            name: name.into(),
            node: "node-a".into(),
            addresses: vec![address.ip()],
            identity: IdentityId(id),
            named_ports: Vec::new(),
            local: None,
        })),
    }
}

/// What the bench's requests leave: a pod, through a Service and a route, to a pod under policy.
struct Parts {
    source: FlowPeer,
    destination: FlowPeer,
    backend: FlowPeer,
    rule: Arc<RuleRef>,
    route: Arc<RouteRule>,
}

impl Parts {
    fn new() -> Self {
        let object = |kind, name: &str| ObjectRef { kind, namespace: "default".into(), name: name.into() };
        let place = "spec.ingress[0].toPorts[0].rules.http[0]".into();
        Self {
            source: pod("frontend-7c5ddbdf54-x2x9k", "10.0.0.1:41000", 257),
            destination: FlowPeer {
                address: std::net::SocketAddr::from(([10, 96, 0, 1], 80)),
                identity: None,
                workload: None,
            },
            backend: pod("api-6d4b75cb6d-hv8wp", "10.0.0.2:8080", 258),
            rule: Arc::new(RuleRef { policy: object("CiliumNetworkPolicy", "api"), place }),
            route: Arc::new(RouteRule {
                route: object("HTTPRoute", "route-500"),
                index: 0,
                name: None,
                filters: Vec::new(),
                backends: Vec::new(),
                timeouts: Timeouts::default(),
                retry: None,
                grpc: false,
            }),
        }
    }

    fn record(&self) -> FlowRecord {
        let mut record = FlowRecord::blank();
        self.fill(&mut record);
        record
    }

    /// As the proxy does it.
    fn fill(&self, record: &mut FlowRecord) {
        record.time_ns = 1_700_000_000_123_456_789;
        record.source.clone_from(&self.source);
        record.destination.clone_from(&self.destination);
        record.backend = Some(self.backend.clone());
        record.protocol = Protocol::Tcp;
        (record.verdict, record.reason) = (FlowVerdict::Forwarded, FlowReason::None);
        record.direction = Some(Direction::Ingress);
        record.rule = Some(self.rule.clone());
        record.route = Some(self.route.clone());
        record.http = Some(HttpFlow {
            method: Text16::new("GET"),
            authority: Text::new("api.default.svc.cluster.local"),
            path: Text::new("/api/v1/items/500?page=3&sort=asc"),
            status: 200,
            version: HttpVersion::Http1,
        });
        record.header_mismatches.clear();
        (record.latency_ns, record.bytes_in, record.bytes_out) = (412_345, 0, 64);
    }
}

fn main() {
    let parts = Parts::new();
    println!("record: {} bytes", size_of::<FlowRecord>());
    worker(&parts);
    collector(&parts);
}

/// What a worker pays, while a collector takes the records on another processor every 10 ms.
fn worker(parts: &Parts) {
    let (mut writer, mut reader) = telemetry::ring(RECORDS);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut json, mut lines) = (Json::default(), Vec::new());
            while !stop.load(Ordering::Relaxed) {
                while let Some(record) = reader.pop() {
                    lines.clear();
                    json.write(&record, &mut lines);
                    reader.give_back(record);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                // As many as a busy worker writes between two visits.
                let start = Instant::now();
                for _ in 0..BATCH {
                    let mut record = writer.blank();
                    parts.fill(&mut record);
                    writer.write(black_box(record));
                }
                let each = start.elapsed().as_secs_f64() * 1e9 / BATCH as f64;
                std::thread::sleep(Duration::from_millis(11));
                each
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        rounds.sort_by(f64::total_cmp);
        println!("worker: {:.0} ns (median), {:.0} ns (least)", rounds[ROUNDS / 2], rounds[0]);
    });
}

/// What the collector pays for the line.
fn collector(parts: &Parts) {
    let (mut json, mut text, mut writer) = (f64::MAX, f64::MAX, Json::default());
    let mut lines = Vec::with_capacity(8 << 20);
    let mut page = String::with_capacity(8 << 20);
    let record = parts.record();
    for _ in 0..ROUNDS {
        lines.clear();
        json = json.min(each(|| writer.write(black_box(&record), &mut lines)));
        page.clear();
        text = text.min(each(|| telemetry::text(black_box(&record), &mut page)));
    }
    println!("JSON: {json:.0} ns, {} bytes", lines.len() / RECORDS);
    println!("text: {text:.0} ns, {} bytes", page.len() / RECORDS);
    print!("{}", String::from_utf8_lossy(&lines[..lines.len() / RECORDS]));
}

/// Nanoseconds of one call, over as many as the ring holds.
fn each(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..RECORDS).for_each(|_| work());
    start.elapsed().as_secs_f64() * 1e9 / RECORDS as f64
}
