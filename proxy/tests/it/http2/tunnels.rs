//! WebSocket and CONNECT: tunnels on streams, in any combination of versions.

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use model::route::{RouteMatch, RouteTable};
use model::service::AppProtocol;

use super::peer::{Endpoint, block_on, connect, until};
use crate::backend::Backend;
use crate::client::{Peer, pod};
use crate::world::{Plan, http, identity, ingress, only, rule};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server makes of the key (RFC 6455 section 1.3).
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Speaks WebSocket's handshake in HTTP/1.1, then sends everything back, until the end.
fn http1_server() -> Backend {
    Backend::script(|mut peer, log| {
        let request = peer.request().unwrap();
        assert!(request.header("sec-websocket-key").is_some(), "{}", request.head);
        log.lock().unwrap().push(request);
        peer.send(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n\r\nhello "
        ));
        let rest = peer.rest();
        peer.send(std::str::from_utf8(&rest).unwrap());
        peer.shut();
    })
}

/// The same in HTTP/2; CONNECT without a protocol too.
fn http2_server() -> Endpoint {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    Endpoint::start("127.0.0.1".parse().unwrap(), builder, |(request, mut respond), _| async move {
        assert_eq!(request.method(), Method::CONNECT);
        if let Some(protocol) = request.extensions().get::<Protocol>() {
            assert_eq!((protocol.as_str(), request.uri().path()), ("websocket", "/chat"));
        } else {
            assert_eq!(request.uri(), "far.test:443");
        }
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"hello "), false).unwrap();
        let mut body = request.into_body();
        while let Some(Ok(data)) = body.data().await {
            body.flow_control().release_capacity(data.len()).unwrap();
            stream.send_data(data, false).unwrap();
        }
        stream.send_data(Bytes::new(), true).unwrap();
    })
}

async fn open(
    client: &SendRequest<Bytes>,
    request: http::request::Builder,
) -> (Response<RecvStream>, SendStream<Bytes>) {
    let mut client = client.clone().ready().await.unwrap();
    let (response, stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
    (response.await.unwrap(), stream)
}

fn websocket() -> http::request::Builder {
    Request::builder()
        .method(Method::CONNECT)
        .uri("http://a.test/chat")
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
}

/// Says a word through a tunnel that has said hello, ends it, and expects to read both.
async fn talk(response: Response<RecvStream>, mut stream: SendStream<Bytes>) {
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut text = Vec::new();
    while text.len() < 6 {
        text.extend_from_slice(&body.data().await.unwrap().unwrap());
    }
    stream.send_data(Bytes::from_static(b"world"), true).unwrap();
    while let Some(data) = body.data().await {
        text.extend_from_slice(&data.unwrap());
    }
    assert_eq!(text, b"hello world");
}

fn talk_http1(mut client: Peer) {
    assert_eq!(client.take(6), b"hello ");
    client.send("world");
    client.shut();
    assert_eq!(client.rest(), b"world");
}

#[test]
fn websocket_passes_between_all_versions() {
    let (one, two) = (http1_server(), http2_server());
    let to_one = Plan::new(&[one.address]).start();
    let to_two = Plan::new(&[two.address]).speaks(AppProtocol::H2c).start();
    block_on(async {
        for world in [&to_one, &to_two] {
            let client = connect(world.gateway).await;
            until("SETTINGS", || client.is_extended_connect_protocol_enabled()).await;
            let (response, stream) = open(&client, websocket()).await;
            assert!(response.headers().get("sec-websocket-accept").is_none());
            talk(response, stream).await;
        }
    });
    let mut client = Peer::connect(to_two.gateway);
    client.send(UPGRADE);
    let head = client.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(
        head.to_lowercase().contains(&format!("sec-websocket-accept: {ACCEPT}").to_lowercase()),
        "{head}"
    );
    talk_http1(client);
    assert_eq!(
        one.request(0, |request| request.header("sec-websocket-version").map(str::to_owned)),
        Some("13".into())
    );
    assert_ne!(
        one.request(0, |request| request.header("sec-websocket-key").map(str::to_owned)),
        Some(KEY.into())
    );
}

#[test]
fn a_refused_upgrade_is_a_plain_answer() {
    let backend = Backend::always("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let world = Plan::new(&[backend.address]).start();
    block_on(async {
        let client = connect(world.gateway).await;
        until("SETTINGS", || client.is_extended_connect_protocol_enabled()).await;
        let (response, _stream) = open(&client, websocket()).await;
        assert_eq!(response.status(), 403);
        assert_eq!(response.into_body().data().await.unwrap().unwrap(), "no");
    });
}

#[test]
fn an_upgrade_that_the_endpoints_http2_does_not_know_fails() {
    let endpoint = Endpoint::echo("one");
    let world = Plan::new(&[endpoint.address]).speaks(AppProtocol::H2c).start();
    let mut client = Peer::connect(world.gateway);
    client.send(UPGRADE);
    assert_eq!(client.response().status(), 502);
    assert_eq!(endpoint.requests(), 0);
}

/// A Gateway whose only route is for one method.
fn only_method(plan: Plan, method: &str) -> Plan {
    let mut table = RouteTable::default();
    let entry = RouteMatch {
        path: model::route::PathMatch::Prefix("".into()),
        method: Some(method.into()),
        headers: Vec::new(),
        query: Vec::new(),
        created: 0,
        rule: rule().into(),
    };
    route::insert(&mut table, &[], entry.into());
    Plan { routes: table, ..plan }
}

const CONNECT: &str = "CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n";

#[test]
fn a_route_for_connect_makes_tunnels_between_all_versions() {
    let one = Backend::script(|mut peer, log| {
        let request = peer.request().unwrap();
        assert!(request.head.starts_with("CONNECT far.test:443 HTTP/1.1"), "{}", request.head);
        log.lock().unwrap().push(request);
        peer.send("HTTP/1.1 200 Connected\r\n\r\nhello ");
        let rest = peer.rest();
        peer.send(std::str::from_utf8(&rest).unwrap());
        peer.shut();
    });
    let two = http2_server();
    let to_one = only_method(Plan::new(&[one.address]), "CONNECT").start();
    let to_two = only_method(Plan::new(&[two.address]).speaks(AppProtocol::H2c), "CONNECT").start();
    for world in [&to_one, &to_two] {
        let mut client = Peer::connect(world.gateway);
        client.send(CONNECT);
        let head = client.head().unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200") && !head.to_lowercase().contains("content-length"),
            "{head}"
        );
        talk_http1(client);
        block_on(async {
            let client = connect(world.gateway).await;
            let request = Request::builder().method(Method::CONNECT).uri("far.test:443");
            let (response, stream) = open(&client, request).await;
            talk(response, stream).await;
        });
    }
}

#[test]
fn connect_is_refused_where_nothing_names_it() {
    let backend = Backend::echo("one");
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    client.send(CONNECT);
    assert_eq!(client.response().status(), 405);
    block_on(async {
        let client = connect(world.gateway).await;
        let request = Request::builder().method(Method::CONNECT).uri("far.test:443");
        assert_eq!(open(&client, request).await.0.status(), 405);
    });
    assert_eq!(backend.requests(), 0);
}

#[test]
fn a_policy_lets_connect_pass_by_its_name_alone() {
    for (method, status) in [("CONNECT", 200), ("GET|CONNECT", 200), (".*", 405)] {
        let backend = Backend::script_at(pod(20), |mut peer, _| {
            peer.head().unwrap();
            peer.send("HTTP/1.1 200 OK\r\n\r\n");
            peer.rest();
        });
        let policy = ingress(only(identity(10), http(method, "/.*")));
        let world = Plan::new(&[backend.address]).pod(20, policy).pod(10, Default::default()).start();
        let mut client = Peer::from_pod(10, world.gateway);
        client.send(CONNECT);
        let head = client.head().unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{method}: {head}");
    }
}
