use std::sync::Arc;

use model::policy::{HttpRules, RuleRef};
use model::service::{Frontend as ModelFrontend, GatewayAddr, GatewayPort, ObjectRef};
use model::shared_map::SharedMap;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pod(name: &str, address: &str, local: Option<u32>) -> Arc<Workload> {
    Arc::new(Workload {
        namespace: "default".into(),
        name: name.into(),
        node: "".into(),
        addresses: vec![ip(address)],
        identity: IdentityId(300),
        named_ports: Vec::new(),
        local: local.map(EndpointId),
    })
}

fn with_pods(pods: &[Arc<Workload>]) -> Snapshot {
    let workloads = pods.iter().map(|pod| (pod.addresses[0], pod.clone())).collect();
    Snapshot { workloads: Arc::new(workloads), ..Snapshot::default() }
}

#[test]
fn only_local_pods_are_endpoints_and_without_a_policy_they_are_closed() {
    let snapshot = with_pods(&[pod("a", "10.0.0.1", Some(7)), pod("b", "10.0.0.2", None)]);
    let state = state(&snapshot, &HashMap::new());
    assert_eq!(state.endpoints.len(), 1);
    assert_eq!(state.endpoints[0].id, 7);
    assert_eq!(state.endpoints[0].ingress, redirect::Enforcement::Closed);
    assert_eq!(state.endpoints[0].egress, redirect::Enforcement::Closed);
}

#[test]
fn every_verdict_and_enforcement_has_its_number() {
    let by = Arc::new(RuleRef {
        policy: ObjectRef { kind: "CiliumNetworkPolicy", namespace: "".into(), name: "p".into() },
        place: "spec".into(),
    });
    let entry = |port, verdict| model::policy::PolicyEntry {
        protocol: Some(Protocol::Tcp),
        port,
        port_prefix: 16,
        precedence: 5,
        verdict,
        by: None,
    };
    let list: Arc<[_]> = Arc::new([
        entry(1, PolicyVerdict::Allow),
        entry(2, PolicyVerdict::Deny),
        entry(3, PolicyVerdict::Http(Arc::new(HttpRules::default()))),
    ]);
    let policy = EndpointPolicy {
        ingress: DirectionPolicy {
            enforcement: Enforcement::Enforced,
            entries: HashMap::from([(IdentityId(300), list)]),
        },
        egress: DirectionPolicy { enforcement: Enforcement::Closed(by), entries: HashMap::new() },
    };
    let mut snapshot = with_pods(&[pod("a", "10.0.0.1", Some(7))]);
    snapshot.policies = Arc::new(HashMap::from([(EndpointId(7), Arc::new(policy))]));
    let endpoint = &state(&snapshot, &HashMap::new()).endpoints[0];
    assert_eq!(endpoint.ingress, redirect::Enforcement::Enforced);
    assert_eq!(endpoint.egress, redirect::Enforcement::Closed);
    let actions: Vec<_> = endpoint.policy.iter().map(|entry| (entry.port, entry.action)).collect();
    assert_eq!(actions, [(1, Action::Allow), (2, Action::Deny), (3, Action::Redirect)]);
    assert!(endpoint.policy.iter().all(|e| e.identity == 300 && e.protocol == Some(6)));
}

#[test]
fn what_is_nowhere_is_the_world_unless_a_policy_names_all_of_it() {
    let worlds = |snapshot: &Snapshot| -> Vec<(String, u32)> {
        let all = state(snapshot, &HashMap::new()).identities;
        all.into_iter().map(|(net, id)| (net.to_string(), id)).collect()
    };
    let mut snapshot = Snapshot::default();
    assert_eq!(worlds(&snapshot), [("0.0.0.0/0".into(), 9), ("::/0".into(), 10)]);
    let mut table = model::address::AddressTable::default();
    table.insert_prefix("0.0.0.0/0".parse().unwrap(), IdentityId(1 << 24));
    snapshot.addresses = Arc::new(table);
    assert_eq!(worlds(&snapshot), [("0.0.0.0/0".into(), 1 << 24), ("::/0".into(), 10)]);
}

#[test]
fn services_and_gateways_are_frontends() {
    let frontend = Arc::new(ModelFrontend { backend: model::service::BackendId(1), routes: None });
    let udp = GatewayAddr { transport: Protocol::Udp, ..GatewayAddr::tcp(Some(ip("10.0.0.9")), 81) };
    let gateways = [GatewayAddr::tcp(None, 80), GatewayAddr::tcp(Some(ip("10.0.0.9")), 81), udp];
    let datagrams = SharedMap::from([("10.96.0.1:53".parse().unwrap(), frontend.clone())]);
    let snapshot = Snapshot {
        frontends: Arc::new(SharedMap::from([("10.96.0.1:80".parse().unwrap(), frontend)])),
        datagram_frontends: Arc::new(datagrams),
        gateways: Arc::new(gateways.map(|at| (at, Arc::new(GatewayPort::default()))).into()),
        ..Snapshot::default()
    };
    let all: Vec<String> = state(&snapshot, &HashMap::new())
        .frontends
        .iter()
        .map(|at| format!("{} {} {} {}", at.address, at.port, at.protocol, at.outside))
        .collect();
    let want = [
        "0.0.0.0 80 6 true",
        "10.0.0.9 81 6 true",
        "10.0.0.9 81 17 true",
        "10.96.0.1 53 17 false",
        "10.96.0.1 80 6 false",
        ":: 80 6 true",
    ];
    assert_eq!(all, want);
}

#[test]
fn frontends_are_the_same_whatever_answers_on_them() {
    let frontend = |id, port: u16| {
        let answer = Arc::new(ModelFrontend { backend: model::service::BackendId(id), routes: None });
        Arc::new(SharedMap::from([(SocketAddr::new(ip("10.96.0.1"), port), answer)]))
    };
    let gateways = |port| Arc::new(HashMap::from([(GatewayAddr::tcp(None, port), Arc::default())]));
    let of = |frontends, datagram_frontends, gateways| Snapshot {
        frontends,
        datagram_frontends,
        gateways,
        ..Snapshot::default()
    };
    let one = of(frontend(1, 80), frontend(1, 53), gateways(80));
    for (other, same) in [
        (of(frontend(1, 80), frontend(1, 53), gateways(80)), true),
        (of(frontend(2, 80), frontend(2, 53), gateways(80)), true),
        (of(frontend(1, 81), frontend(1, 53), gateways(80)), false),
        (of(frontend(1, 80), Arc::default(), gateways(80)), false),
        (of(frontend(1, 80), frontend(1, 54), gateways(80)), false),
        (of(frontend(1, 80), frontend(1, 53), gateways(81)), false),
    ] {
        assert_eq!(same_frontends(&one, &other), same, "{other:?}");
        assert_eq!(state(&one, &HashMap::new()).frontends == state(&other, &HashMap::new()).frontends, same);
    }
}
