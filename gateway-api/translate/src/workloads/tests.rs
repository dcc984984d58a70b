use std::net::IpAddr;
use std::sync::Arc;

use model::workload::{EndpointId, NamedPort, Protocol, Workload};
use objects::Kind;
use serde_json::{Value, json};

use crate::Options;
use crate::tests::World;

fn pod(world: &mut World, name: &str, ips: &[&str], extra: Value) {
    let ips: Vec<_> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
    let mut pod = json!({"spec": {"containers": []}, "status": {"podIPs": ips}});
    merge(&mut pod, extra);
    world.apply("Pod", name, pod);
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn at<'w>(world: &'w World, ip: &str) -> Option<&'w Arc<Workload>> {
    world.last.snapshot.workload(ip.parse().unwrap())
}

fn local(world: &World, ip: &str) -> Option<EndpointId> {
    at(world, ip).unwrap().local
}

#[test]
fn running_pods_are_known_by_each_address() {
    let mut world = World::new();
    let ports = json!([{"name": "Web", "containerPort": 80}, {"containerPort": 81},
        {"name": "dns", "containerPort": 53, "protocol": "UDP"}]);
    let spec = json!({"nodeName": "n1", "containers": [{"name": "c", "ports": ports}]});
    pod(&mut world, "ns/dual", &["10.0.0.1", "fd00::1"], json!({ "spec": spec }));
    pod(&mut world, "ns/done", &["10.0.0.2"], json!({"status": {"phase": "Succeeded"}}));
    pod(&mut world, "ns/failed", &["10.0.0.3"], json!({"status": {"phase": "Failed"}}));
    pod(&mut world, "ns/host", &["192.0.2.1"], json!({"spec": {"hostNetwork": true}}));
    pod(&mut world, "ns/pending", &[], json!({"status": {"phase": "Pending"}}));
    pod(&mut world, "ns/single", &[], json!({"status": {"podIP": "10.0.0.4", "phase": "Running"}}));
    world.ready();
    let dual = at(&world, "10.0.0.1").unwrap();
    assert!(Arc::ptr_eq(dual, at(&world, "fd00::1").unwrap()));
    assert_eq!((&*dual.namespace, &*dual.name, &*dual.node), ("ns", "dual", "n1"));
    let port = |name: &str, port, protocol| NamedPort { name: name.into(), port, protocol };
    assert_eq!(dual.named_ports, [port("web", 80, Protocol::Tcp), port("dns", 53, Protocol::Udp)]);
    assert_eq!(at(&world, "10.0.0.4").unwrap().to_string(), "ns/single");
    let mut known: Vec<IpAddr> = world.last.snapshot.workloads.keys().copied().collect();
    known.sort();
    assert_eq!(known, ["10.0.0.1", "10.0.0.4", "fd00::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    let (identity, labels) = world.last.snapshot.identity_of("10.0.0.1".parse().unwrap());
    assert_eq!(identity, dual.identity);
    assert!(labels.unwrap().labels.get(Some("k8s"), "io.kubernetes.pod.namespace") == Some("ns"));
}

#[test]
fn local_by_address_or_by_node_name() {
    for (node, want) in [(None, [true, false]), (Some("n2"), [false, true]), (Some("n3"), [false, false])] {
        let mut world = World::of(Options { node: node.map(String::from), ..Options::default() });
        world.local.insert("10.0.0.1".parse().unwrap());
        pod(&mut world, "ns/a", &["10.0.0.1"], json!({"spec": {"nodeName": "n1"}}));
        pod(&mut world, "ns/b", &["10.0.0.2"], json!({"spec": {"nodeName": "n2"}}));
        world.ready();
        assert_eq!(
            [local(&world, "10.0.0.1").is_some(), local(&world, "10.0.0.2").is_some()],
            want,
            "{node:?}"
        );
        let policies = &world.last.snapshot.policies;
        assert_eq!(
            policies.len(),
            want.iter().filter(|local| **local).count(),
            "each local pod has a policy"
        );
    }
}

#[test]
fn an_address_found_later_makes_a_pod_local() {
    let mut world = World::new();
    pod(&mut world, "ns/a", &["10.0.0.1"], json!({}));
    world.ready();
    assert_eq!(local(&world, "10.0.0.1"), None);
    world.local.insert("10.0.0.1".parse().unwrap());
    world.ready();
    assert!(local(&world, "10.0.0.1").is_some());
}

#[test]
fn numbers_stay_with_a_pod_and_are_never_given_again() {
    let mut world = World::new();
    for ip in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        world.local.insert(ip.parse().unwrap());
    }
    pod(&mut world, "ns/a", &["10.0.0.1"], json!({"metadata": {"uid": "1"}}));
    pod(&mut world, "ns/b", &["10.0.0.2"], json!({}));
    world.ready();
    let (a, b) = (local(&world, "10.0.0.1"), local(&world, "10.0.0.2"));
    let unchanged = at(&world, "10.0.0.2").unwrap().clone();
    pod(&mut world, "ns/a", &["10.0.0.1"], json!({"metadata": {"uid": "1", "labels": {"x": "y"}}}));
    world.ready();
    assert_eq!(local(&world, "10.0.0.1"), a, "a pod that changes keeps its number");
    assert!(Arc::ptr_eq(&unchanged, at(&world, "10.0.0.2").unwrap()));
    pod(&mut world, "ns/a", &["10.0.0.1"], json!({"metadata": {"uid": "2"}}));
    world.ready();
    let again = local(&world, "10.0.0.1");
    assert!(again != a && again != b, "another pod of the name gets another number");
    world.remove(Kind::Pod, "ns/b").ready();
    pod(&mut world, "ns/c", &["10.0.0.3"], json!({}));
    pod(&mut world, "ns/b", &["10.0.0.2"], json!({}));
    world.ready();
    let later = [local(&world, "10.0.0.2"), local(&world, "10.0.0.3")];
    assert!(later.iter().all(|id| ![a, b, again].contains(id)) && later[0] != later[1], "{later:?}");
}

#[test]
fn of_two_pods_with_one_address_the_younger_has_it() {
    let created = |day: &str| json!({"metadata": {"creationTimestamp": format!("2026-01-{day}T00:00:00Z")}});
    for (a, b, want) in [("01", "02", "b"), ("02", "01", "a"), ("01", "01", "a")] {
        let mut world = World::new();
        pod(&mut world, "ns/a", &["10.0.0.1"], created(a));
        pod(&mut world, "ns/b", &["10.0.0.1", "x"], created(b));
        let problems = world.translate();
        assert_eq!(
            problems,
            [
                "Pod ns/b: status.podIPs: \"x\" is not an IP address",
                "Pod ns/b: status.podIPs: 10.0.0.1 is also Pod ns/a's",
            ]
        );
        assert_eq!(&*at(&world, "10.0.0.1").unwrap().name, want);
    }
}
