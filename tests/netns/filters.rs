//! The filters of the Gateway API, as clients and endpoints see what they do.

mod cors;
mod headers;
mod redirects;
mod rewrites;

use tests::client::curl;
use tests::lab::NODE_V4;
use tests::{Act, Faulty};

use crate::fleet::{Fleet, endpoint, fleet, route};
use crate::world::World;

/// Service `s` over a server that answers 200 and nothing special, and a route with these rules.
fn start(rules: &[&str]) -> (Fleet, Faulty) {
    start_with(rules, Act::Status(200))
}

/// The same with a server that does something else.
fn start_with(rules: &[&str], act: Act) -> (Fleet, Faulty) {
    let world = World::new();
    let server = endpoint(&world, 81, act);
    let objects = [fleet("s", &world.api, &[81], &[]), route("r", rules)];
    (Fleet::start(world, &objects), server)
}

const TO_S: &str = "backendRefs: [{name: s, port: 80}]";
const CLIENTS: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

/// The lines of the head that curl gets, names in lower case, the status line first.
fn head(fleet: &Fleet, arguments: &[&str], path: &str) -> Vec<String> {
    let url = format!("http://{NODE_V4}:8080{path}");
    let (_, text) = curl(&fleet.world.frontend, &[&["-i"], arguments, &[&url]].concat());
    let (head, _) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let lower = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
        None => line.trim_end().to_owned(),
    };
    head.lines().map(lower).collect()
}

/// The status of a head.
fn status(head: &[String]) -> u16 {
    head[0].split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap()
}

/// The values of a field, in order.
fn values<'h>(head: &'h [String], name: &str) -> Vec<&'h str> {
    head.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}
