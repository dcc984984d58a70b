//! Endpoints that speak HTTP/2, and clients of either version.

use bytes::Bytes;
use http::{HeaderMap, Response};
use model::service::AppProtocol;

use super::peer::{Asked, Endpoint, ask, block_on, connect, get, receive, request, send, until, write};
use crate::client::Peer;
use crate::world::Plan;

fn plan(endpoints: &[std::net::SocketAddr]) -> Plan {
    Plan::new(endpoints).speaks(AppProtocol::H2c)
}

#[test]
fn an_http1_client_is_served_over_one_connection() {
    let endpoint = Endpoint::echo("one");
    let world = plan(&[endpoint.address]).start();
    let mut client = Peer::connect(world.gateway);
    for path in ["/a", "/b?c=d"] {
        let answer = client.get(path);
        assert_eq!(answer.status(), 200);
        assert!(answer.body.starts_with(&format!("one\nGET http://a.test{path}\n")), "{}", answer.body);
    }
    assert_eq!(endpoint.connections(), 1);
    assert_eq!(world.proxy().stats().upstream_reused, 1);
    endpoint.request(0, |asked| {
        assert_eq!(asked.message.header("te"), Some("trailers"));
        assert!(asked.message.header("connection").is_none() && asked.message.header("host").is_none());
    });
}

#[test]
fn http1_bodies_pass_both_ways() {
    let endpoint = Endpoint::echo("one");
    let world = plan(&[endpoint.address]).start();
    let mut client = Peer::connect(world.gateway);
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\n";
    let cases = [
        ("Content-Length: 5\r\n\r\nhello", "hello"),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
        ("Content-Length: 0\r\n\r\n", ""),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""),
    ];
    for (rest, body) in cases {
        client.send(&format!("{head}{rest}"));
        let answer = client.response();
        assert!(answer.body.ends_with(&format!("\n\n{body}")), "{rest:?}: {}", answer.body);
    }
    // HTTP/1.0 knows no chunks: the close ends the answer.
    let mut old = Peer::connect(world.gateway);
    old.send("POST / HTTP/1.0\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nok");
    let answer = old.response();
    assert!(answer.header("transfer-encoding").is_none() && answer.body.ends_with("\n\nok"), "{answer:?}");
}

#[test]
fn trailers_pass_both_ways_in_any_combination() {
    let endpoint = Endpoint::echo("one");
    let world = plan(&[endpoint.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n");
    let raw = String::from_utf8(client.response().raw).unwrap();
    assert!(raw.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{raw}");
    block_on(async {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "8".parse().unwrap())]);
        let mut client = connect(world.gateway).await;
        let answer = send(&mut client, request("POST", "/"), b"ok", Some(trailers)).await.unwrap();
        assert_eq!(answer.trailer("x-sum"), Some("8"));
    });
}

#[test]
fn heads_without_bodies_are_said_as_such() {
    let endpoint = Endpoint::script(|(request, mut respond), _| async move {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        let mut response = Response::builder().status(status);
        if request.method() == "HEAD" {
            response = response.header("content-length", "5");
        }
        drop(respond.send_response(response.body(()).unwrap(), true));
    });
    let world = plan(&[endpoint.address]).start();
    let mut client = Peer::connect(world.gateway);
    for path in ["/204", "/304"] {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        let head = client.head().unwrap().to_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {}", &path[1..])), "{head}");
        assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
    }
    let answer = client.get("/200");
    assert_eq!((answer.status(), answer.header("content-length")), (200, Some("0")));
    client.send("HEAD /200 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let head = client.head().unwrap().to_lowercase();
    assert!(head.contains("content-length: 5"), "{head}");
    block_on(async {
        let mut client = connect(world.gateway).await;
        for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 200)] {
            let answer = ask(&mut client, request(method, &format!("/{status}"))).await.unwrap();
            assert_eq!((answer.status, answer.text()), (status, ""));
        }
    });
}

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_endpoint() {
    let endpoint = Endpoint::script(|(request, mut respond), own| async move {
        assert_eq!(request.headers()["expect"], "100-continue");
        respond.send_informational(Response::builder().status(100).body(()).unwrap()).unwrap();
        let asked = Asked::of(request).await.unwrap();
        let text = asked.message.body.clone();
        own.keep(asked);
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(text.into(), true).unwrap();
    });
    let world = plan(&[endpoint.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 100"));
    client.send("ok");
    assert_eq!(client.response().body, "ok");
}

#[test]
fn many_requests_share_few_connections_within_the_endpoints_limit() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(10);
    let endpoint = Endpoint::start("127.0.0.1".parse().unwrap(), builder, |(_, mut respond), _| async move {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        drop(respond.send_response(Response::new(()), true));
    });
    let world = plan(&[endpoint.address]).start();
    block_on(async {
        let client = connect(world.gateway).await;
        let mut calls = Vec::new();
        for _ in 0..200 {
            let mut client = client.clone();
            calls.push(tokio::spawn(async move { get(&mut client, "/").await.unwrap().status }));
        }
        for call in calls {
            assert_eq!(call.await.unwrap(), 200);
        }
    });
    // 100 of the client's streams at once, 10 on each connection once its SETTINGS are known.
    assert!((1..=20).contains(&endpoint.connections()), "{}", endpoint.connections());
}

#[test]
fn big_bodies_pass_small_windows_of_the_endpoint() {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(5000).initial_connection_window_size(66_000);
    let endpoint =
        Endpoint::start("127.0.0.1".parse().unwrap(), builder, |(request, mut respond), _| async move {
            let asked = Asked::of(request).await.unwrap();
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            write(&mut stream, asked.message.body.into(), true).await.unwrap();
        });
    let world = plan(&[endpoint.address]).start();
    let body: Vec<u8> = (0..1_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    block_on(async {
        let mut client = connect(world.gateway).await;
        let answer = send(&mut client, request("POST", "/"), &body, None).await.unwrap();
        assert!(answer.body == body);
    });
}

#[test]
fn both_directions_are_open_at_once() {
    let endpoint = Endpoint::script(|(request, mut respond), _| async move {
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        let mut body = request.into_body();
        while let Some(Ok(data)) = body.data().await {
            body.flow_control().release_capacity(data.len()).unwrap();
            stream.send_data(data, false).unwrap();
        }
        let trailers = HeaderMap::from_iter([("x-end".parse().unwrap(), "1".parse().unwrap())]);
        stream.send_trailers(trailers).unwrap();
    });
    let world = plan(&[endpoint.address]).start();
    block_on(async {
        let mut client = connect(world.gateway).await.ready().await.unwrap();
        let (response, mut stream) =
            client.send_request(request("POST", "/").body(()).unwrap(), false).unwrap();
        let mut body = response.await.unwrap().into_body();
        for word in ["one", "two", "three"] {
            stream.send_data(Bytes::from_static(word.as_bytes()), false).unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), word);
        }
        stream.send_data(Bytes::new(), true).unwrap();
        assert!(body.data().await.is_none());
        assert_eq!(body.trailers().await.unwrap().unwrap()["x-end"], "1");
    });
}

#[test]
fn a_reset_of_the_endpoint_reaches_the_client_with_its_code() {
    let endpoint = Endpoint::script(|(_, mut respond), _| async move {
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"half"), false).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        stream.send_reset(h2::Reason::ENHANCE_YOUR_CALM);
    });
    let world = plan(&[endpoint.address]).start();
    block_on(async {
        let mut client = connect(world.gateway).await;
        let error = get(&mut client, "/").await.unwrap_err();
        assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
    });
    // To an HTTP/1.1 client the answer breaks off.
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 200"));
    let mut text = Vec::new();
    while let Ok(1..) = std::io::Read::read(&mut client.stream, &mut [0; 100]).inspect(|n| text.push(*n)) {}
    assert!(!client.held.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_reset_of_the_client_reaches_the_endpoint() {
    let endpoint = Endpoint::script(|(request, mut respond), own| async move {
        let (head, body) = request.into_parts();
        own.keep(Asked { head: head.clone(), message: Default::default() });
        let reason = std::future::poll_fn(|context| respond.poll_reset(context)).await.unwrap();
        assert_eq!(reason, h2::Reason::CANCEL);
        drop(body);
        own.keep(Asked { head, message: Default::default() });
    });
    let world = plan(&[endpoint.address]).start();
    block_on(async {
        let mut client = connect(world.gateway).await.ready().await.unwrap();
        let (response, mut stream) =
            client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
        until("the request is there", || endpoint.requests() == 1).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        until("the endpoint has heard of it", || endpoint.requests() == 2).await;
    });
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn a_stream_that_the_endpoint_refused_is_tried_again() {
    let endpoint = Endpoint::script(|(request, mut respond), own| async move {
        let asked = Asked::of(request).await.unwrap();
        let body = asked.message.body.clone();
        own.keep(asked);
        if own.requests() == 1 {
            return respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(body.into(), true).unwrap();
    });
    let world = plan(&[endpoint.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    let answer = client.response();
    assert_eq!((answer.status(), &*answer.body), (200, "hello"));
    assert_eq!(endpoint.requests(), 2);
    assert_eq!(world.proxy().stats().retries, 1);
}

/// An endpoint that refuses time after time: a bound ends it. Its body comes whole each time.
#[test]
fn a_stream_that_is_refused_again_and_again_is_given_up() {
    for (refusals, status, tries) in [(8, 200, 9), (100, 502, 9)] {
        let endpoint = Endpoint::script(move |(request, mut respond), own| async move {
            let asked = Asked::of(request).await.unwrap();
            let body = asked.message.body.clone();
            own.keep(asked);
            if own.requests() <= refusals {
                return respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(body.into(), true).unwrap();
        });
        let world = plan(&[endpoint.address]).start();
        let mut client = Peer::connect(world.gateway);
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello");
        client.send("hello");
        let answer = client.response();
        assert_eq!(answer.status(), status, "{refusals} refusals");
        assert!(status != 200 || answer.body == "hellohello", "{}", answer.body);
        assert_eq!(endpoint.requests(), tries, "{refusals} refusals");
    }
}

#[test]
fn requests_after_a_goaway_use_another_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                // One request each, then GOAWAY.
                let Some(Ok((_, mut respond))) = connection.accept().await else { return };
                let response = Response::builder().header("x-number", number).body(()).unwrap();
                respond.send_response(response, true).unwrap();
                connection.graceful_shutdown();
                tokio::spawn(async move { while connection.accept().await.is_some() {} });
            }
        });
    });
    let world = plan(&[address]).start();
    block_on(async {
        let mut client = connect(world.gateway).await;
        for number in ["0", "1", "2"] {
            let answer = get(&mut client, "/").await.unwrap();
            assert_eq!((answer.status, answer.header("x-number")), (200, Some(number)));
        }
    });
}

#[test]
fn an_endpoint_that_does_not_speak_http2_is_answered_for() {
    let backend = crate::backend::Backend::always("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let world = plan(&[backend.address]).start();
    let answer = Peer::connect(world.gateway).get("/");
    assert_eq!(answer.status(), 502);
    let unreachable = plan(&["127.0.0.1:1".parse().unwrap()]).start();
    assert_eq!(Peer::connect(unreachable.gateway).get("/").status(), 503);
}

#[test]
fn an_early_answer_of_the_endpoint_is_passed_on_whole() {
    let endpoint = Endpoint::script(|(_request, mut respond), _| async move {
        let mut stream =
            respond.send_response(Response::builder().status(413).body(()).unwrap(), false).unwrap();
        stream.send_data(Bytes::from_static(b"too big"), true).unwrap();
        drop(stream);
    });
    let world = plan(&[endpoint.address]).start();
    block_on(async {
        let mut client = connect(world.gateway).await.ready().await.unwrap();
        let (response, mut stream) =
            client.send_request(request("POST", "/").body(()).unwrap(), false).unwrap();
        stream.send_data(Bytes::from_static(b"some"), false).unwrap();
        let answer = receive(response.await.unwrap()).await.unwrap();
        assert_eq!((answer.status, answer.text()), (413, "too big"));
    });
}
