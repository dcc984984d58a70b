//! HTTP/2 clients and endpoints that speak HTTP/1.1.

use bytes::Bytes;
use http::HeaderMap;
use model::route::RouteRule;

use super::peer::{ask, block_on, connect, connect_by, get, receive, request, send, until};
use crate::backend::{Backend, respond};
use crate::client::{Message, Peer};
use crate::world::{Plan, rule, to};

#[test]
fn a_request_is_answered_by_prior_knowledge() {
    let backend = Backend::echo("one");
    let mut world = Plan::new(&[backend.address]).start();
    block_on(async {
        let mut client = connect(world.gateway).await;
        for path in ["/a", "/b?c=d"] {
            let answer = get(&mut client, path).await.unwrap();
            assert_eq!(answer.status, 200);
            assert!(answer.text().starts_with(&format!("one\nGET {path} HTTP/1.1\r\n")), "{}", answer.text());
            assert!(answer.text().to_lowercase().contains("\r\nhost: a.test\r\n"), "{}", answer.text());
            assert!(answer.header("content-length").is_some());
            assert!(answer.header("connection").is_none() && answer.trailers.is_none());
        }
    });
    let record = world.flow();
    assert_eq!(record.http.unwrap().version, model::flow::HttpVersion::Http2);
    assert_eq!(world.proxy().stats().streams, 2);
}

#[test]
fn bodies_of_every_framing_pass_both_ways() {
    let backend = Backend::echo("one");
    let world = Plan::new(&[backend.address]).start();
    block_on(async {
        let mut client = connect(world.gateway).await;
        for (length, body) in [(true, "hello"), (false, "hello"), (true, ""), (false, "")] {
            let mut head = request("POST", "/");
            if length {
                head = head.header("content-length", body.len());
            }
            let answer = send(&mut client, head, body.as_bytes(), None).await.unwrap();
            assert_eq!(answer.status, 200);
            assert!(answer.text().ends_with(&format!("\n\n{body}")), "{length} {body:?}: {}", answer.text());
        }
    });
    // Of the last, the end may have come with the head: then it has no body to announce.
    let expected = ["Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: 0"];
    for (index, line) in expected.into_iter().enumerate() {
        assert!(backend.request(index, |request| request.head.contains(line)), "{index}");
    }
}

#[test]
fn answers_of_every_framing_become_data_and_an_end() {
    let cases = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            200,
            "hello",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello"),
        ("HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello"),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            200,
            "ok",
        ),
    ];
    for (text, status, body) in cases {
        let backend = Backend::once(text);
        let world = Plan::new(&[backend.address]).start();
        block_on(async {
            let answer = get(&mut connect(world.gateway).await, "/").await.unwrap();
            assert_eq!((answer.status, answer.text()), (status, body), "{text}");
        });
    }
}

#[test]
fn the_answer_to_head_has_a_length_and_no_body() {
    let backend = Backend::once("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let world = Plan::new(&[backend.address]).start();
    block_on(async {
        let answer = ask(&mut connect(world.gateway).await, request("HEAD", "/")).await.unwrap();
        assert_eq!((answer.status, answer.text(), answer.header("content-length")), (200, "", Some("5")));
    });
}

#[test]
fn trailers_pass_both_ways() {
    let backend = Backend::script(|mut peer, log| {
        let request = peer.request().unwrap();
        log.lock().unwrap().push(request);
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\nX-Two: b c\r\n\r\n");
    });
    let world = Plan::new(&[backend.address]).start();
    block_on(async {
        let trailers = HeaderMap::from_iter([("x-up".parse().unwrap(), "1".parse().unwrap())]);
        let head = request("POST", "/").header("te", "trailers");
        let answer = send(&mut connect(world.gateway).await, head, b"hello", Some(trailers)).await.unwrap();
        assert_eq!(answer.text(), "ok");
        assert_eq!((answer.trailer("x-sum"), answer.trailer("x-two")), (Some("1"), Some("b c")));
    });
    let raw = backend.request(0, |request| String::from_utf8(request.raw.clone()).unwrap());
    assert!(raw.ends_with("0\r\nx-up: 1\r\n\r\n"), "{raw}");
}

#[test]
fn a_thousand_requests_pass_on_one_connection() {
    let backend = Backend::echo("one");
    let world = Plan::new(&[backend.address]).start();
    block_on(async {
        let client = connect(world.gateway).await;
        let mut calls = Vec::new();
        for number in 0..1000 {
            let mut client = client.clone();
            calls.push(tokio::spawn(async move {
                let path = format!("/{number}");
                let answer = get(&mut client, &path).await.unwrap();
                assert!(answer.text().contains(&format!("GET {path} HTTP/1.1")), "{}", answer.text());
            }));
        }
        for call in calls {
            call.await.unwrap();
        }
    });
    assert_eq!(backend.requests(), 1000);
    assert_eq!(world.proxy().stats().accepted, 1);
}

#[test]
fn requests_of_one_connection_are_spread_over_endpoints() {
    let (one, two) = (Backend::echo("one"), Backend::echo("two"));
    let world = Plan::new(&[one.address, two.address]).start();
    block_on(async {
        let mut client = connect(world.gateway).await;
        for _ in 0..40 {
            get(&mut client, "/").await.unwrap();
        }
    });
    assert!(one.requests() > 0 && two.requests() > 0, "{} {}", one.requests(), two.requests());
    assert_eq!(one.requests() + two.requests(), 40);
}

#[test]
fn big_bodies_pass_small_windows() {
    let body = vec![b'x'; 3 * 1024 * 1024];
    let expected = body.len();
    let backend = Backend::script(move |mut peer, _| {
        let request = peer.request().unwrap();
        assert_eq!(request.body.len(), expected);
        peer.send(&respond(200, &request.body));
    });
    let world = Plan::new(&[backend.address]).start();
    block_on(async {
        let stream = tokio::net::TcpStream::connect(world.gateway).await.unwrap();
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(5000).initial_connection_window_size(70_000).max_frame_size(16_384);
        let mut client = connect_by(stream, &builder).await;
        let answer = send(&mut client, request("POST", "/"), &body, None).await.unwrap();
        assert_eq!(answer.body.len(), expected);
        assert!(answer.body == body);
    });
}

#[test]
fn an_early_answer_ends_the_request() {
    let backend = Backend::script(|mut peer, _| {
        peer.head().unwrap();
        peer.send("HTTP/1.1 413 X\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
        // What is still sent must not reset the answer.
        while !peer.take(1).is_empty() {}
    });
    let world = Plan::new(&[backend.address]).start();
    block_on(async {
        let client = connect(world.gateway).await;
        let (response, mut stream) = client
            .ready()
            .await
            .unwrap()
            .send_request(request("POST", "/").body(()).unwrap(), false)
            .unwrap();
        stream.send_data(Bytes::from_static(b"hello"), false).unwrap();
        let answer = receive(response.await.unwrap()).await.unwrap();
        assert_eq!((answer.status, answer.text()), (413, "big"));
        let reason = std::future::poll_fn(|context| stream.poll_reset(context)).await.unwrap();
        assert_eq!(reason, h2::Reason::NO_ERROR);
    });
}

#[test]
fn a_reset_by_the_client_ends_the_request_upstream() {
    let backend = Backend::script(|mut peer, log| {
        let head = peer.head().unwrap();
        log.lock().unwrap().push(Message { head, body: String::new(), raw: Vec::new() });
        assert!(peer.rest().is_empty());
        log.lock().unwrap().clear();
    });
    let mut world = Plan::new(&[backend.address]).start();
    block_on(async {
        let client = connect(world.gateway).await;
        let mut client = client.ready().await.unwrap();
        let (response, mut stream) =
            client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
        until("the request is there", || backend.requests() == 1).await;
        stream.send_reset(h2::Reason::CANCEL);
        assert!(response.await.is_err());
        // The connection is as good as before.
        until("the endpoint's connection is closed", || backend.requests() == 0).await;
    });
    assert_eq!(world.flow().reason, model::flow::FlowReason::ClientGone);
}

#[test]
fn an_endpoint_that_breaks_off_resets_the_stream_alone() {
    let backend = Backend::script(|mut peer, _| {
        let head = peer.head().unwrap();
        let answer = if head.starts_with("GET /bad") {
            "HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nhalf"
        } else {
            "HTTP/1.1 200 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        };
        peer.send(answer);
    });
    let world = Plan::new(&[backend.address]).start();
    block_on(async {
        let mut client = connect(world.gateway).await;
        let error = get(&mut client, "/bad").await.unwrap_err();
        assert!(error.is_reset(), "{error}");
        assert_eq!(get(&mut client, "/good").await.unwrap().text(), "ok");
    });
}

#[test]
fn refusals_are_answered_and_the_connection_goes_on() {
    let backend = Backend::echo("one");
    let plan =
        Plan::new(&[backend.address]).route("/nowhere", RouteRule { backends: vec![to(7, 1)], ..rule() });
    let world = plan.start();
    block_on(async {
        let mut client = connect(world.gateway).await;
        for (path, status) in [("/nowhere", 500), ("/%zz", 400), ("/a%2fb", 307), ("/fine", 200)] {
            assert_eq!(get(&mut client, path).await.unwrap().status, status, "{path}");
        }
        let post = send(&mut client, request("POST", "/nowhere"), &[b'x'; 200_000], None).await.unwrap();
        assert_eq!(post.status, 500);
        assert_eq!(get(&mut client, "/fine").await.unwrap().status, 200);
    });
}

#[test]
fn an_http1_client_on_the_same_port_is_served_too() {
    let backend = Backend::echo("one");
    let world = Plan::new(&[backend.address]).start();
    block_on(async { assert_eq!(get(&mut connect(world.gateway).await, "/").await.unwrap().status, 200) });
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 200);
}
