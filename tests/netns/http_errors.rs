//! Malformed requests through the built binary: the right status and a close, never a guess.

use tests::Weir;
use tests::client::Client;

use crate::world::World;

#[test]
fn malformed_requests_get_their_status_and_a_close() {
    needs_lab!();
    let world = World::new();
    world
        .lab
        .write("policy.yaml", &crate::world::GET_PUBLIC.replace("method: GET, path: /public", "path: '/.*'"));
    let weir = Weir::start(&world.lab);
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(20_000));
    let table: [(&str, &str, u16); 16] = [
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            400,
        ),
        (
            "length and chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (
            "chunks of HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        ("bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", 400),
        ("folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
        ("space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        ("control in a target", "GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("NUL in a path", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("huge head", &long, 431),
        ("huge target", &long_target, 414),
        ("unknown version", "GET / HTTP/1.9\r\nHost: a\r\n\r\n", 505),
    ];
    for (what, bytes, status) in table {
        let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
        // The answer may come before the last byte is taken.
        client.send(bytes).ok();
        let answer = client.response().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(client.rest().unwrap(), b"", "{what}: not closed");
    }
    assert_eq!(world.backend.count(), 0, "none of them arrived");
    weir.wait_flow("a bad request", |flow| flow["reason"] == "bad_request");
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    assert_eq!(client.get("/").unwrap().status, 200);
}

/// A chunk that is wrong comes to light after the head was judged: the request must not complete.
#[test]
fn a_bad_chunk_never_completes_a_request() {
    needs_lab!();
    let world = World::new();
    world
        .lab
        .write("policy.yaml", &crate::world::GET_PUBLIC.replace("method: GET, path: /public", "path: '/.*'"));
    let _weir = Weir::start(&world.lab);
    for chunk in ["zz\r\n", "-1\r\n", "1\r\nab\r\n", "1\nx\n"] {
        let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{chunk}0\r\n\r\n")).ok();
        let rest = String::from_utf8_lossy(&client.rest().unwrap()).into_owned();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{chunk:?}: {rest}");
    }
    assert_eq!(world.backend.count(), 0);
}

#[test]
fn bodies_trailers_upgrades_and_expect_pass() {
    needs_lab!();
    let world = World::new();
    world
        .lab
        .write("policy.yaml", &crate::world::GET_PUBLIC.replace("method: GET, path: /public", "path: '/.*'"));
    let _weir = Weir::start(&world.lab);
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    let answer = client.get("/chunked").unwrap();
    assert_eq!((answer.text().as_str(), answer.header("x-end")), ("v1", Some("yes")));
    client.send("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").unwrap();
    assert_eq!(client.response().unwrap().status, 200);
    assert_eq!(world.backend.last().body, b"abcde");
    client
        .send("POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok")
        .unwrap();
    assert_eq!(client.response().unwrap().status, 200);
    assert_eq!(world.backend.last().body, b"ok");
    assert_eq!(client.get("/big").unwrap().body.len(), tests::backend::BIG);
    // Two at once, answered in order.
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /chunked HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.response().unwrap().header("x-end"), None);
    assert_eq!(client.response().unwrap().header("x-end"), Some("yes"));
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
    assert_eq!(client.request("GET", "/ws", &upgrade).unwrap().status, 101);
    client.send(b"\x81\x02hi").unwrap();
    assert_eq!(client.read(4).unwrap(), b"\x81\x02hi");
    // h2c is no upgrade: an ordinary request.
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    let upgrade = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"];
    assert_eq!(client.request("GET", "/h2c", &upgrade).unwrap().status, 200);
    assert_eq!(world.backend.last().header("upgrade"), None);
    assert_eq!(client.get("/close").unwrap().text(), "v1");
}
