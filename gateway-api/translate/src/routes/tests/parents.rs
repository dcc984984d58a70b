//! Which parents take a route.

use super::*;

/// A Gateway with these listeners, `hostname` optional, all on port 80 unless they say.
fn gateway(world: &mut World, listeners: Value) {
    let mut listeners = listeners;
    for listener in listeners.as_array_mut().unwrap() {
        for (field, default) in [("port", json!(80)), ("protocol", json!("HTTP"))] {
            if listener.get(field).is_none() {
                listener[field] = default;
            }
        }
    }
    world.apply("Gateway", "ns/gw", json!({"spec": {"gatewayClassName": "weir", "listeners": listeners}}));
}

#[test]
fn a_parent_takes_a_route_or_says_why_not() {
    let accepted = "Accepted=true/Accepted ResolvedRefs=true/ResolvedRefs";
    // The route's namespace, its parentRef, what it is told.
    for (namespace, parent, want) in [
        ("ns", json!({"name": "gw"}), "true/Accepted"),
        ("ns", json!({"name": "gw", "sectionName": "a"}), "true/Accepted"),
        ("ns", json!({"name": "gw", "port": 80}), "true/Accepted"),
        ("ns", json!({"name": "gw", "sectionName": "a", "port": 80}), "true/Accepted"),
        ("ns", json!({"name": "gw", "sectionName": "a", "port": 81}), "false/NoMatchingParent"),
        ("ns", json!({"name": "gw", "sectionName": "no"}), "false/NoMatchingParent"),
        ("ns", json!({"name": "gw", "port": 9}), "false/NoMatchingParent"),
        ("ns", json!({"name": "missing"}), "false/NoMatchingParent"),
        ("ns", json!({"name": "x", "kind": "ListenerSet"}), "false/NoMatchingParent"),
        ("ns", json!({"name": "gw", "sectionName": "grpc"}), "false/NotAllowedByListeners"),
        ("ns", json!({"name": "gw", "sectionName": "odd"}), "false/NotAllowedByListeners"),
        ("ns", json!({"name": "gw", "sectionName": "twice"}), "false/NoMatchingParent"),
        // A certificate that is missing keeps no route away.
        ("ns", json!({"name": "gw", "sectionName": "https"}), "true/Accepted"),
        ("ns", json!({"name": "gw", "sectionName": "tls"}), "false/NotAllowedByListeners"),
        ("far", json!({"name": "gw", "namespace": "ns"}), "true/Accepted"),
        ("far", json!({"name": "gw", "namespace": "ns", "sectionName": "a"}), "false/NotAllowedByListeners"),
        ("far", json!({"name": "gw"}), "false/NoMatchingParent"),
        ("lab", json!({"name": "gw", "namespace": "ns", "sectionName": "lab"}), "true/Accepted"),
        (
            "far",
            json!({"name": "gw", "namespace": "ns", "sectionName": "lab"}),
            "false/NotAllowedByListeners",
        ),
        ("far", json!({"name": "gw", "namespace": "ns", "sectionName": "far"}), "true/Accepted"),
        ("ns", json!({"name": "gw", "sectionName": "host"}), "false/NoMatchingListenerHostname"),
        // No selector is not the empty one, which is everything.
        ("ns", json!({"name": "gw", "sectionName": "none"}), "false/NotAllowedByListeners"),
        (
            "far",
            json!({"name": "gw", "namespace": "ns", "sectionName": "none"}),
            "false/NotAllowedByListeners",
        ),
        ("far", json!({"name": "gw", "namespace": "ns", "sectionName": "any"}), "true/Accepted"),
    ] {
        let mut world = world();
        world.apply("Namespace", "lab", json!({"metadata": {"labels": {"env": "lab"}}}));
        let from = |from: &str| json!({"namespaces": {"from": from}});
        let select = |selector: Value| json!({"namespaces": {"from": "Selector", "selector": selector}});
        let far = json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["far"]}]});
        gateway(
            &mut world,
            json!([
                {"name": "a", "allowedRoutes": from("Same")},
                {"name": "all", "port": 81, "allowedRoutes": from("All")},
                {"name": "lab", "port": 82, "allowedRoutes": select(json!({"matchLabels": {"env": "lab"}}))},
                {"name": "far", "port": 83, "allowedRoutes": select(far)},
                {"name": "none", "port": 88, "allowedRoutes": from("Selector")},
                {"name": "any", "port": 89, "allowedRoutes": select(json!({}))},
                {"name": "grpc", "port": 84, "allowedRoutes": {"kinds": [{"kind": "GRPCRoute"}]}},
                {"name": "host", "port": 85, "hostname": "other.test"},
                {"name": "odd", "port": 86, "protocol": "example.com/x"},
                {"name": "twice", "port": 87, "hostname": "x.test"},
                {"name": "again", "port": 87, "hostname": "X.test"},
                {"name": "https", "port": 443, "protocol": "HTTPS"},
                {"name": "tls", "port": 444, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
            ]),
        );
        let name = format!("{namespace}/r");
        world.route(&name, json!({"hostnames": ["r.test"], "parentRefs": [parent], "rules": [{}]}));
        let problems = world.translate();
        let statuses = world.statuses(Kind::HttpRoute, &name);
        let wanted = accepted.replace("true/Accepted", want);
        assert_eq!(statuses, [format!("0: {wanted}")], "{namespace} {parent}");
        let told = problems.iter().any(|p| p.starts_with(&format!("HTTPRoute {name}: spec.parentRefs[0]: ")));
        assert_eq!(told, !want.starts_with("true"), "{problems:?}");
        let wanted = "Gateway ns/gw: spec.listeners[4].allowedRoutes.namespaces.selector: is missing";
        assert!(problems.iter().any(|p| p.starts_with(wanted)), "{problems:?}");
    }
}

#[test]
fn labels_of_a_namespace_that_change_count_at_once() {
    let mut world = world();
    let selector = json!({"matchLabels": {"env": "lab"}});
    gateway(
        &mut world,
        json!([{"name": "a",
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": selector}}}]),
    );
    world.route("lab/r", json!({"rules": [{}]}));
    assert_eq!(world.translate().len(), 1);
    world.apply("Namespace", "lab", json!({"metadata": {"labels": {"env": "lab"}}})).ready();
    assert_eq!(world.find(80, "GET h/", &[]), "r#0");
    world.apply("Namespace", "lab", json!({"metadata": {"labels": {}}}));
    assert_eq!(world.translate().len(), 1);
    assert_eq!(world.find(80, "GET h/", &[]), "404");
}

#[test]
fn another_controllers_gateway_is_none_of_our_business() {
    let mut world = world();
    world.apply("GatewayClass", "theirs", json!({"spec": {"controllerName": "example.com/gateway"}}));
    let listeners = json!([{"name": "a", "port": 90, "protocol": "HTTP"}]);
    world.apply(
        "Gateway",
        "ns/theirs",
        json!({"spec": {"gatewayClassName": "theirs", "listeners": listeners}}),
    );
    let parents = json!([{"name": "theirs"}, {"name": "gw"}]);
    world.route("ns/r", json!({"parentRefs": parents, "rules": [{}]})).ready();
    assert_eq!(world.find(90, "GET h/", &[]), "refused");
    assert_eq!(world.find(80, "GET h/", &[]), "r#0");
    let statuses = world.statuses(Kind::HttpRoute, "ns/r");
    assert_eq!(statuses.len(), 1, "no status for a parent that is not ours: {statuses:?}");
    assert!(statuses[0].starts_with("1: Accepted=true"), "{statuses:?}");
}

#[test]
fn hostnames_meet_those_of_listeners() {
    let mut world = world();
    gateway(
        &mut world,
        json!([
            {"name": "exact", "hostname": "very.specific.com"},
            {"name": "wild", "hostname": "*.wildcard.io"},
            {"name": "deep", "hostname": "*.anotherwildcard.io"},
        ]),
    );
    let to = |hostnames: Value| json!({"hostnames": hostnames, "rules": [{}]});
    world.route("ns/exact", to(json!(["non.matching.com", "*.nonmatchingwildcard.io", "very.specific.com"])));
    world.route("ns/wild", to(json!(["*.specific.com", "foo.Wildcard.io", "*.b.wildcard.io"])));
    world.route("ns/any", to(json!([])));
    world.route("ns/none", to(json!(["specific.but.wrong.com", "wildcard.io"])));
    assert_eq!(world.translate().len(), 1);
    for (line, want) in [
        ("GET very.specific.com/", "exact#0"),
        ("GET very.specific.com:1234/", "exact#0"),
        ("GET VERY.SPECIFIC.COM/", "exact#0"),
        ("GET non.matching.com/", "no listener"),
        ("GET other.specific.com/", "no listener"),
        ("GET foo.wildcard.io/", "wild#0"),
        ("GET a.b.wildcard.io/", "wild#0"),
        ("GET b.wildcard.io/", "any#0"),
        ("GET x.y.anotherwildcard.io/", "any#0"),
        ("GET wildcard.io/", "no listener"),
        ("GET foo.nonmatchingwildcard.io/", "no listener"),
    ] {
        assert_eq!(world.find(80, line, &[]), want, "{line}");
    }
    // What the exact route does not take falls through to the route's wildcard.
    let exact =
        json!({"hostnames": ["very.specific.com"], "rules": [rule(json!([{"path": {"value": "/only"}}]))]});
    world.route("ns/exact", exact);
    world.translate();
    assert_eq!(world.find(80, "GET very.specific.com/only", &[]), "exact#0");
    assert_eq!(world.find(80, "GET very.specific.com/other", &[]), "wild#0");
    let attached = world.statuses(Kind::Gateway, "ns/gw");
    let names: Vec<&str> = attached.iter().filter_map(|s| s.split(':').next()).collect();
    assert_eq!(names, ["deep(1)", "exact(3)", "whole", "wild(2)"]);
}

#[test]
fn two_parents_of_one_listener_are_one_place() {
    let mut world = world();
    let parents = json!([{"name": "gw"}, {"name": "gw", "sectionName": "http"}]);
    world.route("ns/r", json!({"parentRefs": parents, "rules": [{}]})).ready();
    assert_eq!(world.table(80).any_host.as_ref().unwrap().prefix[""].len(), 1);
    assert_eq!(world.statuses(Kind::HttpRoute, "ns/r").len(), 2);
    assert!(world.statuses(Kind::Gateway, "ns/gw")[0].starts_with("http(1):"));
}

#[test]
fn services_as_parents() {
    let mut world = world();
    let ports = json!([{"name": "web", "port": 80}, {"name": "alt", "port": 81, "appProtocol": "http"},
        {"name": "db", "port": 5432, "appProtocol": "postgresql"}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
    world.apply(
        "Service",
        "ns/many",
        json!({"spec": {"clusterIPs": ["10.96.0.7", "fd00::7"], "ports": ports}}),
    );
    let service = |extra: Value| {
        let mut parent = json!({"group": "", "kind": "Service", "name": "many"});
        parent.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        parent
    };
    // Namespace, parentRef, ports with routes, what it is told.
    for (namespace, parent, bound, want) in [
        ("ns", service(json!({})), &[80, 81][..], "true/Accepted"),
        ("ns", service(json!({"port": 81})), &[81], "true/Accepted"),
        ("ns", service(json!({"sectionName": "web"})), &[80], "true/Accepted"),
        ("ns", service(json!({"port": 5432})), &[5432], "true/Accepted"),
        ("ns", service(json!({"port": 53})), &[], "false/NoMatchingParent"),
        ("ns", service(json!({"port": 9})), &[], "false/NoMatchingParent"),
        ("ns", service(json!({"name": "no"})), &[], "false/NoMatchingParent"),
        ("far", service(json!({"namespace": "ns"})), &[], "false/UnsupportedValue"),
    ] {
        let name = format!("{namespace}/r");
        // Hostnames do not count for Services.
        world.route(&name, json!({"hostnames": ["x.test"], "parentRefs": [parent], "rules": [{}]}));
        world.translate();
        for port in [80, 81, 5432] {
            for ip in ["10.96.0.7", "[fd00::7]"] {
                let wanted = if bound.contains(&port) { "r#0" } else { "bytes" };
                assert_eq!(
                    world.find_at(&format!("{ip}:{port}"), "GET lying.host/"),
                    wanted,
                    "{parent} {port}"
                );
            }
        }
        let statuses = world.statuses(Kind::HttpRoute, &name);
        assert!(statuses[0].starts_with(&format!("0: Accepted={want}")), "{parent}: {statuses:?}");
        world.remove(Kind::HttpRoute, &name);
    }
    assert_eq!(world.find_at("10.96.0.7:53", "GET h/"), "refused", "UDP");
}
