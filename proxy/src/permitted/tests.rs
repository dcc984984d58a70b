//! Both sides have to agree, and a pod without a policy is closed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use model::Snapshot;
use model::address::{ClientAddr, EndpointAddr};
use model::flow::{FlowPeer, FlowReason};
use model::identity::IdentityId;
use model::policy::{
    Direction, DirectionPolicy, EndpointPolicy, Enforcement, HttpRules, PolicyEntry, PolicyVerdict,
};
use model::workload::{EndpointId, Protocol, Workload};

use super::Judge;
use crate::addressed::{Party, Source};

const CLIENT: u8 = 1;
const SERVER: u8 = 2;

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn one(verdict: PolicyVerdict) -> DirectionPolicy {
    let entry = PolicyEntry { protocol: None, port: 0, port_prefix: 0, precedence: 1, verdict, by: None };
    let entries = HashMap::from([(IdentityId::UNKNOWN, Arc::from(vec![entry]))]);
    DirectionPolicy { enforcement: Enforcement::Enforced, entries }
}

/// A client and a server on this node with these policies; `None`: not known yet.
fn snapshot(egress: Option<DirectionPolicy>, ingress: Option<DirectionPolicy>) -> Snapshot {
    let pod = |last: u8| Workload {
        namespace: "n".into(),
        name: "p".into(),
        node: "".into(),
        addresses: vec![ip(last)],
        identity: IdentityId(300),
        named_ports: Vec::new(),
        local: Some(EndpointId(u32::from(last))),
    };
    let workloads = [CLIENT, SERVER].map(|last| (ip(last), Arc::new(pod(last))));
    let mut policies = HashMap::new();
    let open = DirectionPolicy::default;
    if let Some(egress) = egress {
        policies.insert(EndpointId(u32::from(CLIENT)), Arc::new(EndpointPolicy { ingress: open(), egress }));
    }
    if let Some(ingress) = ingress {
        policies.insert(EndpointId(u32::from(SERVER)), Arc::new(EndpointPolicy { ingress, egress: open() }));
    }
    let (workloads, policies) = (Arc::new(HashMap::from(workloads)), Arc::new(policies));
    Snapshot { workloads, policies, ..Snapshot::default() }
}

#[test]
fn bytes_need_both_sides() {
    let allow = || Some(one(PolicyVerdict::Allow));
    let deny = || Some(one(PolicyVerdict::Deny));
    let http = || Some(one(PolicyVerdict::Http(Arc::new(HttpRules::default()))));
    let open = || Some(DirectionPolicy::default());
    let (egress, ingress) = (Direction::Egress, Direction::Ingress);
    let cases = [
        (open(), open(), None),
        (allow(), allow(), None),
        (deny(), allow(), Some((egress, FlowReason::PolicyDenyRule))),
        (allow(), deny(), Some((ingress, FlowReason::PolicyDenyRule))),
        (None, allow(), Some((egress, FlowReason::PolicyDefaultDeny))),
        (allow(), None, Some((ingress, FlowReason::PolicyDefaultDeny))),
        (http(), allow(), Some((egress, FlowReason::NotHttp))),
        (allow(), http(), Some((ingress, FlowReason::NotHttp))),
    ];
    for (number, (egress, ingress, expected)) in cases.into_iter().enumerate() {
        let snapshot = snapshot(egress, ingress);
        let client = ClientAddr((ip(CLIENT), 1).into());
        let peer = FlowPeer { address: client.0, identity: None, workload: None };
        let local = Some(EndpointId(u32::from(CLIENT)));
        let source = Source { client, identity: IdentityId(300), local, peer };
        let judge = Judge { snapshot: &snapshot, source: &source, transport: Protocol::Tcp };
        let endpoint = EndpointAddr((ip(SERVER), 80).into());
        let denied = judge
            .bytes(&Party::of(&snapshot, endpoint))
            .err()
            .map(|denial| (denial.direction, denial.reason));
        assert_eq!(denied, expected, "case {number}");
        let is_http = matches!(expected, Some((_, FlowReason::NotHttp)));
        assert_eq!(judge.has_http_rules(endpoint), is_http, "case {number}");
    }
}
