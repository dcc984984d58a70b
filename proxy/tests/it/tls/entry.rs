//! Which listener a client gets to, and what becomes of one that gets to none.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use model::flow::{FlowReason, FlowVerdict};
use model::route::{Filter, Redirect};
use model::service::ListenerProtocol;

use super::fixture::{Ca, Client, https, listener, routes, sni, world};
use crate::backend::Backend;
use crate::client::{Peer, until};
use crate::world::Plan;

#[test]
fn the_server_name_chooses_the_listener() {
    let ca = Ca::new();
    let names = ["exact", "deep", "wild", "any"];
    let backends = names.map(Backend::echo);
    let mut plan = Plan::new(&[backends[0].address]);
    for backend in &backends[1..] {
        plan = plan.service(&[backend.address]);
    }
    let served = ["a.wild.example", "*.deep.wild.example", "*.wild.example", "any.example"];
    let tls = served.map(|name| ca.server(&[name]));
    let hosts = ["a.wild.example", "*.deep.wild.example", "*.wild.example", ""];
    let listeners = (0..4).map(|at| https(hosts[at], &tls[at], u32::try_from(at).unwrap())).collect();
    let world = world(&plan, listeners);
    let cases =
        [("a.wild.example", 0), ("x.deep.wild.example", 1), ("b.wild.example", 2), ("any.example", 3)];
    for (name, at) in cases {
        let mut client = Client::connect(world.gateway, &ca.client(), name).unwrap();
        let answer = client.get(name, "/");
        assert!(answer.body.starts_with(names[at]), "{name}: {}", answer.body);
        assert!(answer.body.contains("x-forwarded-proto: https"), "{}", answer.body);
        assert_eq!(client.leaf(), tls[at].certificates[0].chain[0], "{name}");
        assert_eq!(client.get(&format!("{name}:443"), "/again").status(), 200, "and once more");
    }
    assert_eq!(world.proxy().stats().tls_handshakes, 4);
}

#[test]
fn a_host_of_another_listener_is_misdirected() {
    // The table of HTTPRouteHTTPSListenerDetectMisdirectedRequests.
    let ca = Ca::new();
    let backend = Backend::echo("b");
    let tls = ca.server(&["example.org", "second-example.org", "a.wildcard.org", "unknown-example.org"]);
    let by_host = |hosts: &[&str]| {
        let mut table = model::route::RouteTable::default();
        let all = routes(0).any_host.clone().unwrap();
        for host in hosts {
            table.exact_hosts.insert((*host).into(), all.clone());
        }
        ListenerProtocol::Https { tls: tls.clone(), routes: Arc::new(table) }
    };
    let listeners = vec![
        listener("second-example.org", by_host(&["second-example.org"])),
        listener("*.wildcard.org", by_host(&["a.wildcard.org"])),
        listener("", by_host(&["example.org"])),
    ];
    let mut world = world(&Plan::new(&[backend.address]), listeners);
    let cases = [
        ("example.org", "example.org", 200),
        ("example.org", "second-example.org", 421),
        ("example.org", "unknown-example.org", 404),
        ("second-example.org", "second-example.org", 200),
        ("second-example.org", "example.org", 421),
        ("second-example.org", "unknown-example.org", 421),
        ("a.wildcard.org", "a.wildcard.org", 200),
        ("a.wildcard.org", "b.wildcard.org", 404),
        ("a.wildcard.org", "example.org", 421),
        ("unknown-example.org", "example.org", 200),
        ("unknown-example.org", "unknown-example.org", 404),
        ("unknown-example.org", "a.wildcard.org", 421),
    ];
    for (name, host, status) in cases {
        let mut client = Client::connect(world.gateway, &ca.client(), name).unwrap();
        assert_eq!(client.get(host, "/").status(), status, "{name} {host}");
        let flow = world.flow();
        assert_eq!(flow.reason == FlowReason::Misdirected, status == 421, "{name} {host}: {:?}", flow.reason);
        drop(client);
        until("the connection's record", || !world.flows_left().is_empty());
    }
}

#[test]
fn redirects_know_the_scheme() {
    let ca = Ca::new();
    let redirect = Redirect { hostname: Some("other.example".into()), status: 302, ..Redirect::default() };
    let plan = Plan::new(&[]).filtered("/", vec![Filter::Redirect(redirect)]);
    let protocol =
        ListenerProtocol::Https { tls: ca.server(&["a.example"]), routes: Arc::new(plan.routes.clone()) };
    let world = world(&plan, vec![listener("", protocol)]);
    let mut client = Client::connect(world.gateway, &ca.client(), "a.example").unwrap();
    let answer = client.get("a.example", "/x");
    let location = answer.header("location").unwrap();
    assert!(location.starts_with("https://other.example"), "{location}");
}

#[test]
fn nothing_for_a_name_closes_without_an_alert() {
    let ca = Ca::new();
    let tls = ca.server(&["a.example"]);
    let backend = Backend::echo("b");
    let passthrough = listener("p.example", ListenerProtocol::TlsPassthrough(sni(&[("other.example", 0)])));
    let terminate = ListenerProtocol::TlsTerminate {
        tls: tls.clone(),
        routes: sni(&[("a.example", 7), ("x.example", 0)]),
    };
    let hello: &[u8] = include_bytes!("../../../codec/fuzz/seeds/tls/openssl");
    let cases = [
        ("no listener", vec![https("a.example", &tls, 0)]),
        ("no passthrough route", vec![listener("", passthrough.protocol)]),
        ("no terminating route", vec![listener("", terminate)]),
    ];
    for (what, listeners) in cases {
        let mut world = world(&Plan::new(&[backend.address]), listeners);
        let mut peer = Peer::connect(world.gateway);
        peer.stream.write_all(hello).unwrap();
        assert_eq!(peer.rest(), b"", "{what}: closed, and not a byte before");
        let flow = world.flow();
        assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Failed, FlowReason::NoRoute), "{what}");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn what_is_no_tls_is_closed() {
    let ca = Ca::new();
    let mut world = world(&Plan::new(&[]), vec![https("", &ca.server(&["a.example"]), 0)]);
    // A hello whose name can be looked for, and with which nothing can be agreed on.
    let mut broken = vec![22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3];
    broken.extend_from_slice(&[7; 32]);
    broken.extend_from_slice(&[0, 0, 2, 0x13, 1, 1, 0, 0, 0]);
    let cases: &[(&str, &[u8])] = &[
        ("http", b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        ("http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("ssl 2", &[0x80, 0x2e, 1, 0, 2, 0]),
        ("zeros", &[0; 100]),
        ("a record that is too long", &[22, 3, 1, 0xff, 0xff, 1]),
    ];
    for (what, bytes) in cases {
        let mut peer = Peer::connect(world.gateway);
        peer.stream.write_all(bytes).unwrap();
        assert_eq!(peer.rest(), b"", "{what}");
        assert_eq!(world.flow().reason, FlowReason::TlsFailed, "{what}");
    }
    let mut peer = Peer::connect(world.gateway);
    peer.stream.write_all(&broken).unwrap();
    let mut answer = Vec::new();
    drop(peer.stream.read_to_end(&mut answer));
    assert_eq!(answer.first(), Some(&21), "an alert");
    assert_eq!(world.flow().reason, FlowReason::TlsFailed);
    assert_eq!(world.proxy().stats().tls_failed, 6);
}

#[test]
fn a_slow_handshake_is_closed() {
    let ca = Ca::new();
    // So long that what is sent is there by then, also on a busy machine.
    let plan = Plan::new(&[]).limits(|limits| limits.handshake_timeout = Duration::from_secs(3));
    let mut world = world(&plan, vec![https("", &ca.server(&["a.example"]), 0)]);
    let hello: &[u8] = include_bytes!("../../../codec/fuzz/seeds/tls/openssl");
    // Silent, with half of the first message, and with nothing behind it.
    let peers = [0, 100, hello.len()].map(|end| {
        let mut peer = Peer::connect(world.gateway);
        peer.stream.write_all(&hello[..end]).unwrap();
        (end, peer)
    });
    for (end, mut peer) in peers {
        let mut answer = Vec::new();
        drop(peer.stream.read_to_end(&mut answer));
        assert_eq!(answer.is_empty(), end < hello.len(), "{end}");
        assert_eq!(world.flow().reason, FlowReason::ClientTimeout, "{end}");
    }
    assert_eq!(world.proxy().stats().limit_handshake_timeout, 3);
}

#[test]
fn handshakes_under_way_are_bounded() {
    let ca = Ca::new();
    let plan = Plan::new(&[Backend::echo("b").address]).limits(|limits| limits.handshakes = 1);
    let mut world = world(&plan, vec![https("", &ca.server(&["a.example"]), 0)]);
    let hello: &[u8] = include_bytes!("../../../codec/fuzz/seeds/tls/openssl");
    let mut first = Peer::connect(world.gateway);
    first.stream.write_all(hello).unwrap();
    // It is under way when its answer comes.
    first.take(1);
    let mut second = Peer::connect(world.gateway);
    second.stream.write_all(hello).unwrap();
    assert!(second.is_closed());
    assert_eq!(world.flow().reason, FlowReason::Limit);
    assert_eq!(world.proxy().stats().limit_handshakes, 1);
    first.abort();
    assert_eq!(world.flow().reason, FlowReason::TlsFailed);
    let answer = Client::ask(world.gateway, &ca.client(), "a.example").unwrap();
    assert_eq!(answer.status(), 200, "the place is free again");
}
