//! What did not change keeps its `Arc`.

use std::collections::BTreeSet;
use std::time::Instant;

use super::*;

/// Gateway `ns/gw` and one route for each host, each to a Service of its own.
fn many(count: u32) -> World {
    let mut world = World::new();
    world.gateway("ns/gw", 80);
    for i in 0..count {
        let [_, _, high, low] = i.to_be_bytes();
        let address = format!("10.96.{high}.{low}");
        world.service(&format!("ns/s{i}"), &address, &address.replace("10.96", "10.0"));
        world.route(&format!("ns/r{i}"), spec(i, "/"));
    }
    world.ready();
    world
}

fn spec(i: u32, path: &str) -> Value {
    let matches = json!([{"path": {"type": "PathPrefix", "value": path}}]);
    let backends = json!([{"name": format!("s{i}"), "port": 80}]);
    json!({"hostnames": [format!("h{i}.test")], "rules": [{"matches": matches, "backendRefs": backends}]})
}

/// The hosts of the Gateway's table that are not the same nodes in both.
fn changed_hosts(old: &RouteTable, new: &RouteTable) -> Vec<String> {
    let hosts = old.exact_hosts.keys().chain(new.exact_hosts.keys());
    let differs = |host: &&Arc<str>| match (old.exact_hosts.get(*host), new.exact_hosts.get(*host)) {
        (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
        _ => true,
    };
    let mut changed: Vec<String> = hosts.filter(differs).map(ToString::to_string).collect();
    changed.sort();
    changed.dedup();
    changed
}

#[test]
fn a_changed_route_touches_its_own_host() {
    let mut world = many(20);
    let before = world.last.snapshot.clone();
    let table = world.table(80).clone();
    world.route("ns/r7", spec(7, "/new")).ready();
    assert_eq!(changed_hosts(&table, world.table(80)), ["h7.test"]);
    assert_eq!(world.find(80, "GET h7.test/new", &[]), "r7#0");
    assert_eq!(world.find(80, "GET h7.test/", &[]), "404");
    let after = &world.last.snapshot;
    assert_eq!(after.revision, before.revision + 1);
    assert!(Arc::ptr_eq(&before.backends, &after.backends));
    assert!(Arc::ptr_eq(&before.frontends, &after.frontends));
    assert!(Arc::ptr_eq(&before.workloads, &after.workloads));
    assert!(Arc::ptr_eq(&before.policies, &after.policies));
    assert_eq!(
        changed_hosts(before.gateways.values().next().unwrap().listeners[0].http_routes().unwrap(), &table),
        [""; 0]
    );

    let table = world.table(80).clone();
    world.remove(Kind::HttpRoute, "ns/r3").ready();
    assert_eq!(changed_hosts(&table, world.table(80)), ["h3.test"]);
    assert_eq!(world.find(80, "GET h3.test/", &[]), "404");
}

#[test]
fn changed_endpoints_touch_no_route() {
    let mut world = many(5);
    let before = world.last.snapshot.clone();
    let old = world.backend("ns/s2", 80);
    world.slice("ns/s2-1", "ns/s2", "10.9.9.9").ready();
    let after = &world.last.snapshot;
    assert!(Arc::ptr_eq(&before.gateways, &after.gateways));
    assert!(Arc::ptr_eq(&before.frontends, &after.frontends));
    let new = world.backend("ns/s2", 80);
    assert_eq!((new.id, &*new.endpoints[0].address.to_string()), (old.id, "10.9.9.9:8080"));
    let differ = |id: &&model::service::BackendId| !Arc::ptr_eq(&before.backends[id], &after.backends[id]);
    assert_eq!(before.backends.keys().filter(differ).collect::<Vec<_>>(), [&old.id]);
}

#[test]
fn a_changed_service_touches_its_own_addresses_and_what_names_it() {
    let mut world = many(20);
    let (before, table) = (world.last.snapshot.clone(), world.table(80).clone());
    let ports = json!([{"port": 80}, {"name": "more", "port": 81}]);
    world.apply("Service", "ns/s2", json!({"spec": {"clusterIP": "10.96.9.9", "ports": ports}})).ready();
    let after = &world.last.snapshot;
    assert!(Arc::ptr_eq(&table, world.table(80)), "its port and number are the same");
    let differ = |at: &SocketAddr| !is_same(before.frontends.get(at), after.frontends.get(at));
    let all: BTreeSet<SocketAddr> = before.frontends.keys().chain(after.frontends.keys()).copied().collect();
    let differ: Vec<String> = all.into_iter().filter(differ).map(|at| at.to_string()).collect();
    assert_eq!(differ, ["10.96.0.2:80", "10.96.9.9:80", "10.96.9.9:81"]);

    world.apply("Service", "ns/s2", json!({"spec": {"clusterIP": "10.96.9.9", "ports": [{"port": 81}]}}));
    let problems = world.translate();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(changed_hosts(&table, world.table(80)), ["h2.test"]);
}

fn is_same<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    a.map(Arc::as_ptr) == b.map(Arc::as_ptr)
}

#[test]
fn an_address_that_several_claim_is_the_first_ones_whoever_comes_and_goes() {
    let mut world = World::new();
    let claimed =
        |name: &str| format!("Service ns/{name}: spec.clusterIP: 10.96.0.1:80 belongs to Service ns/");
    for name in ["b", "c", "a"] {
        world.service(&format!("ns/{name}"), "10.96.0.1", "10.0.0.1");
    }
    for (gone, owner, losers) in
        [(None, "a", &["b", "c"][..]), (Some("a"), "b", &["c"]), (Some("c"), "b", &[])]
    {
        if let Some(gone) = gone {
            world.remove(Kind::Service, &format!("ns/{gone}"));
        }
        let wanted: Vec<String> =
            losers.iter().map(|loser| format!("{}{owner} already", claimed(loser))).collect();
        assert_eq!(world.translate(), wanted, "without {gone:?}");
        let frontend = world.frontend("10.96.0.1:80").unwrap();
        let service = &world.last.snapshot.backends[&frontend.backend].service;
        assert_eq!(&*service.name, owner, "without {gone:?}");
    }
    world.remove(Kind::Service, "ns/b").ready();
    assert!(world.frontend("10.96.0.1:80").is_none());
}

#[test]
fn a_service_that_comes_and_goes_resolves_the_routes_that_name_it() {
    let mut world = many(3);
    let table = world.table(80).clone();
    let id = world.backend("ns/s1", 80).id;
    world.remove(Kind::Service, "ns/s1");
    let problems = world.translate();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("HTTPRoute ns/r1: spec.rules[0].backendRefs[0]"), "{problems:?}");
    assert_eq!(changed_hosts(&table, world.table(80)), ["h1.test"]);
    assert!(world.frontend("10.96.0.1:80").is_none());
    world.service("ns/s1", "10.96.0.1", "10.0.0.1").ready();
    assert_eq!(world.backend("ns/s1", 80).id, id, "a number stays with its Service port");
    assert_eq!(world.find(80, "GET h1.test/", &[]), "r1#0");
}

#[test]
fn a_new_listener_leaves_the_others_routes_alone() {
    let mut world = many(3);
    let table = world.table(80).clone();
    world.gateway("ns/other", 81);
    world.ready();
    assert!(Arc::ptr_eq(&table, world.table(80)));
    assert_eq!(world.find(81, "GET h1.test/", &[]), "404");
    world.gateway("ns/gw", 82).ready();
    assert_eq!(world.find(80, "GET h1.test/", &[]), "refused");
    assert_eq!(world.find(82, "GET h1.test/", &[]), "r1#0");
    world.remove(Kind::Gateway, "ns/gw");
    assert_eq!(world.translate().len(), 3, "each route misses its Gateway");
    assert_eq!(world.find(82, "GET h1.test/", &[]), "refused");
}

#[test]
fn nothing_changed_is_the_same_snapshot() {
    let mut world = many(2);
    let before = world.last.snapshot.clone();
    world.ready();
    assert!(Arc::ptr_eq(&before, &world.last.snapshot));
    world.route("ns/r1", spec(1, "/x")).ready();
    assert!(!Arc::ptr_eq(&before, &world.last.snapshot));
}

/// Numbers without a pattern (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % bound
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

/// One object comes, changes or goes.
fn edit(world: &mut World, random: &mut Random) {
    let number = random.below(6);
    let (gateway, service) = (random.below(3), random.below(4));
    let remove = |world: &mut World, kind: Kind, name: String| {
        world.store.remove(&ObjectKey::new(kind, "ns", &name));
    };
    match random.below(20) {
        0 => remove(world, Kind::Service, format!("s{service}")),
        1 => drop(world.service(&format!("ns/s{service}"), &format!("10.96.0.{service}"), "10.0.0.1")),
        2 => remove(world, Kind::Gateway, format!("g{gateway}")),
        3 => drop(world.gateway(&format!("ns/g{gateway}"), *random.of(&[80, 81]))),
        4 | 5 => remove(world, Kind::HttpRoute, format!("r{number}")),
        16 => service_spec(world, random, service),
        17 => drop(world.slice(
            &format!("ns/x{number}"),
            &format!("ns/s{service}"),
            &format!("10.0.1.{number}"),
        )),
        18 => remove(world, Kind::EndpointSlice, format!("x{number}")),
        19 => {
            world.apply("Service", &format!("ns/s{service}"), json!({"spec": {"type": "ExternalName"}}));
        }
        6 => remove(world, Kind::GrpcRoute, format!("r{number}")),
        7 | 8 => {
            let rule = json!({"backendRefs": [{"name": format!("s{service}"), "port": 80}]});
            let to_service = json!({"group": "", "kind": "Service", "name": format!("s{service}")});
            let parents = random
                .of(&[json!([{"name": format!("g{gateway}")}]), json!([{"name": "g0"}, to_service])])
                .clone();
            let spec = json!({"hostnames": hostnames(random), "parentRefs": parents, "rules": [rule]});
            world.apply("GRPCRoute", &format!("ns/r{number}"), json!({ "spec": spec }));
        }
        _ => {
            let path = json!({"type": random.of(&["PathPrefix", "Exact"]), "value": random.of(&["/", "/a", "/a/b"])});
            let rule = json!({
                "matches": [{"path": path}, {"path": {"type": "PathPrefix", "value": format!("/{number}")}}],
                "backendRefs": [{"name": format!("s{service}"), "port": random.of(&[80, 80, 80, 81])}],
            });
            let to_service = json!({"group": "", "kind": "Service", "name": format!("s{service}")});
            let parents = [
                json!([{"name": format!("g{gateway}")}]),
                json!([{"name": "g0"}, {"name": "g1"}]),
                json!([{"name": format!("g{gateway}")}, to_service]),
            ];
            let spec =
                json!({"hostnames": hostnames(random), "parentRefs": random.of(&parents), "rules": [rule]});
            world.route(&format!("ns/r{number}"), spec);
        }
    }
}

/// A Service, with the address of another at times, or with what is none.
fn service_spec(world: &mut World, random: &mut Random, service: u64) {
    let ip = format!("10.96.0.{}", random.below(4));
    let all = [json!([ip]), json!([ip, "fd00::1"]), json!([ip, "10.96.0"]), json!(["None"])];
    let ports = [
        json!([{"port": 80}]),
        json!([{"port": 80}, {"name": "udp", "port": 80, "protocol": "UDP"}]),
        json!([{"port": 81, "protocol": "UDP"}]),
        json!([{"port": 81}, {"name": "again", "port": 81}]),
    ];
    let spec = json!({"clusterIPs": random.of(&all), "ports": random.of(&ports)});
    world.apply("Service", &format!("ns/s{service}"), json!({ "spec": spec }));
}

fn hostnames(random: &mut Random) -> Value {
    random.of(&[json!([]), json!(["a.test"]), json!(["a.test", "b.test"]), json!(["*.test"])]).clone()
}

/// All that requests can meet, whatever numbers Service ports have.
fn shown(snapshot: &Snapshot) -> Vec<String> {
    let one = |entry: &RouteMatch| {
        let targets = entry.rule.backends.iter().map(|backend| match &backend.target {
            model::route::BackendTarget::Service(id) => snapshot.backends[id].service.to_string(),
            model::route::BackendTarget::Invalid(why) => why.to_string(),
        });
        let targets: Vec<String> = targets.collect();
        format!("{}#{} {:?} {targets:?}", entry.rule.route, entry.rule.index, entry.path)
    };
    let table = |at: &str, table: &RouteTable| {
        let any = table.any_host.iter().map(|routes| ("any".to_owned(), routes));
        let exact = table.exact_hosts.iter().map(|(host, routes)| (format!("={host}"), routes));
        let wild = table.wildcard_hosts.iter().map(|(host, routes)| (format!("*{host}"), routes));
        let lists = any.chain(exact).chain(wild).flat_map(|(host, routes)| {
            let all = routes.exact.values().chain(routes.prefix.values());
            let lists = all.map(|list| list.iter().map(|entry| one(entry)).collect::<Vec<_>>());
            let longest = routes.prefix_max;
            lists.map(|list| format!("{at} {host} {longest} {list:?}")).collect::<Vec<_>>()
        });
        lists.collect::<Vec<_>>()
    };
    let mut lines = Vec::new();
    for (address, port) in snapshot.gateways.iter() {
        for (at, listener) in port.listeners.iter().enumerate() {
            let name = format!("{address:?} {at} {} {}", listener.gateway, listener.name);
            lines.extend(table(&name, listener.http_routes().unwrap()));
            lines.push(name);
        }
    }
    for (address, frontend) in snapshot.frontends.iter() {
        let name = format!("{address} {}", snapshot.backends[&frontend.backend].service);
        lines.extend(frontend.routes.iter().flat_map(|routes| table(&name, routes)));
        lines.push(name);
    }
    for (address, frontend) in snapshot.datagram_frontends.iter() {
        lines.push(format!("{address} UDP {}", snapshot.backends[&frontend.backend].service));
    }
    lines.extend(
        snapshot.backends.values().map(|backend| format!("{} {:?}", backend.service, backend.endpoints)),
    );
    lines.sort();
    lines
}

#[test]
fn edits_come_to_the_same_as_everything_translated_anew() {
    for seed in 1..=4 {
        let mut random = Random(seed * 0x9e37_79b9);
        let mut world = World::new();
        for step in 0..120 {
            (0..=random.below(3)).for_each(|_| edit(&mut world, &mut random));
            let problems = world.translate();
            let node = ["192.0.2.1".parse().unwrap()];
            let mut anew = Translator::new(Options::default());
            let fresh = anew.translate(&world.store, &world.local, &node);
            assert_eq!(shown(&world.last.snapshot), shown(&fresh.snapshot), "seed {seed}, step {step}");
            let wanted: Vec<String> = fresh.problems.iter().map(ToString::to_string).collect();
            assert_eq!(problems, wanted, "seed {seed}, step {step}");
            let statuses = |translator: &Translator| {
                let mut all: Vec<String> = translator.statuses().iter().map(|s| format!("{s:?}")).collect();
                all.sort();
                all
            };
            assert_eq!(statuses(&world.translator), statuses(&anew), "seed {seed}, step {step}");
        }
    }
}

#[test]
#[ignore = "prints a measurement"]
fn measure_one_change_among_10000_routes() {
    let start = Instant::now();
    let mut world = many(10_000);
    println!("10,000 routes and Services made and translated: {:?}", start.elapsed());
    for i in 0..5 {
        world.route("ns/r77", spec(77, &format!("/{i}")));
        let start = Instant::now();
        world.ready();
        println!("one route changed: {:?}", start.elapsed());
    }
    let grpc = json!({"parentRefs": [{"name": "gw"}], "hostnames": ["h78.test", "grpc.test"],
        "rules": [{"backendRefs": [{"name": "s1", "port": 80}]}]});
    world.apply("GRPCRoute", "ns/grpc", json!({ "spec": grpc }));
    assert_eq!(world.translate().len(), 1);
    for i in 0..5 {
        world.route("ns/r78", spec(78, &format!("/{i}")));
        let start = Instant::now();
        assert_eq!(world.translate().len(), 1);
        println!("one route changed that conflicts with a GRPCRoute: {:?}", start.elapsed());
    }
    world.remove(Kind::GrpcRoute, "ns/grpc").ready();
    for i in 0..5 {
        world.slice("ns/s77-1", "ns/s77", &format!("10.9.9.{i}"));
        let start = Instant::now();
        world.ready();
        println!("one endpoint changed: {:?}", start.elapsed());
    }
    for i in 0..5 {
        let ports = json!([{"port": 80}, {"name": "more", "port": 81 + i}]);
        world.apply("Service", "ns/s77", json!({"spec": {"clusterIP": "10.96.0.77", "ports": ports}}));
        let start = Instant::now();
        world.ready();
        println!("one Service changed: {:?}", start.elapsed());
    }
}
