use std::collections::HashMap;

use model::service::{GatewayAddr, GatewayPort, Listener, ListenerProtocol};
use objects::Object;
use objects::types::{Node, Pod};
use serde_json::json;

use super::*;

fn store(nodes: &[&str], pods: &[(&str, Option<&str>)]) -> Store {
    let mut store = Store::default();
    for name in nodes {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        store.apply(Object::Node(Arc::new(node)), None);
    }
    for (name, node) in pods {
        let pod = json!({
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": node, "containers": []},
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        store.apply(Object::Pod(Arc::new(pod)), None);
    }
    store
}

#[test]
fn a_node_that_nothing_knows_is_a_problem_while_there_are_pods() {
    let unpoliced = "there is no Node of this name and no Pod on it, so that no pod is policed";
    for (node, nodes, pods, told) in [
        (None, &["n1"][..], &[("a", Some("n1"))][..], None),
        (Some("n1"), &[], &[("a", Some("n1"))], None),
        (Some("n2"), &["n2"], &[("a", Some("n1"))], None),
        // Nothing to tell it by.
        (Some("nope"), &[], &[], None),
        (Some("nope"), &["n1"], &[], None),
        (Some("n11"), &["far-away"], &[("a", Some("n1")), ("b", Some("n2"))], Some("did you mean n1 or n2?")),
        (Some("worker-three"), &["b", "a"], &[("p", Some("a"))], Some("did you mean a or b?")),
        (Some("n1"), &[], &[("a", None)], Some("no Pod has a spec.nodeName")),
    ] {
        let problem = unknown_name(node, &store(nodes, pods)).map(|problem| {
            assert_eq!(problem.severity, objects::Severity::Error);
            problem.to_string()
        });
        let wanted = told.map(|hint| format!("--node {}: {unpoliced}; {hint}", node.unwrap_or_default()));
        assert_eq!(problem, wanted, "{node:?}");
    }
}

#[test]
fn a_gateways_address_that_is_not_the_nodes_is_a_warning() {
    let own: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "fd00::1".parse().unwrap()];
    for (ip, own, told) in [
        (None, &own[..], false),
        (Some("192.0.2.1"), &own, false),
        (Some("fd00::1"), &own, false),
        (Some("127.0.0.5"), &own, false),
        (Some("0.0.0.0"), &own, false),
        (Some("192.0.2.9"), &own, true),
        (Some("fd00::9"), &own, true),
        // The node's addresses could not be read.
        (Some("192.0.2.9"), &[], false),
    ] {
        let gateway = ObjectRef { kind: "Gateway", namespace: "shop".into(), name: "edge".into() };
        let listener = |port: u16| Listener {
            gateway: gateway.clone(),
            name: format!("l{port}").into(),
            hostname: None,
            protocol: ListenerProtocol::Tcp(None),
            backend_certificate: None,
        };
        let ip = ip.map(|ip: &str| ip.parse::<IpAddr>().unwrap());
        let gateways: HashMap<_, _> = [80, 81]
            .map(|port| {
                let listeners = vec![Arc::new(listener(port))];
                (GatewayAddr::tcp(ip, port), Arc::new(GatewayPort { listeners }))
            })
            .into();
        let snapshot = Snapshot { gateways: Arc::new(gateways), ..Snapshot::default() };
        let problems = foreign_addresses(&snapshot, own);
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let wanted = ip.filter(|_| told).map(|ip| {
            format!(
                "Gateway shop/edge: spec.addresses: {ip} is no address of this node: only its own pods \
                 reach the Gateway there, unless others are routed here"
            )
        });
        assert_eq!(texts, wanted.into_iter().collect::<Vec<_>>(), "{ip:?}");
    }
}
