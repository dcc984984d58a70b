//! ListenerSets: who may add listeners, which of them are served, which routes they take.

use super::*;
use crate::tests::tls_secret;

/// Gateway `ns/gw` with HTTP for `gw.test` on 80 that lets ListenerSets in as said.
fn world(allowed: Value) -> World {
    let mut world = World::new();
    apply(
        &mut world,
        "ns/gw",
        "01",
        json!({"allowedListeners": allowed, "listeners": [http("own", 80, "gw.test")]}),
    );
    world.service("ns/api", "10.96.0.1", "10.0.0.1");
    world
}

fn all() -> Value {
    json!({"namespaces": {"from": "All"}})
}

/// A ListenerSet of Gateway `ns/gw`, made on this day.
fn set(world: &mut World, name: &str, age: &str, listeners: Value) {
    let spec = json!({"parentRef": {"name": "gw", "namespace": "ns"}, "listeners": listeners});
    let time = format!("2026-01-{age}T00:00:00Z");
    world.apply("ListenerSet", name, json!({"metadata": {"creationTimestamp": time}, "spec": spec}));
}

/// A route of this namespace's own with this parent.
fn route(world: &mut World, name: &str, parent: Value) {
    let rules = json!([{"backendRefs": [{"name": "api", "namespace": "ns", "port": 80}]}]);
    world.route(name, json!({"parentRefs": [parent], "rules": rules}));
}

/// What is said of the set as a whole.
fn whole(world: &World, name: &str) -> String {
    let statuses = world.statuses(Kind::ListenerSet, name);
    statuses.into_iter().find(|status| status.starts_with("whole: ")).unwrap_or_default()
}

fn attached_sets(world: &World) -> Option<usize> {
    let key = objects::ObjectKey::new(Kind::Gateway, "ns", "gw");
    let statuses = world.translator.statuses();
    statuses.into_iter().find(|s| s.object == key && s.part == crate::Part::Whole)?.attached_listener_sets
}

#[test]
fn a_gateway_says_whose_sets_it_takes() {
    let labels = json!({"matchLabels": {"team": "shop"}});
    let name = json!({"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["other"]}]});
    let from = |from: &str| json!({"namespaces": {"from": from}});
    let selected = |selector: &Value| json!({"namespaces": {"from": "Selector", "selector": selector}});
    // `allowedListeners`, and the namespaces whose sets are taken.
    for (allowed, taken) in [
        (Value::Null, &[][..]),
        (json!({}), &[]),
        (json!({"namespaces": {}}), &[]),
        (from("None"), &[]),
        (from("Same"), &["ns"]),
        (from("All"), &["ns", "shop", "other"]),
        (from("Selector"), &[]),
        (selected(&labels), &["shop"]),
        (selected(&name), &["other"]),
        (selected(&json!({})), &["ns", "shop", "other"]),
    ] {
        let mut world = world(allowed.clone());
        world.apply("Namespace", "shop", json!({"metadata": {"labels": {"team": "shop"}}}));
        for (port, namespace) in [(81, "ns"), (82, "shop"), (83, "other")] {
            set(&mut world, &format!("{namespace}/set"), "02", json!([http("l", port, "")]));
        }
        let problems = world.translate();
        for namespace in ["ns", "shop", "other"] {
            let name = format!("{namespace}/set");
            let status = whole(&world, &name);
            let refused = format!("ListenerSet {name}: spec.parentRef: Gateway ns/gw lets no ListenerSets");
            if taken.contains(&namespace) {
                assert_eq!(status, "whole: Accepted=true/Accepted Programmed=true/Programmed", "{allowed}");
            } else {
                assert_eq!(
                    status, "whole: Accepted=false/NotAllowed Programmed=false/NotAllowed",
                    "{allowed}"
                );
                assert!(problems.iter().any(|p| p.starts_with(&refused)), "{problems:?}");
            }
        }
        let missing = "Gateway ns/gw: spec.allowedListeners.namespaces.selector: is missing";
        let is_incomplete = allowed == from("Selector");
        assert_eq!(problems.iter().any(|p| p.starts_with(missing)), is_incomplete, "{problems:?}");
        let others = problems.len() - usize::from(is_incomplete);
        assert_eq!(others, 3 - taken.len(), "{allowed}: {problems:?}");
        assert_eq!(listening(&world).len(), 1 + taken.len(), "{allowed}");
        assert_eq!(attached_sets(&world), Some(taken.len()), "{allowed}");
    }
}

/// What is said of a listener that is served.
const GOOD: &str = "(0): Accepted=true/Accepted Programmed=true/Programmed ResolvedRefs=true/ResolvedRefs \
                    Conflicted=false/NoConflicts";

/// What is said of one that lost its place.
fn lost(reason: &str) -> String {
    format!(
        "(0): Accepted=false/{reason} Programmed=false/{reason} ResolvedRefs=true/ResolvedRefs \
         Conflicted=true/{reason}"
    )
}

#[test]
fn the_gateway_comes_first_then_the_oldest_set() {
    let mut world = world(all());
    set(&mut world, "a/young", "03", json!([http("both", 80, "both.test"), http("own", 80, "young.test")]));
    set(
        &mut world,
        "b/old",
        "02",
        json!([
            http("gateways", 80, "gw.test"),
            http("both", 80, "both.test"),
            plain("protocol", 80, "TCP"),
            plain("free", 81, "TCP"),
            http("first", 82, "same.test"),
            http("second", 82, "Same.Test"),
        ]),
    );
    set(&mut world, "c/none", "04", json!([plain("protocol", 80, "TCP"), http("port", 81, "")]));
    let problems = world.translate();
    assert_eq!(
        listening(&world),
        ["*:80 gw/own gw/a/young/own gw/b/old/both", "*:81 gw/b/old/free"],
        "{problems:?}"
    );
    let (hostname, protocol) = (lost("HostnameConflict"), lost("ProtocolConflict"));
    assert_eq!(
        world.statuses(Kind::ListenerSet, "b/old"),
        [
            format!("both{GOOD}"),
            format!("first{hostname}"),
            format!("free{GOOD}"),
            format!("gateways{hostname}"),
            format!("protocol{protocol}"),
            format!("second{hostname}"),
            "whole: Accepted=true/ListenersNotValid Programmed=true/Programmed".to_owned(),
        ]
    );
    assert_eq!(
        world.statuses(Kind::ListenerSet, "a/young"),
        [
            format!("both{hostname}"),
            format!("own{GOOD}"),
            "whole: Accepted=true/ListenersNotValid Programmed=true/Programmed".to_owned(),
        ]
    );
    assert_eq!(
        world.statuses(Kind::ListenerSet, "c/none"),
        [
            format!("port{protocol}"),
            format!("protocol{protocol}"),
            "whole: Accepted=false/ListenersNotValid Programmed=false/ListenersNotValid".to_owned(),
        ]
    );
    assert_eq!(attached_sets(&world), Some(2));
    // Whose the place is, is not said to another namespace.
    for wanted in [
        "ListenerSet a/young: spec.listeners[0].hostname: an older ListenerSet has this port and hostname",
        "ListenerSet b/old: spec.listeners[0].hostname: the Gateway has this port and hostname",
        "ListenerSet b/old: spec.listeners[2].protocol: the Gateway has another protocol",
        "ListenerSet b/old: spec.listeners[4].hostname: listener \"second\" of the same ListenerSet has its",
        "ListenerSet c/none: spec.listeners[1].protocol: an older ListenerSet has another protocol",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(wanted)), "{wanted}: {problems:?}");
    }
    // The old one gone, the next takes its place.
    world.remove(Kind::ListenerSet, "b/old");
    world.translate();
    assert_eq!(listening(&world), ["*:80 gw/own gw/a/young/both gw/a/young/own", "*:81 gw/c/none/port"]);
}

/// What Gateways have for themselves comes before what is added to any of them, and what an owner
/// has wrong is not for others to take.
#[test]
fn sets_take_no_gateways_place() {
    let mut world = world(all());
    set(&mut world, "ns/set", "02", json!([http("a", 81, "later.test"), http("b", 82, "twice.test")]));
    apply(&mut world, "ns/later", "09", json!({"listeners": [http("own", 81, "later.test")]}));
    world.translate();
    assert_eq!(listening(&world), ["*:80 gw/own", "*:81 later/own", "*:82 gw/ns/set/b"]);
    let listeners =
        json!([http("own", 80, "gw.test"), http("x", 82, "twice.test"), http("y", 82, "twice.test")]);
    apply(&mut world, "ns/gw", "01", json!({"allowedListeners": all(), "listeners": listeners}));
    world.translate();
    assert_eq!(listening(&world), ["*:80 gw/own", "*:81 later/own"]);
    let status = whole(&world, "ns/set");
    assert_eq!(status, "whole: Accepted=false/ListenersNotValid Programmed=false/ListenersNotValid");
}

#[test]
fn routes_attach_to_the_parent_that_they_name() {
    let mut world = world(all());
    let open = json!({"namespaces": {"from": "All"}});
    let mut shared = http("shared", 80, "shared.test");
    shared["allowedRoutes"] = open.clone();
    let mut grpc = http("grpc", 80, "grpc.test");
    grpc["allowedRoutes"] = json!({"kinds": [{"kind": "GRPCRoute"}]});
    set(&mut world, "team/set", "02", json!([http("own", 80, "set.test"), shared, grpc]));
    set(&mut world, "team/lost", "03", json!([http("own", 80, "gw.test")]));
    let to_set = |more: Value| {
        let mut parent = json!({"kind": "ListenerSet", "name": "set", "namespace": "team"});
        parent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parent
    };
    let from = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "team"}]);
    world.apply(
        "ReferenceGrant",
        "ns/grant",
        json!({"spec": {"from": from, "to": [{"group": "", "kind": "Service"}]}}),
    );
    // The route's namespace and parent; what it is told; the hosts that it serves then.
    let cases = [
        ("ns", json!({"name": "gw"}), "true/Accepted", &["gw.test"][..]),
        // A section of a set is none of its Gateway's.
        ("ns", json!({"name": "gw", "sectionName": "shared"}), "false/NoMatchingParent", &[]),
        ("team", to_set(json!({})), "true/Accepted", &["set.test", "shared.test"]),
        ("team", to_set(json!({"sectionName": "shared"})), "true/Accepted", &["shared.test"]),
        ("team", to_set(json!({"port": 80, "sectionName": "own"})), "true/Accepted", &["set.test"]),
        ("team", to_set(json!({"port": 81})), "false/NoMatchingParent", &[]),
        ("team", to_set(json!({"sectionName": "grpc"})), "false/NotAllowedByListeners", &[]),
        // `Same` is the set's namespace, not its Gateway's.
        ("ns", to_set(json!({"sectionName": "own"})), "false/NotAllowedByListeners", &[]),
        ("ns", to_set(json!({})), "true/Accepted", &["shared.test"]),
        ("team", to_set(json!({"name": "lost"})), "false/NoMatchingParent", &[]),
        ("team", to_set(json!({"name": "none"})), "false/NoMatchingParent", &[]),
    ];
    for (namespace, parent, want, hosts) in cases {
        let name = format!("{namespace}/r");
        route(&mut world, &name, parent.clone());
        world.translate();
        let statuses = world.statuses(Kind::HttpRoute, &name);
        assert!(statuses[0].starts_with(&format!("0: Accepted={want} ")), "{parent}: {statuses:?}");
        for host in ["gw.test", "set.test", "shared.test", "grpc.test"] {
            let found = world.find(80, &format!("GET {host}/"), &[]);
            assert_eq!(found, if hosts.contains(&host) { "r#0" } else { "404" }, "{parent} {host}");
        }
        let counted: usize = hosts.iter().filter(|host| **host != "gw.test").count();
        let set = world.statuses(Kind::ListenerSet, "team/set");
        assert_eq!(set.iter().filter(|status| status.contains("(1):")).count(), counted, "{set:?}");
        world.remove(Kind::HttpRoute, &name);
    }
}

/// Each parent of a route says its own.
#[test]
fn a_route_of_both_is_judged_by_each() {
    let mut world = world(json!({"namespaces": {"from": "None"}}));
    set(&mut world, "ns/set", "02", json!([http("l", 81, "")]));
    let rules = json!([{"backendRefs": [{"name": "api", "port": 80}]}]);
    let parents = json!([{"name": "gw"}, {"kind": "ListenerSet", "name": "set"}]);
    world.route("ns/r", json!({"parentRefs": parents, "rules": rules}));
    let problems = world.translate();
    let statuses = world.statuses(Kind::HttpRoute, "ns/r");
    assert!(statuses[0].starts_with("0: Accepted=true/Accepted"), "{statuses:?}");
    assert!(statuses[1].starts_with("1: Accepted=false/NoMatchingParent"), "{statuses:?}");
    let wanted =
        "HTTPRoute ns/r: spec.parentRefs[1]: ListenerSet ns/set is not attached to its Gateway: NotAllowed";
    assert!(problems.iter().any(|p| p.starts_with(wanted)), "{problems:?}");
    // Let in, it serves at once; the Gateway gone, nothing does.
    apply(
        &mut world,
        "ns/gw",
        "01",
        json!({"allowedListeners": all(), "listeners": [http("own", 80, "gw.test")]}),
    );
    world.ready();
    assert_eq!(world.find(81, "GET any.test/", &[]), "r#0");
    world.remove(Kind::Gateway, "ns/gw");
    let problems = world.translate();
    assert_eq!(world.find(81, "GET any.test/", &[]), "refused");
    let wanted = "ListenerSet ns/set: spec.parentRef: there is no Gateway ns/gw";
    assert!(problems.iter().any(|p| p.starts_with(wanted)), "{problems:?}");
}

/// A grant to Gateways is not one to ListenerSets, nor the other way round; what the Gateway asks
/// of clients holds for the listeners of its sets.
#[test]
fn certificates_by_grants_of_its_own() {
    let https = |references: Value| json!([{"name": "l", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": references}}]);
    let near = json!([{"name": "cert"}]);
    let far = json!([{"name": "cert", "namespace": "far"}]);
    for (references, granted, want) in [
        (&near, "Gateway", "true/ResolvedRefs"),
        (&far, "Gateway", "false/RefNotPermitted"),
        (&far, "ListenerSet", "true/ResolvedRefs"),
    ] {
        let mut world = world(all());
        let validation = json!({"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]});
        let spec = json!({
            "allowedListeners": all(),
            "listeners": [http("own", 80, "gw.test")],
            "tls": {"frontend": {"default": {"validation": validation}}},
        });
        apply(&mut world, "ns/gw", "01", spec);
        crate::tests::authorities(&mut world, "ns/ca", "ca");
        tls_secret(&mut world, "team/cert", "team");
        tls_secret(&mut world, "far/cert", "far");
        let from = json!([{"group": "gateway.networking.k8s.io", "kind": granted, "namespace": "team"}]);
        let grant = json!({"spec": {"from": from, "to": [{"group": "", "kind": "Secret"}]}});
        world.apply("ReferenceGrant", "far/grant", grant);
        set(&mut world, "team/set", "02", https(references.clone()));
        let problems = world.translate();
        let statuses = world.statuses(Kind::ListenerSet, "team/set");
        assert!(statuses[0].contains(&format!("ResolvedRefs={want}")), "{granted}: {statuses:?}");
        let gateway = &world.last.snapshot.gateways[&GatewayAddr::tcp(None, 443)];
        let tls = gateway.listeners[0].server_tls();
        assert_eq!(tls.is_some(), want.starts_with("true"), "{granted}");
        if let Some(tls) = tls {
            assert!(matches!(tls.client, model::tls::ClientAuth::Required(_)), "{tls:?}");
            let kept = tls.clone();
            // A change that does not concern it.
            set(&mut world, "team/other", "03", json!([http("l", 82, "")]));
            world.ready();
            let gateway = &world.last.snapshot.gateways[&GatewayAddr::tcp(None, 443)];
            assert!(std::sync::Arc::ptr_eq(gateway.listeners[0].server_tls().unwrap(), &kept));
        } else {
            let wanted = "no ReferenceGrant in far lets ListenerSets of team in";
            assert!(problems.iter().any(|p| p.contains(wanted)), "{problems:?}");
        }
    }
}

#[test]
fn parents_that_are_none_of_ours() {
    let mut world = world(all());
    let other = json!({"spec": {"controllerName": "example.com/other"}});
    world.apply("GatewayClass", "other", other);
    let foreign = json!({"spec": {"gatewayClassName": "other", "listeners": [http("l", 90, "")]}});
    world.apply("Gateway", "ns/foreign", foreign);
    let parented = |parent: Value| json!({"spec": {"parentRef": parent, "listeners": [http("l", 91, "")]}});
    for (parent, said, route_said) in [
        (json!({"name": "foreign"}), None, None),
        (json!({"name": "missing"}), Some("there is no Gateway ns/missing"), Some("NoMatchingParent")),
        (
            json!({"name": "api", "kind": "Service", "group": ""}),
            Some("is not a Gateway"),
            Some("NoMatchingParent"),
        ),
    ] {
        world.apply("ListenerSet", "ns/set", parented(parent.clone()));
        route(&mut world, "ns/r", json!({"kind": "ListenerSet", "name": "set"}));
        let problems = world.translate();
        assert_eq!(world.statuses(Kind::ListenerSet, "ns/set"), [""; 0], "{parent}");
        let own: Vec<_> = problems.iter().filter(|p| p.starts_with("ListenerSet ns/set: ")).collect();
        assert_eq!(own.len(), usize::from(said.is_some()), "{problems:?}");
        assert!(said.is_none_or(|said| own[0].contains(said)), "{problems:?}");
        let statuses = world.statuses(Kind::HttpRoute, "ns/r");
        assert_eq!(statuses.is_empty(), route_said.is_none(), "{parent}: {statuses:?}");
        assert!(route_said.is_none_or(|said| statuses[0].contains(said)), "{parent}: {statuses:?}");
    }
}

/// GEP-1713: "Gateway's Accepted and Programmed top-level conditions [...] reflect the status of the
/// local configuration", and those of a set the status of the set.
#[test]
fn conditions_of_a_gateway_are_about_its_own_listeners() {
    let mut world = world(all());
    let own = json!([{"name": "own", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "none"}]}}]);
    apply(&mut world, "ns/gw", "01", json!({"allowedListeners": all(), "listeners": own}));
    set(&mut world, "team/set", "02", json!([http("l", 80, "")]));
    assert_eq!(world.translate().len(), 1, "the certificate is missing");
    let statuses = world.statuses(Kind::Gateway, "ns/gw");
    assert!(statuses.contains(&"whole: Accepted=true/Accepted Programmed=false/Invalid".to_owned()));
    assert_eq!(whole(&world, "team/set"), "whole: Accepted=true/Accepted Programmed=true/Programmed");
    assert_eq!(attached_sets(&world), Some(1));
    assert!(listening(&world).contains(&"*:80 gw/team/set/l".to_owned()), "{:?}", listening(&world));

    tls_secret(&mut world, "ns/none", "now it is there");
    world.ready();
    let statuses = world.statuses(Kind::Gateway, "ns/gw");
    assert!(statuses.contains(&"whole: Accepted=true/Accepted Programmed=true/Programmed".to_owned()));
}
