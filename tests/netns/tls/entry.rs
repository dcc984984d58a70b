//! Which listener a connection comes to, by the server name that it asks for.

use tests::Weir;
use tests::certificate::Certificate;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};

use super::{get, handshake, https, shows};
use crate::http2::ROUTE;
use crate::world::World;

/// A Gateway with HTTPS listeners for `a.test` and `b.test` on 8443, each with a certificate of its
/// own, and the certificates.
fn world() -> (World, [Certificate; 2]) {
    let world = World::new();
    let pairs = ["a.test", "b.test"].map(|name| Certificate::new(world.lab.folder(), name));
    let mut gateway = gateway("web", 8080, &[]);
    for (listener, host) in [("a", "a.test"), ("b", "b.test")] {
        gateway.push_str(&https(listener, &format!("hostname: {host}, ")));
    }
    world.lab.write(
        "pods.yaml",
        &documents(&[
            world.pods(),
            gateway,
            service("api", &["10.96.0.1"], 80, &[(world.api.v4.into(), 80)]),
            ROUTE.into(),
            pairs[0].secret("a"),
            pairs[1].secret("b"),
        ]),
    );
    (world, pairs)
}

#[test]
fn each_name_has_its_certificate_and_both_versions() {
    needs_lab!("openssl");
    let (world, pairs) = world();
    let _weir = Weir::start(&world.lab);
    for pair in &pairs {
        for (version, got) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let (status, text) = get(&world.frontend, &pair.name, &pair.certificate, &[version]);
            assert_eq!((status, text), (200, format!("v1\n{got}")), "{} {version}", pair.name);
        }
        let text = handshake(&world.frontend, &pair.name, &[]);
        assert!(shows(&text, &pair.name), "{text}");
        assert!(text.contains("TLSv1.3"), "{text}");
    }
}

/// An alert would be an answer of somebody who has no certificate for the name.
#[test]
fn a_name_without_a_listener_is_closed_without_a_word() {
    needs_lab!("openssl");
    let (world, pairs) = world();
    let _weir = Weir::start(&world.lab);
    assert_eq!(get(&world.frontend, "a.test", &pairs[0].certificate, &["--http2"]).0, 200, "it serves");
    for name in ["other.test", "x.a.test", ""] {
        let text = handshake(&world.frontend, name, &[]);
        assert!(text.contains("has read 0 bytes"), "{name}: {text}");
        assert!(!text.contains("alert"), "{name}: {text}");
    }
}

/// One name's connection is not for another's host (RFC 9110, 15.5.20).
#[test]
fn a_host_of_another_listener_is_misdirected() {
    needs_lab!("openssl");
    let (world, pairs) = world();
    let _weir = Weir::start(&world.lab);
    for version in ["--http1.1", "--http2"] {
        let more = [version, "-H", "Host: b.test"];
        assert_eq!(get(&world.frontend, "a.test", &pairs[0].certificate, &more).0, 421, "{version}");
    }
}

/// Exact before the longest wildcard before none, as hostnames of listeners go, and the names are
/// compared without regard to case.
#[test]
fn exact_wildcard_and_default_listeners() {
    needs_lab!("openssl");
    let listeners = [
        https("exact", "hostname: a.wild.test, "),
        https("wild", "hostname: '*.wild.test', "),
        https("wilder", "hostname: '*.b.wild.test', "),
        https("default", ""),
    ];
    let (world, authority) = super::world_with(&listeners.concat(), &[]);
    let subjects = [
        ("exact", "a.wild.test"),
        ("wild", "*.wild.test"),
        ("wilder", "*.b.wild.test"),
        ("default", "d.test"),
    ];
    let secrets = subjects.map(|(secret, name)| authority.issue(&[name]).secret(secret));
    world.lab.write("secrets.yaml", &documents(&secrets));
    let _weir = Weir::start(&world.lab);
    let cases = [
        ("a.wild.test", "a.wild.test"),
        ("A.Wild.TEST", "a.wild.test"),
        ("x.wild.test", "*.wild.test"),
        ("x.a.wild.test", "*.wild.test"),
        ("b.wild.test", "*.wild.test"),
        ("x.b.wild.test", "*.b.wild.test"),
        ("y.x.b.wild.test", "*.b.wild.test"),
        ("wild.test", "d.test"),
        ("notwild.test", "d.test"),
        ("other.example", "d.test"),
        ("", "d.test"),
    ];
    for (name, subject) in cases {
        let text = handshake(&world.frontend, name, &[]);
        assert!(shows(&text, subject), "{name} is not shown {subject}:\n{text}");
    }
    for name in ["a.wild.test", "x.wild.test", "x.b.wild.test", "d.test"] {
        let (status, text) = get(&world.frontend, name, &authority.certificate, &["--http2"]);
        assert_eq!((status, &*text), (200, "v1\n2"), "{name}");
    }
    // No name is sent for an address.
    let url = format!("https://{NODE_V4}:{}/", super::PORT);
    assert_eq!(tests::client::curl(&world.frontend, &["-k", &url]).0, 200);
}
