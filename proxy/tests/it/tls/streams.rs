//! What flows inside: bytes passed through or taken out of TLS, HTTP/1.1 and HTTP/2.

use std::io::{Read, Write};

use model::flow::{FlowReason, FlowVerdict};
use model::service::ListenerProtocol;
use tls::Alpn;

use super::fixture::{Ca, Client, echo, endpoint, https, leads_to, listener, sni, world};
use crate::backend::Backend;
use crate::client::Peer;
use crate::world::Plan;

#[test]
fn passthrough_is_between_the_two_ends() {
    let (ca, own) = (Ca::new(), Ca::new());
    let tls = [own.server(&["one.example"]), own.server(&["x.wild.example"])];
    let backends = [echo(&tls[0], "one"), echo(&tls[1], "wild")];
    let plan = Plan::new(&[backends[0].address]).service(&[backends[1].address]);
    let table = sni(&[("one.example", 0), ("*.wild.example", 1)]);
    let mut world = world(&plan, vec![listener("", ListenerProtocol::TlsPassthrough(table))]);
    for (at, name) in ["one.example", "x.wild.example"].into_iter().enumerate() {
        let mut client = Client::connect(world.gateway, &own.client(), name).unwrap();
        assert_eq!(client.leaf(), tls[at].certificates[0].chain[0]);
        assert!(client.get(name, "/").body.contains(&format!("sni={name}")));
        client.close();
        drop(client);
        let flow = world.flow();
        assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Forwarded, FlowReason::None), "{name}");
        assert!(flow.route.is_some() && flow.bytes_in > 200 && flow.bytes_out > 200, "{name}: {flow:?}");
    }
    assert!(Client::connect(world.gateway, &ca.client(), "one.example").is_err(), "not our authority");
    assert!(Client::connect(world.gateway, &own.client(), "other.example").is_err());
    assert_eq!(world.proxy().stats().tls_handshakes, 0);
}

#[test]
fn terminated_bytes_flow_from_either_end_first() {
    let ca = Ca::new();
    let backend = Backend::script(|mut peer, _| {
        peer.send("welcome ");
        let mut all = peer.rest();
        all.reverse();
        peer.stream.write_all(&all).unwrap();
    });
    let (tls, routes) = (ca.server(&["a.example"]), sni(&[("", 0)]));
    let world = world(
        &Plan::new(&[backend.address]),
        vec![listener("", ListenerProtocol::TlsTerminate { tls, routes })],
    );
    // ALPN is the business of who speaks inside.
    for alpn in [&[][..], &["h2"]] {
        let mut client = Client::connect(world.gateway, &ca.client_with(None, alpn), "a.example").unwrap();
        assert_eq!(client.tls.conn.alpn_protocol(), None);
        assert_eq!(client.take(8).unwrap(), b"welcome ", "before the client says anything");
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
        client.tls.write_all(&sent).unwrap();
        client.close();
        let mut back = client.rest().unwrap();
        back.reverse();
        assert!(back == sent, "{} bytes", back.len());
    }
}

#[test]
fn a_client_that_is_cut_off_takes_the_endpoint_with_it() {
    let ca = Ca::new();
    let (seen, said) = std::sync::mpsc::channel();
    let seen = std::sync::Mutex::new(seen);
    let backend = Backend::script(move |mut peer, _| {
        peer.take(4);
        let end = peer.is_reset();
        seen.lock().unwrap().send(end).unwrap();
    });
    let (tls, routes) = (ca.server(&["a.example"]), sni(&[("a.example", 0)]));
    let world = world(
        &Plan::new(&[backend.address]),
        vec![listener("", ListenerProtocol::TlsTerminate { tls, routes })],
    );
    let mut client = Client::connect(world.gateway, &ca.client(), "a.example").unwrap();
    client.tls.write_all(b"some").unwrap();
    // TCP ends, TLS does not: whether that was all is not known.
    client.tls.sock.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(said.recv(), Ok(true));
}

#[test]
fn tcp_listeners_forward_bytes() {
    let backend = Backend::script(|mut peer, _| {
        peer.send("welcome ");
        let all = peer.rest();
        peer.stream.write_all(&all).unwrap();
    });
    let front = |rule| vec![listener("", ListenerProtocol::Tcp(rule))];
    let with = world(&Plan::new(&[backend.address]), front(Some(leads_to(0))));
    let mut client = Peer::connect(with.gateway);
    assert_eq!(client.take(8), b"welcome ");
    client.send("GET / HTTP/1.1\r\n\r\n");
    client.shut();
    assert_eq!(client.rest(), b"GET / HTTP/1.1\r\n\r\n");
    for rule in [None, Some(leads_to(7))] {
        let mut without = world(&Plan::new(&[backend.address]), front(rule));
        assert!(Peer::connect(without.gateway).is_reset());
        assert_eq!(without.flow().verdict, FlowVerdict::Failed);
    }
}

#[test]
fn requests_with_bodies_and_pipelines() {
    let ca = Ca::new();
    let backend = Backend::echo("b");
    let world = world(&Plan::new(&[backend.address]), vec![https("", &ca.server(&["a.example"]), 0)]);
    let config = ca.client_with(None, &["http/1.1"]);
    let mut client = Client::connect(world.gateway, &config, "a.example").unwrap();
    assert_eq!(client.tls.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let body = "x".repeat(300_000);
    let post = format!("POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    client.tls.write_all(post.as_bytes()).unwrap();
    client.tls.write_all(b"GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
    let answer = client.get("a.example", "/2");
    assert!(answer.body.ends_with(&body), "{}", answer.body.len());
    for path in ["/1", "/2"] {
        let head = client.head().unwrap();
        let length: usize = head.rsplit("ontent-Length: ").next().unwrap().parse().unwrap();
        let text = String::from_utf8(client.take(length).unwrap()).unwrap();
        assert!(text.contains(&format!("GET {path} ")), "{text}");
    }
}

#[test]
fn http2_by_alpn() {
    let ca = Ca::new();
    let backend = Backend::echo("b");
    let world = world(&Plan::new(&[backend.address]), vec![https("", &ca.server(&["a.example"]), 0)]);
    let config = ca.client_with(None, &["h2", "http/1.1"]);
    let mut client = Client::connect(world.gateway, &config, "a.example").unwrap();
    assert_eq!(client.tls.conn.alpn_protocol(), Some(&b"h2"[..]));
    // GET / https a.example, on stream 1: indexed fields and one literal (RFC 7541 appendix A).
    let mut block = vec![0x82, 0x84, 0x87, 0x01, 9];
    block.extend_from_slice(b"a.example");
    let length = u8::try_from(block.len()).unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[0, 0, length, 1, 5, 0, 0, 0, 1]);
    bytes.extend_from_slice(&block);
    client.tls.write_all(&bytes).unwrap();
    let mut data = Vec::new();
    let mut status = 0;
    loop {
        let head = client.take(9).unwrap();
        let payload = client.take(usize::from(head[1]) << 8 | usize::from(head[2])).unwrap();
        match head[3] {
            0 => data.extend_from_slice(&payload),
            1 => status = payload[0],
            _ => continue,
        }
        if head[4] & 1 == 1 {
            break;
        }
    }
    let text = String::from_utf8(data).unwrap();
    assert_eq!(status, 0x88, "200");
    assert!(text.contains("GET / HTTP/1.1") && text.contains("x-forwarded-proto: https"), "{text}");
}

#[test]
fn an_endpoint_that_speaks_http2_in_tls() {
    let ca = Ca::new();
    let backend = endpoint(&ca.server(&["b.example"]), Alpn::Http2, |mut stream, log| {
        // The preface and what comes with it.
        let mut held = [0; 24];
        stream.read_exact(&mut held).unwrap();
        let agreed = stream.conn.alpn_protocol() == Some(b"h2");
        let head = format!("{} {agreed}", String::from_utf8_lossy(&held[..14]));
        log.lock().unwrap().push(crate::client::Message { head, body: String::new(), raw: Vec::new() });
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
        // :status 200, the end of stream 1.
        stream.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88]).unwrap();
        stream.flush().unwrap();
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest));
    });
    let plan = Plan::new(&[backend.address]).speaks(model::service::AppProtocol::H2c);
    let mut world = plan.start();
    let policy = model::tls::UpstreamSecurity::Tls(std::sync::Arc::new(ca.upstream("b.example")));
    world.publish_changed(&plan, |snapshot| super::fixture::secure(snapshot, 0, policy));
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 200);
    backend.request(0, |seen| assert_eq!(seen.head, "PRI * HTTP/2.0 true"));
}
