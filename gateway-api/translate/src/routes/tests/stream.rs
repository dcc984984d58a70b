//! TLSRoutes, TCPRoutes and UDPRoutes.

use std::sync::Arc;

use model::route::{RouteRule, SniTable};
use model::service::{GatewayAddr, ListenerProtocol};
use model::workload::Protocol;

use super::*;

/// Gateway `ns/gw` with a listener of each kind for all namespaces, and Services of TCP and UDP.
fn world() -> World {
    let mut world = World::new();
    let all = json!({"namespaces": {"from": "All"}});
    let listener = |name: &str, port: u16, protocol: &str, more: Value| {
        let mut listener = more;
        let own = json!({"name": name, "port": port, "protocol": protocol, "allowedRoutes": all});
        listener.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        listener
    };
    let pass = json!({"mode": "Passthrough"});
    let listeners = json!([
        listener("http", 80, "HTTP", json!({})),
        listener("tls", 443, "TLS", json!({"tls": pass})),
        listener("wild", 443, "TLS", json!({"tls": pass, "hostname": "*.wild.test"})),
        listener("tcp", 9000, "TCP", json!({})),
        listener("tcp2", 9001, "TCP", json!({})),
        listener("udp", 53, "UDP", json!({})),
        listener("dns", 53, "TCP", json!({})),
    ]);
    world.apply("Gateway", "ns/gw", json!({"spec": {"gatewayClassName": "weir", "listeners": listeners}}));
    world.service("ns/a", "10.96.0.1", "10.0.0.1").service("ns/b", "10.96.0.2", "10.0.0.2");
    let ports = json!([{"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"},
        {"name": "only", "port": 54, "protocol": "UDP"}]);
    world.apply("Service", "ns/dns", json!({"spec": {"clusterIP": "10.96.0.3", "ports": ports}}));
    let slice = json!({
        "metadata": {"labels": {"kubernetes.io/service-name": "dns"}},
        "addressType": "IPv4",
        "ports": [{"name": "tcp", "port": 5300}, {"name": "udp", "port": 5301, "protocol": "UDP"},
            {"name": "only", "port": 5302, "protocol": "UDP"}],
        "endpoints": [{"addresses": ["10.0.0.3"]}],
    });
    world.apply("EndpointSlice", "ns/dns-1", slice).ready();
    world
}

/// Applies a route of one rule, created on this day, to a listener of `ns/gw`.
fn apply(world: &mut World, kind: &str, name: &str, day: u8, section: &str, mut spec: Value) {
    if spec.get("rules").is_none() {
        spec["rules"] = json!([{"backendRefs": [{"name": "a", "namespace": "ns", "port": 80}]}]);
    }
    spec["parentRefs"] = json!([{"name": "gw", "namespace": "ns", "sectionName": section}]);
    let time = format!("2026-01-{day:02}T00:00:00Z");
    world.apply(kind, name, json!({"metadata": {"creationTimestamp": time}, "spec": spec}));
}

fn protocol(world: &World, port: u16, transport: Protocol, name: &str) -> ListenerProtocol {
    let gateway = &world.last.snapshot.gateways[&GatewayAddr { ip: None, port, transport }];
    gateway.listeners.iter().find(|l| &*l.name == name).unwrap().protocol.clone()
}

fn names(world: &World, name: &str) -> Arc<SniTable> {
    match protocol(world, 443, Protocol::Tcp, name) {
        ListenerProtocol::TlsPassthrough(names) => names,
        other => panic!("{other:?}"),
    }
}

/// `name=route` of every server name in force, ordered.
fn shown(names: &SniTable) -> Vec<String> {
    let exact = names.exact.iter().map(|(name, rule)| format!("{name}={}", rule.route.name));
    let wild = names.wildcard.iter().map(|(name, rule)| format!("*{name}={}", rule.route.name));
    let any = names.any.iter().map(|rule| format!("any={}", rule.route.name));
    let mut shown: Vec<String> = exact.chain(wild).chain(any).collect();
    shown.sort();
    shown
}

fn rule(world: &World, port: u16, transport: Protocol, name: &str) -> Option<Arc<RouteRule>> {
    match protocol(world, port, transport, name) {
        ListenerProtocol::Tcp(rule) | ListenerProtocol::Udp(rule) => rule,
        other => panic!("{other:?}"),
    }
}

/// The route in force at a listener of TCP.
fn tcp(world: &World, port: u16, name: &str) -> String {
    rule(world, port, Protocol::Tcp, name).map_or("none".to_owned(), |rule| rule.route.to_string())
}

fn attached(world: &World, listener: &str) -> String {
    let statuses = world.statuses(Kind::Gateway, "ns/gw");
    let status = statuses.iter().find(|s| s.starts_with(&format!("{listener}("))).unwrap();
    status[listener.len() + 1..status.find(')').unwrap()].to_owned()
}

#[test]
fn of_several_routes_for_a_name_the_oldest_counts() {
    let mut world = world();
    apply(
        &mut world,
        "TLSRoute",
        "ns/young",
        2,
        "tls",
        json!({"hostnames": ["a.test", "b.test", "*.c.test"]}),
    );
    world.ready();
    assert_eq!(shown(&names(&world, "tls")), ["*.c.test=young", "a.test=young", "b.test=young"]);
    apply(&mut world, "TLSRoute", "ns/old", 1, "tls", json!({"hostnames": ["A.test", "*.C.test"]}));
    // Of two of one age the first by name.
    apply(&mut world, "TLSRoute", "ns/able", 2, "tls", json!({"hostnames": ["b.test"]}));
    world.ready();
    assert_eq!(shown(&names(&world, "tls")), ["*.c.test=old", "a.test=old", "b.test=able"]);
    assert_eq!(attached(&world, "tls"), "3", "all are attached");
    for name in ["ns/old", "ns/young", "ns/able"] {
        let want = ["0: Accepted=true/Accepted ResolvedRefs=true/ResolvedRefs"];
        assert_eq!(world.statuses(Kind::TlsRoute, name), want);
    }
    world.remove(Kind::TlsRoute, "ns/old").ready();
    assert_eq!(shown(&names(&world, "tls")), ["*.c.test=young", "a.test=young", "b.test=able"]);
    world.remove(Kind::TlsRoute, "ns/young").remove(Kind::TlsRoute, "ns/able").ready();
    assert_eq!(shown(&names(&world, "tls")), [""; 0]);
    assert_eq!(attached(&world, "tls"), "0");
}

#[test]
fn hostnames_of_tls_routes_meet_those_of_listeners() {
    for (hostnames, section, want) in [
        (json!(["a.test"]), "tls", Ok(&["a.test=r"][..])),
        (json!([]), "tls", Ok(&["any=r"])),
        (json!(["x.wild.test", "a.test"]), "wild", Ok(&["x.wild.test=r"])),
        (json!(["*.wild.test"]), "wild", Ok(&["*.wild.test=r"])),
        (json!(["*.test"]), "wild", Ok(&["*.test=r"])),
        (json!(["a.test", "wild.test"]), "wild", Err("NoMatchingListenerHostname")),
        (json!(["a.test"]), "missing", Err("NoMatchingParent")),
        (json!(["a.test"]), "http", Err("NotAllowedByListeners")),
        (json!(["a.test"]), "tcp", Err("NotAllowedByListeners")),
    ] {
        let mut world = world();
        apply(&mut world, "TLSRoute", "ns/r", 1, section, json!({ "hostnames": hostnames }));
        let problems = world.translate();
        let accepted = match want {
            Ok(want) => {
                assert_eq!(shown(&names(&world, section)), want, "{hostnames}");
                "true/Accepted".to_owned()
            }
            Err(reason) => {
                assert_eq!(problems.len(), 1, "{problems:?}");
                format!("false/{reason}")
            }
        };
        let want = [format!("0: Accepted={accepted} ResolvedRefs=true/ResolvedRefs")];
        assert_eq!(world.statuses(Kind::TlsRoute, "ns/r"), want, "{hostnames} {section}");
    }
}

#[test]
fn the_oldest_route_carries_the_traffic_of_a_listener() {
    let mut world = world();
    assert_eq!(tcp(&world, 9000, "tcp"), "none");
    apply(&mut world, "TCPRoute", "ns/b", 2, "tcp", json!({}));
    apply(
        &mut world,
        "TCPRoute",
        "far/a",
        2,
        "tcp",
        json!({"rules": [{"backendRefs": [
        {"name": "a", "port": 80}]}]}),
    );
    assert_eq!(world.translate().len(), 1, "far has no Service a");
    assert_eq!(tcp(&world, 9000, "tcp"), "TCPRoute far/a", "an invalid route that counts lets no other in");
    apply(&mut world, "TCPRoute", "ns/c", 1, "tcp", json!({}));
    world.translate();
    assert_eq!(tcp(&world, 9000, "tcp"), "TCPRoute ns/c");
    assert_eq!(attached(&world, "tcp"), "3");
    let want = ["0: Accepted=true/Accepted ResolvedRefs=true/ResolvedRefs"];
    assert_eq!(world.statuses(Kind::TcpRoute, "ns/b"), want);
    assert_eq!(world.statuses(Kind::TcpRoute, "ns/c"), want);
    world.remove(Kind::TcpRoute, "ns/c").remove(Kind::TcpRoute, "far/a").ready();
    assert_eq!(tcp(&world, 9000, "tcp"), "TCPRoute ns/b");
    assert_eq!(tcp(&world, 9001, "tcp2"), "none");
}

#[test]
fn a_route_without_a_section_takes_every_listener_of_its_protocol() {
    let mut world = world();
    let rules = json!([{"name": "all", "backendRefs": [
        {"name": "a", "port": 80, "weight": 3}, {"name": "b", "port": 80, "weight": 0}]}]);
    for (parent, want) in [
        (json!({"name": "gw"}), ["1", "1", "1"]),
        (json!({"name": "gw", "port": 9001}), ["0", "1", "0"]),
        (json!({"name": "gw", "port": 9001, "sectionName": "tcp2"}), ["0", "1", "0"]),
    ] {
        world.apply("TCPRoute", "ns/r", json!({"spec": {"parentRefs": [parent], "rules": rules}})).ready();
        assert_eq!(["tcp", "tcp2", "dns"].map(|name| attached(&world, name)), want, "{parent}");
        assert_eq!(attached(&world, "udp"), "0");
    }
    let rule = rule(&world, 9001, Protocol::Tcp, "tcp2").unwrap();
    assert_eq!(rule.name.as_deref(), Some("all"));
    assert_eq!(rule.backends.iter().map(|b| b.weight).collect::<Vec<_>>(), [3, 0]);
    let parent = json!([{"name": "gw", "port": 9000, "sectionName": "tcp2"}]);
    world.apply("TCPRoute", "ns/r", json!({"spec": {"parentRefs": parent, "rules": rules}}));
    assert_eq!(world.translate().len(), 1);
    assert!(world.statuses(Kind::TcpRoute, "ns/r")[0].contains("Accepted=false/NoMatchingParent"));
}

#[test]
fn udp_and_tcp_of_one_port_number_lead_to_ports_of_their_own() {
    let mut world = world();
    let backend = |port: u16| json!({"rules": [{"backendRefs": [{"name": "dns", "port": port}]}]});
    apply(&mut world, "TCPRoute", "ns/t", 1, "dns", backend(53));
    apply(&mut world, "UDPRoute", "ns/u", 1, "udp", backend(53));
    world.ready();
    for (transport, name, want) in
        [(Protocol::Tcp, "dns", "10.0.0.3:5300"), (Protocol::Udp, "udp", "10.0.0.3:5301")]
    {
        let rule = rule(&world, 53, transport, name).unwrap();
        let BackendTarget::Service(id) = &rule.backends[0].target else { panic!("{rule:?}") };
        assert_eq!(world.last.snapshot.backends[id].endpoints[0].address.to_string(), want);
    }
    // A UDPRoute leads to no TCP port, and the other way round.
    apply(
        &mut world,
        "UDPRoute",
        "ns/u",
        1,
        "udp",
        json!({"rules": [{"backendRefs": [{"name": "a", "port": 80}]}]}),
    );
    apply(&mut world, "TCPRoute", "ns/t", 1, "dns", backend(54));
    let problems = world.translate();
    for wanted in ["port 80 of Service ns/a is not UDP", "port 54 of Service ns/dns is not TCP"] {
        assert!(problems.iter().any(|p| p.contains(wanted)), "{problems:?}");
    }
}

#[test]
fn references_of_every_kind() {
    let grant = |kind: &str| {
        let from = json!([{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": "far"}]);
        json!({"spec": {"from": from, "to": [{"group": "", "kind": "Service"}]}})
    };
    let (there, udp) = (
        json!({"namespace": "ns", "name": "a", "port": 80}),
        json!({"namespace": "ns", "name": "dns", "port": 53}),
    );
    let all =
        [(Kind::TlsRoute, "tls", &there), (Kind::TcpRoute, "tcp", &there), (Kind::UdpRoute, "udp", &udp)];
    for (kind, section, there) in all {
        for (reference, granted, want) in [
            (there.clone(), kind.as_str(), "true/ResolvedRefs"),
            // A grant for another kind of route is none.
            (there.clone(), "HTTPRoute", "false/RefNotPermitted"),
            (json!({"name": "missing", "port": 80}), kind.as_str(), "false/BackendNotFound"),
            (json!({"name": "a", "port": 80, "kind": "NonExistent"}), kind.as_str(), "false/InvalidKind"),
        ] {
            let mut world = world();
            world.apply("ReferenceGrant", "ns/grant", grant(granted));
            let spec = json!({"hostnames": ["a.test"], "rules": [{"backendRefs": [reference]}]});
            apply(&mut world, kind.as_str(), "far/r", 1, section, spec);
            let problems = world.translate();
            let statuses = world.statuses(kind, "far/r");
            assert_eq!(statuses, [format!("0: Accepted=true/Accepted ResolvedRefs={want}")], "{reference}");
            assert_eq!(problems.is_empty(), want.starts_with("true"), "{problems:?}");
            let what = if kind == Kind::UdpRoute { "datagrams is dropped" } else { "connections is closed" };
            assert!(
                problems.iter().all(|p| p.ends_with(&format!("): its share of the {what}"))),
                "{problems:?}"
            );
            assert_eq!(attached(&world, section), "1");
        }
    }
}

#[test]
fn what_a_route_of_bytes_cannot_have_refuses_it() {
    let backend = json!({"backendRefs": [{"name": "a", "port": 80}]});
    for (spec, field) in [
        (json!({"rules": [backend, backend]}), "spec.rules[1]"),
        (json!({"rules": [backend], "useDefaultGateways": "All"}), "spec.useDefaultGateways"),
        (
            json!({"rules": [{"backendRefs": [{"name": "a", "port": 80, "weight": -1}]}]}),
            "spec.rules[0].backendRefs[0].weight",
        ),
    ] {
        let mut world = world();
        apply(&mut world, "TCPRoute", "ns/r", 1, "tcp", spec.clone());
        let problems = world.translate();
        assert!(
            problems.len() == 1 && problems[0].starts_with(&format!("TCPRoute ns/r: {field}: ")),
            "{problems:?}"
        );
        assert_eq!(tcp(&world, 9000, "tcp"), "none");
        let statuses = world.statuses(Kind::TcpRoute, "ns/r");
        assert!(statuses[0].contains("Accepted=false/UnsupportedValue"), "{statuses:?}");
        // The last good version stays.
        apply(&mut world, "TCPRoute", "ns/r", 1, "tcp", json!({}));
        world.ready();
        apply(&mut world, "TCPRoute", "ns/r", 1, "tcp", spec);
        assert_eq!(world.translate().len(), 1);
        assert_eq!(tcp(&world, 9000, "tcp"), "TCPRoute ns/r");
    }
    let mut world = world();
    let parents = json!([{"group": "", "kind": "Service", "name": "a"}]);
    world.apply("TCPRoute", "ns/r", json!({"spec": {"parentRefs": parents, "rules": [backend]}}));
    let problems = world.translate();
    assert!(
        problems[0].contains("Service is not a kind of parent that we serve for TCPRoutes"),
        "{problems:?}"
    );
}

#[test]
fn a_listener_that_changes_its_protocol_takes_its_routes_with_it() {
    let mut world = World::new();
    world.service("ns/a", "10.96.0.1", "10.0.0.1");
    let gateway = |world: &mut World, protocol: &str| {
        let listener = json!({"name": "l", "port": 80, "protocol": protocol});
        world.apply(
            "Gateway",
            "ns/gw",
            json!({"spec": {"gatewayClassName": "weir", "listeners": [listener]}}),
        );
    };
    apply(&mut world, "TCPRoute", "ns/t", 1, "l", json!({}));
    world.route("ns/h", json!({"rules": [{}]}));
    for _ in 0..2 {
        gateway(&mut world, "HTTP");
        assert_eq!(world.translate().len(), 1, "the TCPRoute is not allowed");
        assert_eq!((world.find(80, "GET h/", &[]), attached(&world, "l")), ("h#0".into(), "1".into()));
        gateway(&mut world, "TCP");
        assert_eq!(world.translate().len(), 1, "the HTTPRoute is not allowed");
        assert_eq!((tcp(&world, 80, "l"), attached(&world, "l")), ("TCPRoute ns/t".into(), "1".into()));
    }
}

#[test]
fn a_changed_route_touches_its_own_name() {
    let mut world = world();
    for name in ["a", "b", "c"] {
        let spec = json!({"hostnames": [format!("{name}.test")]});
        apply(&mut world, "TLSRoute", &format!("ns/{name}"), 1, "tls", spec);
    }
    apply(&mut world, "TCPRoute", "ns/t", 1, "tcp", json!({}));
    world.ready();
    let (before, old) = (world.last.snapshot.clone(), names(&world, "tls"));
    let rules = json!([{"backendRefs": [{"name": "b", "port": 80}]}]);
    apply(&mut world, "TLSRoute", "ns/b", 1, "tls", json!({"hostnames": ["b.test"], "rules": rules}));
    world.ready();
    let (after, new) = (world.last.snapshot.clone(), names(&world, "tls"));
    let changed = old.exact.iter().filter(|(name, rule)| !Arc::ptr_eq(rule, &new.exact[*name]));
    assert_eq!(changed.map(|(name, _)| &**name).collect::<Vec<_>>(), ["b.test"]);
    let ports = before.gateways.iter().filter(|(at, port)| !Arc::ptr_eq(port, &after.gateways[*at]));
    assert_eq!(ports.map(|(at, _)| at.port).collect::<Vec<_>>(), [443]);
    assert!(Arc::ptr_eq(&before.backends, &after.backends));
    let target = BackendTarget::Service(world.backend("ns/b", 80).id);
    assert_eq!(new.exact["b.test"].backends[0].target, target);
}
