use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::tests::World;

/// A world with Gateways `ns/gw` on port 80 and `ns/other` on port 81 and Service `ns/a`.
fn world() -> World {
    let mut world = World::new();
    world.gateway("ns/gw", 80).gateway("ns/other", 81).service("ns/a", "10.96.0.1", "10.0.0.1");
    world
}

fn gateway(name: &str) -> Value {
    json!({"name": name, "namespace": "ns"})
}

/// Puts a route of a kind in force that was created on a day of January; day 0 is not said.
fn route(world: &mut World, kind: &str, name: &str, day: u32, parents: Value, hostnames: &[&str]) {
    let backends = json!([{"name": "a", "namespace": "ns", "port": 80}]);
    let spec = json!({"parentRefs": parents, "hostnames": hostnames, "rules": [{"backendRefs": backends}]});
    let mut metadata = json!({});
    if day > 0 {
        metadata["creationTimestamp"] = format!("2026-01-{day:02}T00:00:00Z").into();
    }
    world.apply(kind, name, json!({"metadata": metadata, "spec": spec}));
}

/// `HTTPRoute ns/a 1 a.test,b.test`, as [`route`] has it, to Gateway `ns/gw`.
fn apply(world: &mut World, line: &str) {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (kind, name, day, hosts) = (word(), word(), word().parse().unwrap(), word());
    let hosts: Vec<&str> = hosts.split_terminator(',').collect();
    route(world, kind, name, day, json!([gateway("gw")]), &hosts);
}

/// The first condition of every route towards Gateway `ns/gw`: `Accepted` or the reason why not.
fn accepted(world: &World, kind: Kind, name: &str) -> String {
    let status = world.statuses(kind, name).remove(0);
    let accepted = status.split_whitespace().nth(1).unwrap();
    accepted.split_once('/').unwrap().1.to_owned()
}

#[test]
fn of_two_kinds_on_a_hostname_one_is_accepted() {
    for (http, grpc, loser) in [
        // The older one, then by name.
        ("HTTPRoute ns/h 1 a.test", "GRPCRoute ns/g 2 a.test", Some("g")),
        ("HTTPRoute ns/h 2 a.test", "GRPCRoute ns/g 1 a.test", Some("h")),
        ("HTTPRoute ns/h 1 a.test", "GRPCRoute ns/g 1 a.test", Some("h")),
        ("HTTPRoute ns/h 0 a.test", "GRPCRoute ns/g 0 a.test", Some("h")),
        ("HTTPRoute ns/h 9 a.test", "GRPCRoute ns/g 0 a.test", Some("g")),
        // Hostnames that intersect, in part or by wildcard or as none are said.
        ("HTTPRoute ns/h 1 a.test,b.test", "GRPCRoute ns/g 2 b.test,c.test", Some("g")),
        ("HTTPRoute ns/h 1 *.test", "GRPCRoute ns/g 2 a.b.test", Some("g")),
        ("HTTPRoute ns/h 2 a.b.test", "GRPCRoute ns/g 1 *.test", Some("h")),
        ("HTTPRoute ns/h 1 *.test", "GRPCRoute ns/g 2 *.b.test", Some("g")),
        ("HTTPRoute ns/h 1 *.b.test", "GRPCRoute ns/g 2 *.test", Some("g")),
        ("HTTPRoute ns/h 1", "GRPCRoute ns/g 2 a.test", Some("g")),
        ("HTTPRoute ns/h 2 *.test", "GRPCRoute ns/g 1", Some("h")),
        ("HTTPRoute ns/h 1", "GRPCRoute ns/g 2", Some("g")),
        // Hostnames that do not.
        ("HTTPRoute ns/h 1 a.test", "GRPCRoute ns/g 2 b.test", None),
        ("HTTPRoute ns/h 1 test", "GRPCRoute ns/g 2 *.test", None),
        ("HTTPRoute ns/h 1 *.a.test", "GRPCRoute ns/g 2 *.b.test,a.test", None),
        ("HTTPRoute ns/h 1 a.test", "HTTPRoute ns/g 2 a.test", None),
        ("GRPCRoute ns/h 1 a.test", "GRPCRoute ns/g 2 a.test", None),
    ] {
        for order in [[http, grpc], [grpc, http]] {
            let mut world = world();
            let mut problems = Vec::new();
            for line in order {
                apply(&mut world, line);
                problems = world.translate();
            }
            let case = format!("{order:?}");
            assert_eq!(problems.len(), usize::from(loser.is_some()), "{case} {problems:?}");
            for (line, name) in [(http, "h"), (grpc, "g")] {
                let kind = if line.starts_with('H') { Kind::HttpRoute } else { Kind::GrpcRoute };
                let want = if loser == Some(name) { "HostnameConflict" } else { "Accepted" };
                assert_eq!(accepted(&world, kind, &format!("ns/{name}")), want, "{case}");
                if loser == Some(name) {
                    let said = format!("{kind} ns/{name}: spec.parentRefs[0]: ");
                    assert!(problems[0].contains(&said), "{problems:?}");
                }
            }
            let attached = if loser.is_some() { "http(1):" } else { "http(2):" };
            let listener = &world.statuses(Kind::Gateway, "ns/gw")[0];
            assert!(listener.starts_with(attached), "{case} {listener}");
            for host in ["a.test", "a.b.test", "b.test"] {
                let found = world.find(80, &format!("POST {host}/s/m"), &[]);
                assert!(loser.is_none_or(|name| !found.starts_with(name)), "{case}: {host} finds {found}");
            }
        }
    }
}

/// A route that lost takes nothing from a third one.
#[test]
fn what_lost_is_in_nobodys_way() {
    let mut world = world();
    for line in
        ["GRPCRoute ns/one 1 a.test", "HTTPRoute ns/two 2 a.test,b.test", "GRPCRoute ns/three 3 b.test"]
    {
        apply(&mut world, line);
    }
    assert_eq!(world.translate().len(), 1);
    let found = |world: &World| ["a", "b"].map(|host| world.find(80, &format!("POST {host}.test/s/m"), &[]));
    assert_eq!(found(&world), ["one#0", "three#0"]);
    // It comes back for as long as it does not conflict.
    let refused = |world: &World| {
        let names = [(Kind::GrpcRoute, "one"), (Kind::HttpRoute, "two"), (Kind::GrpcRoute, "three")];
        let lost = |(kind, name): &(Kind, &str)| accepted(world, *kind, &format!("ns/{name}")) != "Accepted";
        names.into_iter().filter(lost).map(|(_, name)| name).collect::<Vec<_>>()
    };
    assert_eq!(refused(&world), ["two"]);
    for (change, found_there, refused_there) in [
        ("GRPCRoute ns/one 1 c.test", ["two#0", "two#0"], vec!["three"]),
        ("HTTPRoute ns/two 2 b.test,c.test", ["404", "three#0"], vec!["two"]),
        ("HTTPRoute ns/two 2 d.test", ["404", "three#0"], vec![]),
        ("HTTPRoute ns/two 2 b.test", ["404", "two#0"], vec!["three"]),
        ("HTTPRoute ns/two 4 b.test", ["404", "three#0"], vec!["two"]),
        ("GRPCRoute ns/one 1 a.test", ["one#0", "three#0"], vec!["two"]),
    ] {
        apply(&mut world, change);
        assert_eq!(world.translate().len(), refused_there.len(), "{change}");
        assert_eq!(found(&world), found_there, "{change}");
        assert_eq!(refused(&world), refused_there, "{change}");
    }
    world.remove(Kind::GrpcRoute, "ns/three").ready();
    assert_eq!(found(&world), ["one#0", "two#0"]);
    // Whatever was done one by one, all at once comes to the same.
    world.remove(Kind::HttpRoute, "ns/two").remove(Kind::GrpcRoute, "ns/one").ready();
    assert_eq!(found(&world), ["404", "404"]);
}

#[test]
fn each_listener_decides_by_itself() {
    let mut world = world();
    let both = json!([gateway("gw"), gateway("other")]);
    route(&mut world, "GRPCRoute", "ns/grpc", 1, json!([gateway("gw")]), &["a.test"]);
    route(&mut world, "HTTPRoute", "ns/http", 2, both, &["a.test", "b.test"]);
    let problems = world.translate();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("GRPCRoute ns/grpc comes first"), "{problems:?}");
    assert!(problems[0].contains("listener http of Gateway ns/gw"), "{problems:?}");
    let found = |port| ["a", "b"].map(|host| world.find(port, &format!("POST {host}.test/s/m"), &[]));
    assert_eq!(found(80), ["grpc#0", "404"]);
    assert_eq!(found(81), ["http#0", "http#0"]);
    let resolved = "ResolvedRefs=true/ResolvedRefs";
    assert_eq!(
        world.statuses(Kind::HttpRoute, "ns/http"),
        [
            format!("0: Accepted=false/HostnameConflict {resolved}"),
            format!("1: Accepted=true/Accepted {resolved}")
        ]
    );
}

#[test]
fn at_a_service_the_grpc_route_is_accepted() {
    let mut world = world();
    let service = json!([{"group": "", "kind": "Service", "name": "a"}]);
    // Hostnames do not count there, nor does age.
    route(&mut world, "HTTPRoute", "ns/http", 1, service.clone(), &["a.test"]);
    world.ready();
    assert_eq!(world.find_at("10.96.0.1:80", "POST x/s/m"), "http#0");
    route(&mut world, "GRPCRoute", "ns/grpc", 2, service, &["b.test"]);
    let problems = world.translate();
    assert!(problems.len() == 1 && problems[0].contains("GRPCRoute ns/grpc has this port"), "{problems:?}");
    assert_eq!(world.find_at("10.96.0.1:80", "POST x/s/m"), "grpc#0");
    assert_eq!(accepted(&world, Kind::HttpRoute, "ns/http"), "Conflicted");
    assert_eq!(accepted(&world, Kind::GrpcRoute, "ns/grpc"), "Accepted");
    world.remove(Kind::GrpcRoute, "ns/grpc").ready();
    assert_eq!(world.find_at("10.96.0.1:80", "POST x/s/m"), "http#0");
}

/// A change beside them touches no route of either kind.
#[test]
fn what_is_settled_stays_as_it_is() {
    let mut world = world();
    apply(&mut world, "GRPCRoute ns/grpc 1 a.test");
    apply(&mut world, "HTTPRoute ns/http 2 a.test");
    assert_eq!(world.translate().len(), 1);
    let before = world.table(80).clone();
    world.service("ns/more", "10.96.0.9", "10.0.0.9");
    assert_eq!(world.translate().len(), 1);
    assert!(Arc::ptr_eq(&before, world.table(80)));
    apply(&mut world, "HTTPRoute ns/third 3 z.test");
    assert_eq!(world.translate().len(), 1);
    assert_eq!(world.find(80, "POST a.test/s/m", &[]), "grpc#0");
    assert_eq!(world.find(80, "POST z.test/s/m", &[]), "third#0");
}

/// Whatever was changed one by one, all at once comes to the same.
#[test]
fn every_order_of_changes_comes_to_the_same() {
    let mut world = world();
    // A linear congruential generator: the same changes every time.
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let hosts = ["a.test", "a.b.test", "c.b.test", "other"];
    let all: Vec<(Kind, String)> = [Kind::HttpRoute, Kind::GrpcRoute]
        .into_iter()
        .flat_map(|kind| (0..4).map(move |number| (kind, format!("ns/r{number}"))))
        .collect();
    for step in 0..300 {
        let (kind, name) = &all[random(all.len())];
        let hostnames = ["", "a.test", "a.b.test", "*.b.test", "*.test", "a.test,other"][random(6)];
        if random(4) > 0 {
            apply(&mut world, &format!("{kind} {name} {} {hostnames}", random(4)));
        } else if world.store.contains(&ObjectKey::new(*kind, "ns", &name[3..])) {
            world.remove(*kind, name);
        }
        let problems = world.translate();
        let mut fresh = World::new();
        fresh.store = world.store.clone();
        assert_eq!(problems, fresh.translate(), "step {step}");
        for host in hosts {
            let line = format!("POST {host}/s/m");
            assert_eq!(world.find(80, &line, &[]), fresh.find(80, &line, &[]), "step {step}: {host}");
        }
        for (kind, name) in &all {
            assert_eq!(
                world.statuses(*kind, name),
                fresh.statuses(*kind, name),
                "step {step}: {kind} {name}"
            );
        }
        let listener = |world: &World| world.statuses(Kind::Gateway, "ns/gw");
        assert_eq!(listener(&world), listener(&fresh), "step {step}");
    }
}
