//! HTTP/2 with clients and servers that others wrote: curl, nghttp, h2load, node.

use std::time::Duration;

use tests::client::curl;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, pod, service};
use tests::{Backend, Host, Peer, Weir, peer, until};

use crate::fleet::h2c;
use crate::world::{GET_PUBLIC, World};

const PRIOR: &str = "--http2-prior-knowledge";
const PATIENCE: Duration = Duration::from_secs(60);

/// The world with a Gateway on 8080; `/` goes to Service `api`, `/h2` to Service `h2`, whose
/// endpoint is a node server that speaks HTTP/2 only.
fn world() -> (World, Peer) {
    let world = World::new();
    let h2 = Peer::node(&world.api.ns, "h2c.mjs", &[&world.api.v4.to_string(), "82", "h2"]);
    world.lab.write(
        "pods.yaml",
        &documents(&[
            world.pods(),
            gateway("web", 8080, &[]),
            service("api", &["10.96.0.1"], 80, &[(world.api.v4.into(), 80)]),
            h2c(&service("h2", &["10.96.0.2"], 80, &[(world.api.v4.into(), 82)])),
            ROUTE.into(),
            ROUTE_H2.into(),
        ]),
    );
    (world, h2)
}

fn url(path: &str) -> String {
    format!("http://{NODE_V4}:8080{path}")
}

/// The version on the status line, the head in lower case and the body that curl got.
fn head_and_body(from: &Host, arguments: &[&str]) -> (String, String) {
    let mut all = vec!["-i"];
    all.extend(arguments);
    let (_, text) = curl(from, &all);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    (head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn one_port_speaks_both_versions_whatever_the_endpoint_speaks() {
    needs_lab!("node");
    let (world, h2) = world();
    let _weir = Weir::start(&world.lab);
    for (client, line) in [("--http1.1", "http/1.1 200"), (PRIOR, "http/2 200")] {
        for (path, body) in [("/h1", "v1\n"), ("/h2", "h2\n")] {
            let (head, got) = head_and_body(&world.frontend, &[client, &url(path)]);
            assert!(head.starts_with(line), "{client} {path}: {head}");
            assert_eq!(got, body, "{client} {path}");
        }
    }
    let host = format!("{NODE_V4}:8080");
    assert_eq!(world.backend.last().header("host"), Some(host.as_str()), ":authority becomes Host");
    // Host becomes :authority.
    h2.wait_text(&format!("\":authority\":\"{host}\""));
}

#[test]
fn bodies_pass_whole_in_both_directions_and_versions() {
    needs_lab!("node");
    let (world, _h2) = world();
    let _weir = Weir::start(&world.lab);
    let file = world.lab.folder().join("body");
    std::fs::write(&file, vec![b'y'; 700_000]).unwrap();
    let data = format!("@{}", file.display());
    for client in ["--http1.1", PRIOR] {
        let (status, body) = curl(&world.frontend, &[client, &url("/big")]);
        assert_eq!((status, body.len()), (200, tests::backend::BIG), "{client} from HTTP/1.1");
        let (status, body) = curl(&world.frontend, &[client, &url("/h2/big")]);
        assert_eq!((status, body.len()), (200, 3_000_000), "{client} from HTTP/2");
        let post = [client, "--data-binary", &data];
        let (status, _) = curl(&world.frontend, &[&post[..], &[&url("/upload")]].concat());
        assert_eq!((status, world.backend.last().body.len()), (200, 700_000), "{client} to HTTP/1.1");
        let (status, body) = curl(&world.frontend, &[&post[..], &[&url("/h2/echo")]].concat());
        assert_eq!(status, 200, "{client} to HTTP/2");
        assert!(body.len() == 700_000 && body.bytes().all(|byte| byte == b'y'), "{client} to HTTP/2");
    }
}

#[test]
fn trailers_pass_between_versions() {
    needs_lab!("node", "nghttp");
    let (world, _h2) = world();
    let _weir = Weir::start(&world.lab);
    for path in ["/chunked", "/h2/trailers"] {
        // HTTP/2 has no TE: trailers for a client to send by default; nghttp shows them all.
        let run = peer::run(&world.frontend.ns, "nghttp", &["-nv", &url(path)], b"", PATIENCE);
        assert!(run.success, "{}", run.text);
        assert!(run.text.contains("x-end: yes"), "{path}: {}", run.text);
    }
    let (head, body) =
        head_and_body(&world.frontend, &["--http1.1", "-H", "TE: trailers", &url("/h2/trailers")]);
    let whole = format!("{head}{body}").to_ascii_lowercase();
    assert!(whole.contains("x-end: yes"), "{whole}");
}

#[test]
fn requests_of_one_connection_are_balanced_one_by_one() {
    needs_lab!("h2load", "node");
    let mut world = World::new();
    let second = world.lab.pod("api2");
    let other = Backend::http(&second.ns, second.at(80), "v2");
    let both = [(world.api.v4.into(), 80), (second.v4.into(), 80)];
    let objects = [
        world.pods(),
        pod(&second, &["app=api"]),
        gateway("web", 8080, &[]),
        service("api", &["10.96.0.1"], 80, &both),
        ROUTE.into(),
    ];
    world.lab.write("pods.yaml", &documents(&objects));
    let _weir = Weir::start(&world.lab);
    let run = peer::run(
        &world.frontend.ns,
        "h2load",
        &["-n", "400", "-c", "1", "-m", "10", &url("/")],
        b"",
        PATIENCE,
    );
    assert!(run.text.contains("400 succeeded, 0 failed, 0 errored"), "{}", run.text);
    let counts = [world.backend.count(), other.count()];
    assert_eq!(counts.iter().sum::<usize>(), 400, "{counts:?}");
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
}

#[test]
fn many_connections_of_many_streams_all_succeed() {
    needs_lab!("h2load", "node");
    let (world, _h2) = world();
    let weir = Weir::start(&world.lab);
    for path in ["/", "/h2"] {
        let run = peer::run(
            &world.frontend.ns,
            "h2load",
            &["-n", "3000", "-c", "20", "-m", "50", &url(path)],
            b"",
            PATIENCE,
        );
        let broken: Vec<_> = weir.flows().into_iter().filter(|flow| flow["verdict"] == "FAILED").collect();
        assert!(run.text.contains("3000 succeeded, 0 failed, 0 errored"), "{path}: {}\n{broken:?}", run.text);
        assert!(run.text.contains("status codes: 3000 2xx"), "{path}: {}", run.text);
    }
}

/// What a pod says to a pod is judged by request, also on one HTTP/2 connection.
#[test]
fn policy_judges_every_stream() {
    needs_lab!("node");
    let mut world = World::new();
    let second = world.lab.pod("api2");
    let h2 = Peer::node(&second.ns, "h2c.mjs", &[&second.v4.to_string(), "80", "h2"]);
    let pods = [world.pods(), pod(&second, &["app=api"])];
    world.lab.write("pods.yaml", &documents(&pods));
    world.lab.write("policy.yaml", GET_PUBLIC);
    let weir = Weir::start(&world.lab);
    let at = |path: &str| format!("http://{}{path}", second.v4);
    let (allowed, private) = (at("/public"), at("/private"));
    // curl 7.88 cannot use a connection again that it began with prior knowledge; nghttp can.
    // It asks for each twice.
    let run = peer::run(&world.frontend.ns, "nghttp", &["-nv", "-m2", &allowed, &private], b"", PATIENCE);
    assert_eq!(run.text.matches("Connected").count(), 1, "{}", run.text);
    assert_eq!(
        [":status: 200", ":status: 403"].map(|line| run.text.matches(line).count()),
        [2, 2],
        "{}",
        run.text
    );
    assert_eq!(curl(&world.frontend, &[PRIOR, "-d", "x", &allowed]).0, 403, "POST is not GET");
    assert_eq!(curl(&world.stranger, &[PRIOR, &allowed]).0, 0, "or another pod");
    until("both requests", || (h2.text().matches("\"/public\"").count() == 2).then_some(()));
    assert!(!h2.text().contains("/private"), "{}", h2.text());
    let flow = weir.wait_flow("the refusal", |flow| flow["http"]["path"] == "/private");
    assert_eq!(flow["verdict"], "DENIED");
}

/// Everything to Service `api`.
pub(crate) const ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - backendRefs: [{name: api, port: 80}]
"#;

const ROUTE_H2: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: h2, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /h2}}]
    filters:
    - type: URLRewrite
      urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
    backendRefs: [{name: h2, port: 80}]
"#;
