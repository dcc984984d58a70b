//! TLS with curl and openssl as clients and node as an endpoint.

mod clients;
mod entry;
mod limits;
mod origin;
mod passthrough;
mod secrets;
mod sessions;
mod termination;

use std::time::Duration;

use tests::certificate::Certificate;
use tests::client::curl;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::{Authority, Host, Peer, peer};

use crate::http2::ROUTE;
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(20);
/// The port of HTTPS and TLS listeners.
const PORT: u16 = 8443;

/// The world with Gateway `web`, whose listeners are one of HTTP on 8080 and those of these lines,
/// a route of all of them to the api, and an authority.
fn world_with(listeners: &str, objects: &[String]) -> (World, Authority) {
    let world = World::new();
    let authority = Authority::new(world.lab.folder(), "authority");
    world.lab.write("gateway.yaml", &(gateway("web", 8080, &[]) + listeners));
    let api = service("api", &["10.96.0.1"], 80, &[(world.api.v4.into(), 80)]);
    world.lab.write("route.yaml", &documents(&[api, ROUTE.into()]));
    world.lab.write("more.yaml", &documents(objects));
    (world, authority)
}

/// A listener line: HTTPS on 8443 with the Secret of the same name.
pub(crate) fn https(name: &str, more: &str) -> String {
    format!(
        "  - {{name: {name}, {more}protocol: HTTPS, port: {PORT}, tls: {{certificateRefs: [{{name: {name}}}]}}}}\n"
    )
}

/// curl of `https://NAME:PORT/` by this authority: the status (0: none) and the body, behind which
/// stands the version of HTTP.
fn get(from: &Host, name: &str, authority: &std::path::Path, more: &[&str]) -> (u16, String) {
    get_at(from, name, PORT, authority, more)
}

fn get_at(from: &Host, name: &str, port: u16, authority: &std::path::Path, more: &[&str]) -> (u16, String) {
    let authority = authority.to_string_lossy();
    let resolve = format!("{name}:{port}:{NODE_V4}");
    let url = format!("https://{name}:{port}/");
    let all = ["--cacert", &authority, "--resolve", &resolve, "-w", "%{http_version}\n%{http_code}", &url];
    curl(from, &[more, &all].concat())
}

/// What `openssl s_client` says of a handshake with this server name and an end right after it.
fn handshake(from: &Host, name: &str, more: &[&str]) -> String {
    handshake_at(from, PORT, name, more)
}

fn handshake_at(from: &Host, port: u16, name: &str, more: &[&str]) -> String {
    let target = format!("{NODE_V4}:{port}");
    let named = ["-servername", name];
    let named: &[&str] = if name.is_empty() { &["-noservername"] } else { &named };
    let arguments = [&["s_client", "-connect", &target], named, more].concat();
    peer::run(&from.ns, "openssl", &arguments, b"", PATIENCE).text
}

/// A running `openssl s_client` that passes on what it is told, whole lines.
fn held(from: &Host, name: &str, more: &[&str]) -> Peer {
    let target = format!("{NODE_V4}:{PORT}");
    let base = ["s_client", "-quiet", "-crlf", "-connect", &target, "-servername", name];
    Peer::spawn(&from.ns, "openssl", &[&base, more].concat())
}

/// Whether the handshake presented the certificate of this subject.
fn shows(text: &str, subject: &str) -> bool {
    text.lines().any(|line| line == format!("subject=CN = {subject}"))
}

/// A line of the private key, which nothing may ever show.
fn key_line(certificate: &Certificate) -> String {
    let key = std::fs::read_to_string(&certificate.key).unwrap();
    key.lines().nth(1).unwrap().to_owned()
}

/// What the admin endpoint says of itself.
fn metrics(world: &World) -> String {
    world.lab.node.run("curl -sS http://127.0.0.1:15200/metrics").unwrap()
}

/// The value of one series of it; 0 where it is not there.
fn series(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |number| number.parse().unwrap())
}
