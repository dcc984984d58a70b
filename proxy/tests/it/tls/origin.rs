//! TLS towards endpoints.

use std::io::{Read, Write};
use std::sync::Arc;

use model::flow::FlowReason;
use model::service::{Listener, ListenerProtocol};
use model::tls::{AltName, ClientAuth, UpstreamSecurity, UpstreamTls};
use tls::Alpn;

use super::fixture::{Ca, Client, echo, endpoint, https, leads_to, listen, listener, routes, secure};
use crate::backend::Backend;
use crate::client::Peer;
use crate::world::{Plan, World};

fn open() -> Listener {
    listener("", ListenerProtocol::Http(routes(0)))
}

/// A Gateway in the clear whose service is spoken to so.
fn world(plan: &Plan, security: UpstreamSecurity, front: Listener) -> World {
    let mut world = plan.start();
    world.publish_changed(plan, |snapshot| {
        listen(snapshot, vec![front]);
        secure(snapshot, 0, security);
    });
    world
}

fn tls(tls: UpstreamTls) -> UpstreamSecurity {
    UpstreamSecurity::Tls(Arc::new(tls))
}

#[test]
fn endpoints_are_believed_by_authority_and_name() {
    let (ca, other) = (Ca::new(), Ca::new());
    let uri = "spiffe://cluster.local/ns/a/sa/b";
    let backend = echo(&ca.server(&["b.example", uri]), "b");
    let named = |names: &[AltName]| UpstreamTls { names: names.to_vec(), ..ca.upstream("sni.example") };
    let (dns, id) = (|name: &str| AltName::Dns(name.into()), |name: &str| AltName::Uri(name.into()));
    let cases = [
        ("right", ca.upstream("b.example"), Some("b.example")),
        ("another authority", other.upstream("b.example"), None),
        ("another name", ca.upstream("c.example"), None),
        ("a name besides the server name", named(&[dns("b.example")]), Some("sni.example")),
        ("a URI", named(&[id(uri)]), Some("sni.example")),
        ("no such name", named(&[dns("sni.example")]), None),
        ("no such URI", named(&[id("spiffe://cluster.local/ns/a/sa/c")]), None),
    ];
    for (what, policy, sni) in cases {
        let mut world = world(&Plan::new(&[backend.address]), tls(policy), open());
        let answer = Peer::connect(world.gateway).get("/");
        match sni {
            Some(sni) => {
                assert_eq!(answer.status(), 200, "{what}");
                assert!(answer.body.starts_with(&format!("b sni={sni} cert=false\n")), "{}", answer.body);
                assert!(answer.body.contains("x-forwarded-proto: http\r\n"), "{what}: {}", answer.body);
            }
            None => {
                assert_eq!(answer.status(), 502, "{what}");
                assert_eq!(world.flow().reason, FlowReason::TlsFailed, "{what}");
                assert!(world.proxy().stats().tls_upstream_failed > 0, "{what}");
            }
        }
    }
}

#[test]
fn connections_are_kept_and_sessions_resumed() {
    let ca = Ca::new();
    let backend = echo(&ca.server(&["b.example"]), "b");
    let plan = Plan::new(&[backend.address]);
    let world = world(&plan, tls(ca.upstream("b.example")), open());
    let mut client = Peer::connect(world.gateway);
    for _ in 0..5 {
        assert_eq!(client.get("/").status(), 200);
        // Longer than what arrives behind a handshake takes to arrive.
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    assert_eq!(backend.connections(), 1, "tickets that come behind the handshake do not spoil it");
    assert_eq!(world.proxy().stats().upstream_reused, 4);
}

#[test]
fn a_policy_that_is_not_valid_is_an_error() {
    let ca = Ca::new();
    let backend = Backend::echo("plain");
    let plan = Plan::new(&[backend.address]);
    let mut world = world(&plan, UpstreamSecurity::Invalid("no authority".into()), open());
    let mut client = Peer::connect(world.gateway);
    assert_eq!(client.get("/").status(), 500);
    assert_eq!(world.flow().reason, FlowReason::InvalidBackend);
    assert_eq!(backend.connections(), 0);
    // An endpoint in the clear where TLS has to be.
    let policy = tls(ca.upstream("b.example"));
    world.publish_changed(&plan, |snapshot| secure(snapshot, 0, policy));
    assert_eq!(client.get("/").status(), 502);
    assert_eq!(world.flow().reason, FlowReason::TlsFailed);
    assert_eq!(backend.requests(), 0, "nothing in the clear");
    world.publish(&plan);
    assert_eq!(client.get("/").status(), 200);
}

#[test]
fn the_gateway_shows_its_certificate() {
    let (ca, other) = (Ca::new(), Ca::new());
    let backend = echo(&ca.server_for(&["b.example"], ClientAuth::Required(ca.authorities())), "b");
    let (right, wrong) = (ca.issue(&["gateway.example"]), other.issue(&["gateway.example"]));
    for (certificate, status) in [(Some(right), 200), (Some(wrong), 502), (None, 502)] {
        for front in [open(), https("", &ca.server(&["a.example"]), 0)] {
            let is_tls = front.server_tls().is_some();
            let front = Listener { backend_certificate: certificate.clone(), ..front };
            let world = world(&Plan::new(&[backend.address]), tls(ca.upstream("b.example")), front);
            let answer = match is_tls {
                true => Client::ask(world.gateway, &ca.client(), "a.example").unwrap(),
                false => Peer::connect(world.gateway).get("/"),
            };
            // In TLS 1.3 a refusal comes behind the handshake, as a broken connection.
            assert_eq!(answer.status(), status, "{certificate:?}");
            if status == 200 {
                assert!(answer.body.starts_with("b sni=b.example cert=true\n"), "{}", answer.body);
            }
        }
    }
}

#[test]
fn a_body_that_is_cut_off_is_not_whole() {
    let ca = Ca::new();
    let server = ca.server(&["b.example"]);
    for in_due_form in [true, false] {
        let backend = endpoint(&server, Alpn::Http1, move |mut stream, _| {
            let mut piece = [0; 4096];
            drop(stream.read(&mut piece));
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome").unwrap();
            if in_due_form {
                stream.conn.send_close_notify();
            }
            stream.flush().unwrap();
            drop(stream.sock.shutdown(std::net::Shutdown::Write));
            drop(stream.sock.read(&mut piece));
        });
        let world = world(&Plan::new(&[backend.address]), tls(ca.upstream("b.example")), open());
        let mut client = Peer::connect(world.gateway);
        client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
        let mut answer = Vec::new();
        let read = client.stream.read_to_end(&mut answer);
        assert_eq!(read.is_ok(), in_due_form, "{in_due_form}: {}", answer.escape_ascii());
    }
}

#[test]
fn bytes_of_a_tcp_listener_too() {
    let ca = Ca::new();
    let backend = endpoint(&ca.server(&["b.example"]), Alpn::None, |mut stream, _| {
        stream.write_all(b"welcome ").unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all.reverse();
        stream.write_all(&all).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    });
    let front = listener("", ListenerProtocol::Tcp(Some(leads_to(0))));
    let world = world(&Plan::new(&[backend.address]), tls(ca.upstream("b.example")), front);
    let mut client = Peer::connect(world.gateway);
    assert_eq!(client.take(8), b"welcome ");
    client.send("abc");
    client.shut();
    assert_eq!(client.rest(), b"cba");
}
