//! Bodies of every framing, moved and not rebuilt.

use crate::backend::{Backend, respond};
use crate::client::Peer;
use crate::world::Plan;

#[test]
fn chunks_and_trailers_pass_as_they_are() {
    let body = "3;name=x\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n";
    let head = "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
    let backend = Backend::always(format!("HTTP/1.1 200 OK\r\n{head}{body}"));
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..2 {
        client.send(&format!("POST / HTTP/1.1\r\nHost: a.test\r\n{head}{body}"));
        let answer = client.response();
        assert_eq!(answer.raw, body.as_bytes());
    }
    assert_eq!(backend.connections(), 1);
    backend.request(0, |request| assert_eq!(request.raw, body.as_bytes()));
}

#[test]
fn large_bodies_pass_both_ways_within_bounded_buffers() {
    const SIZE: usize = 8 << 20;
    let backend = Backend::echo("b");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    let body: String = (0..SIZE / 8).map(|n| format!("{n:07x}\n")).collect();
    client.send(&format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", body.len()));
    let mut sender = client.stream.try_clone().unwrap();
    let text = body.clone();
    std::thread::spawn(move || std::io::Write::write_all(&mut sender, text.as_bytes()));
    let answer = client.response();
    assert!(answer.body.ends_with(&body), "the body came back whole");
    assert_eq!(client.get("/next").status(), 200);
}

#[test]
fn a_body_that_the_close_ends_closes_the_client_too() {
    let backend = Backend::once("HTTP/1.1 200 OK\r\n\r\nall of it");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    let answer = client.get("/");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(answer.body, "all of it");
}

#[test]
fn continue_is_the_endpoints_to_say() {
    let backend = Backend::script(|mut peer, _| {
        while let Some(head) = peer.head() {
            assert!(head.contains("Expect: 100-continue"), "{head}");
            peer.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = String::from_utf8(peer.take(5)).unwrap();
            peer.send(&respond(200, &body));
        }
    });
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.head().as_deref(), Some("HTTP/1.1 100 Continue"));
        client.send("hello");
        assert_eq!(client.response().body, "hello");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_final_answer_instead_of_continue_closes_the_connection() {
    let backend = Backend::script(|mut peer, _| {
        peer.head();
        peer.send(&respond(401, "no"));
        peer.rest();
    });
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status(), answer.header("connection")), (401, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn an_answer_before_the_body_is_whole_reaches_the_client() {
    let backend = Backend::script(|mut peer, _| {
        peer.head();
        peer.send(&respond(413, "too much"));
        peer.rest();
    });
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nsome");
    let answer = client.response();
    assert_eq!((answer.status(), &*answer.body), (413, "too much"));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn a_slow_client_stops_the_endpoint() {
    const SIZE: usize = 64 << 20;
    let (told, sent) = std::sync::mpsc::channel();
    let backend = Backend::script(move |mut peer, _| {
        peer.head();
        peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        let piece = "x".repeat(1 << 16);
        for at in 0..SIZE >> 16 {
            if peer.try_send(&piece).is_err() {
                return;
            }
            let _ = told.send(at);
        }
    });
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    // The kernel's buffers fill, then nothing moves: the endpoint is not read ahead of the client.
    let still = std::time::Duration::from_millis(500);
    let mut pieces = 0;
    while sent.recv_timeout(still).is_ok() {
        pieces += 1;
    }
    assert!(pieces < SIZE >> 16, "the whole body was taken from the endpoint");
    assert_eq!(client.response().raw.len(), SIZE);
}

#[test]
fn a_broken_body_closes_both_sides() {
    // The endpoint breaks off.
    let short = Backend::once("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    let mut world = Plan::new(&[short.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.head().unwrap();
    assert_eq!(client.take(3), b"abc");
    assert!(client.is_closed());
    assert_eq!(world.flow().reason, model::flow::FlowReason::UpstreamFailed);

    // The client breaks off.
    let (told, ended) = std::sync::mpsc::channel();
    let backend = Backend::script(move |mut peer, _| {
        peer.head();
        let _ = told.send(peer.take(3));
        let _ = told.send(peer.rest());
    });
    let mut world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(ended.recv_timeout(crate::client::PATIENCE).unwrap(), b"abc");
    drop(client);
    assert_eq!(ended.recv_timeout(crate::client::PATIENCE).unwrap(), b"");
    assert_eq!(world.flow().reason, model::flow::FlowReason::ClientGone);

    // Chunks that are none.
    let backend = Backend::echo("b");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(client.response().status(), 400);
    assert!(client.is_closed());
    assert_eq!(backend.requests(), 0);
}
