//! Limits as an operator sets them: each does at a small value what it does at its default, and they
//! outlive the process that was given them.

mod counts;
mod stalls;
mod timeouts;

use std::net::SocketAddr;

use serde_json::Value;
use tests::client::Client;
use tests::lab::{NODE, NODE_V4};
use tests::objects::{documents, gateway, service};
use tests::observe::Metrics;
use tests::{Act, Backend, Faulty, Host, Weir, until};

use crate::fleet::{endpoint, fleet, h2c, route};
use crate::tcp::TCP_ROUTE;
use crate::world::World;

/// A Gateway on 8080 before a server that does as it is told (`/act`), one of HTTP/2 (`/h2`, started by
/// who needs it) and a plain one, and on 9000 before one that sends every byte back.
struct Site {
    weir: Weir,
    server: Faulty,
    _echo: Backend,
    world: World,
}

const GATEWAY: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(NODE_V4, 8080));

impl Site {
    /// With these limits, and one worker: counts are then exact.
    fn start(limits: &[&str]) -> Self {
        Self::annotated(limits, &[])
    }

    /// The same, with `weir.dev/` annotations on the Service of `/act`.
    fn annotated(limits: &[&str], annotations: &[(&str, &str)]) -> Self {
        let world = World::new();
        let (server, _echo) =
            (endpoint(&world, 81, Act::Status(200)), Backend::echo(&world.api.ns, world.api.at(90)));
        let to = |path: &str, name: &str| {
            format!("matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: {name}, port: 80}}]")
        };
        let objects = [
            world.pods(),
            gateway("web", 8080, &[]) + "  - {name: tcp, protocol: TCP, port: 9000}\n",
            fleet("act", &world.api, &[81], annotations),
            h2c(&fleet("h2", &world.api, &[82], &[])),
            fleet("plain", &world.api, &[80], &[]),
            service("bytes", &[], 9000, &[(world.api.v4.into(), 90)]),
            route("r", &[&to("/act", "act"), &to("/h2", "h2"), &to("/", "plain")]),
            TCP_ROUTE.into(),
        ];
        world.lab.write("pods.yaml", &documents(&objects));
        let flags = limits.iter().flat_map(|limit| ["--limit", *limit]);
        let all: Vec<&str> = ["--node", NODE, "--workers", "1"].into_iter().chain(flags).collect();
        let weir = Weir::start_with(&world.lab, &all);
        Self { weir, server, _echo, world }
    }

    fn client(&self) -> Client {
        Self::client_of(&self.world.frontend)
    }

    fn client_of(host: &Host) -> Client {
        Client::connect(host, GATEWAY).unwrap()
    }

    /// A connection for bytes.
    fn bytes(&self) -> Client {
        Client::connect(&self.world.frontend, (NODE_V4, 9000).into()).unwrap()
    }

    /// Waits until a limit has stopped exactly so many.
    fn counts(&self, limit: &str, expected: u32) {
        let of_now = || Metrics::of(&self.world.lab.node).unwrap().limit(limit);
        until(&format!("{limit} to count {expected}"), || (of_now() + 0.5 > expected.into()).then_some(()));
        assert!((of_now() - f64::from(expected)).abs() < 0.5, "{limit}: {} of {expected}", of_now());
    }

    /// The limits as `/config` has them.
    fn limits(&self) -> Value {
        let address = ([127, 0, 0, 1], 15200).into();
        let stream = self.world.lab.node.connect(address, tests::wait::PATIENCE).unwrap();
        let text = Client::new(stream, address).get("/config").unwrap().text();
        serde_json::from_str::<Value>(&text).unwrap()["limits"].clone()
    }
}

/// A replaced proxy and one after a crash have the limits of the one before.
#[test]
fn limits_are_shown_and_outlive_the_process() {
    needs_lab!();
    let site = Site::start(&["stall_timeout=7s", "head_fields=5", "http2_streams=50", "retry_bytes=1MiB"]);
    let holds = |when: &str| {
        let limits = site.limits();
        for (name, value) in [
            ("stall_timeout", "7s"),
            ("head_fields", "5"),
            ("http2_streams", "50"),
            ("retry_bytes", "1MiB"),
            ("tunnel_timeout", "1h"),
        ] {
            assert_eq!(limits[name], value, "{when}: {limits}");
        }
        let many = ["A: 1", "B: 1", "C: 1", "D: 1", "E: 1"];
        assert_eq!(site.client().request("GET", "/", &many[..3]).unwrap().status, 200, "{when}");
        assert_eq!(site.client().request("GET", "/", &many).unwrap().status, 431, "{when}");
    };
    holds("at the start");
    site.weir.restart();
    holds("after a restart");
    site.weir.crash_proxy();
    holds("after a crash");
}

/// What cannot be set keeps Weir from starting, and is named.
#[test]
fn a_limit_that_cannot_be_set_is_refused() {
    needs_lab!();
    let world = World::new();
    for (limit, said) in [
        ("stal_timeout=1s", "did you mean stall_timeout"),
        ("stall_timeout=1ms", "100ms to 24h"),
        ("head_fields=1000", "a count of 1 to 128"),
    ] {
        let output = Weir::command(&world.lab, "run")
            .arg(world.lab.config())
            .args(["--limit", limit])
            .output()
            .expect("the binary can be run");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains("--limit <NAME=VALUE>") && text.contains(limit) && text.contains(said),
            "{text}"
        );
    }
}
