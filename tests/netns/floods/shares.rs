//! Who tries to have for itself what is there for all: connections, ports, endpoints, the admin endpoint.
//! Others are served meanwhile.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tests::client::Client;
use tests::h2::{self, Endpoint};
use tests::lab::{NODE, NODE_V4};
use tests::objects::service;
use tests::{Act, Faulty, Weir, until};

use crate::fleet::{Fleet, endpoint, fleet, h2c, route};
use crate::world::World;

const RULE: &str = "backendRefs: [{name: s, port: 80}]";
const EJECT: &[(&str, &str)] = &[("outlier-consecutive-errors", "3"), ("outlier-base-ejection-time", "1h")];

/// An endpoint that allows no streams and answers all the same: each request costs a connection, and none
/// of them is kept.
#[test]
fn connections_that_take_no_streams() {
    needs_lab!();
    let world = World::new();
    let none = [(h2::MAX_CONCURRENT_STREAMS, 0)];
    let endpoint = Endpoint::with(&world.api.ns, world.api.at(82), &none, |seen| {
        seen.ended.then(|| Endpoint::echo(seen))
    });
    let service = h2c(&fleet("s", &world.api, &[82], &[]));
    let fleet = Fleet::start(world, &[service, route("r", &[RULE])]);
    assert_eq!(fleet.statuses("/", 20), [200; 20]);
    assert_eq!(endpoint.connections(), 20);
    until("all to be told goodbye", || (endpoint.goodbyes() == [0; 20]).then_some(()));
}

/// Requests whose bodies never come to their end say nothing of the endpoint: it owes no answer.
#[test]
fn bodies_that_eject_endpoints() {
    needs_lab!();
    let world = World::new();
    let servers = [endpoint(&world, 81, Act::Status(200)), endpoint(&world, 82, Act::Hold)];
    let timed = |path: &str, name: &str| {
        format!(
            "matches: [{{path: {{value: {path}}}}}], timeouts: {{request: 500ms}}, backendRefs: [{{name: {name}, port: 80}}]"
        )
    };
    let objects = [
        fleet("s", &world.api, &[81], EJECT),
        fleet("slow", &world.api, &[82], EJECT),
        route("r", &[&timed("/slow", "slow"), &timed("/half", "s"), RULE]),
    ];
    let fleet = Fleet::start(world, &objects);
    let begin = |path: &str, body: &str| {
        let mut client = fleet.client();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{body}")).unwrap();
        client
    };
    let mut clients: Vec<Client> = (0..8).map(|_| begin("/half", "half")).collect();
    for client in &mut clients {
        assert_eq!(client.response().unwrap().status, 504);
    }
    assert_eq!(fleet.metric("weir_endpoint_ejections_total"), 0);
    assert_eq!(fleet.statuses("/", 3), [200; 3]);
    // Of one that has all of it and does not answer they say much.
    for mut client in (0..3).map(|_| begin("/slow", "all of it.")).collect::<Vec<_>>() {
        assert_eq!(client.response().unwrap().status, 504);
    }
    assert_eq!(fleet.metric("weir_endpoint_ejections_total"), 1);
    drop(servers);
}

/// An endpoint that is the Gateway itself: a request must not go round.
#[test]
fn a_request_that_would_go_round() {
    needs_lab!();
    let world = World::new();
    let server = endpoint(&world, 81, Act::Status(200));
    let filters =
        "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x-forwarded-for]}}]";
    let round = format!(
        "matches: [{{path: {{value: /round}}}}], {filters}, backendRefs: [{{name: round, port: 80}}]"
    );
    let objects = [
        service("round", &[], 80, &[(NODE_V4.into(), 8080)]),
        fleet("s", &world.api, &[81], &[]),
        route("r", &[&round, RULE]),
    ];
    let fleet = Fleet::start(world, &objects);
    assert_eq!(fleet.get("/round").status, 503);
    fleet.wait_failure("connect_failed");
    assert_eq!(fleet.metric("weir_connections_accepted_total"), 1);
    assert_eq!(fleet.get("/").status, 200);
    drop(server);
}

/// An endpoint that is the node's own loopback: what listens there is nobody's to give away.
#[test]
fn a_route_to_the_admin_endpoint() {
    needs_lab!();
    let world = World::new();
    let objects = [service("s", &[], 80, &[(Ipv4Addr::LOCALHOST.into(), 15200)]), route("r", &[RULE])];
    let fleet = Fleet::start(world, &objects);
    assert_eq!(fleet.get("/config").status, 503);
    let problems = fleet.weir.ask("problems").unwrap();
    assert!(problems.contains("endpoints[0].addresses[0]: 127.0.0.1 is a loopback address"), "{problems}");
}

/// All source ports of ours are in use: the node's own address has those of the kernel.
#[test]
fn source_ports_that_are_all_in_use() {
    needs_lab!();
    let mut world = World::new();
    let (far, outside) = (world.lab.remote_pod("far"), world.lab.outside("outside"));
    let server = Faulty::steady(&far.ns, far.at(81), "far", Act::Status(200));
    let held: Vec<TcpListener> = world.lab.node.enter(|| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
        let listen = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        (61_000..=65_535).map(listen).collect()
    });
    let _fleet = Fleet::start(world, &[service("s", &[], 80, &[(far.v4.into(), 81)]), route("r", &[RULE])]);
    for _ in 0..3 {
        let mut client = Client::connect(&outside, (NODE_V4, 8080).into()).unwrap();
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    assert!(server.count() >= 3);
    drop(held);
}

/// Many clients of one address that keep their connections to the admin endpoint busy: a probe from
/// elsewhere is answered.
#[test]
fn the_admin_endpoint_has_room_for_a_probe() {
    needs_lab!();
    let world = World::new();
    let address = SocketAddr::from((NODE_V4, 15200));
    let weir = Weir::start_with(&world.lab, &["--node", NODE, "--admin", &address.to_string()]);
    let is_over = AtomicBool::new(false);
    let attack = || {
        while !is_over.load(Ordering::Relaxed) {
            if let Ok(mut client) = Client::connect(&world.frontend, address) {
                while !is_over.load(Ordering::Relaxed) && client.get("/live").is_ok() {
                    thread::sleep(Duration::from_millis(500));
                }
            }
            thread::sleep(Duration::from_millis(100));
        }
    };
    let probe = || {
        let mut client = Client::connect(&world.stranger, address).ok()?;
        Some(client.get("/live").ok()?.status)
    };
    thread::scope(|scope| {
        for _ in 0..48 {
            scope.spawn(attack);
        }
        let probed: Vec<_> = (0..8)
            .map(|_| {
                thread::sleep(Duration::from_millis(200));
                probe()
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(probed, [Some(200); 8]);
    });
    drop(weir);
}
