//! Paths that mean one thing to who judges and another to who serves: `%2f`, `;`, `//`, `..`, NUL, mixed
//! case, `%2e`, backslash. Only `/public` may be reached; what is forwarded is what was matched, byte for
//! byte; and however leniently an endpoint reads it, it is not `/secret`.

mod fields;
mod table;

use tests::client::Client;
use tests::h2::{self, Endpoint, code};
use tests::lab::NODE_V4;
use tests::{Recorder, Weir};

use crate::world::World;
use table::{Outcome, TABLE};

/// A pod with an endpoint of HTTP/1.1 on port 81 and one of HTTP/2 on port 82, both policed, and a
/// Gateway on 8080 whose only route leads to the first.
struct Site {
    plain: Recorder,
    h2: Endpoint,
    weir: Weir,
    world: World,
}

impl Site {
    fn start(policy: &str) -> Self {
        let world = World::new();
        world.write_gateway("/public", 81);
        world.lab.write("policy.yaml", policy);
        let plain = Recorder::new(&world.api.ns, world.api.at(81));
        let h2 = Endpoint::new(&world.api.ns, world.api.at(82));
        Self { plain, h2, weir: Weir::start(&world.lab), world }
    }

    /// What the endpoints were asked so far: method and target.
    fn asked(&self) -> Vec<String> {
        let plain = self.plain.messages().into_iter().map(|message| message.asked().to_owned());
        let h2 = self.h2.seen();
        let h2 =
            h2.iter().map(|seen| format!("{} {}", seen.field(":method").unwrap_or_default(), seen.path()));
        plain.chain(h2).collect()
    }

    /// The endpoints have seen nothing yet.
    fn forget(&self) {
        self.plain.forget();
        self.h2.forget();
    }

    fn client(&self, port: u16) -> Client {
        let to = if port == 8080 { (NODE_V4, port).into() } else { self.world.api.at(port) };
        Client::connect(&self.world.frontend, to).unwrap()
    }

    fn h2_client(&self, port: u16) -> h2::Client {
        let to = if port == 8080 { (NODE_V4, port).into() } else { self.world.api.at(port) };
        h2::Client::connect(&self.world.frontend, to).unwrap()
    }

    /// Holds what a client got, and what the endpoint saw of it, against what should be. `refused` is the
    /// status of what is not allowed.
    fn check(&self, target: &str, outcome: Outcome, got: (u16, Option<String>), refused: u16) {
        let asked = self.asked();
        let forwarded = asked.iter().filter_map(|asked| asked.strip_prefix("GET "));
        let expected = match outcome {
            Outcome::As(path) => {
                assert_eq!(asked, [format!("GET {path}")], "{target:?}: what was forwarded");
                // What the flow record says was matched.
                self.weir
                    .wait_flow(path, |flow| flow["verdict"] == "FORWARDED" && flow["http"]["path"] == path);
                (200, None)
            }
            Outcome::Refused => (refused, None),
            Outcome::Bad => (400, None),
            Outcome::To(location) => (307, Some(location.to_owned())),
        };
        assert_eq!(got, expected, "{target:?}");
        for path in forwarded {
            assert!(table::most_lenient(path).starts_with("/public"), "{target:?}: {path:?}");
        }
        if !matches!(outcome, Outcome::As(_)) {
            assert_eq!(asked, [""; 0], "{target:?}: the endpoint heard of it");
        }
    }
}

/// Every path of the table in HTTP/1.1, each on its own connection and from a clean slate.
fn in_http1(port: u16, refused: u16) {
    let site = Site::start(PUBLIC);
    for (target, outcome) in TABLE {
        let mut client = site.client(port);
        let answer = client.request("GET", target, &["Host: a.test"]).unwrap();
        let location = answer.header("location").map(str::to_owned);
        site.check(target, *outcome, (answer.status, location), refused);
        drop(client);
        site.forget();
    }
}

/// The same in HTTP/2, all on one connection.
fn in_http2(port: u16, refused: u16) {
    let site = Site::start(PUBLIC);
    let mut client = site.h2_client(port);
    for (target, outcome) in TABLE {
        let answer = client.get(target).unwrap();
        assert_eq!(answer.reset, None, "{target:?}");
        let location = answer.field("location").map(str::to_owned);
        site.check(target, *outcome, (answer.status, location), refused);
        site.forget();
    }
}

#[test]
fn against_policy_in_http1() {
    needs_lab!();
    in_http1(81, 403);
}

#[test]
fn against_policy_in_http2() {
    needs_lab!();
    in_http2(82, 403);
}

/// Through a route: to an endpoint of HTTP/1.1.
#[test]
fn against_a_route_in_http1() {
    needs_lab!();
    in_http1(8080, 404);
}

#[test]
fn against_a_route_in_http2() {
    needs_lab!();
    in_http2(8080, 404);
}

/// Bytes that no target may have, which are no text for the table.
#[test]
fn bytes_that_no_path_has() {
    needs_lab!();
    let site = Site::start(PUBLIC);
    let targets: [&[u8]; 9] = [
        b"/public/\0/../secret",
        b"/public/\x01",
        b"/public/\x7f",
        b"/public/\xc0\xae\xc0\xae/secret",
        "/public/\u{ff0e}\u{ff0e}/secret".as_bytes(),
        b"/public/\x0b/x",
        b"/public /../secret",
        b"/public\t/../secret",
        b"/public/\r/x",
    ];
    for port in [81, 82, 8080] {
        for target in targets {
            if port != 82 {
                let mut client = site.client(port);
                client.send([b"GET ", target, b" HTTP/1.1\r\nHost: a.test\r\n\r\n"].concat()).unwrap();
                assert_eq!(client.response().unwrap().status, 400, "{target:?}");
            }
            if port != 81 {
                let mut client = site.h2_client(port);
                let method =
                    [(&b":method"[..], &b"GET"[..]), (b":scheme", b"http"), (b":authority", b"a.test")];
                let answer = client.ask(&[&method[..], &[(b":path", target)]].concat()).unwrap();
                let malformed = answer.reset == Some(code::PROTOCOL_ERROR);
                assert!(malformed || answer.status == 400, "{target:?}: {answer:?}");
            }
        }
    }
    assert_eq!(site.asked(), [""; 0]);
}

/// Forms of a target other than a path, and methods in another case.
#[test]
fn forms_and_methods() {
    needs_lab!();
    let site = Site::start(PUBLIC);
    let at = site.world.api.at(81);
    let table = [
        (format!("GET http://{at}/secret"), 403),
        (format!("GET http://{at}/public/../secret"), 403),
        (format!("GET http://{at}/public/..%2fsecret"), 307),
        (format!("GET http://{at}"), 403),
        (format!("GET http://{at}?/public"), 403),
        (format!("GET http://{at}/public/x"), 200),
        ("GET *".into(), 400),
        ("OPTIONS *".into(), 403),
        (format!("CONNECT {at}"), 405),
        ("get /public/x".into(), 403),
        ("Get /public/x".into(), 403),
        ("POST /public/x".into(), 403),
        ("GET public/x".into(), 400),
        ("GET public/../../secret".into(), 400),
        ("GET ../secret".into(), 400),
        ("GET \\secret".into(), 400),
    ];
    for (start, status) in table {
        let mut client = site.client(81);
        client.send(format!("{start} HTTP/1.1\r\nHost: {at}\r\n\r\n")).unwrap();
        assert_eq!(client.response().unwrap().status, status, "{start}");
    }
    assert_eq!(site.asked(), ["GET /public/x"]);
}

/// `role=frontend` may `GET` what is below `/public`, in either version.
const PUBLIC: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: frontend}}]
    toPorts:
    - ports: [{port: "81", protocol: TCP}, {port: "82", protocol: TCP}]
      rules: {http: [{method: GET, path: "/public(/.*)?"}]}
"#;
