//! gRPC calls: what passes, and what refusals look like to their clients.

use bytes::Bytes;
use http::{HeaderMap, Response};
use model::service::AppProtocol;

use super::peer::{Endpoint, Received, block_on, connect, connect_from, request, send};
use crate::client::pod;
use crate::world::{Plan, World, by, http, identity, ingress, only, rule};

/// A message with its five bytes in front.
const MESSAGE: &[u8] = b"\0\0\0\0\x02hi";

fn call(path: &str) -> http::request::Builder {
    request("POST", path).header("content-type", "application/grpc+proto").header("te", "trailers")
}

/// Answers every call with its own message and `grpc-status: 0`.
fn server(ip: std::net::IpAddr) -> Endpoint {
    Endpoint::start(ip, h2::server::Builder::new(), |(request, mut respond), own| async move {
        let asked = super::peer::Asked::of(request).await.unwrap();
        let body = Bytes::from(asked.message.body.clone());
        own.keep(asked);
        let response = Response::builder().header("content-type", "application/grpc+proto").body(()).unwrap();
        let mut stream = respond.send_response(response, false).unwrap();
        stream.send_data(body, false).unwrap();
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        stream.send_trailers(trailers).unwrap();
    })
}

fn ask(world: &World, path: &str) -> Received {
    block_on(async { send(&mut connect(world.gateway).await, call(path), MESSAGE, None).await.unwrap() })
}

#[test]
fn a_call_reaches_its_server_in_http2() {
    let endpoint = server("127.0.0.1".parse().unwrap());
    // By the client's version and content type alone, by the Service's word, by the route's.
    let by_route =
        Plan::new(&[endpoint.address]).route("/pkg.Svc", model::route::RouteRule { grpc: true, ..rule() });
    let plans =
        [Plan::new(&[endpoint.address]), Plan::new(&[endpoint.address]).speaks(AppProtocol::H2c), by_route];
    for plan in plans {
        let world = plan.start();
        let answer = ask(&world, "/pkg.Svc/Do");
        assert_eq!((answer.status, &answer.body[..]), (200, MESSAGE));
        assert_eq!(answer.header("content-type"), Some("application/grpc+proto"));
        assert_eq!(answer.trailer("grpc-status"), Some("0"));
        assert!(answer.header("grpc-status").is_none());
    }
    assert_eq!(endpoint.requests(), 3);
}

#[test]
fn refusals_are_trailers_only_with_a_grpc_status() {
    let unreachable = "127.0.0.1:1".parse().unwrap();
    let slow = Endpoint::script(|(_request, respond), _| async move {
        tokio::time::sleep(crate::client::PATIENCE).await;
        drop(respond);
    });
    let timeouts =
        model::route::Timeouts { request: Some(std::time::Duration::from_millis(50)), backend_request: None };
    let invalid = model::route::RouteRule { backends: Vec::new(), ..rule() };
    let late = model::route::RouteRule { timeouts, backends: vec![crate::world::to(1, 1)], ..rule() };
    let mut plan = Plan::new(&[unreachable]).service(&[slow.address]);
    plan = plan.route("/late", late).route("/invalid", invalid).limits(|limits| limits.head_bytes = 8192);
    plan.hostname = Some("a.test");
    let world = plan.start();
    let cases = [("/gone", "14"), ("/late", "4"), ("/invalid", "14"), ("/a%2fb", "13"), ("/%zz", "13")];
    for (path, status) in cases {
        let answer = ask(&world, path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("grpc-status"), Some(status), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/grpc"), "{path}");
        assert!(answer.body.is_empty() && answer.trailers.is_none(), "{path}");
        assert!(answer.header("location").is_none(), "{path}");
        assert!(answer.header("content-length").is_none(), "{path}: trailers have no length");
    }
    // Without gRPC's content type the same are plain HTTP.
    let plain = block_on(async {
        send(&mut connect(world.gateway).await, request("POST", "/gone"), MESSAGE, None).await.unwrap()
    });
    assert_eq!((plain.status, plain.header("grpc-status")), (503, None));
}

#[test]
fn a_call_for_which_there_is_no_route_is_unimplemented() {
    let mut plan = Plan::new(&[]);
    plan.routes = model::route::RouteTable::default();
    let answer = ask(&plan.start(), "/pkg.Svc/Do");
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("12")));
}

#[test]
fn policy_denies_one_call_and_lets_another_pass_on_one_connection() {
    let endpoint = server(pod(20));
    let policy = ingress(only(identity(10), http("POST", "/pkg.Svc/Read")));
    let plan = Plan::new(&[endpoint.address]).pod(20, policy).pod(10, Default::default());
    let mut world = plan.start();
    block_on(async {
        let mut client = connect_from(10, world.gateway).await;
        for (path, status) in [("/pkg.Svc/Write", "7"), ("/pkg.Svc/Read", "0"), ("/pkg.Svc/Write", "7")] {
            let answer = send(&mut client, call(path), MESSAGE, None).await.unwrap();
            let said = answer.header("grpc-status").or(answer.trailer("grpc-status"));
            assert_eq!(said, Some(status), "{path}");
        }
    });
    assert_eq!(endpoint.requests(), 1);
    assert_eq!(world.proxy().stats().denied, 2);
    let denied = world.flow();
    assert_eq!(denied.verdict, model::flow::FlowVerdict::Denied);
    assert_ne!(denied.rule, Some(by("nothing")));
}

#[test]
fn a_server_that_answers_with_trailers_alone_is_passed_on_as_such() {
    let endpoint = Endpoint::script(|(_request, mut respond), _| async move {
        let response =
            Response::builder().header("content-type", "application/grpc").header("grpc-status", "5");
        drop(respond.send_response(response.body(()).unwrap(), true));
    });
    let world = Plan::new(&[endpoint.address]).start();
    let answer = ask(&world, "/pkg.Svc/Do");
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("5")));
    assert!(answer.header("content-length").is_none(), "it had none");
    assert!(answer.trailers.is_none() && answer.body.is_empty());
}
