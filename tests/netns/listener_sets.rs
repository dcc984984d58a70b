//! Listeners that ListenerSets add to a Gateway.

use tests::client::{Client, curl};
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, route, service};
use tests::{Authority, Host, Peer, Weir, until};

use crate::world::World;

/// curl of `URL` with the name of its host led to the node.
fn get(from: &Host, url: &str, more: &[&str]) -> (u16, String) {
    let host = url.split('/').nth(2).unwrap();
    let resolve = format!("{host}:{NODE_V4}");
    curl(from, &[&["--resolve", &resolve, url], more].concat())
}

/// Gateway `web` on 8080 that lets sets of its namespace in, or of none.
fn web(from: &str) -> String {
    gateway("web", 8080, &[]) + &format!("  allowedListeners: {{namespaces: {{from: {from}}}}}\n")
}

/// The world with Gateway `web`, ListenerSet `team` and a route of each kind to it.
fn world() -> (World, Authority) {
    let world = World::new();
    let authority = Authority::new(world.lab.folder(), "authority");
    let endpoint = |port| [(world.api.v4.into(), port)];
    world.lab.write("gateway.yaml", &web("Same"));
    let objects = [
        service("api", &["10.96.0.1"], 80, &endpoint(80)),
        service("calls", &["10.96.0.2"], 81, &endpoint(81))
            .replace("port: 81,", "appProtocol: kubernetes.io/h2c, port: 81,"),
        authority.issue(&["*.set.test"]).secret("set"),
        route("own", "/own", "api"),
        ROUTES.into(),
    ];
    world.lab.write("objects.yaml", &documents(&objects));
    world.lab.write("set.yaml", SET);
    (world, authority)
}

#[test]
fn routes_of_every_kind_attach_to_a_set() {
    needs_lab!("node");
    let (world, authority) = world();
    let address = world.api.v4.to_string();
    let _calls = Peer::node(&world.api.ns, "h2c.mjs", &[&address, "81", "calls"]);
    let weir = Weir::start(&world.lab);
    assert_eq!(weir.ask("problems").as_deref(), Some(""));
    let ca = authority.certificate.to_string_lossy();
    let from = &world.frontend;
    // By the Gateway's own listener the Gateway's route, at the set's ports the set's.
    assert_eq!(get(from, "http://own.test:8080/own", &[]), (200, "v1\n".into()));
    assert_eq!(get(from, "http://own.test:8080/set", &[]).0, 404);
    assert_eq!(get(from, "http://a.set.test:8090/set", &[]), (200, "v1\n".into()));
    assert_eq!(get(from, "http://a.set.test:8090/own", &[]).0, 404);
    assert_eq!(get(from, "http://other.test:8090/set", &[]).0, 404, "not the listener's host");
    assert_eq!(get(from, "https://a.set.test:8443/set", &["--cacert", &ca]), (200, "v1\n".into()));
    // HTTP within bytes within TLS.
    let bytes = ["--cacert", &ca, "--http1.1"];
    assert_eq!(get(from, "https://bytes.set.test:8443/any", &bytes), (200, "v1\n".into()));
    let call = ["--http2-prior-knowledge", "-X", "POST", "-H", "content-type: application/grpc"];
    let (status, text) = get(from, "http://calls.set.test:8090/shop.Cart/Add", &call);
    assert!(status == 200 && text.starts_with("calls"), "{status} {text}");
}

/// What a set adds comes and goes with the set and the word of its Gateway; nothing else notices.
#[test]
fn a_set_comes_and_goes() {
    needs_lab!();
    let (world, _) = world();
    let weir = Weir::start(&world.lab);
    let answers = |url: &str, status: u16| {
        until(&format!("{url} to answer {status}"), || {
            (get(&world.frontend, url, &["-k"]).0 == status).then_some(())
        });
    };
    let is = |status| answers("http://a.set.test:8090/set", status);
    let says = |wanted: &str| {
        let problems = weir.ask("problems").unwrap();
        assert!(problems.contains(wanted), "{wanted:?} is not in:\n{problems}");
    };
    is(200);
    let mut held = Client::connect(&world.frontend, (NODE_V4, 8080).into()).unwrap();
    let mut serves = || assert_eq!(held.get("/own").unwrap().status, 200);
    serves();
    world.lab.write("gateway.yaml", &web("None"));
    is(0);
    says("ListenerSet default/team: spec.parentRef: Gateway default/web lets no ListenerSets");
    says("HTTPRoute default/set: spec.parentRefs[0]: ListenerSet default/team is not attached");
    serves();
    world.lab.write("gateway.yaml", &web("Same"));
    is(200);
    // One that claims what the Gateway has gets nothing of it.
    world.lab.write(
        "set.yaml",
        &SET.replace("port: 8090", "port: 8080").replace("hostname: '*.set.test', port: 8080", "port: 8080"),
    );
    is(0);
    says("ListenerSet default/team: spec.listeners[0].hostname: the Gateway has this port and hostname");
    serves();
    assert_eq!(get(&world.frontend, "http://own.test:8080/set", &[]).0, 404);
    std::fs::remove_file(world.lab.config().join("set.yaml")).unwrap();
    answers("https://a.set.test:8443/set", 0);
    serves();
}

const SET: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: team, namespace: default}
spec:
  parentRef: {name: web}
  listeners:
  - {name: http, hostname: '*.set.test', port: 8090, protocol: HTTP}
  - {name: https, hostname: '*.set.test', port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: set}]}}
  - name: bytes
    hostname: bytes.set.test
    port: 8443
    protocol: TLS
    tls: {mode: Terminate, certificateRefs: [{name: set}]}
"#;

const ROUTES: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: set, namespace: default}
spec:
  parentRefs: [{kind: ListenerSet, name: team}]
  hostnames: [a.set.test]
  rules:
  - matches: [{path: {type: PathPrefix, value: /set}}]
    backendRefs: [{name: api, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: default}
spec:
  parentRefs: [{kind: ListenerSet, name: team, sectionName: http}]
  hostnames: [calls.set.test]
  rules:
  - matches: [{method: {service: shop.Cart}}]
    backendRefs: [{name: calls, port: 81}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: bytes, namespace: default}
spec:
  parentRefs: [{kind: ListenerSet, name: team, sectionName: bytes}]
  hostnames: [bytes.set.test]
  rules:
  - backendRefs: [{name: api, port: 80}]
"#;
