//! What goes by the server name of the first message, which is read and not answered.

use tests::certificate::Certificate;
use tests::client::curl;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::relay::{Cut, Relay};
use tests::{Peer, Weir, until};

use super::{PORT, get_at, handshake_at, https, world_with};
use crate::world::World;

/// The port of the listener that passes on.
const PASS: u16 = 8444;

/// The world with a second Gateway that passes `*.test` on 8444 on, a route for `inner.test` and
/// its endpoint with a certificate of its own; HTTPS for `a.test` on 8443.
fn world() -> (World, Certificate, Certificate, Peer) {
    let (world, authority) = world_with(&https("a", ""), &[]);
    let outer = authority.issue(&["a.test"]);
    let inner = Certificate::new(world.lab.folder(), "inner.test");
    let (certificate, key) = (inner.certificate.to_string_lossy(), inner.key.to_string_lossy());
    let address = world.api.v4.to_string();
    let endpoint = Peer::node(&world.api.ns, "https.mjs", &[&address, "443", "inner", &certificate, &key]);
    let mut second = gateway("pass", 8081, &[]);
    let class = second.find("---").unwrap();
    second.drain(..class + 3);
    second.push_str(&format!(
        "  - {{name: tls, protocol: TLS, port: {PASS}, hostname: '*.test', tls: {{mode: Passthrough}}}}\n"
    ));
    let service = service("inner", &["10.96.0.9"], 443, &[(world.api.v4.into(), 443)]);
    world.lab.write("pass.yaml", &documents(&[second, service, TLS_ROUTE.into(), outer.secret("a")]));
    (world, outer, inner, endpoint)
}

#[test]
fn by_server_name_with_the_endpoints_own_certificate() {
    needs_lab!("openssl", "node");
    let (world, _, inner, _endpoint) = world();
    let weir = Weir::start(&world.lab);
    for (version, number) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let (status, text) = get_at(&world.frontend, "inner.test", PASS, &inner.certificate, &[version]);
        assert_eq!(status, 200, "{version}: {text}");
        assert!(text.starts_with(&format!("inner inner.test {number}")), "{text}");
    }
    // In the listener without a route, out of the listener, without a name: no word of TLS.
    for name in ["stranger.test", "inner.example", "test", ""] {
        let text = handshake_at(&world.frontend, PASS, name, &[]);
        assert!(text.contains("has read 0 bytes") && !text.contains("alert"), "{name}: {text}");
    }
    let flow = weir.wait_flow("a name without a route", |flow| flow["reason"] == "no_route");
    assert_eq!(flow["verdict"], "FAILED", "{flow}");
    // A route whose endpoint is gone is no route that leads anywhere.
    let before = weir.revision();
    world.lab.write("pass2.yaml", TLS_ROUTE_TO_NOTHING);
    weir.wait_revision(before);
    let text = handshake_at(&world.frontend, PASS, "nothing.test", &[]);
    assert!(text.contains("has read 0 bytes") && !text.contains("alert"), "{text}");
}

/// The first message arrives in pieces, of segments and of records, down to single bytes; the
/// endpoint, and who ends TLS here, get it whole.
#[test]
fn the_first_message_in_pieces() {
    needs_lab!("openssl", "node");
    let (world, outer, inner, _endpoint) = world();
    // Each piece may wait for its turn on a busy machine.
    let _weir =
        Weir::start_with(&world.lab, &["--node", tests::lab::NODE, "--limit", "handshake_timeout=60s"]);
    let cuts = [Cut::Segments(1), Cut::Segments(7), Cut::Segments(100), Cut::Records(1), Cut::Records(50)];
    for cut in cuts {
        for (name, port, trusted, expected) in
            [("inner.test", PASS, &inner, "inner inner.test 2.0\n"), ("a.test", PORT, &outer, "v1\n")]
        {
            let relay = Relay::start(&world.frontend.ns, (NODE_V4, port).into(), cut);
            let at = relay.address.port();
            let (resolve, url) = (format!("{name}:{at}:127.0.0.1"), format!("https://{name}:{at}/"));
            // The one has signed itself, the other's authority lies beside it.
            let beside = trusted.certificate.with_file_name("ca.crt");
            let authority = if beside.exists() { beside } else { trusted.certificate.clone() };
            let authority = authority.to_string_lossy();
            let answer = curl(&world.frontend, &["--cacert", &authority, "--resolve", &resolve, &url]);
            assert_eq!(answer, (200, expected.to_owned()), "{name} {cut:?}");
        }
        let relay = Relay::start(&world.frontend.ns, (NODE_V4, PASS).into(), cut);
        let target = relay.address.to_string();
        let arguments = ["s_client", "-connect", &target, "-servername", "stranger.test"];
        let text = tests::peer::run(&world.frontend.ns, "openssl", &arguments, b"", super::PATIENCE).text;
        assert!(text.contains("has read 0 bytes") && !text.contains("alert"), "{cut:?}: {text}");
    }
}

/// A new route is in force for new connections; the old one's connection goes on where it was.
#[test]
fn a_held_connection_keeps_its_endpoint() {
    needs_lab!("openssl", "node");
    let (world, _, _, _endpoint) = world();
    let weir = Weir::start(&world.lab);
    let target = format!("{NODE_V4}:{PASS}");
    let base = ["s_client", "-quiet", "-crlf", "-connect", &target, "-servername", "inner.test"];
    let mut held = Peer::spawn(&world.frontend.ns, "openssl", &base);
    let answers = |held: &Peer, count: usize| {
        until("an answer", || (held.text().matches("HTTP/1.1 200").count() == count).then_some(()));
    };
    held.write(b"GET / HTTP/1.1\nHost: inner.test\n\n");
    answers(&held, 1);
    let before = weir.revision();
    world.lab.write("pass2.yaml", TLS_ROUTE_TO_NOTHING);
    weir.wait_revision(before);
    held.write(b"GET / HTTP/1.1\nHost: inner.test\n\n");
    answers(&held, 2);
}

const TLS_ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: inner, namespace: default}
spec:
  parentRefs: [{name: pass, sectionName: tls}]
  hostnames: [inner.test]
  rules:
  - backendRefs: [{name: inner, port: 443}]
"#;

const TLS_ROUTE_TO_NOTHING: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: nothing, namespace: default}
spec:
  parentRefs: [{name: pass, sectionName: tls}]
  hostnames: [nothing.test]
  rules:
  - backendRefs: [{name: nobody, port: 443}]
"#;
