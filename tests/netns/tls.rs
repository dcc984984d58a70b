//! TLS with curl and openssl as clients and node as an endpoint.

use std::time::Duration;

use tests::certificate::Certificate;
use tests::client::curl;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::{Host, Peer, Weir, peer};

use crate::http2::ROUTE;
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(20);

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

/// A listener line: HTTPS on 8443 with the Secret of the same name.
pub(crate) fn https(name: &str, more: &str) -> String {
    format!(
        "  - {{name: {name}, {more}protocol: HTTPS, port: 8443, tls: {{certificateRefs: [{{name: {name}}}]}}}}\n"
    )
}

/// curl of `https://NAME:PORT/`, with the certificate as the only authority trusted.
fn get(from: &Host, pair: &Certificate, port: u16, version: &str) -> (u16, String) {
    let name = &pair.name;
    let authority = pair.certificate.to_string_lossy();
    let resolve = format!("{name}:{port}:{NODE_V4}");
    let url = format!("https://{name}:{port}/");
    curl(
        from,
        &[
            "--cacert",
            &authority,
            "--resolve",
            &resolve,
            "-w",
            "%{http_version}\n%{http_code}",
            version,
            &url,
        ],
    )
}

/// What `openssl s_client` says of a handshake with this server name.
fn handshake(from: &Host, port: u16, name: &str) -> String {
    let target = format!("{NODE_V4}:{port}");
    let arguments = ["s_client", "-connect", &target, "-servername", name];
    peer::run(&from.ns, "openssl", &arguments, b"", PATIENCE).text
}

#[test]
fn each_name_has_its_certificate_and_both_versions() {
    needs_lab!("openssl");
    let (world, pairs) = world();
    let _weir = Weir::start(&world.lab);
    for pair in &pairs {
        for (version, got) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let (status, text) = get(&world.frontend, pair, 8443, version);
            assert_eq!((status, text), (200, format!("v1\n{got}")), "{} {version}", pair.name);
        }
        let text = handshake(&world.frontend, 8443, &pair.name);
        assert!(text.contains(&format!("subject=CN = {}", pair.name)), "{text}");
        assert!(text.contains("TLSv1.3"), "{text}");
    }
}

/// An alert would be an answer of somebody who has no certificate for the name.
#[test]
fn a_name_without_a_listener_is_closed_without_a_word() {
    needs_lab!("openssl");
    let (world, pairs) = world();
    let _weir = Weir::start(&world.lab);
    assert_eq!(get(&world.frontend, &pairs[0], 8443, "--http2").0, 200, "it serves");
    let text = handshake(&world.frontend, 8443, "other.test");
    assert!(text.contains("has read 0 bytes"), "{text}");
    assert!(!text.contains("alert"), "{text}");
}

/// One name's connection is not for another's host (RFC 9110, 15.5.20).
#[test]
fn a_host_of_another_listener_is_misdirected() {
    needs_lab!("openssl");
    let (world, pairs) = world();
    let _weir = Weir::start(&world.lab);
    let authority = pairs[0].certificate.to_string_lossy().into_owned();
    let resolve = format!("a.test:8443:{NODE_V4}");
    let base = ["--cacert", &authority, "--resolve", &resolve, "-H", "Host: b.test", "https://a.test:8443/"];
    for version in ["--http1.1", "--http2"] {
        assert_eq!(curl(&world.frontend, &[&[version], &base[..]].concat()).0, 421, "{version}");
    }
}

#[test]
fn a_new_certificate_is_in_force_without_a_restart() {
    needs_lab!("openssl");
    let (world, pairs) = world();
    let weir = Weir::start(&world.lab);
    assert_eq!(get(&world.frontend, &pairs[0], 8443, "--http2").0, 200);
    let before = weir.revision();
    let folder = world.lab.folder().join("new");
    std::fs::create_dir_all(&folder).unwrap();
    let new = Certificate::new(&folder, "a.test");
    let path = world.lab.config().join("pods.yaml");
    let objects = std::fs::read_to_string(path).unwrap();
    world.lab.write("pods.yaml", &objects.replace(&pairs[0].secret("a"), &new.secret("a")));
    weir.wait_revision(before);
    assert_eq!(get(&world.frontend, &new, 8443, "--http2").0, 200);
    assert_eq!(get(&world.frontend, &pairs[0], 8443, "--http2").0, 0, "the old one is not served");
    let key = std::fs::read_to_string(&new.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert!(!weir.log().contains(secret), "no key in the log");
}

#[test]
fn passthrough_goes_by_server_name_and_keeps_the_endpoints_certificate() {
    needs_lab!("openssl", "node");
    let (world, _pairs) = world();
    let inner = Certificate::new(world.lab.folder(), "inner.test");
    let (certificate, key) = (inner.certificate.to_string_lossy(), inner.key.to_string_lossy());
    let address = world.api.v4.to_string();
    let _endpoint = Peer::node(&world.api.ns, "https.mjs", &[&address, "443", "inner", &certificate, &key]);
    let mut second = gateway("pass", 8081, &[]);
    let class = second.find("---").unwrap();
    second.drain(..class + 3);
    second.push_str(
        "  - {name: tls, protocol: TLS, port: 8444, hostname: '*.test', tls: {mode: Passthrough}}\n",
    );
    let endpoint = service("inner", &["10.96.0.9"], 443, &[(world.api.v4.into(), 443)]);
    world.lab.write("pass.yaml", &documents(&[second, endpoint, TLS_ROUTE.into()]));
    let _weir = Weir::start(&world.lab);
    for (version, number) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let (status, text) = get(&world.frontend, &inner, 8444, version);
        assert_eq!(status, 200, "{version}: {text}");
        assert!(text.starts_with(&format!("inner inner.test {number}")), "{text}");
    }
    let text = handshake(&world.frontend, 8444, "stranger.test");
    assert!(text.contains("has read 0 bytes") && !text.contains("alert"), "{text}");
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
