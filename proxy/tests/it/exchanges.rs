//! Requests and answers on connections that are kept.

use crate::backend::{Backend, respond};
use std::sync::{Arc, Barrier};

use crate::client::{PATIENCE, Peer, until};
use crate::world::Plan;

#[test]
fn a_connection_serves_many_requests_over_one_upstream_connection() {
    let backend = Backend::echo("b");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for path in ["/one", "/two?x=1", "/three"] {
        let answer = client.get(path);
        assert_eq!(answer.status(), 200);
        assert!(answer.body.starts_with(&format!("b\nGET {path} HTTP/1.1")), "{}", answer.body);
    }
    assert_eq!(backend.connections(), 1);
    assert_eq!(world.proxy().stats().upstream_reused, 2);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::echo("b");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    let one = |path| format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let post = "POST /b HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
    client.send(&format!("{}{post}{}", one("/a"), one("/c")));
    for (path, body) in [("GET /a", ""), ("POST /b", "hello"), ("GET /c", "")] {
        let answer = client.response();
        assert!(answer.body.starts_with(&format!("b\n{path} ")), "{}", answer.body);
        assert!(answer.body.ends_with(body));
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let backend = Backend::echo("b");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for byte in
        "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n".chars()
    {
        client.send(&byte.to_string());
    }
    assert!(client.response().body.ends_with("\n\nab"));
}

#[test]
fn close_is_honoured_on_either_side() {
    let backend = Backend::echo("b");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(!answer.body.to_lowercase().contains("connection:"), "hop-by-hop is not forwarded");
    assert!(client.is_closed());

    let closing = Backend::once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    let world = Plan::new(&[closing.address]).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!((answer.status(), &*answer.body), (200, "ok"));
        assert_eq!(answer.header("connection"), None, "the endpoint's close is not the client's");
    }
    assert_eq!(closing.connections(), 3);
}

#[test]
fn a_client_that_says_close_is_not_waited_for_but_one_that_goes_on_gets_its_answer() {
    const LAST: &str = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    let (asked, goes_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let barriers = (asked.clone(), goes_on.clone());
    let backend = Backend::script(move |mut peer, _| {
        while peer.request().is_some() {
            barriers.0.wait();
            barriers.1.wait();
            peer.send(&respond(200, &"x".repeat(300_000)));
        }
    });
    // So long that a wait would not end.
    let world = Plan::new(&[backend.address]).limits(|limits| limits.linger_timeout = 2 * PATIENCE).start();
    let mut client = Peer::connect(world.gateway);
    client.send(LAST);
    asked.wait();
    goes_on.wait();
    assert_eq!(client.response().body.len(), 300_000);
    until("it is closed", || world.proxy().stats().open == 0);
    assert!(client.is_closed());

    // A close with bytes unread would be a reset, and the answer lost.
    let mut client = Peer::connect(world.gateway);
    client.send(LAST);
    asked.wait();
    client.send(LAST);
    goes_on.wait();
    assert_eq!(client.response().body.len(), 300_000);
    assert!(client.rest().is_empty(), "an end, not a reset");
    client.shut();
    until("it is closed", || world.proxy().stats().open == 0);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let cases = [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", Some("1000")),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", Some("9")),
    ];
    for (method, answer, length) in cases {
        let backend = Backend::always(answer);
        let world = Plan::new(&[backend.address]).start();
        let mut client = Peer::connect(world.gateway);
        for _ in 0..2 {
            client.send(&format!("{method} / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
            let head = client.head().expect("an answer");
            let found = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            assert_eq!(found, length, "{method} {answer}");
        }
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn http_1_0_clients_get_plain_bodies() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let backend = Backend::always(chunked);
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    let head = client.head().unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert!(head.contains("Connection: close"), "{head}");
    assert_eq!(client.rest(), b"abcde");

    let backend = Backend::echo("b");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.response();
        assert_eq!(answer.header("connection"), Some("keep-alive"));
        assert!(answer.body.contains("GET / HTTP/1.1\r\nHost:"), "{}", answer.body);
    }
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_closed_its_sending_side_gets_its_answer() {
    let backend = Backend::echo("b");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.shut();
    assert_eq!(client.response().status(), 200);
    assert!(client.is_closed());
}

#[test]
fn interim_answers_are_forwarded_to_clients_that_know_them() {
    let text = format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{}", respond(200, "ok"));
    let backend = Backend::always(text);
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 103 "));
    assert_eq!(client.response().body, "ok");
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
}
