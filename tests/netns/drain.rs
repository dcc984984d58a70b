//! The end of a proxy: what clients and endpoints are told, what is finished, and what the deadline
//! ends.

use std::io;
use std::net::TcpStream;
use std::thread;

use rustix::process::Signal;
use tests::certificate::Certificate;
use tests::client::{Client, curl};
use tests::lab::{NODE, NODE_V4};
use tests::objects::{documents, gateway, service};
use tests::{Act, Weir, h2, until};

use crate::fleet::{Fleet, endpoint, fleet, route};
use crate::held::{Place, Streams};
use crate::http2::ROUTE;
use crate::tls::https;
use crate::world::World;

fn world() -> (World, Certificate) {
    let world = World::new();
    let pair = Certificate::new(world.lab.folder(), "a.test");
    let objects = [
        world.pods(),
        gateway("web", 8080, &[]) + &https("web-tls", "hostname: a.test, "),
        pair.secret("web-tls"),
        service("api", &["10.96.0.1"], 80, &[(world.api.v4.into(), 80)]),
        ROUTE.into(),
    ];
    world.lab.write("pods.yaml", &documents(&objects));
    (world, pair)
}

/// Who has said nothing yet may be as slow as a busy machine makes it.
const DRAIN_IDLE: &str = "drain_idle=20s";

fn is_gone(pid: rustix::process::Pid) -> Option<()> {
    rustix::process::test_kill_process(pid).is_err().then_some(())
}

#[test]
fn clients_are_told_and_what_is_under_way_is_finished() {
    needs_lab!("openssl");
    let (world, _) = world();
    let flags = ["--node", NODE, "--drain-timeout", "60", "--limit", DRAIN_IDLE];
    let mut weir = Weir::start_with(&world.lab, &flags);
    let gateway = (NODE_V4, 8080).into();
    let mut http1 = Client::connect(&world.frontend, gateway).unwrap();
    http1.send("POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 6\r\n\r\nabc").unwrap();
    let mut http2 = h2::Client::connect(&world.frontend, gateway).unwrap();
    let stream = http2.next_stream();
    http2.send(h2::headers(stream, &h2::request("POST", "/"), false)).unwrap();
    http2.send(h2::data(stream, b"abc", false)).unwrap();
    // Streams of a connection are begun in their order: when this one is answered, so is the first.
    assert_eq!(http2.get("/").unwrap().status, 200);
    let mut idle = h2::Client::connect(&world.frontend, gateway).unwrap();
    assert_eq!(idle.get("/").unwrap().status, 200);
    // One that has said nothing yet is served as well.
    let mut silent = Client::connect(&world.frontend, gateway).unwrap();
    until("all to be accepted", || {
        let counts = weir_connections(&world)?;
        (counts == 4).then_some(())
    });
    Weir::signal(weir.supervisor(), Signal::TERM);
    weir.wait_log("stopping");
    assert_eq!(idle.end().unwrap(), Some(h2::code::NO_ERROR), "an idle connection ends in peace");
    let code = http2.wait(h2::Client::go_away).unwrap();
    assert_eq!(code, h2::code::NO_ERROR);
    let answer = silent.get("/").unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    http1.send("def").unwrap();
    let answer = http1.response().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(http1.rest().unwrap(), b"");
    http2.send(h2::data(stream, b"def", true)).unwrap();
    assert_eq!(http2.answer(stream).unwrap().status, 200);
    assert_eq!(http2.end().unwrap(), Some(h2::code::NO_ERROR));
    let bodies: Vec<_> = world.backend.seen().into_iter().filter(|seen| seen.method == "POST").collect();
    assert!(bodies.len() == 2 && bodies.iter().all(|seen| seen.body == b"abcdef"), "{bodies:?}");
    assert!(weir.wait().success());
    assert!(!weir.log().contains("killed"), "{}", weir.log());
}

/// What the admin endpoint counts.
fn weir_connections(world: &World) -> Option<u64> {
    let address = ([127, 0, 0, 1], 15200).into();
    let stream = world.lab.node.connect(address, tests::wait::PATIENCE).ok()?;
    let text = Client::new(stream, address).get("/metrics").ok()?.text();
    text.lines().find_map(|line| line.strip_prefix("weir_connections ")?.parse().ok())
}

#[test]
fn the_deadline_ends_what_does_not_end() {
    needs_lab!("openssl");
    let place = Place::new();
    let mut weir = Weir::start_with(&place.world.lab, &["--node", NODE, "--drain-timeout", "2"]);
    let mut streams = Streams::open(&place);
    streams.carry();
    Weir::signal(weir.supervisor(), Signal::TERM);
    weir.wait_log("stopping");
    streams.ended();
    assert!(weir.wait().success());
    assert!(!weir.log().contains("killed"), "it ends by itself: {}", weir.log());
}

#[test]
fn endpoints_are_told() {
    needs_lab!("openssl");
    let (world, _) = world();
    let endpoint = h2::Endpoint::new(&world.api.ns, world.api.at(82));
    let h2c = service("h2", &["10.96.0.2"], 80, &[(world.api.v4.into(), 82)])
        .replace("protocol: TCP}", "protocol: TCP, appProtocol: kubernetes.io/h2c}");
    let route =
        ROUTE.replace("name: api", "name: h2").replace("  rules:\n", "  hostnames: [h2.test]\n  rules:\n");
    world.lab.write("h2.yaml", &documents(&[h2c, route]));
    let mut weir = Weir::start_with(&world.lab, &["--node", NODE, "--limit", "goodbye_timeout=10s"]);
    let mut client = Client::connect(&world.frontend, (NODE_V4, 8080).into()).unwrap();
    assert_eq!(client.request("GET", "/", &["Host: h2.test"]).unwrap().text(), "GET /");
    drop(client);
    assert!(weir.stop(Signal::TERM).success());
    until("the endpoint to have read it", || (!endpoint.goodbyes().is_empty()).then_some(()));
    assert_eq!(endpoint.goodbyes(), [h2::code::NO_ERROR]);
}

/// Nothing was sent to an endpoint that refuses the connection: the proxy's end is no reason to fail
/// what another endpoint can answer.
#[test]
fn a_refused_connect_is_tried_elsewhere() {
    needs_lab!();
    let world = World::new();
    let good = endpoint(&world, 81, Act::Status(200));
    // Of two requests in turn one is for port 9, where nobody listens.
    let service = fleet("s", &world.api, &[81, 9], &[("load-balancing", "round-robin")]);
    let objects = [service, route("r", &["backendRefs: [{name: s, port: 80}]"])];
    let mut fleet = Fleet::start_with(world, &objects, &["--limit", DRAIN_IDLE]);
    let mut silent = [fleet.client(), fleet.client()];
    let mut idle = h2::Client::connect(&fleet.world.frontend, (NODE_V4, 8080).into()).unwrap();
    until("all to be accepted", || (weir_connections(&fleet.world)? == 3).then_some(()));
    Weir::signal(fleet.weir.supervisor(), Signal::TERM);
    assert_eq!(idle.end().unwrap(), Some(h2::code::NO_ERROR), "the worker drains");
    // Both at once: for a second after it has refused, the other endpoint is asked first.
    for client in &mut silent {
        client.send("GET / HTTP/1.1\r\nHost: fleet\r\n\r\n").unwrap();
    }
    for client in &mut silent {
        let answer = client.response().unwrap();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    }
    assert_eq!(good.count(), 2);
    assert_eq!(fleet.metric("weir_retries_total"), 1);
    drop(silent);
    assert!(fleet.weir.wait().success());
}

/// A connection that the old proxy has accepted is its own to serve, also if its client says the
/// first word of TLS after it was replaced.
#[test]
fn a_handshake_that_comes_late_is_answered() {
    needs_lab!("openssl");
    let (world, pair) = world();
    // Longer than a proxy may take to start.
    let times = ["--drain-timeout", "120", "--limit", "handshake_timeout=60s", "--limit", DRAIN_IDLE];
    let weir = Weir::start_with(&world.lab, &[&["--node", NODE][..], &times].concat());
    let old = weir.proxy().unwrap();
    let early = world.frontend.connect((NODE_V4, 8443).into()).unwrap();
    until("it to be accepted", || (weir_connections(&world)? == 1).then_some(()));
    let listener = world.frontend.ns.listen(([127, 0, 0, 1], 9443).into());
    weir.restart();
    assert_eq!(weir.proxies().first(), Some(&old), "the old proxy waits for it");
    let joined = thread::spawn(move || join(listener.accept()?.0, &early));
    let authority = pair.certificate.to_string_lossy();
    let url = "https://a.test:9443/";
    let (status, body) =
        curl(&world.frontend, &["--cacert", &authority, "--resolve", "a.test:9443:127.0.0.1", url]);
    assert_eq!((status, body.as_str()), (200, "v1\n"));
    joined.join().unwrap().ok();
    until("the old proxy to be gone", || is_gone(old));
}

/// Moves bytes both ways until both ends are done.
fn join(client: TcpStream, proxy: &TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, proxy.try_clone()?);
    let up = thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        to.shutdown(std::net::Shutdown::Write).ok();
    });
    io::copy(&mut &*proxy, &mut &client)?;
    client.shutdown(std::net::Shutdown::Both).ok();
    up.join().expect("it does not panic");
    Ok(())
}
