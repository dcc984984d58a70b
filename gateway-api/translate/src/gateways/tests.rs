use std::net::IpAddr;
use std::path::Path;

use model::service::GatewayAddr;
use model::workload::Protocol;
use objects::{Kind, Object, Severity, Source};
use serde_json::{Value, json};

use crate::tests::World;

mod sets;
mod tls;

fn apply(world: &mut World, name: &str, age: &str, spec: Value) {
    let mut spec = spec;
    spec["gatewayClassName"] = "weir".into();
    let time = format!("2026-01-{age}T00:00:00Z");
    world.apply("Gateway", name, json!({"metadata": {"creationTimestamp": time}, "spec": spec}));
}

fn http(name: &str, port: u16, hostname: &str) -> Value {
    json!({"name": name, "port": port, "protocol": "HTTP", "hostname": hostname})
}

fn plain(name: &str, port: u16, protocol: &str) -> Value {
    json!({"name": name, "port": port, "protocol": protocol})
}

/// `address:port` with the names of its listeners, ordered by address.
fn listening(world: &World) -> Vec<String> {
    let mut addresses: Vec<_> = world.last.snapshot.gateways.iter().collect();
    addresses.sort_by_key(|(address, _)| (address.port, address.transport, address.ip));
    let shown = |(address, port): (&GatewayAddr, &std::sync::Arc<model::service::GatewayPort>)| {
        let ip = address.ip.map_or("*".to_owned(), |ip: IpAddr| ip.to_string());
        let names: Vec<_> = port.listeners.iter().map(|l| format!("{}/{}", l.gateway.name, l.name)).collect();
        let udp = if address.transport == Protocol::Udp { "/udp" } else { "" };
        format!("{ip}:{}{udp} {}", address.port, names.join(" "))
    };
    addresses.into_iter().map(shown).collect()
}

#[test]
fn listeners_are_served_or_say_why_not() {
    let mut world = World::new();
    let listeners = json!([
        http("ok", 80, ""),
        {"name": "tls", "port": 443, "protocol": "HTTPS"},
        {"name": "odd", "port": 444, "protocol": "example.com/x"},
        {"name": "kinds", "port": 81, "protocol": "HTTP",
            "allowedRoutes": {"kinds": [{"kind": "HTTPRoute"}, {"kind": "FooRoute"}]}},
        {"name": "port", "port": 70000, "protocol": "HTTP"},
    ]);
    apply(&mut world, "ns/gw", "01", json!({ "listeners": listeners }));
    let problems = world.translate();
    for wanted in [
        "Gateway ns/gw: spec.listeners[1].tls.certificateRefs: at least one",
        "Gateway ns/gw: spec.listeners[2].protocol: ",
        "Gateway ns/gw: spec.listeners[3].allowedRoutes.kinds[1]: FooRoute",
        "Gateway ns/gw: spec.listeners[4].port: 70000",
    ] {
        assert_eq!(problems.iter().filter(|p| p.starts_with(wanted)).count(), 1, "{wanted}: {problems:?}");
    }
    assert_eq!(problems.len(), 4);
    assert_eq!(listening(&world), ["*:80 gw/ok", "*:81 gw/kinds", "*:443 gw/tls"]);
    let good = "Accepted=true/Accepted Programmed=true/Programmed";
    let bad = |reason: &str| {
        format!(
            "Accepted=false/{reason} Programmed=false/{reason} ResolvedRefs=true/ResolvedRefs Conflicted=false/NoConflicts"
        )
    };
    assert_eq!(
        world.statuses(Kind::Gateway, "ns/gw"),
        [
            format!("kinds(0): {good} ResolvedRefs=false/InvalidRouteKinds Conflicted=false/NoConflicts"),
            format!("odd(0): {}", bad("UnsupportedProtocol")),
            format!("ok(0): {good} ResolvedRefs=true/ResolvedRefs Conflicted=false/NoConflicts"),
            format!("port(0): {}", bad("PortUnavailable")),
            "tls(0): Accepted=true/Accepted Programmed=false/Invalid ResolvedRefs=false/InvalidCertificateRef \
             Conflicted=false/NoConflicts"
                .to_owned(),
            "whole: Accepted=true/ListenersNotValid Programmed=true/Programmed".to_owned(),
        ]
    );
}

#[test]
fn addresses() {
    let ip = |value: &str| json!({"type": "IPAddress", "value": value});
    for (addresses, want, whole) in [
        (json!([]), &["*:80 gw/a"][..], "true/Accepted"),
        (json!([ip("192.0.2.7")]), &["192.0.2.7:80 gw/a"], "true/Accepted"),
        (
            json!([{"value": "fd00::7"}, ip("192.0.2.7")]),
            &["192.0.2.7:80 gw/a", "fd00::7:80 gw/a"],
            "true/Accepted",
        ),
        (json!([{"type": "IPAddress"}]), &["*:80 gw/a"], "true/Accepted"),
        (json!([{"type": "Hostname", "value": "h.test"}]), &[], "false/UnsupportedAddress"),
        (json!([ip("300.1.1.1")]), &[], "false/UnsupportedAddress"),
    ] {
        let mut world = World::new();
        apply(&mut world, "ns/gw", "01", json!({"addresses": addresses, "listeners": [http("a", 80, "")]}));
        let problems = world.translate();
        assert_eq!(listening(&world), want, "{addresses}");
        assert_eq!(problems.is_empty(), whole == "true/Accepted", "{problems:?}");
        let statuses = world.statuses(Kind::Gateway, "ns/gw");
        assert!(statuses[1].starts_with(&format!("whole: Accepted={whole}")), "{statuses:?}");
    }
}

#[test]
fn listeners_of_one_gateway_that_cannot_be_told_apart_are_all_refused() {
    let tls = json!({"name": "tls", "port": 80, "protocol": "TLS", "hostname": "t.test"});
    for (listeners, want, reason) in [
        (json!([http("a", 80, "x.test"), http("b", 80, "y.test")]), &["*:80 gw/a gw/b"][..], None),
        (json!([http("a", 80, "x.test"), http("b", 81, "x.test")]), &["*:80 gw/a", "*:81 gw/b"], None),
        (
            json!([http("a", 80, "x.test"), http("b", 80, "X.Test"), http("c", 80, "")]),
            &["*:80 gw/c"],
            Some("HostnameConflict"),
        ),
        (json!([http("a", 80, ""), tls, http("c", 81, "")]), &["*:81 gw/c"], Some("ProtocolConflict")),
        // TCP and UDP have port numbers of their own.
        (json!([plain("a", 53, "TCP"), plain("b", 53, "UDP")]), &["*:53 gw/a", "*:53/udp gw/b"], None),
        (json!([plain("a", 53, "UDP"), plain("b", 53, "UDP")]), &[], Some("HostnameConflict")),
        (json!([plain("a", 53, "TCP"), http("b", 53, "")]), &[], Some("ProtocolConflict")),
        // What is refused for itself takes nobody else down.
        (json!([http("a", 80, ""), plain("b", 80, "example.com/x")]), &["*:80 gw/a"], None),
    ] {
        let mut world = World::new();
        apply(&mut world, "ns/gw", "01", json!({ "listeners": listeners }));
        world.translate();
        assert_eq!(listening(&world), want, "{listeners}");
        let statuses = world.statuses(Kind::Gateway, "ns/gw");
        let conflicted = statuses.iter().filter(|s| s.contains("Conflicted=true")).count();
        assert_eq!(conflicted, if reason.is_some() { 2 } else { 0 }, "{statuses:?}");
        if let Some(reason) = reason {
            let wanted = format!(": Accepted=false/{reason} Programmed=false/{reason}");
            assert!(
                statuses[0].contains(&wanted) && statuses[0].contains(&format!("Conflicted=true/{reason}"))
            );
        }
    }
}

#[test]
fn gateways_on_one_port_join_and_the_oldest_keeps_what_both_claim() {
    let mut world = World::new();
    apply(
        &mut world,
        "ns/young",
        "02",
        json!({"listeners": [http("same", 80, "x.test"), http("own", 80, "")]}),
    );
    apply(
        &mut world,
        "ns/old",
        "01",
        json!({"listeners": [http("same", 80, "x.test"), http("wild", 80, "*.test")]}),
    );
    let alone = json!({"addresses": [{"value": "192.0.2.7"}], "listeners": [http("same", 80, "x.test")]});
    apply(&mut world, "ns/alone", "03", alone);
    let problems = world.translate();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("Gateway ns/young: spec.listeners[0].hostname: Gateway ns/old is older"),
        "{problems:?}"
    );
    assert_eq!(listening(&world), ["*:80 old/same old/wild young/own", "192.0.2.7:80 alone/same"]);
    world.remove(Kind::Gateway, "ns/old").ready();
    assert_eq!(listening(&world), ["*:80 young/same young/own", "192.0.2.7:80 alone/same"]);
}

#[test]
fn gateways_of_different_protocols_do_not_share_a_port() {
    let mut world = World::new();
    apply(&mut world, "ns/old", "01", json!({"listeners": [http("a", 80, "x.test")]}));
    let both = json!([plain("tcp", 80, "TCP"), plain("udp", 80, "UDP")]);
    apply(&mut world, "ns/young", "02", json!({ "listeners": both }));
    let problems = world.translate();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let wanted = "Gateway ns/young: spec.listeners[0].protocol: Gateway ns/old is older";
    assert!(problems[0].starts_with(wanted), "{problems:?}");
    assert_eq!(listening(&world), ["*:80 old/a", "*:80/udp young/udp"]);
    let statuses = world.statuses(Kind::Gateway, "ns/young");
    assert!(statuses[0].contains("Conflicted=true/ProtocolConflict"), "{statuses:?}");
}

#[test]
fn supported_kinds() {
    let all = json!([]);
    for (protocol, kinds, want) in [
        ("HTTP", all.clone(), &["HTTPRoute", "GRPCRoute"][..]),
        ("HTTP", json!([{"kind": "HTTPRoute"}, {"kind": "HTTPRoute"}]), &["HTTPRoute"]),
        ("HTTP", json!([{"kind": "HTTPRoute"}, {"kind": "TCPRoute"}]), &["HTTPRoute"]),
        ("HTTP", json!([{"kind": "HTTPRoute", "group": "example.com"}]), &[]),
        ("HTTPS", all.clone(), &["HTTPRoute", "GRPCRoute"]),
        ("TLS", all.clone(), &["TLSRoute"]),
        ("TCP", all.clone(), &["TCPRoute"]),
        ("UDP", all.clone(), &["UDPRoute"]),
        ("example.com/x", all, &[]),
    ] {
        let mut world = World::new();
        let mut listener = plain("l", 80, protocol);
        listener["allowedRoutes"] = json!({ "kinds": kinds });
        apply(&mut world, "ns/gw", "01", json!({ "listeners": [listener] }));
        world.translate();
        let statuses = world.translator.statuses();
        let listener = statuses.iter().find(|s| s.attached_routes.is_some()).unwrap();
        let got: Vec<_> = listener.supported_kinds.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(got, want, "{protocol} {kinds}");
    }
}

#[test]
fn a_request_is_isolated_to_its_listener() {
    let mut world = World::new();
    let listeners = json!([
        http("any", 80, ""),
        http("wild", 80, "*.example.com"),
        http("longer", 80, "*.foo.example.com"),
        http("exact", 80, "abc.foo.example.com")
    ]);
    apply(&mut world, "ns/gw", "01", json!({ "listeners": listeners }));
    for section in ["any", "wild", "longer", "exact"] {
        let path = json!({"path": {"type": "PathPrefix", "value": format!("/{section}")}});
        let parents = json!([{"name": "gw", "sectionName": section}]);
        world.route(&format!("ns/{section}"), json!({"parentRefs": parents, "rules": [{"matches": [path]}]}));
    }
    world.ready();
    for (host, own) in [
        ("bar.com", "any"),
        ("example.com", "any"),
        ("bar.example.com", "wild"),
        ("bar.foo.example.com", "longer"),
        ("abc.foo.example.com", "exact"),
        ("abc.foo.example.com:80", "exact"),
    ] {
        for section in ["any", "wild", "longer", "exact"] {
            let want = if section == own { format!("{own}#0") } else { "404".to_owned() };
            assert_eq!(world.find(80, &format!("GET {host}/{section}"), &[]), want, "{host} {section}");
        }
    }
}

#[test]
fn a_protocol_that_is_none_is_told_with_those_there_are() {
    for (protocol, told) in [
        ("tcp", r#""tcp" is not a protocol; did you mean TCP?"#),
        ("Https", r#""Https" is not a protocol; did you mean HTTPS?"#),
        ("QUIC", r#""QUIC" is not a protocol that we know: use HTTP, HTTPS, TLS, TCP, UDP"#),
    ] {
        let mut world = World::new();
        apply(&mut world, "ns/gw", "01", json!({"listeners": [plain("a", 80, protocol)]}));
        assert_eq!(world.translate(), [format!("Gateway ns/gw: spec.listeners[0].protocol: {told}")]);
    }
}

#[test]
fn a_gateway_without_a_class_is_named_and_ignored() {
    let mut world = World::new();
    let listeners = json!([{"name": "a", "port": 80, "protocol": "HTTP"}]);
    world.apply("Gateway", "ns/gw", json!({"spec": {"gatewayClassName": "late", "listeners": listeners}}));
    let problems = world.translate();
    assert!(
        problems[0].starts_with("Gateway ns/gw: spec.gatewayClassName: there is no GatewayClass late"),
        "{problems:?}"
    );
    assert!(listening(&world).is_empty());
    world.apply("GatewayClass", "late", json!({"spec": {"controllerName": super::CONTROLLER}})).ready();
    assert_eq!(listening(&world), ["*:80 gw/a"]);
}

#[test]
fn another_controllers_gateway_is_named_where_it_was_read_from_a_file() {
    let mut world = World::new();
    let listeners = json!([{"name": "a", "port": 80, "protocol": "HTTP"}]);
    world.apply("GatewayClass", "other", json!({"spec": {"controllerName": "weir.dev/gatewayy"}}));
    world.apply("Gateway", "ns/gw", json!({"spec": {"gatewayClassName": "other", "listeners": listeners}}));
    // In a cluster it is none of our business.
    world.ready();
    let object = world.store.gateways().get("ns", "gw").unwrap().object.clone();
    let source = Source { file: Path::new("gw.yaml").into(), line: 7 };
    world.store.apply(Object::Gateway(object), Some(source));
    assert_eq!(
        world.translate(),
        ["gw.yaml:7: Gateway ns/gw: spec.gatewayClassName: GatewayClass other has controllerName \
          weir.dev/gatewayy, not weir.dev/gateway: Weir does not serve the Gateway"]
    );
    assert_eq!(world.last.problems[0].severity, Severity::Warning);
    assert!(listening(&world).is_empty());
}
