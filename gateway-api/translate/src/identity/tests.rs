use super::*;
use objects::Object;
use serde_json::{Value, json};

fn store(objects: &[(&str, Value)]) -> Store {
    let mut store = Store::default();
    for (kind, object) in objects {
        let object = object.clone();
        let read = "an object of its kind";
        store.apply(
            match *kind {
                "Pod" => Object::Pod(Arc::new(serde_json::from_value(object).expect(read))),
                "Namespace" => Object::Namespace(Arc::new(serde_json::from_value(object).expect(read))),
                "Node" => Object::Node(Arc::new(serde_json::from_value(object).expect(read))),
                _ => Object::EndpointSlice(Arc::new(serde_json::from_value(object).expect(read))),
            },
            None,
        );
    }
    store
}

fn pod(name: &str, labels: Value) -> (&'static str, Value) {
    ("Pod", json!({"metadata": {"name": name, "namespace": "ns", "labels": labels}}))
}

fn node(name: &str, ip: &str) -> (&'static str, Value) {
    let addresses = json!([{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": ip}]);
    ("Node", json!({"metadata": {"name": name}, "status": {"addresses": addresses}}))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn workload(ip: IpAddr, identity: IdentityId) -> (IpAddr, Arc<Workload>) {
    let (namespace, name, node) = ("ns".into(), "p".into(), "n".into());
    let named_ports = Vec::new();
    (
        ip,
        Arc::new(Workload { namespace, name, node, addresses: vec![ip], identity, named_ports, local: None }),
    )
}

fn labels(identities: &Identities, id: IdentityId) -> Vec<String> {
    identities[&id].labels.iter().map(ToString::to_string).collect()
}

#[test]
fn pods_with_the_same_labels_share_a_number() {
    let namespace = json!({"metadata": {"name": "ns", "labels": {"env": "dev"}}});
    let mut objects = vec![
        pod("a", json!({"app": "web", "pod-template-hash": "1", "io.cilium.k8s.policy.cluster": "other"})),
        pod("b", json!({"app": "web", "pod-template-hash": "2"})),
        pod("c", json!({"app": "cli", "app.kubernetes.io/name": "cli", "kubernetes.io/x": "y"})),
        ("Namespace", namespace),
    ];
    let mut allocator = IdentityAllocator::new("main");
    let first = store(&objects);
    let mut number = |store: &Store, name: &str| {
        let entry = store.pods().get("ns", name).expect("a pod");
        allocator.pod(store, entry, &[])
    };
    let (a, b, c) = (number(&first, "a"), number(&first, "b"), number(&first, "c"));
    assert_eq!((a, b), (IdentityId::FIRST_ALLOCATED, a));
    assert_ne!(a, c);
    assert_eq!(number(&first, "c"), c);
    objects.pop();
    let bare = store(&objects);
    let unlabelled = number(&bare, "a");
    assert_ne!(unlabelled, a, "without its Namespace a pod has no namespace labels");

    let entry = first.pods().get("ns", "a").expect("a pod");
    let port = |port| [NamedPort { name: "http".into(), port, protocol: model::workload::Protocol::Tcp }];
    let (one, two) = (allocator.pod(&first, entry, &port(80)), allocator.pod(&first, entry, &port(81)));
    assert!(one != two && one != a, "other ports under one name make another peer");

    let workloads =
        [workload(ip("10.0.0.1"), a), workload(ip("10.0.0.2"), c), workload(ip("10.0.0.3"), unlabelled)];
    let world = World {
        store: &first,
        node: None,
        node_addresses: &[],
        prefixes: &BTreeSet::new(),
        workloads: &Arc::new(workloads.into()),
    };
    let (identities, addresses) = allocator.tables(&world);
    let common = ["k8s:io.cilium.k8s.policy.cluster=main", "k8s:io.cilium.k8s.policy.serviceaccount=default"];
    assert_eq!(
        labels(&identities, a),
        [
            "k8s:app=web",
            "k8s:io.cilium.k8s.namespace.labels.env=dev",
            "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=ns",
            common[0],
            common[1],
            "k8s:io.kubernetes.pod.namespace=ns",
        ]
    );
    assert_eq!(identities[&c].labels.get(Some("k8s"), "app.kubernetes.io/name"), Some("cli"));
    assert_eq!(identities[&c].labels.get(None, "kubernetes.io/x"), None);
    assert_eq!(
        labels(&identities, unlabelled),
        ["k8s:app=web", common[0], common[1], "k8s:io.kubernetes.pod.namespace=ns"]
    );
    assert!(!identities.contains_key(&one), "no pod has it");
    assert_eq!(addresses.identity(ip("10.0.0.1")), a);
}

#[test]
fn nodes_networks_and_the_api_server_have_their_identities() {
    let slice = json!({
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.168.0.3", "203.0.113.1"]}],
    });
    let store = store(&[
        node("one", "192.168.0.1"),
        node("two", "192.168.0.2"),
        node("three", "192.168.0.3"),
        ("EndpointSlice", slice),
    ]);
    let nets = ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "192.168.0.0/16", "2001:db8::/32", "::1/128"];
    let prefixes: BTreeSet<IpNet> = nets.iter().map(|net| net.parse().expect("a network")).collect();
    let workloads = Arc::new(HashMap::from([workload(ip("10.1.0.9"), IdentityId(300))]));
    let (node_addresses, node) = ([ip("172.16.0.1")], Some("one"));
    let world = World {
        store: &store,
        node,
        node_addresses: &node_addresses,
        prefixes: &prefixes,
        workloads: &workloads,
    };
    let mut allocator = IdentityAllocator::new("main");
    let (identities, addresses) = allocator.tables(&world);
    let identity = |text: &str| addresses.identity(ip(text));
    for (address, id) in [
        ("172.16.0.1", IdentityId::HOST),
        ("192.168.0.1", IdentityId::HOST),
        ("192.168.0.2", IdentityId::REMOTE_NODE),
        ("192.168.0.3", IdentityId::KUBE_APISERVER),
        ("198.51.100.1", IdentityId::WORLD_IPV4),
        ("2001:db9::1", IdentityId::WORLD_IPV6),
        ("10.1.0.9", IdentityId(300)),
    ] {
        assert_eq!(identity(address), id, "{address}");
    }
    for (address, want) in [
        ("10.2.0.1", ["cidr:10.0.0.0/8", "reserved:world-ipv4"].as_slice()),
        ("10.1.0.1", &["cidr:10.1.0.0/16", "reserved:world-ipv4"]),
        ("192.168.0.4", &["cidr:192.168.0.0/16", "reserved:world-ipv4"]),
        ("2001:db8::1", &["cidr:2001-db8--0/32", "reserved:world-ipv6"]),
        ("::1", &["cidr:0--1/128", "reserved:world-ipv6"]),
        ("203.0.113.1", &["cidr:203.0.113.1/32", "reserved:kube-apiserver", "reserved:world-ipv4"]),
    ] {
        assert_eq!(labels(&identities, identity(address)), want, "{address}");
        assert!(identity(address) >= IdentityId::FIRST_CIDR);
    }
    assert_eq!(
        labels(&identities, IdentityId::KUBE_APISERVER),
        ["reserved:kube-apiserver", "reserved:remote-node"]
    );

    let again = allocator.tables(&world);
    assert!(Arc::ptr_eq(&again.0, &identities) && Arc::ptr_eq(&again.1, &addresses));
    let fewer = allocator.tables(&World { prefixes: &BTreeSet::new(), ..world });
    assert!(!Arc::ptr_eq(&fewer.1, &addresses));
    assert_eq!(fewer.1.identity(ip("10.2.0.1")), IdentityId::WORLD_IPV4);
}
