//! WebSocket with clients and servers that others wrote: package `ws`, node's own, which is undici's, and
//! RFC 8441 over node's HTTP/2; and CONNECT by curl.

mod connect;
mod policy;

use serde_json::{Value, json};
use tests::certificate::Certificate;
use tests::driver::objects;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::requirements::skip;
use tests::{Driver, Host, Peer, Weir, until};

use crate::tls::https;
use crate::world::World;

/// The port of the server.
const PORT: u16 = 81;
/// The name that the certificate is for.
const NAME: &str = "ws.test";

/// The world with Gateway `web`, on 8080 in the clear and on 8443 for [`NAME`], and everything routed to
/// a server in the api pod.
struct Place {
    world: World,
    server: Peer,
    certificate: Certificate,
}

impl Place {
    fn new() -> Self {
        let world = World::new();
        let server =
            Peer::node(&world.api.ns, "ws_server.mjs", &[&world.api.v4.to_string(), &PORT.to_string(), "ws"]);
        let certificate = Certificate::new(world.lab.folder(), NAME);
        let secure = https("tls", &format!("hostname: {NAME}, "));
        world.lab.write(
            "pods.yaml",
            &documents(&[
                world.pods(),
                gateway("web", 8080, &[]) + &secure,
                certificate.secret("tls"),
                service("ws", &["10.96.0.1"], 80, &[(world.api.v4.into(), PORT)]),
                ROUTE.into(),
            ]),
        );
        Self { world, server, certificate }
    }

    /// A client on a pod.
    fn client(&self, host: &Host) -> Driver {
        let certificate = self.certificate.certificate.to_string_lossy();
        Driver::node(&host.ns, "ws_client.mjs", &[&certificate])
    }

    /// What its server was asked for: paths of upgrades.
    fn paths(&self) -> Vec<Value> {
        objects(&self.server).iter().map(|line| line["url"].clone()).filter(Value::is_string).collect()
    }
}

/// By what a driver can open connections.
fn clients(client: &Driver) -> Vec<&'static str> {
    let has = client.ask(json!({"has": "built-in"}))["has"] == true
        || skip("websocket: node's own client", "node has none before 20.10");
    ["ws", "built-in", "connect"].into_iter().filter(|by| has || *by != "built-in").collect()
}

/// An address of the Gateway.
fn url(path: &str) -> String {
    format!("ws://{NODE_V4}:8080{path}")
}

/// Opens a connection, which must succeed.
fn open(client: &Driver, name: &str, by: &str, url: &str) -> Value {
    let said = client.ask(json!({"open": name, "by": by, "url": url}));
    assert_eq!(said["opened"], true, "{by} {url}: {said}");
    said
}

/// Messages of all kinds, there and back.
fn exchange(client: &Driver, name: &str, by: &str) {
    let texts = ["a", "", "grüß dich", &"long ".repeat(30)];
    for text in texts {
        // The last is longer than a frame's shortest length.
        let said = client.ask(json!({"send": name, "text": text}));
        assert_eq!((&said["text"], &said["isBinary"]), (&json!(text), &json!(false)), "{by}");
    }
    let said = client.ask(json!({"send": name, "binary": "00ff8081"}));
    assert_eq!((&said["binary"], &said["isBinary"]), (&json!("00ff8081"), &json!(true)), "{by}");
    if by != "built-in" {
        let said = client.ask(json!({"send": name, "text": "in three frames", "parts": 3}));
        assert_eq!(said["text"], "in three frames", "{by}");
    }
    for bytes in [70_000, 5_000_000] {
        let said = client.ask(json!({"big": name, "bytes": bytes}));
        assert_eq!((&said["length"], &said["isBinary"]), (&json!(bytes), &json!(true)), "{by}");
        assert_eq!(said["digest"], digest(bytes), "{by}");
    }
}

/// The SHA-256 of so many `z`.
fn digest(bytes: usize) -> &'static str {
    match bytes {
        70_000 => "c466389580aea5a288efb4f6e7961e68077fc5295e3e9222d9abee4a34b99a05",
        5_000_000 => "eb3d0a99bd067397945e36e632ea8fdf5dab422face355422b13f6c3b3c2f0d1",
        _ => unreachable!("no other is sent"),
    }
}

#[test]
fn messages_of_all_kinds_pass_both_ways() {
    needs_lab!("node", "openssl", "npm:ws");
    let place = Place::new();
    let _weir = Weir::start(&place.world.lab);
    let client = place.client(&place.world.frontend);
    for by in clients(&client) {
        let said = open(&client, by, by, &url("/echo"));
        exchange(&client, by, by);
        if by == "connect" {
            assert_eq!((&said["enableConnectProtocol"], &said["status"]), (&json!(true), &json!(200)));
        }
        let ended = client.ask(json!({"close": by, "code": 4002, "reason": "that is all"}));
        assert_eq!((&ended["code"], &ended["reason"]), (&json!(4002), &json!("that is all")), "{by}");
    }
    let count = clients(&client).len();
    until("the ends at the server", || {
        let ends = objects(&place.server);
        (ends.iter().filter(|end| end["closed"] == 4002 && end["reason"] == "that is all").count() == count)
            .then_some(())
    });
    // What the server sees is an upgrade of HTTP/1.1, whatever the client speaks.
    let asked: Vec<Value> =
        objects(&place.server).into_iter().filter(|line| line["url"] == "/echo").collect();
    assert_eq!(asked.len(), count);
    for line in asked {
        let headers = &line["headers"];
        assert_eq!(headers["upgrade"], "websocket", "{line}");
        assert_eq!(headers["host"], format!("{NODE_V4}:8080"), "{line}");
        assert!(headers["sec-websocket-key"].is_string(), "{line}");
    }
}

#[test]
fn messages_pass_in_tls() {
    needs_lab!("node", "openssl", "npm:ws");
    let place = Place::new();
    let _weir = Weir::start(&place.world.lab);
    let client = place.client(&place.world.frontend);
    for by in ["ws", "connect"] {
        let url = format!("wss://{NODE_V4}:8443/echo");
        let said = client.ask(json!({"open": by, "by": by, "url": url, "host": NAME}));
        assert_eq!(said["opened"], true, "{by}: {said}");
        exchange(&client, by, by);
        let ended = client.ask(json!({"close": by, "code": 1000}));
        assert_eq!(ended["code"], 1000, "{by}");
    }
}

#[test]
fn either_side_may_speak_ping_and_close_first() {
    needs_lab!("node", "openssl", "npm:ws");
    let place = Place::new();
    let _weir = Weir::start(&place.world.lab);
    let client = place.client(&place.world.frontend);
    for by in clients(&client) {
        open(&client, "hello", by, &url("/hello"));
        assert_eq!(client.ask(json!({"take": "hello"}))["text"], "ws speaks first", "{by}");
        open(&client, "bye", by, &url("/bye"));
        let ended = client.ask(json!({"closed": "bye"}));
        assert_eq!((&ended["code"], &ended["reason"]), (&json!(4001), &json!("as asked")), "{by}");
        let pongs = || objects(&place.server).iter().filter(|line| line["pong"] == "are you there").count();
        let before = pongs();
        open(&client, "ping", by, &url("/ping"));
        until("the pong", || (pongs() > before).then_some(()));
        if by != "built-in" {
            assert_eq!(client.ask(json!({"take": "ping"}))["ping"], "are you there", "{by}");
            assert_eq!(client.ask(json!({"ping": "ping", "text": "yes"}))["pong"], "yes", "{by}");
        }
    }
}

/// What both ends settle on between them is theirs.
#[test]
fn subprotocols_and_extensions_are_passed_on() {
    needs_lab!("node", "openssl", "npm:ws");
    let place = Place::new();
    let _weir = Weir::start(&place.world.lab);
    let client = place.client(&place.world.frontend);
    for by in clients(&client) {
        let said = client.ask(json!({"open": "chat", "by": by, "url": url("/echo"), "protocol": "chat.v1"}));
        assert_eq!((&said["opened"], &said["protocol"]), (&json!(true), &json!("chat.v1")), "{by}: {said}");
    }
    let said = client.ask(json!({"open": "deflate", "url": url("/deflate"), "deflate": true}));
    assert_eq!(said["extensions"], "permessage-deflate", "{said}");
    let text = "again and ".repeat(1_000);
    let said = client.ask(json!({"send": "deflate", "text": text}));
    assert_eq!(said["length"], text.len(), "{said}");
}

#[test]
fn a_connection_outlives_changes_that_do_not_concern_it() {
    needs_lab!("node", "openssl", "npm:ws");
    let place = Place::new();
    let weir = Weir::start(&place.world.lab);
    let client = place.client(&place.world.frontend);
    for by in clients(&client) {
        open(&client, by, by, &url("/echo"));
    }
    let before = weir.revision();
    place.world.lab.write("route.yaml", &ROUTE.replace("name: ws, namespace", "name: later, namespace"));
    weir.wait_revision(before);
    for by in clients(&client) {
        exchange(&client, by, by);
    }
}

/// Everything to Service `ws`.
const ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ws, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - backendRefs: [{name: ws, port: 80}]
"#;
