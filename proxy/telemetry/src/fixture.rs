//! Records that the tests of this crate share.

use std::sync::Arc;

use model::flow::{FlowPeer, FlowReason, FlowRecord, FlowVerdict, HttpFlow, HttpVersion, Text, Text16};
use model::identity::{Identity, IdentityId, Label, Labels};
use model::policy::{Direction, RuleRef};
use model::route::{RouteRule, Timeouts};
use model::service::ObjectRef;
use model::workload::{EndpointId, Protocol, Workload};

fn pod(name: &str, address: &str, id: u32) -> FlowPeer {
    let address = address.parse().unwrap();
    let labels = Labels::new(vec![
        Label::new("k8s", "role", name),
        Label::new("k8s", "io.kubernetes.pod.namespace", "default"),
    ]);
    FlowPeer {
        address,
        identity: Some(Arc::new(Identity { id: IdentityId(id), labels, cidr: None })),
        workload: Some(Arc::new(Workload {
            namespace: "default".into(),
            name: name.into(),
            node: "".into(),
            addresses: vec![address.ip()],
            identity: IdentityId(id),
            named_ports: Vec::new(),
            local: Some(EndpointId(1)),
        })),
    }
}

/// A connection that passed, between two addresses of which nothing is known.
pub(crate) fn bare() -> FlowRecord {
    let peer = |address: &str| FlowPeer { address: address.parse().unwrap(), identity: None, workload: None };
    FlowRecord {
        time_ns: 1_700_000_000_123_456_789,
        source: peer("10.0.0.1:41000"),
        destination: peer("[2001:db8::1]:443"),
        backend: None,
        protocol: Protocol::Tcp,
        verdict: FlowVerdict::Forwarded,
        reason: FlowReason::None,
        direction: None,
        rule: None,
        route: None,
        http: None,
        latency_ns: 1_234_567,
        bytes_in: 5,
        bytes_out: 64,
        header_mismatches: Vec::new(),
    }
}

/// A request between two pods with everything that a record can say.
pub(crate) fn full() -> FlowRecord {
    let object = |kind, name: &str| ObjectRef { kind, namespace: "default".into(), name: name.into() };
    FlowRecord {
        source: pod("frontend", "10.0.0.1:41000", 257),
        destination: FlowPeer { address: "10.96.0.1:80".parse().unwrap(), identity: None, workload: None },
        backend: Some(pod("api", "10.0.0.2:8080", 258)),
        verdict: FlowVerdict::Denied,
        reason: FlowReason::PolicyDefaultDeny,
        direction: Some(Direction::Ingress),
        rule: Some(Arc::new(RuleRef {
            policy: object("CiliumNetworkPolicy", "api"),
            place: "spec.ingress[0].toPorts[0].rules.http[0]".into(),
        })),
        route: Some(Arc::new(RouteRule {
            route: object("HTTPRoute", "split"),
            index: 2,
            name: Some("main".into()),
            filters: Vec::new(),
            backends: Vec::new(),
            timeouts: Timeouts::default(),
            retry: None,
            grpc: false,
        })),
        http: Some(HttpFlow {
            method: Text16::new("POST"),
            authority: Text::new("api"),
            path: Text::new("/public?a=1"),
            status: 403,
            version: HttpVersion::Http1,
        }),
        ..bare()
    }
}

/// `record` with another path.
pub(crate) fn with_path(path: &str) -> FlowRecord {
    let mut record = full();
    if let Some(http) = &mut record.http {
        http.path = Text::new(path);
    }
    record
}
