//! Where requests go, and what is changed on the way.

use std::sync::Arc;

use model::flow::FlowReason;
use model::route::{
    BackendTarget, Filter, HeaderEdits, PathEdit, Redirect, Rewrite, RouteRule, WeightedBackend,
};

use crate::backend::Backend;
use crate::client::{Peer, pod};
use crate::world::{Plan, rule, to};

#[test]
fn weights_split_requests_and_invalid_backends_take_their_share() {
    let (a, b) = (Backend::echo("a"), Backend::echo("b"));
    let invalid = WeightedBackend { target: BackendTarget::Invalid("no such Service".into()), ..to(9, 10) };
    let backends = vec![to(0, 70), to(1, 20), invalid];
    let plan = Plan::new(&[a.address]).service(&[b.address]).route("/", RouteRule { backends, ..rule() });
    let mut world = plan.start();
    let mut client = Peer::connect(world.gateway);
    let mut counts = [0; 3];
    for _ in 0..1000 {
        let answer = client.get("/");
        let flow = world.flow();
        counts[match (answer.status(), answer.body.as_bytes().first()) {
            (200, Some(b'a')) => 0,
            (200, Some(b'b')) => 1,
            (500, _) => {
                assert_eq!(flow.reason, FlowReason::InvalidBackend);
                2
            }
            other => panic!("{other:?}"),
        }] += 1;
    }
    // Six standard deviations.
    for (count, expected, slack) in [(counts[0], 700, 87), (counts[1], 200, 76), (counts[2], 100, 57)] {
        assert!((expected - slack..=expected + slack).contains(&count), "{counts:?}");
    }
}

#[test]
fn no_route_is_404_and_no_backend_500() {
    let backend = Backend::echo("b");
    let mut plan = Plan { services: vec![vec![backend.address]], ..Plan::default() };
    plan = plan.route("/none", RouteRule { backends: Vec::new(), ..rule() });
    plan.hostname = Some("a.test");
    let mut world = plan.start();
    let mut client = Peer::connect(world.gateway);
    assert_eq!(client.get("/other").status(), 404);
    assert_eq!(world.flow().reason, FlowReason::NoRoute);
    assert_eq!(client.get("/none").status(), 500);
    client.send("GET /none HTTP/1.1\r\nHost: b.test\r\n\r\n");
    assert_eq!(client.response().status(), 404, "no listener has this host");
}

#[test]
fn filters_change_requests_and_answers() {
    let backend = Backend::always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: x\r\nX-Keep: 1\r\n\r\n");
    let pairs = |list: &[(&str, &str)]| list.iter().map(|(n, v)| (Arc::from(*n), Arc::from(*v))).collect();
    let request = HeaderEdits {
        set: pairs(&[("x-set", "new")]),
        add: pairs(&[("x-add", "two")]),
        remove: vec!["x-gone".into()],
    };
    let response =
        HeaderEdits { set: pairs(&[("x-from", "weir")]), add: Vec::new(), remove: vec!["server".into()] };
    let rewrite = Rewrite { hostname: Some("inner.test".into()), path: Some(PathEdit::Prefix("/v2".into())) };
    let filters =
        vec![Filter::RequestHeaders(request), Filter::ResponseHeaders(response), Filter::Rewrite(rewrite)];
    let world = Plan::new(&[backend.address]).filtered("/v1", filters).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST /v1/a?b=c HTTP/1.1\r\nHost: a.test\r\nX-Set: old\r\nX-Add: one\r\nX-Gone: 1\r\nX-Stay: 1\r\nContent-Length: 2\r\n\r\nhi");
    let answer = client.response();
    assert_eq!((answer.header("server"), answer.header("x-from")), (None, Some("weir")));
    assert_eq!(answer.header("x-keep"), Some("1"));
    backend.request(0, |request| {
        assert!(request.head.starts_with("POST /v2/a?b=c HTTP/1.1\r\n"), "{}", request.head);
        let expected = [
            ("host", Some("inner.test")),
            ("x-set", Some("new")),
            ("x-add", Some("one,two")),
            ("x-gone", None),
            ("x-stay", Some("1")),
            ("x-forwarded-for", Some("127.0.0.1")),
            ("x-forwarded-proto", Some("http")),
        ];
        for (name, value) in expected {
            assert_eq!(request.header(name), value, "{name}");
        }
        assert_eq!(request.body, "hi");
    });
}

#[test]
fn a_gateway_appends_the_client_and_a_service_does_not() {
    let backend = Backend::echo("b");
    let mut plan = Plan::new(&[backend.address]);
    plan.service_routes = Some(plan.routes.clone());
    let world = plan.start();
    let text =
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n";
    for (address, list, proto) in
        [(world.gateway, "1.2.3.4, 127.0.0.1", "http"), (world.service, "1.2.3.4", "https")]
    {
        let mut client = Peer::connect(address);
        client.send(text);
        client.response();
        backend.request(backend.requests() - 1, |request| {
            assert_eq!(request.header("x-forwarded-for"), Some(list));
            assert_eq!(request.header("x-forwarded-proto"), Some(proto));
        });
    }
}

#[test]
fn redirects_are_answered_at_the_gateway() {
    let redirect = Redirect { hostname: Some("b.test".into()), status: 301, ..Redirect::default() };
    let world = Plan::new(&[]).filtered("/", vec![Filter::Redirect(redirect)]).start();
    let mut client = Peer::connect(world.gateway);
    let answer = client.get("/x?y");
    let location = format!("http://b.test:{}/x?y", world.gateway.port());
    assert_eq!((answer.status(), answer.header("location")), (301, Some(&*location)));
    assert_eq!(client.get("/again").status(), 301);
}

#[test]
fn a_service_with_routes_is_routed() {
    let (a, b) = (Backend::echo("a"), Backend::echo_at(pod(3), "b"));
    let mut plan = Plan::new(&[a.address]).service(&[b.address]);
    let routes = Plan::default().route("/b", RouteRule { backends: vec![to(1, 1)], ..rule() });
    plan.service_routes = Some(routes.routes);
    let world = plan.start();
    let mut client = Peer::connect(world.service);
    assert!(client.get("/b").body.starts_with("b\n"));
    assert_eq!(client.get("/a").status(), 404);
}

#[test]
fn the_less_loaded_endpoint_is_taken() {
    let busy = Backend::script(|mut peer, _| drop(peer.rest()));
    let free = Backend::echo("free");
    let world = Plan::new(&[busy.address, free.address]).start();
    // One request hangs at the busy endpoint; from then on it has more load than the other.
    let mut hanging = Vec::new();
    while busy.connections() == 0 {
        let answered = world.proxy().stats().requests;
        let mut client = Peer::connect(world.gateway);
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        crate::client::until("answered or hanging", || {
            busy.connections() > 0 || world.proxy().stats().requests > answered
        });
        hanging.push(client);
    }
    let mut client = Peer::connect(world.gateway);
    for _ in 0..50 {
        assert!(client.get("/").body.starts_with("free\n"));
    }
}

#[test]
fn endpoints_of_the_clients_address_family_come_first() {
    let backend = Backend::echo("v4");
    let other = std::net::TcpListener::bind("[::1]:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let world = Plan::new(&[backend.address, other.local_addr().unwrap()]).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..50 {
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(other.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
