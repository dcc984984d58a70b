//! What is spoken where TLS ends: kinds of keys, versions, protocols inside.

use std::io::{Read, Write};

use tests::authority::Leaf;
use tests::lab::NODE_V4;
use tests::objects::documents;
use tests::{Authority, Backend, Peer, Weir};

use super::{PATIENCE, PORT, get, handshake, https, shows, world_with};
use crate::world::World;

/// One listener without a hostname that has these certificates.
fn listener(secrets: &[&str]) -> String {
    let references: Vec<String> = secrets.iter().map(|name| format!("{{name: {name}}}")).collect();
    let references = references.join(", ");
    format!("  - {{name: all, protocol: HTTPS, port: {PORT}, tls: {{certificateRefs: [{references}]}}}}\n")
}

/// The world with one listener and one certificate, for `a.test`.
fn plain() -> (World, Authority) {
    let (world, authority) = world_with(&https("a", ""), &[]);
    world.lab.write("secret.yaml", &authority.issue(&["a.test"]).secret("a"));
    (world, authority)
}

#[test]
fn of_many_certificates_the_one_for_name_and_key_is_shown() {
    needs_lab!("openssl");
    let (world, authority) = world_with(&listener(&["first", "ec", "rsa", "wild", "two"]), &[]);
    let both = |rsa| Leaf { names: &["both.test"], rsa, ..Leaf::default() };
    let ec = authority.issue_as(both(false)).secret("ec");
    let rsa = authority.issue_as(both(true)).secret("rsa");
    let secrets = [
        authority.issue(&["first.test"]).secret("first"),
        ec,
        rsa,
        authority.issue(&["*.wild.test"]).secret("wild"),
        authority.issue(&["two.test", "second.test"]).secret("two"),
    ];
    world.lab.write("secrets.yaml", &documents(&secrets));
    let _weir = Weir::start(&world.lab);
    let cases = [
        ("first.test", "first.test"),
        ("x.wild.test", "*.wild.test"),
        // A wildcard of a certificate stands for one label.
        ("y.x.wild.test", "first.test"),
        ("two.test", "two.test"),
        ("second.test", "two.test"),
        ("unknown.test", "first.test"),
        ("", "first.test"),
    ];
    for (name, subject) in cases {
        let text = handshake(&world.frontend, name, &[]);
        assert!(shows(&text, subject), "{name} is not shown {subject}:\n{text}");
    }
    // Both kinds of keys in both versions, as the client can take them.
    let kinds = [
        (["-sigalgs", "ecdsa_secp256r1_sha256"], "Peer signature type: ECDSA"),
        (["-sigalgs", "rsa_pss_rsae_sha256"], "Peer signature type: RSA-PSS"),
    ];
    for (algorithms, kind) in kinds {
        for version in ["-tls1_2", "-tls1_3"] {
            let text = handshake(&world.frontend, "both.test", &[&algorithms[..], &[version]].concat());
            assert!(shows(&text, "both.test") && text.contains(kind), "{version} {kind}:\n{text}");
        }
    }
}

#[test]
fn versions_from_1_2_on() {
    needs_lab!("openssl");
    let (world, authority) = plain();
    let _weir = Weir::start(&world.lab);
    for (version, name, args) in [("-tls1_2", "TLSv1.2", "--tls-max"), ("-tls1_3", "TLSv1.3", "--tls-max")] {
        let text = handshake(&world.frontend, "a.test", &[version]);
        assert!(text.contains(&format!("New, {name}")), "{text}");
        let max = name.trim_start_matches("TLSv");
        let (status, text) = get(&world.frontend, "a.test", &authority.certificate, &[args, max, "--http2"]);
        assert_eq!((status, &*text), (200, "v1\n2"), "{name}");
    }
    // Old openssl would speak them at this level.
    for version in ["-tls1", "-tls1_1"] {
        let text = handshake(&world.frontend, "a.test", &[version, "-cipher", "DEFAULT@SECLEVEL=0"]);
        let refused = ["alert protocol version", "alert handshake failure"];
        assert!(refused.iter().any(|alert| text.contains(alert)), "{version}:\n{text}");
        assert!(text.contains("no peer certificate available"), "{version}:\n{text}");
    }
}

/// openssl cannot speak SSL 3.0 any more: its first message by hand. In that of SSL 2.0 nothing is
/// TLS at all.
#[test]
fn ssl_is_not_spoken() {
    needs_lab!();
    let (world, _) = plain();
    let _weir = Weir::start(&world.lab);
    let mut body = vec![3, 0];
    body.extend([7; 32]);
    // No session, the cipher RC4-SHA, no compression.
    body.extend([0, 0, 2, 0, 5, 1, 0]);
    let length = u8::try_from(body.len()).unwrap();
    let mut hello = vec![22, 3, 0, 0, length + 4, 1, 0, 0, length];
    hello.extend(body);
    let answer = exchange(&world, &hello);
    // An alert (21), fatal (2): protocol_version (70) or handshake_failure (40).
    let refused = [[2, 70], [2, 40]].iter().any(|alert| answer.get(5..) == Some(&alert[..]));
    assert!(answer.first() == Some(&21) && refused, "{answer:?}");
    let second = [0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 1, 0, 0x80, 3, 0, 0x80];
    assert_eq!(exchange(&world, &second), b"", "SSL 2.0");
    assert_eq!(exchange(&world, b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), b"", "no TLS at all");
}

/// What comes back for these bytes until the other side closes.
fn exchange(world: &World, bytes: &[u8]) -> Vec<u8> {
    let mut stream = world.frontend.connect((NODE_V4, PORT).into()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => answer,
    }
}

#[test]
fn the_protocol_inside_by_alpn() {
    needs_lab!("openssl");
    let (world, _) = plain();
    let _weir = Weir::start(&world.lab);
    let cases = [
        ("h2", "ALPN protocol: h2"),
        ("http/1.1", "ALPN protocol: http/1.1"),
        ("http/1.1,h2", "ALPN protocol: h2"),
        ("foo,http/1.1", "ALPN protocol: http/1.1"),
    ];
    for version in ["-tls1_2", "-tls1_3"] {
        for (offer, agreed) in cases {
            let text = handshake(&world.frontend, "a.test", &[version, "-alpn", offer]);
            assert!(text.contains(agreed), "{version} {offer}:\n{text}");
        }
        let text = handshake(&world.frontend, "a.test", &[version, "-alpn", "foo"]);
        assert!(text.contains("alert no application protocol"), "{version}:\n{text}");
        let text = handshake(&world.frontend, "a.test", &[version]);
        assert!(text.contains("No ALPN negotiated"), "{version}:\n{text}");
    }
    // Without ALPN it is HTTP/1.1.
    let mut client = super::held(&world.frontend, "a.test", &[]);
    client.write(b"GET / HTTP/1.1\nHost: a.test\n\n");
    client.wait_text("v1\n");
}

/// TLS ends here, the bytes inside go on: the endpoint may be the one that speaks first.
#[test]
fn a_tls_route_carries_the_bytes_inside() {
    needs_lab!("openssl");
    let bytes = format!(
        "  - {{name: bytes, hostname: bytes.test, protocol: TLS, port: {PORT}, \
         tls: {{certificateRefs: [{{name: bytes}}]}}}}\n"
    );
    let echo = |world: &World| {
        let endpoint = [(world.api.v4.into(), 7)];
        documents(&[tests::objects::service("echo", &["10.96.0.7"], 7, &endpoint), BYTES.into()])
    };
    let (world, authority) = world_with(&(bytes + &https("a", "hostname: a.test, ")), &[]);
    world.lab.write("more.yaml", &echo(&world));
    let secrets =
        ["a.test", "bytes.test"].map(|name| authority.issue(&[name]).secret(&name.replace(".test", "")));
    world.lab.write("secrets.yaml", &documents(&secrets));
    let _echo = Backend::echo(&world.api.ns, world.api.at(7));
    let weir = Weir::start(&world.lab);
    let authority = authority.certificate.to_string_lossy().into_owned();
    let mut client: Peer =
        super::held(&world.frontend, "bytes.test", &["-CAfile", &authority, "-verify_return_error"]);
    client.write(b"these bytes\n");
    client.wait_text("these bytes\r\n");
    drop(client);
    let flow = weir.wait_flow("the bytes", |flow| flow["backend"]["port"] == 7);
    assert_eq!(flow["verdict"], "FORWARDED", "{flow}");
    // On the same port HTTPS is served beside it.
    let ca = std::path::Path::new(&authority);
    assert_eq!(get(&world.frontend, "a.test", ca, &[]).0, 200);
    // A listener that no route leads on from must not be seen to have a certificate.
    let before = weir.revision();
    world.lab.write("more.yaml", &echo(&world).replace("name: echo, port: 7", "name: nobody, port: 7"));
    weir.wait_revision(before);
    let text = handshake(&world.frontend, "bytes.test", &[]);
    assert!(text.contains("has read 0 bytes"), "{text}");
}

const BYTES: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: bytes, namespace: default}
spec:
  parentRefs: [{name: web, sectionName: bytes}]
  hostnames: [bytes.test]
  rules:
  - backendRefs: [{name: echo, port: 7}]
"#;
