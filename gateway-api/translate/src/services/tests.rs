use serde_json::{Value, json};

use crate::tests::World;

/// `address[!]` of each endpoint, with `!` for those not ready.
fn endpoints(world: &World, name: &str, port: u16) -> Vec<String> {
    let backend = world.backend(name, port);
    let shown = |e: &model::service::Endpoint| format!("{}{}", e.address, if e.ready { "" } else { "!" });
    backend.endpoints.iter().map(shown).collect()
}

fn slice(world: &mut World, name: &str, service: &str, family: &str, ports: Value, endpoints: Value) {
    let metadata = json!({"labels": {"kubernetes.io/service-name": service}});
    let object = json!({"metadata": metadata, "addressType": family, "ports": ports, "endpoints": endpoints});
    world.apply("EndpointSlice", name, object);
}

#[test]
fn ports_go_together_by_name_and_slices_add_up() {
    let mut world = World::new();
    let ports = json!([{"name": "web", "port": 80, "targetPort": "http"}, {"name": "admin", "port": 81},
        {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "sctp", "port": 82, "protocol": "SCTP"}]);
    world.apply("Service", "ns/s", json!({"spec": {"clusterIPs": ["10.96.0.1", "fd00::1"], "ports": ports}}));
    let both = json!([{"name": "web", "port": 8080}, {"name": "admin", "port": 9000}, {"name": "dns", "port": 5353, "protocol": "UDP"}]);
    slice(
        &mut world,
        "ns/s-1",
        "s",
        "IPv4",
        both,
        json!([{"addresses": ["10.0.0.2"]}, {"addresses": ["10.0.0.1", "10.9.9.9"]}]),
    );
    slice(
        &mut world,
        "ns/s-2",
        "s",
        "IPv4",
        json!([{"name": "web", "port": 8081}]),
        json!([{"addresses": ["10.0.0.3"]}]),
    );
    slice(
        &mut world,
        "ns/s-3",
        "s",
        "IPv6",
        json!([{"name": "web", "port": 8080}]),
        json!([{"addresses": ["fd00:1::1"]}]),
    );
    slice(&mut world, "ns/s-4", "s", "IPv6", json!([]), json!([]));
    slice(
        &mut world,
        "far/s-5",
        "s",
        "IPv4",
        json!([{"name": "web", "port": 8080}]),
        json!([{"addresses": ["10.0.0.9"]}]),
    );
    world.ready();
    assert_eq!(
        endpoints(&world, "ns/s", 80),
        ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8081", "[fd00:1::1]:8080"]
    );
    assert_eq!(endpoints(&world, "ns/s", 81), ["10.0.0.1:9000", "10.0.0.2:9000"]);
    for address in ["10.96.0.1:80", "[fd00::1]:80"] {
        assert_eq!(world.frontend(address).unwrap().backend, world.backend("ns/s", 80).id);
    }
    assert_eq!(endpoints(&world, "ns/s", 53), ["10.0.0.1:5353", "10.0.0.2:5353"]);
    let of_udp = &world.last.snapshot.datagram_frontends;
    for address in ["10.96.0.1:53", "[fd00::1]:53"] {
        let frontend = &of_udp[&address.parse::<std::net::SocketAddr>().unwrap()];
        assert_eq!(frontend.backend, world.backend("ns/s", 53).id);
    }
    assert_eq!((world.last.snapshot.frontends.len(), of_udp.len()), (4, 2), "TCP and UDP apart");
    assert_eq!(world.last.snapshot.backends.len(), 3, "TCP and UDP ports");
}

#[test]
fn headless_and_selectorless_services_have_backends() {
    let mut world = World::new();
    world.apply("Service", "ns/headless", json!({"spec": {"clusterIP": "None", "ports": [{"port": 80}]}}));
    world.slice("ns/by-hand", "ns/headless", "10.0.0.1").ready();
    assert_eq!(endpoints(&world, "ns/headless", 80), ["10.0.0.1:8080"]);
    assert!(world.last.snapshot.frontends.is_empty());
}

#[test]
fn conditions() {
    for (conditions, want) in [
        (json!([{}]), &["10.0.0.0:8080"][..]),
        (json!([{"ready": true}, {"ready": false}]), &["10.0.0.0:8080", "10.0.0.1:8080!"]),
        (json!([{"ready": false}]), &["10.0.0.0:8080!"]),
        // While one is ready, those that terminate get nothing.
        (
            json!([{"ready": true}, {"ready": false, "serving": true, "terminating": true}]),
            &["10.0.0.0:8080", "10.0.0.1:8080!"],
        ),
        (
            json!([{"ready": false}, {"ready": false, "serving": true, "terminating": true}]),
            &["10.0.0.0:8080!", "10.0.0.1:8080"],
        ),
        (json!([{"ready": false, "serving": false, "terminating": true}]), &["10.0.0.0:8080!"]),
        (json!([{"ready": false, "serving": true, "terminating": false}]), &["10.0.0.0:8080!"]),
    ] {
        let mut world = World::new();
        world.apply("Service", "ns/s", json!({"spec": {"ports": [{"port": 80}]}}));
        let all = conditions.as_array().unwrap().iter().enumerate();
        let all: Vec<_> =
            all.map(|(i, c)| json!({"addresses": [format!("10.0.0.{i}")], "conditions": c})).collect();
        slice(&mut world, "ns/s-1", "s", "IPv4", json!([{"port": 8080}]), json!(all));
        world.ready();
        assert_eq!(endpoints(&world, "ns/s", 80), want, "{conditions}");
    }
}

#[test]
fn a_pod_in_two_slices_is_ready_if_one_says_so() {
    let mut world = World::new();
    world.apply("Service", "ns/s", json!({"spec": {"ports": [{"port": 80}]}}));
    for (name, ready) in [("ns/a", false), ("ns/b", true), ("ns/c", false)] {
        let endpoint = json!([{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]);
        slice(&mut world, name, "s", "IPv4", json!([{"port": 8080}]), endpoint);
    }
    world.ready();
    assert_eq!(endpoints(&world, "ns/s", 80), ["10.0.0.1:8080"]);
}

/// Kubernetes itself takes none of these for an endpoint; from here they are the node's own.
#[test]
fn addresses_that_are_no_endpoints_are_refused() {
    for (family, address, what) in [
        ("IPv4", "127.0.0.1", "a loopback address"),
        ("IPv4", "127.8.9.10", "a loopback address"),
        ("IPv4", "0.0.0.0", "the unspecified address"),
        ("IPv4", "169.254.169.254", "a link-local address"),
        ("IPv4", "224.0.0.1", "a multicast address"),
        ("IPv4", "255.255.255.255", "the broadcast address"),
        ("IPv6", "::1", "a loopback address"),
        ("IPv6", "::", "the unspecified address"),
        ("IPv6", "::ffff:127.0.0.1", "a loopback address"),
        ("IPv6", "fe80::1", "a link-local address"),
        ("IPv6", "ff02::1", "a multicast address"),
    ] {
        let mut world = World::new();
        world.service("ns/s", "10.96.0.1", "10.0.0.1");
        let addresses = json!([{"addresses": [address]}]);
        slice(&mut world, "ns/bad", "s", family, json!([{"port": 8080}]), addresses);
        let problems = world.translate();
        let at = "Service ns/s: EndpointSlice bad: endpoints[0].addresses[0]: ";
        assert_eq!(problems.len(), 1, "{address}: {problems:#?}");
        assert!(problems[0].starts_with(at) && problems[0].contains(what), "{address}: {problems:#?}");
        assert_eq!(endpoints(&world, "ns/s", 80), ["10.0.0.1:8080"]);
    }
}

#[test]
fn bad_slices_and_services_are_named_and_leave_the_rest() {
    let mut world = World::new();
    world.service("ns/good", "10.96.0.1", "10.0.0.1");
    world.service("ns/zz-same-ip", "10.96.0.1", "10.0.0.2");
    slice(&mut world, "ns/fqdn", "good", "FQDN", json!([{"port": 80}]), json!([{"addresses": ["a.test"]}]));
    slice(
        &mut world,
        "ns/wrong",
        "good",
        "IPv4",
        json!([{"port": 8080}]),
        json!([{"addresses": ["fd00::1"]}, {"addresses": ["x"]}]),
    );
    world.apply("EndpointSlice", "ns/nobody", json!({"addressType": "IPv4", "endpoints": []}));
    let ports = json!([{"port": 80}, {"port": 80}, {"port": 0}]);
    world.apply("Service", "ns/bad", json!({"spec": {"clusterIP": "x", "ports": ports}}));
    let problems = world.translate();
    for wanted in [
        "EndpointSlice ns/fqdn: addressType: address type \"FQDN\" is not supported",
        "EndpointSlice ns/nobody: metadata.labels: ",
        "Service ns/good: EndpointSlice wrong: \"fd00::1\" is not an IPv4 address",
        "Service ns/good: EndpointSlice wrong: \"x\" is not an IPv4 address",
        "Service ns/zz-same-ip: spec.clusterIP: 10.96.0.1:80 belongs to Service ns/good already",
        "Service ns/bad: spec.clusterIP: \"x\" is not an IP address",
        "Service ns/bad: spec.ports[1].port: TCP port 80 is given twice",
        "Service ns/bad: spec.ports[2].port: 0 is not a port",
    ] {
        assert_eq!(problems.iter().filter(|p| p.starts_with(wanted)).count(), 1, "{wanted}: {problems:#?}");
    }
    assert_eq!(problems.len(), 8);
    assert_eq!(endpoints(&world, "ns/good", 80), ["10.0.0.1:8080"]);
    assert_eq!(world.frontend("10.96.0.1:80").unwrap().backend, world.backend("ns/good", 80).id);
}

#[test]
fn protocols() {
    use model::service::AppProtocol::{H2c, Http, Opaque, Unspecified, WebSocket};
    let mut world = World::new();
    for (text, want) in [
        (Value::Null, Unspecified),
        (json!("http"), Http),
        (json!("kubernetes.io/h2c"), H2c),
        (json!("kubernetes.io/ws"), WebSocket),
        (json!(""), Unspecified),
        (json!("HTTP"), Http),
        (json!("grpc-web"), Http),
        (json!("h2c"), H2c),
        (json!("http2"), H2c),
        (json!("grpc"), H2c),
        (json!("ws"), WebSocket),
        (json!("kubernetes.io/wss"), Opaque),
        (json!("wss"), Opaque),
        (json!("https"), Opaque),
        (json!("mysql"), Opaque),
    ] {
        world
            .apply("Service", "ns/s", json!({"spec": {"ports": [{"port": 80, "appProtocol": text}]}}))
            .ready();
        assert_eq!(world.backend("ns/s", 80).protocol, want, "{text}");
    }
    for (text, near) in
        [("h2cc", "h2c"), ("HTPP", "http"), ("htttp", "http"), ("kubernetes.io/h2", "kubernetes.io/h2c")]
    {
        world.apply("Service", "ns/s", json!({"spec": {"ports": [{"port": 80, "appProtocol": text}]}}));
        let wanted = format!(
            "Service ns/s: spec.ports[0].appProtocol: {text:?} is not known: its connections are bytes; \
             did you mean {near}?"
        );
        assert_eq!(world.translate(), [wanted]);
        assert_eq!(world.backend("ns/s", 80).protocol, Opaque);
    }
}
