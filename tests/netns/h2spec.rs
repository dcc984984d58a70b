//! HTTP/2 as the specification has it: every case of h2spec against a Gateway's listener.

use std::time::Duration;

use tests::certificate::Certificate;
use tests::client::Client;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::{Backend, Weir, peer};

use crate::http2::ROUTE;
use crate::tls::https;
use crate::world::World;

/// All cases run, within this: most of them wait for an end that comes at once.
const PATIENCE: Duration = Duration::from_secs(300);
/// What h2spec 2.2.1 has, strict ones included.
const CASES: usize = 146;
/// The only case that fails in clear: on a port that speaks both versions, what does not begin
/// with HTTP/2's preface is HTTP/1.1 and answered as such.
const PREFACE: &str = "× 2: Sends invalid connection preface";

/// A Gateway with HTTP on 8080 and HTTPS on 8443, and the endpoint behind it.
fn world() -> (World, Backend) {
    let world = World::new();
    // h2spec skips cases whose answer is too short for them.
    let backend = Backend::http(&world.api.ns, world.api.at(81), "a name that is long enough for all cases");
    let objects = [
        world.pods(),
        gateway("web", 8080, &[]) + &https("web-tls", ""),
        Certificate::new(world.lab.folder(), "a.test").secret("web-tls"),
        service("api", &["10.96.0.1"], 80, &[(world.api.v4.into(), 81)]),
        ROUTE.into(),
    ];
    world.lab.write("pods.yaml", &documents(&objects));
    (world, backend)
}

fn run(world: &World, more: &[&str]) -> String {
    let address = NODE_V4.to_string();
    let mut arguments = vec!["--strict", "-h", &address, "-P", "/", "-o", "10"];
    arguments.extend(more);
    peer::run(&world.frontend.ns, "h2spec", &arguments, b"", PATIENCE).text
}

#[test]
fn every_case_passes_over_tls() {
    needs_lab!("h2spec", "openssl");
    let (world, _backend) = world();
    let _weir = Weir::start(&world.lab);
    let text = run(&world, &["-p", "8443", "-t", "-k"]);
    assert!(text.contains(&format!("{CASES} tests, {CASES} passed, 0 skipped, 0 failed")), "{text}");
}

#[test]
fn every_case_but_that_of_another_protocol_passes_in_clear() {
    needs_lab!("h2spec", "openssl");
    let (world, _backend) = world();
    let _weir = Weir::start(&world.lab);
    let text = run(&world, &["-p", "8080"]);
    assert!(text.contains(&format!("{CASES} tests, {} passed, 0 skipped, 1 failed", CASES - 1)), "{text}");
    assert!(text.contains(PREFACE), "{text}");
    // What that case sends is refused as the HTTP/1.1 that it is not, and its connection ends.
    let mut client = Client::connect(&world.frontend, (NODE_V4, 8080).into()).unwrap();
    client.send("INVALID CONNECTION PREFACE\r\n\r\n").unwrap();
    assert_eq!(client.response().unwrap().status, 400);
    assert_eq!(client.rest().unwrap(), b"");
}
