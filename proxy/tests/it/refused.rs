//! Requests that are refused: each has its status, and the connection closes.

use std::time::Duration;

use model::flow::{FlowReason, FlowVerdict};

use crate::backend::Backend;
use crate::client::{Peer, until};
use crate::world::Plan;

#[test]
fn malformed_requests_are_answered_and_closed() {
    let long = "x".repeat(70_000);
    let fields: String = (0..150).map(|n| format!("X-{n}: y\r\n")).collect();
    let cases: Vec<(String, u16)> = [
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        ("GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417),
    ]
    .map(|(text, status)| (text.to_owned(), status))
    .into_iter()
    .chain([
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..20_000]), 414),
    ])
    .collect();
    let backend = Backend::echo("b");
    let mut world = Plan::new(&[backend.address]).start();
    for (text, status) in cases {
        let mut client = Peer::connect(world.gateway);
        client.send(&text);
        let answer = client.response();
        let shown = &text[..text.len().min(80)];
        assert_eq!(answer.status(), status, "{shown:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
        assert!(client.is_closed(), "{shown:?}");
        let flow = world.flow();
        assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Failed, FlowReason::BadRequest), "{shown:?}");
        assert_eq!(flow.http.unwrap().status, status, "{shown:?}");
        // Where the head was whole and its target was not, the connection has a record too.
        drop(client);
        until("closed", || world.proxy().stats().open == 0);
        let left = world.flows_left();
        assert!(left.len() <= 1 && left.iter().all(|flow| flow.http.is_none()), "{shown:?}: {left:?}");
    }
    assert_eq!(backend.requests(), 0);
    assert_eq!(world.proxy().stats().limit_head, 3);
}

#[test]
fn what_is_not_http_is_closed_without_a_word() {
    let backend = Backend::echo("b");
    let mut world = Plan::new(&[backend.address]).start();
    for text in ["\x16\x03\x01\x02\x00\x01", "SSH-2.0-x\r\n", "PRI * HTTP/2.0\r\n\r\nSX", "\0\0\0\0"] {
        let mut client = Peer::connect(world.gateway);
        client.send(text);
        assert!(client.is_closed(), "{text:?}");
        assert_eq!(world.flow().reason, FlowReason::NotHttp, "{text:?}");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn slow_heads_and_silence_are_closed() {
    let backend = Backend::echo("b");
    // So long that the half is there by then, also on a busy machine.
    let limits = |limits: &mut proxy::Limits| limits.head_timeout = Duration::from_secs(3);
    let mut world = Plan::new(&[backend.address]).limits(limits).start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost");
    let answer = client.response();
    assert_eq!((answer.status(), answer.header("connection")), (408, Some("close")));
    assert!(client.is_closed());
    assert_eq!(world.flow().reason, FlowReason::ClientTimeout);

    assert!(Peer::connect(world.gateway).is_closed());
    assert_eq!(world.flow().reason, FlowReason::ClientTimeout);
    assert_eq!(world.proxy().stats().limit_head_timeout, 2);
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let backend = Backend::echo("b");
    let limits = |limits: &mut proxy::Limits| limits.idle_timeout = Duration::from_millis(100);
    let mut world = Plan::new(&[backend.address]).limits(limits).start();
    let mut client = Peer::connect(world.gateway);
    assert_eq!(client.get("/").status(), 200);
    assert!(client.is_closed());
    assert_eq!(world.proxy().stats().limit_idle_timeout, 1);
    assert!(world.flow().http.is_some());
    assert!(world.flow().http.is_none(), "the connection");
    assert!(world.has_no_flow(), "idling is no request");
}
