//! The life of HTTP/2 connections: how they are drained, closed, revoked, and defended.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use model::flow::{FlowReason, FlowVerdict};
use model::service::AppProtocol;

use super::peer::{Endpoint, block_on, connect, connect_from, get, request, until};
use crate::backend::Backend;
use crate::client::{PATIENCE, pod};
use crate::world::{Plan, http, identity, ingress, nothing, only};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// A frame on stream 0.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Reads frames until the end, and returns the code of the last GOAWAY.
fn goaway_code(stream: &mut TcpStream) -> Option<u32> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let (mut rest, mut code) = (&bytes[..], None);
    while rest.len() >= 9 {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        if rest[3] == GOAWAY {
            code = Some(u32::from_be_bytes(rest[13..17].try_into().unwrap()));
        }
        rest = &rest[9 + length..];
    }
    code
}

/// Reads frames up to one of this kind, and returns the kinds and streams of all.
fn frames_until(stream: &mut TcpStream, kind: u8) -> Vec<(u8, u8)> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut frames = Vec::new();
    while frames.last().is_none_or(|(last, _)| *last != kind) {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        stream.read_exact(&mut vec![0; length]).unwrap();
        // Answers to SETTINGS and to PING are told from what they answer by their flag.
        frames.push((head[3], head[8]));
    }
    frames
}

/// `POST /` with a body of so many bytes, by literals without Huffman code.
fn post(stream: u32, length: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let fields = [
        (":method", "POST"),
        (":path", "/"),
        (":scheme", "http"),
        (":authority", "a"),
        ("content-length", length),
    ];
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    frame(HEADERS, 4, stream, &block)
}

#[test]
fn the_body_of_a_refused_request_is_waited_for_if_it_is_short() {
    let world = Plan::default().start();
    let mut stream = TcpStream::connect(world.gateway).unwrap();
    let ping = frame(PING, 0, 0, b"12345678");
    stream.write_all(&[PREFACE, &frame(4, 0, 0, &[]), &post(1, "5")].concat()).unwrap();
    frames_until(&mut stream, DATA);
    stream.write_all(&ping).unwrap();
    // Clients take a reset for a failure, though they have the whole answer.
    let seen = frames_until(&mut stream, PING);
    assert!(!seen.contains(&(RST_STREAM, 1)), "{seen:?}");
    stream.write_all(&[frame(DATA, 1, 1, b"hello"), post(3, "100000")].concat()).unwrap();
    let seen = frames_until(&mut stream, DATA);
    assert!(!seen.contains(&(RST_STREAM, 1)) && seen.contains(&(HEADERS, 3)), "{seen:?}");
    // A long one is not.
    let piece = vec![b'x'; 16_384];
    for _ in 0..4 {
        stream.write_all(&frame(DATA, 0, 3, &piece)).unwrap();
    }
    assert!(frames_until(&mut stream, RST_STREAM).contains(&(RST_STREAM, 3)));
}

#[test]
fn a_flood_ends_its_connection_and_is_counted() {
    let backend = Backend::echo("one");
    let mut world = Plan::new(&[backend.address]).start();
    let mut stream = TcpStream::connect(world.gateway).unwrap();
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    for _ in 0..10_000 {
        bytes.extend(frame(6, 0, 0, b"12345678"));
    }
    drop(stream.write_all(&bytes));
    assert_eq!(goaway_code(&mut stream), Some(0xb));
    let stats = world.proxy().stats();
    assert_eq!(stats.limit_http2_pings, 1);
    assert_eq!(world.flow().reason, FlowReason::Limit);
}

#[test]
fn a_broken_frame_ends_its_connection() {
    let backend = Backend::echo("one");
    let mut world = Plan::new(&[backend.address]).start();
    let mut stream = TcpStream::connect(world.gateway).unwrap();
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    // DATA on stream 0.
    bytes.extend(frame(0, 0, 0, b"x"));
    stream.write_all(&bytes).unwrap();
    assert_eq!(goaway_code(&mut stream), Some(1));
    assert_eq!(world.flow().reason, FlowReason::BadRequest);
}

#[test]
fn a_connection_without_requests_is_closed() {
    let backend = Backend::echo("one");
    let world = Plan::new(&[backend.address]).limits(|l| l.idle_timeout = Duration::from_millis(150)).start();
    let mut stream = TcpStream::connect(world.gateway).unwrap();
    stream.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).unwrap();
    assert_eq!(goaway_code(&mut stream), Some(0));
    assert_eq!(world.proxy().stats().limit_idle_timeout, 1);
}

#[test]
fn a_drain_lets_streams_finish() {
    let endpoint = Endpoint::script(|(request, mut respond), own| async move {
        let asked = super::peer::Asked::of(request).await.unwrap();
        own.keep(asked);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"late"), true).unwrap();
    });
    let mut world = Plan::new(&[endpoint.address]).speaks(AppProtocol::H2c).start();
    let proxy = world.proxy.take().unwrap();
    block_on(async {
        let mut client = connect(world.gateway).await;
        let asking = tokio::spawn(async move {
            let answer = get(&mut client, "/").await.unwrap();
            (answer, client)
        });
        until("the request is there", || endpoint.requests() == 1).await;
        let drained = tokio::task::spawn_blocking(move || proxy.drain(PATIENCE));
        let (answer, client) = asking.await.unwrap();
        assert_eq!(answer.text(), "late");
        drained.await.unwrap();
        // The connection has said goodbye.
        assert!(client.ready().await.is_err());
    });
}

#[test]
fn a_policy_change_ends_the_streams_that_it_forbids() {
    let endpoint =
        Endpoint::start(pod(20), h2::server::Builder::new(), |(request, mut respond), own| async move {
            let asked = super::peer::Asked::of(request).await.unwrap();
            own.keep(asked);
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(Bytes::from_static(b"some"), false).unwrap();
            std::future::poll_fn(|context| stream.poll_reset(context)).await.unwrap();
        });
    let policy = |path| ingress(only(identity(10), http("GET", path)));
    let plan = Plan::new(&[endpoint.address]).speaks(AppProtocol::H2c).pod(10, Default::default());
    let mut world = plan.clone().pod(20, policy("/.*")).start();
    block_on(async {
        let client = connect_from(10, world.gateway).await;
        let mut streams = Vec::new();
        for path in ["/stays", "/goes"] {
            let mut client = client.clone().ready().await.unwrap();
            let (response, _) = client.send_request(request("GET", path).body(()).unwrap(), true).unwrap();
            let mut body = response.await.unwrap().into_body();
            assert_eq!(body.data().await.unwrap().unwrap(), "some");
            streams.push(body);
        }
        world.publish(&plan.clone().pod(20, policy("/stays")));
        assert!(streams[1].data().await.unwrap().is_err());
        let stays = tokio::time::timeout(Duration::from_millis(300), streams[0].data()).await;
        assert!(stays.is_err(), "{stays:?}");
        world.publish(&plan.clone().pod(20, ingress(nothing())));
        assert!(streams[0].data().await.unwrap().is_err());
    });
    for _ in 0..2 {
        let record = world.flow();
        assert_eq!((record.verdict, record.reason), (FlowVerdict::Denied, FlowReason::PolicyRevoked));
    }
}

#[test]
fn a_client_that_takes_nothing_of_an_answer_is_not_waited_for() {
    let body = "x".repeat(200_000);
    let backend = Backend::always(crate::backend::respond(200, &body));
    // Time enough for the endpoint to answer, also on a busy machine.
    let mut world =
        Plan::new(&[backend.address]).limits(|l| l.stall_timeout = Duration::from_secs(3)).start();
    block_on(async {
        let mut client = connect(world.gateway).await.ready().await.unwrap();
        let (response, _) = client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        // No window is given back.
        let error = loop {
            if let Err(error) = body.data().await.expect("an end before the end") {
                break error;
            }
        };
        assert!(error.is_reset(), "{error}");
    });
    assert!(world.proxy().stats().limit_stall_timeout >= 1);
    world.flow();
}

#[test]
fn an_idle_connection_to_an_endpoint_is_closed() {
    let endpoint = Endpoint::echo("one");
    let plan = Plan::new(&[endpoint.address]).speaks(AppProtocol::H2c);
    let world = plan.limits(|limits| limits.idle_upstream_timeout = Duration::from_millis(100)).start();
    block_on(async {
        let mut client = connect(world.gateway).await;
        get(&mut client, "/").await.unwrap();
        until("closed", || endpoint.open() == 0).await;
        get(&mut client, "/").await.unwrap();
    });
    assert_eq!(endpoint.connections(), 2);
}

#[test]
fn a_silent_endpoint_is_noticed_before_it_is_used_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let mut silent = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let Some(Ok((_, mut respond))) = connection.accept().await else { return };
                respond.send_response(Response::new(()), true).unwrap();
                std::future::poll_fn(|context| {
                    drop(connection.poll_closed(context));
                    std::task::Poll::Ready(())
                })
                .await;
                // From here on nothing is read.
                silent.push(connection);
            }
        });
    });
    let limits = |limits: &mut proxy::Limits| {
        limits.http2_ping_after = Duration::from_millis(1);
        limits.http2_ping_timeout = Duration::from_millis(50);
    };
    let world = Plan::new(&[address]).speaks(AppProtocol::H2c).limits(limits).start();
    block_on(async {
        let mut client = connect(world.gateway).await;
        assert_eq!(get(&mut client, "/").await.unwrap().status, 200);
        // The clock by which pauses are measured ticks.
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(get(&mut client, "/").await.unwrap().status, 200);
    });
    assert_eq!(world.proxy().stats().limit_http2_ping_timeout, 1);
}

#[test]
fn streams_count_against_the_limit_of_connections() {
    let endpoint = Endpoint::script(|(_request, mut respond), own| async move {
        own.keep(super::peer::Asked::of(_request).await.unwrap());
        std::future::poll_fn(|context| respond.poll_reset(context)).await.unwrap();
    });
    let plan = Plan::new(&[endpoint.address]).speaks(AppProtocol::H2c).pod(10, Default::default());
    let world = plan.limits(|limits| limits.connections_per_pod = 3).start();
    block_on(async {
        let client = connect_from(10, world.gateway).await;
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut client = client.clone().ready().await.unwrap();
            open.push(client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap());
        }
        until("both are there", || endpoint.requests() == 2).await;
        let error = get(&mut client.clone(), "/").await.unwrap_err();
        assert_eq!(error.reason(), Some(h2::Reason::REFUSED_STREAM));
        let stats = world.proxy().stats();
        assert_eq!((stats.limit_connections_per_pod, stats.streams_open, stats.open), (1, 2, 1));
        drop(open);
        until("they are gone", || world.proxy().stats().streams_open == 0).await;
    });
}

#[test]
fn received_data_is_on_the_account_of_its_pod() {
    // The endpoint reads nothing.
    let endpoint = Backend::script(|peer, _| {
        std::thread::sleep(PATIENCE);
        drop(peer);
    });
    let plan = Plan::new(&[endpoint.address]).pod(10, Default::default());
    let world = plan.limits(|limits| limits.buffered_bytes_per_pod = 300_000).start();
    block_on(async {
        let client = connect_from(10, world.gateway).await;
        let mut sending = Vec::new();
        for _ in 0..20 {
            let mut client = client.clone().ready().await.unwrap();
            sending.push(tokio::spawn(async move {
                let (response, mut stream) =
                    client.send_request(request("POST", "/").body(()).unwrap(), false).unwrap();
                let body = Bytes::from(vec![b'x'; 30_000_000]);
                drop(super::peer::write(&mut stream, body, true).await);
                response.await.map(|response| response.status())
            }));
        }
        until("a limit is met", || world.proxy().stats().limit_buffered > 0).await;
        sending.iter().for_each(tokio::task::JoinHandle::abort);
    });
}
